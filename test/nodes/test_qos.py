# Copyright 2026 The diffusion_policy_ros authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""What a subscription keeps while nobody looks at it."""

import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.nodes import qos  # noqa: E402,I100
from diffusion_policy_ros.nodes.demo_watch import NEWEST  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

DOMAIN_ID = 48


@pytest.mark.parametrize('profile, kept', [(qos.IMAGES, [1, 2, 3, 4, 5]), (NEWEST, [5])])
def test_frames_of_a_moment_without_looking_are_kept_or_replaced(peer, profile, kept):
    images = peer.hear(Image, 'camera', profile)
    publisher = peer.node.create_publisher(Image, 'camera', qos.ROBOT_STATE)
    peer.until(lambda: publisher.get_subscription_count(), 'the subscription found')
    publisher.publish(Image(width=0))
    peer.until(lambda: images, 'the first frame')
    images.clear()
    for k in range(1, 6):
        publisher.publish(Image(width=k))
    peer.until(lambda: images and images[-1].width == 5, 'the last frame')
    assert [image.width for image in images] == kept

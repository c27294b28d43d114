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
"""Whatever messages of whatever type come: a window is sound, or refused with a remedy."""

import cv2
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

pytest.importorskip('rclpy')
from builtin_interfaces.msg import Time  # noqa: E402,I100
from diffusion_policy_ros import message_types as ros  # noqa: E402
from diffusion_policy_ros import messages  # noqa: E402
from diffusion_policy_ros.contract import parse_contract  # noqa: E402
from diffusion_policy_ros.errors import DiffusionPolicyError  # noqa: E402
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES  # noqa: E402
from diffusion_policy_ros.observation.window import WindowBuilder  # noqa: E402

# Every type that can be observed, and what messages do to it that its own tests do not.
OBSERVED = parse_contract("""
robot: test
rate_hz: 10
settle_ms: 20
observations:
  - {key: observation.images.exact, topic: exact, type: sensor_msgs/msg/Image,
     image: {height: 4, width: 6}, max_age_ms: 400, frozen_after: 2}
  - {key: observation.images.depth, topic: depth, type: sensor_msgs/msg/Image,
     image: {height: 4, width: 6, encoding: 32FC1, resize: crop}, max_age_ms: 400}
  - {key: observation.images.small, topic: small, type: sensor_msgs/msg/CompressedImage,
     image: {height: 4, width: 6, resize: pad}, max_age_ms: 400}
  - {key: observation.state, topic: joints, type: sensor_msgs/msg/JointState, joints: [a, g],
     max_age_ms: 400, frozen_after: 2}
  - {key: observation.state, topic: told, type: trajectory_msgs/msg/JointTrajectory, joints: [a],
     stamp: receive, max_age_ms: 400}
  - {key: observation.state, topic: single, type: std_msgs/msg/Float32MultiArray, names: [s],
     stamp: receive, max_age_ms: 400}
  - {key: observation.state, topic: double, type: std_msgs/msg/Float64MultiArray, names: [d],
     stamp: receive, max_age_ms: 400, on_stale: hold}
  - {key: observation.pose, topic: pose, type: geometry_msgs/msg/PoseStamped, max_age_ms: 400}
  - {key: observation.speed, topic: speed, type: geometry_msgs/msg/Twist, stamp: receive,
     max_age_ms: 400}
  - {key: observation.base, topic: base, type: geometry_msgs/msg/TwistStamped, max_age_ms: 400}
  - {key: observation.odometry, topic: odom, type: nav_msgs/msg/Odometry, max_age_ms: 400}
  - {key: observation.scan, topic: scan, type: sensor_msgs/msg/LaserScan, names: [near, far],
     max_age_ms: 400}
actions:
  - {topic: command, type: std_msgs/msg/Float64MultiArray, names: [x], stamp: receive}
""")
START_NS, MS = 1_700_000_000_000_000_000, 1_000_000


def _observed(stream, stamp_ns):
    """Return a message of a stream as it should be."""
    number = stamp_ns // (100 * MS) % 200  # never twice the same: frozen streams are refused
    values, picture = [number / 200] * len(stream.names), np.full((4, 6, 3), number, np.uint8)
    if stream.type == ros.IMAGE:
        message = messages.image(MESSAGE_CLASSES, picture, stamp_ns)
        if stream.topic == 'depth':
            message.encoding, message.step = '16UC1', 18
    elif stream.type == ros.COMPRESSED_IMAGE:
        message = MESSAGE_CLASSES[stream.type](
            format='png', data=cv2.imencode('.png', picture)[1].tobytes())
    elif stream.type == ros.JOINT_STATE:
        message = messages.joint_state(MESSAGE_CLASSES, stream.names, values, stamp_ns)
    elif stream.type == ros.JOINT_TRAJECTORY:
        message = messages.joint_trajectory(MESSAGE_CLASSES, stream.names, [values], [0], 0)
    elif stream.type in (ros.FLOAT32_ARRAY, ros.FLOAT64_ARRAY):
        message = messages.multi_array(MESSAGE_CLASSES, stream.type, values)
    elif stream.type == ros.LASER_SCAN:
        message = messages.laser_scan(MESSAGE_CLASSES, [*values, 2.0, np.inf], stamp_ns,
                                      range_min=0.0, range_max=3.0)
    else:
        message = MESSAGE_CLASSES[stream.type]()
    if hasattr(message, 'header') and stream.stamp == 'header':
        message.header.stamp = Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return message


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_only_errors_with_a_remedy_leave_the_window_builder(any_message, data):
    builder, now_ns = WindowBuilder(OBSERVED, n_obs_steps=2), START_NS

    def choose(options):
        return data.draw(st.sampled_from(options))

    for _ in range(3):
        suspect = choose(OBSERVED.observations)
        for stream in OBSERVED.observations:
            message = _observed(stream, now_ns)
            if stream is suspect:
                message = any_message(message, choose)
            builder.push(stream.topic, message, now_ns + choose((0, 0, 30)) * MS)
        now_ns += choose((100, 100, 100, 100, 100, 1000, -5000)) * MS
        try:
            window, samples = builder.look(now_ns)
        except DiffusionPolicyError:
            continue
        assert len(samples) == 2
        for key, values in window.items():
            assert values.shape == (2, *OBSERVED.shape_of(key))
            assert np.isfinite(values).all()

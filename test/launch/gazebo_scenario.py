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

"""gazebo.launch.py without a screen: pictures come, arm and fingers go where they are sent."""

import unittest

from ament_index_python.packages import get_package_share_directory
from arm_peer import ArmPeer
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_testing.actions import ReadyToTest
import launch_testing.markers


@launch_testing.markers.keep_alive
def generate_test_description():
    """Start the launch file as a user does."""
    share = get_package_share_directory('diffusion_policy_ros')
    return LaunchDescription([
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(f'{share}/launch/gazebo.launch.py'),
            launch_arguments={'headless': 'true'}.items()),
        ReadyToTest()])


class TestArm(unittest.TestCase):
    """What the running nodes do."""

    def test_both_cameras_show_pictures_and_the_arm_goes_where_it_is_sent(self):
        """Gazebo renders and moves, and everything is dated by its clock."""
        peer = ArmPeer(use_sim_time=True)
        self.addCleanup(peer.close)
        peer.until(lambda: len(peer.pictures) == 2, 'a picture of each camera')
        for camera, picture in peer.pictures.items():
            self.assertEqual((picture.width, picture.height), (160, 120))
            self.assertEqual(picture.encoding, 'rgb8')
            self.assertEqual(picture.header.frame_id, f'{camera}_optical_frame')
            self.assertGreater(len(set(picture.data)), 10, 'the picture shows nothing')
        peer.turn_and_close()
        peer.until(lambda: abs(peer.joints['gripper_right'] - peer.joints['gripper']) < 0.003,
                   'the other finger to follow')
        now_s = peer.node.get_clock().now().nanoseconds * 1e-9
        self.assertLess(abs(now_s - peer.stamps[-1] * 1e-9), 1.0)
        self.assertLess(now_s, 1e6, 'the time is not that of the simulation')

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

"""mock.launch.py: the arm follows commands through command_safety and the controllers."""

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
            PythonLaunchDescriptionSource(f'{share}/launch/mock.launch.py')),
        ReadyToTest()])


class TestArm(unittest.TestCase):
    """What the running nodes do."""

    def test_the_arm_goes_where_it_is_sent(self):
        """Commands pass the safety node and the controllers, and the joints are seen to move."""
        peer = ArmPeer(use_sim_time=False)
        self.addCleanup(peer.close)
        peer.turn_and_close()

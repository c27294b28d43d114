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

"""base.launch.py: simulation, policy and safety node come up, and the base drives."""

import unittest

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_peer import ACTIVE, Peer
from launch_testing.actions import ReadyToTest
from launch_testing.asserts import assertExitCodes
import launch_testing.markers
from nav_msgs.msg import Odometry


@launch_testing.markers.keep_alive
def generate_test_description():
    """Start the launch file as a user does."""
    share = get_package_share_directory('diffusion_policy_ros')
    return LaunchDescription([
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(f'{share}/launch/base.launch.py'),
            launch_arguments={'seed': '100000', 'command_rate_hz': '30'}.items()),
        ReadyToTest()])


class TestLoop(unittest.TestCase):
    """What the running nodes do."""

    def test_the_policy_drives_the_base_forwards(self):
        """The server activates itself, and the base leaves its start through the safety node."""
        peer = Peer('')
        self.addCleanup(peer.close)
        places = []
        peer.node.create_subscription(
            Odometry, 'odom', lambda m: places.append(m.pose.pose.position.x), 10)
        peer.until(lambda: peer.state() == ACTIVE, 'the policy server to be active')
        peer.until(lambda: places and places[-1] > places[0] + 0.5, 'half a metre')


@launch_testing.post_shutdown_test()
class TestShutdown(unittest.TestCase):
    """What is left when the launch ends."""

    def test_exit_codes(self, proc_info):
        """Ctrl-C is a clean end."""
        assertExitCodes(proc_info)

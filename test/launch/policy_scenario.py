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

"""policy.launch.py in a namespace: the lifecycle by hand, topics in, commands out."""

import os
import unittest

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_peer import ACTIVATE, CONFIGURE, DEACTIVATE, INACTIVE, Peer, UNCONFIGURED
from launch_testing.actions import ReadyToTest
from launch_testing.asserts import assertExitCodes
import launch_testing.markers


@launch_testing.markers.keep_alive
def generate_test_description():
    """Start the launch file as a user does."""
    share = get_package_share_directory('diffusion_policy_ros')
    return LaunchDescription([
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(f'{share}/launch/policy.launch.py'),
            launch_arguments={'model': os.environ['TINY_MODEL'], 'namespace': 'robot_1',
                              'autostart': 'false', 'command_rate_hz': '30',
                              'safety': 'false'}.items()),
        ReadyToTest()])


class TestPolicyServer(unittest.TestCase):
    """What the running node does."""

    def setUp(self):
        """Join the graph."""
        self.peer = Peer('robot_1')

    def tearDown(self):
        """Leave it."""
        self.peer.close()

    def test_lifecycle_from_topics_in_to_commands_out(self):
        """Commands go out exactly while the node is active, at the rate that was asked for."""
        self.assertEqual(self.peer.state(), UNCONFIGURED)
        self.assertTrue(self.peer.change(CONFIGURE))
        self.assertEqual(self.peer.state(), INACTIVE)
        self.peer.be_a_robot()
        self.assertTrue(self.peer.change(ACTIVATE))
        commands = self.peer.hears_commands(10)
        self.assertEqual(list(commands[0].name), ['finger_x', 'finger_y'])
        stamps = [c.header.stamp.sec + c.header.stamp.nanosec * 1e-9 for c in commands]
        steps = sorted(later - earlier for earlier, later in zip(stamps, stamps[1:]))
        self.assertAlmostEqual(steps[len(steps) // 2], 1 / 30, delta=2e-3)
        self.assertTrue(self.peer.change(DEACTIVATE))
        self.assertEqual(self.peer.state(), INACTIVE)


@launch_testing.post_shutdown_test()
class TestShutdown(unittest.TestCase):
    """What is left when the launch ends."""

    def test_exit_codes(self, proc_info):
        """Ctrl-C is a clean end."""
        assertExitCodes(proc_info)

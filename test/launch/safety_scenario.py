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

"""safety.launch.py in a namespace: it activates itself, holds the robot and follows commands."""

import unittest

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_peer import Peer
from launch_testing.actions import ReadyToTest
from launch_testing.asserts import assertExitCodes
import launch_testing.markers
from sensor_msgs.msg import JointState


@launch_testing.markers.keep_alive
def generate_test_description():
    """Start the launch file as a user does."""
    share = get_package_share_directory('diffusion_policy_ros')
    return LaunchDescription([
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(f'{share}/launch/safety.launch.py'),
            launch_arguments={'contract': f'{share}/config/robots/pusht.yaml',
                              'namespace': 'robot_1', 'speed_scale': '0.5'}.items()),
        ReadyToTest()])


class TestSafety(unittest.TestCase):
    """What the running node does."""

    def test_the_robot_is_held_and_then_led(self):
        """Commands in the node's namespace arrive at the controller's topic."""
        peer = Peer('robot_1')
        self.addCleanup(peer.close)
        peer.be_a_robot()  # in the middle of the table, wherever it is told to go
        peer.hears_commands(10)
        self.assertAlmostEqual(peer.commands[-1].position[0], 0.25, places=3)
        publisher = peer.node.create_publisher(JointState, 'policy/joint_commands', 1)

        def command():
            message = JointState(name=['finger_x', 'finger_y'], position=[0.3, 0.2])
            message.header.stamp = peer.node.get_clock().now().to_msg()
            publisher.publish(message)

        peer.node.create_timer(0.05, command)
        peer.until(lambda: abs(peer.commands[-1].position[0] - 0.3) < 1e-3, 'the target')


@launch_testing.post_shutdown_test()
class TestShutdown(unittest.TestCase):
    """What is left when the launch ends."""

    def test_exit_codes(self, proc_info):
        """Ctrl-C is a clean end."""
        assertExitCodes(proc_info)

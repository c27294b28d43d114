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
"""two_robots.launch.py: both loops close through their safety nodes, each in its namespace."""

import os
import unittest

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_peer import ACTIVE, Peer
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
            PythonLaunchDescriptionSource(f'{share}/launch/two_robots.launch.py'),
            launch_arguments={'model': os.environ['TINY_MODEL']}.items()),
        ReadyToTest()])


class TestTwo(unittest.TestCase):
    """What the running nodes do."""

    def publishers(self, peer, topic):
        """Return the full names of the nodes that publish a topic."""
        return [f'{p.node_namespace}/{p.node_name}'
                for p in peer.node.get_publishers_info_by_topic(topic)]

    def test_both_robots_move_and_every_topic_has_one_publisher(self):
        """Each finger leaves its own first place; no command topic mixes two robots."""
        for namespace in ('left', 'right'):
            peer = Peer(namespace)
            self.addCleanup(peer.close)
            places = []
            peer.node.create_subscription(
                JointState, 'joint_states', lambda m: places.append(tuple(m.position)), 10)
            peer.until(lambda: peer.state() == ACTIVE, f'{namespace} to be active')
            peer.hears_commands(10)
            peer.until(lambda: len(set(places)) > 5, f'the finger of {namespace} to move')
            for topic, node in (('joint_commands', 'command_safety'),
                                ('policy/joint_commands', 'policy_server')):
                peer.until(lambda: self.publishers(peer, f'/{namespace}/{topic}')
                           == [f'/{namespace}/{node}'], f'{node} alone to publish {topic}')
        self.assertEqual(peer.node.get_publishers_info_by_topic('/joint_commands'), [])


@launch_testing.post_shutdown_test()
class TestShutdown(unittest.TestCase):
    """What is left when the launch ends."""

    def test_exit_codes(self, proc_info):
        """Ctrl-C is a clean end."""
        assertExitCodes(proc_info)

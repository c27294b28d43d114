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

"""record.launch.py in a namespace: an episode starts, stops and lies on disk."""

import os
from pathlib import Path
import unittest

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_peer import Peer
from launch_testing.actions import ReadyToTest
from launch_testing.asserts import assertExitCodes
import launch_testing.markers
from std_srvs.srv import Trigger


@launch_testing.markers.keep_alive
def generate_test_description():
    """Start the launch file as a user does."""
    share = get_package_share_directory('diffusion_policy_ros')
    return LaunchDescription([
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(f'{share}/launch/record.launch.py'),
            launch_arguments={'contract': f'{share}/config/robots/pusht.yaml',
                              'output': os.environ['BAGS'], 'namespace': 'robot_1',
                              'task': 'push the T', 'pre_roll_s': '1',
                              'discard_on': 'frozen', 'joy_success': '3'}.items()),
        ReadyToTest()])


class TestRecorder(unittest.TestCase):
    """What the running node does."""

    def test_an_episode_becomes_a_bag(self):
        """Start and stop leave one closed bag."""
        peer = Peer('robot_1')
        self.addCleanup(peer.close)
        peer.be_a_robot()
        peer.demonstrate()
        # It refuses until it has discovered a publisher of every stream of the contract.
        peer.until(lambda: peer.call(Trigger, 'recorder/start', Trigger.Request()).success,
                   'the recorder to start')
        bags = Path(os.environ['BAGS'])
        peer.until(lambda: sum(f.stat().st_size for f in bags.rglob('*.mcap')) > 100_000,
                   'pictures in the bag')
        stopped = peer.call(Trigger, 'recorder/stop', Trigger.Request())
        self.assertTrue(stopped.success, stopped.message)
        metadata, = bags.rglob('metadata.yaml')
        self.assertIn('push the T', metadata.read_text())
        self.assertIn('pre_roll_s', metadata.read_text())


@launch_testing.post_shutdown_test()
class TestShutdown(unittest.TestCase):
    """What is left when the launch ends."""

    def test_exit_codes(self, proc_info):
        """Ctrl-C is a clean end."""
        assertExitCodes(proc_info)

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

"""A launched lifecycle node becomes active, whatever of the talk with it gets lost."""

import os
import re
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.launch
DOMAIN_ID = 82
# A lifecycle node that publishes no transitions, as one that is faster than DDS: nobody hears of
# them. It says what it was asked for, and ends when it has been active, or refused, for a while.
NODE = """
import sys
import time
import rclpy
from lifecycle_msgs.srv import ChangeState, GetState
rclpy.init(args=sys.argv)
node, state, wanted = rclpy.create_node('node'), [1], {1: 2, 3: 3}
slow_s, refused = float(sys.argv[1]), int(sys.argv[2])

def change(request, response):
    asked = request.transition.id
    print('ASKED', asked, flush=True)
    time.sleep(slow_s)
    response.success = asked != refused
    if response.success:
        state[0] = wanted[asked]
    if not response.success or asked == 3:
        node.create_timer(1.5, exit)
    return response

def tell(request, response):
    response.current_state.id = state[0]
    return response

node.create_service(ChangeState, '~/change_state', change)
node.create_service(GetState, '~/get_state', tell)
rclpy.spin(node)
"""
LAUNCH = """
import sys
from diffusion_policy_ros.launching.autostart import autostart
from launch import LaunchDescription, LaunchService
from launch.actions import Shutdown
from launch_ros.actions import LifecycleNode
node = LifecycleNode(executable=sys.executable, name='node', namespace='robot', output='screen',
                     arguments=['-c', *sys.argv[1:]], on_exit=Shutdown())
service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription([node, autostart(node)]))
service.run()
"""


@pytest.fixture
def launched():
    """Return a function that launches the node, and returns what it and the launch say."""
    def run(slow_s=0.0, refused=0, code=LAUNCH):
        done = subprocess.run(
            [sys.executable, '-c', code, NODE, str(slow_s), str(refused)], text=True,
            env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID)}, capture_output=True, timeout=90)
        return done.stdout + done.stderr
    return run


@pytest.mark.parametrize('slow_s', [0.0, 3.0])
def test_a_node_whose_transitions_nobody_hears_of_becomes_active(launched, slow_s):
    begin_s = time.monotonic()
    said = launched(slow_s)
    assert re.findall(r'ASKED (\d)', said) == ['1', '3'], said
    assert 'is not active' not in said and 'Traceback' not in said.replace('SystemExit', '')
    assert time.monotonic() - begin_s < 60


@pytest.mark.parametrize('refused, asked', [(1, ['1']), (3, ['1', '3'])])
@pytest.mark.parametrize('slow_s', [0.0, 3.0])
def test_what_a_node_refuses_is_asked_for_once_and_told(launched, slow_s, refused, asked):
    said = launched(slow_s, refused)
    assert re.findall(r'ASKED (\d)', said) == asked, said
    assert '/robot/node is not active; its log says why' in said


def test_a_launch_that_ends_before_its_node_answers_ends(launched):
    said = launched(code=LAUNCH.replace('[node, autostart(node)]',
                                        '[node, autostart(node), Shutdown()]'))
    assert 'launching/autostart' not in said

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

"""The programs in docs/real_arm.md do what the page says."""

import os
from pathlib import Path
import re
import subprocess
import sys

import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.contract import load_contract  # noqa: E402,I100
from diffusion_policy_ros.nodes import qos  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

DOMAIN_ID = 81
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs' / 'real_arm.md').read_text('utf-8')


@pytest.fixture
def start(tmp_path):
    """Start a program of the page by its name; all end with the test."""
    started = []

    def begin(name):
        text, = re.findall(rf'```python\n("""{name}: .*?)```', PAGE, re.DOTALL)
        (tmp_path / name).write_text(text, 'utf-8')
        started.append(subprocess.Popen(
            [sys.executable, tmp_path / name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID)}))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_enter_trips_the_safety_node_every_time(peer, start):
    asked = []

    def trip(request, response):
        asked.append(request)
        response.success = True
        return response

    peer.node.create_service(Trigger, '/command_safety/trip', trip)
    key = start('e_stop_key.py')
    for count in (1, 2):
        key.stdin.write('\n')
        key.stdin.flush()
        peer.until(lambda count=count: len(asked) == count, f'trip {count}')


def test_a_leader_commands_every_output_in_the_order_of_the_contract(peer, start):
    outputs = load_contract(ROOT / 'config' / 'robots' / 'so101.yaml').actions
    heard = [peer.hear(Float64MultiArray, f'/policy/{output.topic}', qos.COMMANDS)
             for output in outputs]
    at = {name: 0.1 * k for k, name in enumerate(
        sorted(name for output in outputs for name in output.names))}
    leader = peer.node.create_publisher(JointState, '/leader/joint_states', qos.ROBOT_STATE)
    peer.node.create_timer(0.05, lambda: leader.publish(
        JointState(name=list(at), position=list(at.values()))))
    start('leader.py')
    peer.until(lambda: all(heard), 'a command on every output')
    for output, (message, *_) in zip(outputs, heard):
        assert list(message.data) == [at[name] for name in output.names]

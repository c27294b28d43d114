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

"""``dpr play`` as a user runs it: processes over real DDS, and refusals in one sentence."""

import json
import os
import subprocess
import sys

from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.cli.play import show_progress
from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
import numpy as np
import pytest

DOMAIN_ID = 29
CONTRACT = """
robot: small
rate_hz: 10
observations:
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [elbow, wrist], max_age_ms: 300}
actions:
  - {topic: joint_commands, type: sensor_msgs/msg/JointState, joints: [elbow, wrist]}
"""
ROWS = 12
# Tells the positions that it hears, and that it listens.
LISTENER = """
import json, sys, rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
rclpy.init()
node = rclpy.create_node('listener')
def tell(message):
    print(json.dumps(list(message.position)), flush=True)
node.create_subscription(JointState, sys.argv[1], tell, QoSProfile(depth=100))
print('ready', flush=True)
rclpy.spin(node)
"""


@pytest.fixture
def dataset(tmp_path):
    """Write one episode, whose row k says k and k + 0.5."""
    with LeRobotWriter(tmp_path / 'data', parse_contract(CONTRACT)) as writer:
        for row in range(ROWS):
            values = np.array([row, row + 0.5], np.float32)
            writer.add_row({'observation.state': values, 'action': values + 100},
                           tick_ns=row * 10**8, ages_ns={'joint_states': 0, 'joint_commands': 0})
        writer.save_episode('Count.')
    return tmp_path / 'data'


@pytest.fixture
def environment():
    """Give the environment of a domain of this file's own."""
    pytest.importorskip('rclpy')
    return {**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID),
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}


def listen(environment, topic):
    """Start a process that hears a topic."""
    process = subprocess.Popen([sys.executable, '-c', LISTENER, topic], env=environment,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'ready\n'
    return process


def play(environment, *arguments):
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, '-m', 'diffusion_policy_ros.cli.main', 'play', *map(str, arguments)],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


def hear(listener):
    """Return what a listener hears up to the last row; observed row 0 stands, and counts once."""
    heard = []
    while not heard or heard[-1][0] % 100 != ROWS - 1:
        position = json.loads(listener.stdout.readline())
        heard += [] if heard == [position] == [[0, 0.5]] else [position]
    return heard


# On a busy machine they may find each other later than the second in which nothing is shown.
@pytest.mark.parametrize('arguments, begins', [
    (('--wait', '4'), {'joint_states': 0, 'played/joint_commands': 100}),
    (('--wait', '4', '--with-actions', '--rate', '2'), {'joint_commands': 100})])
def test_other_processes_hear_the_episode(dataset, environment, arguments, begins):
    listeners = {topic: listen(environment, topic) for topic in begins}
    try:
        done = play(environment, dataset, '--episode', '0', *arguments)
        assert done.returncode == 0, done.stderr
        heard = {topic: hear(listener) for topic, listener in listeners.items()}
    finally:
        for listener in listeners.values():
            listener.kill()
            listener.communicate()
    assert heard == {topic: [[begin + row, begin + row + 0.5] for row in range(ROWS)]
                     for topic, begin in begins.items()}
    assert 'episode 0: 12 rows, ' in done.stdout
    assert done.stdout.splitlines()[-2:] == ['row 1 of 12', 'played: 64 messages']
    assert f'ROS domain {DOMAIN_ID}' in done.stdout
    assert ('whatever listens there moves' in done.stdout) == ('--with-actions' in arguments)


@pytest.mark.parametrize('is_terminal, shown', [
    (False, 'waiting: 2 s\nrow 1 of 9\nplayed: 9 messages\n'),
    (True, '\rwaiting: 2 s\x1b[K\rwaiting: 1 s\x1b[K\rrow 1 of 9\x1b[K\rrow 5 of 9\x1b[K'
           '\rplayed: 9 messages\x1b[K\n')])
def test_progress_is_one_line_in_a_terminal_and_short_in_a_file(
        monkeypatch, capsys, is_terminal, shown):
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: is_terminal)
    show_progress(['waiting: 2 s', 'waiting: 1 s', 'row 1 of 9', 'row 5 of 9',
                   'played: 9 messages'])
    assert capsys.readouterr().out == shown


@pytest.mark.slow
def test_a_topic_that_is_taken_ends_the_command_with_its_reason(dataset, environment):
    first = subprocess.Popen(
        [sys.executable, '-m', 'diffusion_policy_ros.cli.main', 'play', str(dataset),
         '--episode', '0', '--loop'], env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    listener = listen(environment, 'joint_states')
    try:
        for _ in range(30):  # the first one plays, and looks no longer for others
            listener.stdout.readline()
        done = play(environment, dataset, '--episode', '0', '--loop')
    finally:
        first.terminate()
        first.communicate()
        listener.kill()
        listener.communicate()
    assert done.returncode == 1
    assert done.stderr.startswith('dpr play: /joint_states has a publisher already')


@pytest.mark.parametrize('arguments, code, words', [
    (['--episode', '1'], 1, 'has no episode 1; it has 0 to 0'),
    (['--episode', '0', '--start', '5'], 1, '--start is 5 s; episode 0 lasts 1.2 s'),
    (['--episode', '0', '--rate', '0'], 2, '--rate is 0; it must be from 0.01 to 100'),
    (['--episode', '0', '--wait', '-1'], 2, '--wait is -1; it must be from 0 to 3600'),
    (['--episode', '0', '--loop', '--original-stamps'], 2, 'choose one of them')])
def test_what_cannot_be_played_is_one_sentence(dataset, capsys, arguments, code, words):
    assert main(['play', str(dataset), *arguments]) == code
    captured = capsys.readouterr()
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1


def test_a_node_that_is_killed_is_told(dataset, monkeypatch, capsys):
    from diffusion_policy_ros.cli import children
    monkeypatch.setattr(children, 'node_command', lambda name, parameters: [
        sys.executable, '-c', 'import os; os.kill(os.getpid(), 9)'])
    assert main(['play', str(dataset), '--episode', '0']) == 1
    assert capsys.readouterr().err.endswith(
        'the node that plays was ended by signal 9: (it said nothing)\n')


def test_a_dataset_without_a_contract_needs_one_that_fits(dataset, tmp_path, capsys):
    (dataset / 'meta/contract.yaml').unlink()
    assert main(['play', str(dataset), '--episode', '0']) == 1
    assert 'holds no robot contract, which tells the topics; name one with --contract' \
        in capsys.readouterr().err
    path = tmp_path / 'other.yaml'
    path.write_text(CONTRACT.replace('rate_hz: 10', 'rate_hz: 20'))
    assert main(['play', str(dataset), '--episode', '0', '--contract', str(path)]) == 1
    assert 'rate_hz: the dataset has 10, the contract 20' in capsys.readouterr().err

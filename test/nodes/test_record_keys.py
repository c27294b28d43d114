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


"""The keyboard program in a terminal: what its keys do, and what it shows."""

import os
from pathlib import Path
import pty
import re
import select
import subprocess
import sys
import termios
import time
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

rclpy = pytest.importorskip('rclpy')
from diffusion_policy_ros.data.bags.bag_reader import open_bag  # noqa: E402,I100
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.record_keys import duration, RecordKeys  # noqa: E402
from diffusion_policy_ros.nodes.recorder import Recorder  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

DOMAIN_ID = 25
ROOT = Path(__file__).parents[2]
CONTRACT = """
robot: test
rate_hz: 10
observations:
  - {key: observation.state, topic: joints, type: sensor_msgs/msg/JointState, joints: [a],
     stamp: receive, max_age_ms: 300}
actions:
  - {topic: joints, type: sensor_msgs/msg/JointState, joints: [a], label: next_state}
"""
COMMAND = [sys.executable, '-m', 'diffusion_policy_ros.nodes.record_keys']
ENVIRONMENT = {**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID), 'PYTHONPATH': os.pathsep.join(
    [str(ROOT), os.environ.get('PYTHONPATH', '')])}


class Terminal:
    """
    The program in a terminal of its own.

    :ivar shown: All that it wrote.
    :ivar process: Its process.
    """

    def __init__(self, peer):
        self._peer, self.shown, self._seen = peer, '', 0
        self._master, slave = pty.openpty()
        self._slave = slave
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(COMMAND, stdin=slave, stdout=slave, stderr=slave,
                                        env=ENVIRONMENT, start_new_session=True)

    def settings(self):
        """Return how the terminal is set."""
        return termios.tcgetattr(self._slave)

    def press(self, keys):
        """Press keys."""
        os.write(self._master, keys.encode())

    def read(self):
        """Read what was written."""
        while select.select([self._master], [], [], 0)[0]:
            self.shown += os.read(self._master, 65536).decode(errors='replace')

    def until(self, pattern):
        """Wait for what is shown after what was waited for before."""
        def find():
            self.read()
            return re.search(pattern, self.shown[self._seen:])

        self._peer.until(find, lambda: f'{pattern!r} in {self.shown[self._seen:][-2000:]!r}')
        self._seen += find().end()

    def until_over(self):
        """Wait for the end; return the exit code."""
        self._peer.until(lambda: self.read() or self.process.poll() is not None, 'the end')
        return self.process.returncode

    def close(self):
        """End the program."""
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)


@pytest.fixture
def terminal(peer):
    """Start the program."""
    found = Terminal(peer)
    yield found
    found.close()


@pytest.fixture
def recorder(peer, tmp_path):
    """Start a recorder and what it records."""
    path = tmp_path / 'contract.yaml'
    path.write_text(CONTRACT)
    joints = peer.node.create_publisher(JointState, 'joints', qos.EVENTS)
    peer.robot = peer.node.create_timer(
        0.02, lambda: joints.publish(JointState(name=['a'], position=[1.0])))
    return peer.start(Recorder, contract=str(path), output=str(tmp_path / 'bags'))


def test_the_keys_record_and_the_status_is_live(peer, recorder, terminal, tmp_path):
    bags = tmp_path / 'bags'
    terminal.until('up for test: 1 topics, ')
    terminal.until('\rREADY  space begins an episode')
    assert 'space: start, or stop' in terminal.shown
    terminal.press(' ')
    terminal.until(r'REC  episode 0  0\.\d s')
    terminal.until(r'REC  episode 0  [1-9]\.\d s  \d+ messages')
    assert recorder.is_recording
    terminal.press(' ')
    terminal.until('episode 0 saved: ')
    for number, (key, outcome) in enumerate((('s', 'success'), ('f', 'failure')), start=1):
        terminal.press(' ')
        terminal.until(f'REC  episode {number} ')
        terminal.press(key)
        terminal.until(f'episode {number} saved as {outcome}')
        with open_bag(bags / f'episode_{number:06d}') as bag:
            assert bag.custom_data['outcome'] == outcome
    terminal.press('x')
    terminal.until('episode_000002 was moved to ')
    assert (bags / 'discarded' / 'episode_000002').is_dir()
    terminal.press(' ')
    terminal.until('REC  episode 3 ')
    terminal.press('d')
    terminal.until('episode 3 discarded; it lies in ')
    assert (bags / 'discarded' / 'episode_000003').is_dir()
    terminal.press('s')
    terminal.until('NOT DONE: nothing is being recorded')
    terminal.press('q')
    assert terminal.until_over() == 0
    assert terminal.settings() == terminal.before
    for event in ('episode 0 saved: ', 'episode 1 saved as ', 'episode_000002 was moved to ',
                  'episode 3 discarded; '):
        assert terminal.shown.count(event) == 1, event


def test_what_keeps_an_episode_from_beginning_is_shown_while_it_does(peer, recorder, terminal):
    terminal.until('\rREADY  space begins an episode')
    peer.robot.cancel()
    terminal.until('\rNOT READY  /joints has been silent for ')


def test_what_others_do_is_shown_too(peer, recorder, terminal):
    terminal.until('\rREADY  ')
    peer.until(lambda: peer.ask('recorder/start')[0], 'the start')
    assert peer.ask('recorder/fail')[0]
    terminal.until('episode 0 saved as failure')


@pytest.mark.parametrize('minutes, said', [
    ('unknown', 'unknown'), ('3.4', '3 min'), ('119.0', '119 min'), ('130.0', '2 h'),
    ('2879', '48 h'), ('43210.0', '30 days')])
def test_how_long_the_disk_lasts_is_said_in_words(minutes, said):
    assert duration(minutes) == said


def line(*, is_ready=True, is_looking=False, **facts):
    """Return the line that is shown for a status."""
    recorder = Mock(is_ready=lambda: is_ready, is_looking=lambda: is_looking)
    return RecordKeys._line(SimpleNamespace(
        _recorder=recorder, _facts=facts, _heard_s=time.monotonic(),
        _is_recording=lambda: facts['state'] == 'recording'))


def test_the_line_of_an_episode_holds_its_pre_roll_and_its_problems_and_no_refusal():
    facts = {'state': 'recording', 'episode': '3', 'seconds': '3.0', 'messages': '7'}
    assert line(**facts, pre_roll_s='0.0') == (
        'REC  episode 3  3.0 s  7 messages  disk: unknown  no alarms')
    assert line(**facts, pre_roll_s='2.0', problems='/a is silent; /b too') == (
        'REC  episode 3  3.0 s + 2.0 s pre-roll  7 messages  disk: unknown  no alarms  '
        '/a is silent; /b too')


@pytest.mark.parametrize('obstacles, said', [
    ('', 'READY  space begins an episode'), ('/a is silent', 'NOT READY  /a is silent')])
def test_what_is_seldom_wanted_is_shown_before_an_episode(obstacles, said):
    facts = {'state': 'idle', 'obstacles': obstacles}
    assert line(**facts, doubts='') == said
    assert line(**facts, doubts='/b has 2 publishers') == f'{said}  /b has 2 publishers'


def test_a_recorder_that_may_still_be_found_is_looked_for():
    assert line(is_ready=False, is_looking=True) == 'looks for a recorder'
    assert line(is_ready=False) == 'no recorder answers; start one in this namespace'


def test_alarms_are_shown_with_their_counts(peer, recorder, terminal):
    terminal.until('READY')
    terminal.press(' ')
    terminal.until('no alarms')
    peer.robot.cancel()
    terminal.until('ALARMS .*gap:1')


def test_leaving_while_an_episode_is_recorded_is_asked_twice_and_the_recorder_goes_on(
        peer, recorder, terminal):
    terminal.until('READY')
    terminal.press(' ')
    terminal.until('REC  episode 0')
    terminal.press('q')
    terminal.until('goes on without this program; press q again')
    terminal.press('?')
    terminal.until('space: start, or stop')
    terminal.press('q')
    terminal.until('press q again')
    assert terminal.process.poll() is None
    terminal.press('q')
    assert terminal.until_over() == 0
    assert recorder.is_recording


def test_without_a_recorder_it_says_so_and_ctrl_c_gives_the_terminal_back(peer, terminal):
    terminal.until('no recorder answers; start one')
    terminal.press(' ')
    terminal.until('NOT DONE: no recorder answers on recorder/start')
    assert terminal.settings() != terminal.before
    terminal.process.send_signal(2)
    assert terminal.until_over() == 0
    assert terminal.settings() == terminal.before


def test_without_a_terminal_it_is_refused():
    done = subprocess.run(COMMAND, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env=ENVIRONMENT, timeout=120)
    assert done.returncode == 1
    assert 'cannot start: record_keys reads keys, but its input is no terminal' in done.stderr

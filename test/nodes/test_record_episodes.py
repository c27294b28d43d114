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


"""What belongs to an episode: what came before its start, how it went, and taking it back."""

from pathlib import Path
import re
import time

import pytest

rclpy = pytest.importorskip('rclpy')
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402,I100
from diffusion_policy_ros.contract import parse_contract  # noqa: E402
from diffusion_policy_ros.data.bags.bag_reader import open_bag  # noqa: E402
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag  # noqa: E402
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.arrival import TELLS_ARRIVAL  # noqa: E402
from diffusion_policy_ros.nodes.recorder import Recorder  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

DOMAIN_ID = 23
JOINTS = 'sensor_msgs/msg/JointState'

CONTRACT = """
robot: test
rate_hz: 10
observations:
  - {key: observation.state, topic: joints, type: sensor_msgs/msg/JointState, joints: [a],
     max_age_ms: 300}
actions:
  - {topic: joints, type: sensor_msgs/msg/JointState, joints: [a], label: next_state}
"""


class Joints:
    """
    Publishes joint states at 50 Hz, each with its number.

    :ivar sent: (number, stamp in ns) of each.
    :ivar effort: What each holds, to be large.
    :ivar is_silent: Whether none is sent.
    """

    def __init__(self, peer):
        self._peer, self._node = peer, peer.node
        self.sent, self.effort, self.is_silent = [], [], False
        self._publisher = peer.node.create_publisher(JointState, 'joints', qos.EVENTS)
        peer.node.create_timer(0.02, self.publish)

    def publish(self):
        """Send one."""
        if self.is_silent:
            return
        now_ns = self._node.get_clock().now().nanoseconds
        message = JointState(name=['a'], position=[float(len(self.sent))], effort=self.effort)
        _stamp(message, now_ns)
        self.sent.append((len(self.sent), now_ns))
        self._publisher.publish(message)

    def until_sent(self, count):
        """Wait until a recorder is there, and so many more were sent."""
        self._peer.until(self._publisher.get_subscription_count, 'the recorder')
        count += len(self.sent)
        self._peer.until(lambda: len(self.sent) >= count, 'joints')


def _stamp(message, stamp_ns):
    """Write a header's time."""
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)


@pytest.fixture
def joints(peer):
    return Joints(peer)


@pytest.fixture
def make_recorder(peer, tmp_path, joints):
    """Return a function that starts a recorder with some parameters."""
    def make(**parameters):
        path = tmp_path / 'contract.yaml'
        path.write_text(CONTRACT)
        return peer.start(Recorder, contract=str(path), output=str(tmp_path / 'bags'),
                          **parameters)

    return make


@pytest.fixture
def said(peer):
    """Hear the recorder's status."""
    return peer.hear(DiagnosticStatus, 'recorder/status', qos.STATUS)


def _start(peer):
    peer.until(lambda: peer.ask('recorder/start')[0], 'the start')


def _read(path):
    """Return (number, receive_ns) of each message of a bag, and its custom data."""
    with open_bag(path) as bag:
        found = [(int(m.position[0]), t) for _, m, t in bag.messages({'joints': JOINTS})]
        return found, bag.custom_data


def test_an_episode_begins_with_the_last_seconds_before_its_start_and_nothing_else(
        peer, make_recorder, joints, tmp_path):
    make_recorder(pre_roll_s=0.5)
    joints.until_sent(40)  # more than half a second, and all of that to the same subscription
    _start(peer)
    joints.until_sent(5)
    assert peer.ask('recorder/stop')[0]
    rows, custom = _read(tmp_path / 'bags' / 'episode_000000')
    begin_ns = int(custom['started_ns']) - 500_000_000
    assert custom['pre_roll_s'] == '0.500' and rows[0][1] > begin_ns
    first = rows[0][0]
    assert joints.sent[first - 1][1] <= begin_ns  # nothing is missing before it
    assert [number for number, _ in rows] == list(range(first, first + len(rows)))
    assert rows[0][1] <= int(custom['started_ns'])


def test_without_a_pre_roll_an_episode_begins_at_its_start(peer, make_recorder, joints, tmp_path):
    make_recorder()
    joints.until_sent(20)
    _start(peer)
    joints.until_sent(5)
    assert peer.ask('recorder/stop')[0]
    rows, custom = _read(tmp_path / 'bags' / 'episode_000000')
    assert rows and all(t >= int(custom['started_ns']) for _, t in rows)


def test_no_message_is_in_two_episodes(peer, make_recorder, joints, tmp_path):
    make_recorder(pre_roll_s=5.0)
    episodes = []
    for number in range(3):
        _start(peer)
        joints.until_sent(10)
        assert peer.ask('recorder/stop')[0]
        episodes.append(_read(tmp_path / 'bags' / f'episode_{number:06d}')[0])
    numbers = [number for rows in episodes for number, _ in rows]
    assert len(numbers) == len(set(numbers)) and numbers == sorted(numbers)
    # What came between a stop and the next start is in the later one; only what waited to be
    # heard at the stop is in none.
    for rows in episodes:
        inside = [number for number, _ in rows]
        assert inside == list(range(inside[0], inside[0] + len(inside)))


@pytest.mark.skipif(not TELLS_ARRIVAL, reason='this rclpy does not say when a message arrived')
def test_what_waited_to_be_heard_at_the_end_is_not_in_the_next_episode(
        peer, make_recorder, joints, tmp_path):
    recorder = make_recorder(pre_roll_s=60.0)
    _start(peer)
    joints.until_sent(3)
    joints.publish()
    time.sleep(0.05)  # it arrives, and nobody is there to hear it
    before_ns = recorder.get_clock().now().nanoseconds
    assert recorder.stop().success
    joints.until_sent(3)
    _start(peer)
    assert peer.ask('recorder/stop')[0]
    rows = _read(tmp_path / 'bags' / 'episode_000001')[0]
    assert len(rows) >= 3 and all(t >= before_ns for _, t in rows)


@pytest.mark.skipif(not TELLS_ARRIVAL, reason='this rclpy does not say when a message arrived')
def test_messages_that_wait_for_the_recorder_keep_the_time_of_their_arrival(
        peer, make_recorder, joints, tmp_path):
    make_recorder()
    _start(peer)
    joints.until_sent(3)
    waited = []
    for _ in range(5):  # while nobody listens
        joints.publish()
        waited.append(joints.sent[-1])
        time.sleep(0.05)
    joints.until_sent(10)
    assert peer.ask('recorder/stop')[0]
    found = dict(_read(tmp_path / 'bags' / 'episode_000000')[0])
    assert all(0 <= found[number] - stamp_ns < 40_000_000 for number, stamp_ns in waited)


def test_a_pre_roll_that_the_memory_does_not_take_is_told(
        peer, make_recorder, joints, tmp_path, said):
    joints.effort = [0.0] * 20_000
    make_recorder(pre_roll_s=60.0, pre_roll_mb=1)
    joints.until_sent(20)  # more than a MB
    answers = []
    peer.until(lambda: answers.append(peer.ask('recorder/start')) or answers[-1][0], 'the start')
    assert re.search(r'; pre_roll_mb took only 0\.\d s of the 60 s before the start$',
                     answers[-1][1])
    peer.until(lambda: any('pre_roll_mb took only' in status.message
                           and status.level == DiagnosticStatus.WARN for status in said),
               'the status')
    peer.ask('recorder/stop')
    assert 0 < float(_custom(tmp_path / 'bags' / 'episode_000000')['pre_roll_s']) < 1


def test_what_was_bad_in_the_pre_roll_is_an_alarm_of_the_episode(peer, make_recorder, joints):
    make_recorder(pre_roll_s=10.0, discard_on='gap')
    joints.until_sent(5)
    joints.is_silent = True
    end_s = time.monotonic() + 0.4
    peer.until(lambda: time.monotonic() > end_s, 'a gap')
    joints.is_silent = False
    joints.until_sent(2)
    _start(peer)
    assert 'was DISCARDED for the alarm gap' in peer.ask('recorder/stop')[1]


@pytest.mark.parametrize('service, outcome, words', [
    ('success', 'success', 'saved as success'), ('fail', 'failure', 'saved as failure'),
    ('stop', None, 'saved: ')])
def test_how_it_went_is_in_the_bag(peer, make_recorder, tmp_path, service, outcome, words):
    make_recorder()
    assert peer.ask(f'recorder/{service}') == (
        False, 'nothing is being recorded; call /recorder/start first')
    _start(peer)
    success, message = peer.ask(f'recorder/{service}')
    assert success and f'episode 0 {words}' in message
    assert _custom(tmp_path / 'bags' / 'episode_000000').get('outcome') == outcome


def _custom(path):
    with open_bag(path) as bag:
        return bag.custom_data


def test_what_a_bag_says_of_its_episode_is_what_the_docs_say(peer, make_recorder, tmp_path):
    make_recorder(pre_roll_s=1.0)
    _start(peer)
    assert peer.ask('recorder/success')[0]
    text = (Path(__file__).parents[2] / 'docs' / 'recording.md').read_text(encoding='utf-8')
    table = text.partition('| Key | What it says |')[2].partition('\n\n')[0]
    keys = [key for line in table.splitlines()[2:]
            for key in re.findall(r'`(\w+)`', line.split('|')[1])]
    assert set(_custom(tmp_path / 'bags' / 'episode_000000')) == set(keys) - {'repaired'}


def test_the_task_may_change_between_episodes(peer, make_recorder, tmp_path):
    recorder = make_recorder(task='push')
    for task in ('push', 'pull'):
        recorder.set_parameters([Parameter('task', value=task)])
        _start(peer)
        peer.ask('recorder/stop')
    tasks = [_custom(tmp_path / 'bags' / f'episode_{n:06d}')['task'] for n in (0, 1)]
    assert tasks == ['push', 'pull']


def test_the_last_finished_episode_can_be_taken_back_and_is_never_lost(
        peer, make_recorder, tmp_path):
    recorder = make_recorder()
    bags = tmp_path / 'bags'
    peer.until(lambda: peer.ask('recorder/discard_last')[1].endswith(
        'bags holds no finished episode'), 'the refusal')
    for _ in range(2):
        _start(peer)
        assert not peer.ask('recorder/discard_last')[0]
        assert peer.ask('recorder/stop')[0]
    content = (bags / 'episode_000001' / 'metadata.yaml').read_text()
    assert peer.ask('recorder/discard_last') == (
        True, f'{bags}/episode_000001 was moved to {bags}/discarded/episode_000001')
    assert (bags / 'discarded' / 'episode_000001' / 'metadata.yaml').read_text() == content
    assert not (bags / 'episode_000001').exists()
    _start(peer)
    peer.ask('recorder/stop')
    recorder.set_parameters([Parameter('output', value=str(tmp_path / 'others'))])
    assert peer.ask('recorder/discard_last')[1].endswith('bags/discarded/episode_000002')


def test_taking_back_the_last_episode_leaves_an_older_one_alone(
        peer, make_recorder, tmp_path):
    recorder, bags = make_recorder(), tmp_path / 'bags'
    for act in ('stop', 'discard'):
        _start(peer)
        assert peer.ask(f'recorder/{act}')[0]
    older = f'{bags}/episode_000000 is another one: move it yourself if you do not want it'
    assert peer.ask('recorder/discard_last') == (
        False, f'episode_000001, the last one, is not among the finished ones; {older}')
    peer.stop(recorder)
    make_recorder()
    assert peer.ask('recorder/discard_last') == (
        False, f'nothing was recorded since the recorder started; {older}')
    assert (bags / 'episode_000000').exists()


def test_unfinished_episodes_are_repaired_at_the_start_and_told(
        peer, make_recorder, tmp_path, said):
    path = tmp_path / 'bags' / 'episode_000007'
    bag = EpisodeBag(path, parse_contract(CONTRACT), task='pull')
    for k in range(5):
        bag.write('joints', JOINTS, b'\0\1\0\0' + bytes(40), k)
        bag.flush()
    bag._release()
    make_recorder()
    peer.until(lambda: any('episode_000007 was not closed: 5 whole messages' in status.message
                           and status.level == DiagnosticStatus.WARN for status in said),
               'the repair told')
    facts = {pair.key: pair.value for pair in said[-1].values}
    assert '5 whole messages' in facts['repaired']
    assert _custom(path)['task'] == 'pull'
    peer.until(lambda: 'recording episode 8' in peer.ask('recorder/start')[1], 'the next number')


def test_what_a_latched_publisher_sent_before_is_heard(peer, tmp_path):
    path = tmp_path / 'contract.yaml'
    path.write_text(CONTRACT.replace('topic: joints', 'topic: latched'))
    latched = peer.node.create_publisher(JointState, 'latched', qos.STATUS)
    message = JointState(name=['a'], position=[7.0])
    _stamp(message, peer.node.get_clock().now().nanoseconds)
    latched.publish(message)
    peer.start(Recorder, contract=str(path), output=str(tmp_path / 'bags'), pre_roll_s=60.0)
    _start(peer)
    assert peer.ask('recorder/stop')[0]
    with open_bag(tmp_path / 'bags' / 'episode_000000') as bag:
        assert [m.position[0] for _, m, _ in bag.messages({'latched': JOINTS})] == [7.0]


@pytest.mark.parametrize('name, value, said', [
    ('discard_on', 'gap, frosen', 'discard_on names "frosen", which is no alarm; .*frozen'),
    ('frozen_count', 1, 'frozen_count is 1; every picture equals itself'),
    ('pre_roll_s', 61.0, 'Max: 60.0')])
def test_parameters_that_cannot_be_are_refused(peer, make_recorder, name, value, said):
    recorder = make_recorder()
    result = recorder.set_parameters([Parameter(name, value=value)])[0]
    assert not result.successful
    assert re.search(said, result.reason)

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

import itertools
from pathlib import Path
import re
import threading
import time

import pytest

rclpy = pytest.importorskip('rclpy')
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402,I100
from diffusion_policy_ros.contract import parse_contract  # noqa: E402
from diffusion_policy_ros.data.bags.bag_reader import open_bag  # noqa: E402
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag  # noqa: E402
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.recorder import Recorder  # noqa: E402
import numpy as np  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy  # noqa: E402
from rclpy.serialization import deserialize_message  # noqa: E402
from rosbags.typesys import get_typestore, Stores  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

DOMAIN_ID = 23
JOINTS = 'sensor_msgs/msg/JointState'
STORE = get_typestore(Stores.LATEST)

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
        self._node, self.sent, self.effort, self.is_silent = peer.node, [], [], False
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


def _tap(recorder):
    """Return a list of (number, receive_ns) of all that the recorder hears from now on."""
    stream, heard = recorder._streams[0], []
    on_arrival = stream._on_message

    def tapped(stream, data, receive_ns):
        heard.append((data, receive_ns))
        on_arrival(stream, data, receive_ns)

    stream._on_message = tapped
    return heard


def test_an_episode_begins_with_the_last_seconds_before_its_start_and_nothing_else(
        peer, make_recorder, joints, tmp_path):
    recorder = make_recorder(pre_roll_s=0.5)
    heard = _tap(recorder)
    peer.until(lambda: len(heard) > 60, 'more than a second of messages')
    _start(peer)
    count = len(heard)
    peer.until(lambda: len(heard) > count + 5, 'messages after the start')
    assert peer.ask('recorder/stop')[0]
    rows, custom = _read(tmp_path / 'bags' / 'episode_000000')
    started_ns = int(custom['started_ns'])
    expected = [(int(deserialize_message(data, JointState).position[0]), t)
                for data, t in heard if t > started_ns - 500_000_000]
    assert rows == expected[:len(rows)]
    assert sum(t <= started_ns for _, t in rows) == sum(t <= started_ns for _, t in expected) > 5
    assert [number for number, _ in rows] == list(range(rows[0][0], rows[0][0] + len(rows)))


def test_without_a_pre_roll_an_episode_begins_at_its_start(peer, make_recorder, tmp_path):
    recorder = make_recorder()
    heard = _tap(recorder)
    peer.until(lambda: len(heard) > 20, 'messages')
    _start(peer)
    count = len(heard)
    peer.until(lambda: len(heard) > count + 5, 'messages after the start')
    peer.ask('recorder/stop')
    rows, custom = _read(tmp_path / 'bags' / 'episode_000000')
    assert all(t >= int(custom['started_ns']) for _, t in rows)


def test_no_message_is_in_two_episodes(peer, make_recorder, tmp_path):
    recorder = make_recorder(pre_roll_s=5.0)
    heard, episodes = _tap(recorder), []
    for number in range(3):
        count = len(heard)
        _start(peer)
        peer.until(lambda: len(heard) > count + 10, 'messages')
        peer.ask('recorder/stop')
        episodes.append(_read(tmp_path / 'bags' / f'episode_{number:06d}')[0])
    numbers = [number for rows in episodes for number, _ in rows]
    assert len(numbers) == len(set(numbers)) and numbers == sorted(numbers)
    # What came between a stop and the next start is in the later one; only what waited to be
    # heard at the stop is in none.
    for rows in episodes:
        inside = [number for number, _ in rows]
        assert inside == list(range(inside[0], inside[0] + len(inside)))


def test_what_waited_to_be_heard_at_the_end_is_not_in_the_next_episode(
        peer, make_recorder, tmp_path):
    recorder = make_recorder(pre_roll_s=60.0)
    _start(peer)
    assert peer.ask('recorder/stop')[0]
    data = _serialized(-7)
    recorder._on_message(recorder._streams[0], data, recorder._since_ns - 1)
    _start(peer)
    recorder._on_message(recorder._streams[0], data, recorder._since_ns - 1)
    heard = _tap(recorder)
    peer.until(lambda: len(heard) > 2, 'messages of the next episode')
    assert peer.ask('recorder/stop')[0]
    assert -7 not in [number for number, _ in _read(tmp_path / 'bags' / 'episode_000001')[0]]


def test_a_pre_roll_that_takes_long_to_write_holds_up_nothing_that_arrives(
        peer, make_recorder, tmp_path, monkeypatch):
    recorder = make_recorder(pre_roll_s=60.0)
    stream, publisher = recorder._streams[0], peer.node.create_publisher(
        JointState, 'joints', qos.EVENTS)
    peer.until(lambda: stream.age_s() is not None, 'the first message')
    stop = threading.Event()

    def publish():  # whatever the recorder does
        for number in itertools.count(10_000):
            message = JointState(name=['a'], position=[float(number)])
            _stamp(message, recorder.get_clock().now().nanoseconds)
            publisher.publish(message)
            if stop.wait(0.01):
                return

    def write_slowly(bag, *arguments):
        stop.wait(0.002)
        return write(bag, *arguments)

    write = EpisodeBag.write
    monkeypatch.setattr(EpisodeBag, 'write', write_slowly)
    thread = threading.Thread(target=publish)
    thread.start()
    try:
        _start(peer)
        peer.ask('recorder/discard')
        heard = _tap(recorder)
        _fill(recorder, 500)  # 1 s to write: 100 messages come in that time, 50 can wait
        peer.until(lambda: peer.ask('recorder/start')[0], 'the start')
        assert recorder._episode.waiting_count > 250
        peer.until(lambda: not recorder._episode.waiting_count, 'the end of the pre-roll')
    finally:
        stop.set()
        thread.join()
    assert peer.ask('recorder/stop')[0]
    rows = [number for number, _ in _read(tmp_path / 'bags' / 'episode_000000')[0]]
    assert [number for number in rows if number < 0] == list(range(-500, 0))
    came = [number for number in rows if number >= 10_000]
    assert came == sorted(came) and len(came) > 50
    assert len(rows) > 500 + len(came) and len(heard) >= len(rows) - 500


def _fill(recorder, count):
    """Put messages into the pre-roll, numbered up to -1, in place of what is there."""
    recorder._pre_roll.clear()
    now_ns = recorder.get_clock().now().nanoseconds - 10**9  # before what is on its way
    for number in range(-count, 0):
        recorder._pre_roll.add(recorder._streams[0], _serialized(number), now_ns + number,
                               keep_ns=60 * 10**9, max_bytes=10**9)


def _serialized(number):
    """Return the bytes of a message with a number."""
    empty = np.zeros(0)
    header = STORE.types['std_msgs/msg/Header'](
        STORE.types['builtin_interfaces/msg/Time'](1, 0), '')
    message = STORE.types[JOINTS](header, ['a'], np.array([float(number)]), empty, empty)
    return bytes(STORE.serialize_cdr(message, JOINTS))


def test_messages_that_wait_for_the_recorder_keep_the_time_of_their_arrival(
        peer, make_recorder, joints):
    heard = _tap(make_recorder())
    peer.until(lambda: heard, 'the first message')
    sent_ns = []
    for _ in range(5):  # while nobody listens
        joints.publish()
        sent_ns.append(joints.sent[-1][1])
        time.sleep(0.05)
    numbers = [number for number, _ in joints.sent[-5:]]
    peer.until(lambda: len(_numbered(heard).keys() & set(numbers)) == 5, 'the five')
    found = _numbered(heard)
    assert all(0 <= found[number] - stamp_ns < 40_000_000
               for number, stamp_ns in zip(numbers, sent_ns))


def _numbered(heard):
    """Return number to receive_ns of what was tapped."""
    return {int(deserialize_message(data, JointState).position[0]): receive_ns
            for data, receive_ns in heard}


def test_stopping_at_once_writes_the_whole_pre_roll(peer, make_recorder, tmp_path, monkeypatch):
    recorder = make_recorder(pre_roll_s=60.0)
    monkeypatch.setattr(recorder, '_on_piece', lambda: None)
    peer.until(lambda: recorder._streams[0].age_s() is not None, 'the first message')
    _fill(recorder, 1000)
    _start(peer)
    success, message = peer.ask('recorder/stop')
    rows = [number for number, _ in _read(tmp_path / 'bags' / 'episode_000000')[0]]
    assert [number for number in rows if number < 0] == list(range(-1000, 0))
    assert f'{len(rows)} messages' in message


def test_a_pre_roll_that_the_memory_does_not_take_is_told(
        peer, make_recorder, joints, tmp_path, said):
    joints.effort = [0.0] * 20_000
    recorder = make_recorder(pre_roll_s=60.0, pre_roll_mb=1)
    heard = _tap(recorder)
    peer.until(lambda: len(heard) > 20, 'more than a MB')
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
    recorder = make_recorder(pre_roll_s=10.0, discard_on='gap')
    heard = _tap(recorder)
    peer.until(lambda: len(heard) > 5, 'messages')
    joints.is_silent = True
    peer.until(lambda: recorder._streams[0].age_s() > 0.5, 'a gap')
    count, joints.is_silent = len(heard), False
    peer.until(lambda: len(heard) > count, 'the end of the gap')
    _start(peer)
    assert 'was DISCARDED for the alarm gap' in peer.ask('recorder/stop')[1]


def test_what_was_kept_is_forgotten_when_no_pre_roll_is_wanted_any_more(peer, make_recorder):
    recorder = make_recorder(pre_roll_s=10.0)
    peer.until(lambda: recorder._pre_roll._bytes, 'a message')
    recorder.set_parameters([Parameter('pre_roll_s', value=0.0)])
    peer.until(lambda: not recorder._pre_roll._bytes, 'nothing kept')


def test_the_pre_roll_takes_no_more_memory_than_it_may(peer, make_recorder):
    recorder = make_recorder(pre_roll_s=60.0, pre_roll_mb=1)
    kept = recorder._pre_roll
    stream = recorder._streams[0]
    for k in range(30):
        recorder._on_message(stream, bytes(100_000), 10**18 + k)
        assert kept._bytes <= 1_000_000
    assert kept._bytes > 800_000


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
    make_recorder()
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
    assert peer.ask('recorder/discard_last')[1].endswith('discarded/episode_000001_2')


def test_taking_back_the_last_episode_leaves_an_older_one_alone(
        peer, make_recorder, tmp_path):
    recorder, bags = make_recorder(), tmp_path / 'bags'
    for act in ('stop', 'discard'):
        _start(peer)
        assert peer.ask(f'recorder/{act}')[0]
    older = f'{bags}/episode_000000 is older: move it yourself if you do not want it'
    assert peer.ask('recorder/discard_last') == (
        False, f'episode 1, the last one, is not among the finished ones; {older}')
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


def test_latched_publishers_get_a_latched_subscription_and_others_do_not(peer, make_recorder):
    recorder = make_recorder()
    stream = recorder._streams[0]
    peer.until(lambda: stream._reliability == ReliabilityPolicy.RELIABLE, 'reliable')
    assert stream._durability == DurabilityPolicy.VOLATILE
    path = recorder.get_parameter('contract').value
    peer.stop(recorder)
    with open(path, 'w') as file:
        file.write(CONTRACT.replace('topic: joints', 'topic: latched'))
    latched = peer.node.create_publisher(JointState, 'latched', qos.STATUS)
    latched.publish(JointState(name=['a'], position=[7.0]))
    recorder = peer.start(Recorder, contract=path)
    stream = recorder._streams[0]
    peer.until(lambda: stream.age_s() is not None, 'what was published before')
    assert stream._durability == DurabilityPolicy.TRANSIENT_LOCAL
    plain = peer.node.create_publisher(JointState, 'latched', qos.EVENTS)
    before = stream._arrivals.count

    def is_heard():
        plain.publish(JointState(name=['a'], position=[8.0]))
        return stream._arrivals.count > before

    peer.until(is_heard, 'the one that is not latched')
    assert stream._durability == DurabilityPolicy.VOLATILE


@pytest.mark.parametrize('name, value, said', [
    ('discard_on', 'gap, frosen', 'discard_on names "frosen", which is no alarm; .*frozen'),
    ('frozen_count', 1, 'frozen_count is 1; every picture equals itself'),
    ('pre_roll_s', 61.0, 'Max: 60.0')])
def test_parameters_that_cannot_be_are_refused(peer, make_recorder, name, value, said):
    recorder = make_recorder()
    result = recorder.set_parameters([Parameter(name, value=value)])[0]
    assert not result.successful
    assert re.search(said, result.reason)

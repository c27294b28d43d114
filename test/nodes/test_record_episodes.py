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

import re

import pytest

rclpy = pytest.importorskip('rclpy')
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402,I100
from diffusion_policy_ros.contract import parse_contract  # noqa: E402
from diffusion_policy_ros.data.bags.bag_reader import open_bag  # noqa: E402
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag  # noqa: E402
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.recorder import Recorder  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy  # noqa: E402
from rclpy.serialization import deserialize_message  # noqa: E402
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
    """

    def __init__(self, peer):
        self._node, self.sent = peer.node, []
        self._publisher = peer.node.create_publisher(JointState, 'joints', qos.EVENTS)
        peer.node.create_timer(0.02, self._publish)

    def _publish(self):
        now_ns = self._node.get_clock().now().nanoseconds
        message = JointState(name=['a'], position=[float(len(self.sent))])
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(now_ns, 10**9)
        self.sent.append((len(self.sent), now_ns))
        self._publisher.publish(message)


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
    # What came between a stop and the next start is in the later one.
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_the_pre_roll_takes_no_more_memory_than_it_may(peer, make_recorder):
    recorder = make_recorder(pre_roll_s=60.0, pre_roll_mb=1)
    kept = recorder._pre_roll._kept
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
    for number, place in ((1, 'episode_000001'), (0, 'episode_000000')):
        content = (bags / f'episode_{number:06d}' / 'metadata.yaml').read_text()
        assert peer.ask('recorder/discard_last') == (
            True, f'{bags}/episode_{number:06d} was moved to {bags}/discarded/{place}')
        assert (bags / 'discarded' / place / 'metadata.yaml').read_text() == content
        assert not (bags / f'episode_{number:06d}').exists()
    _start(peer)
    peer.ask('recorder/stop')
    assert peer.ask('recorder/discard_last')[1].endswith('discarded/episode_000000_2')


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

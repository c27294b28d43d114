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

"""An episode and the pre-roll before it, without a middleware."""

from contextlib import suppress
import shutil
from unittest.mock import Mock

import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.contract import parse_contract  # noqa: E402,I100
from diffusion_policy_ros.data.bags.bag_reader import open_bag  # noqa: E402
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag  # noqa: E402
from diffusion_policy_ros.data.recording.pre_roll import PreRoll  # noqa: E402
from diffusion_policy_ros.data.recording.stream_facts import StreamFacts  # noqa: E402
from diffusion_policy_ros.data.recording.stream_quality import StreamQuality  # noqa: E402
from diffusion_policy_ros.errors import BagError  # noqa: E402
from diffusion_policy_ros.nodes.recorder_episode import Episode, take_back  # noqa: E402
from diffusion_policy_ros.nodes.recorder_report import episode_facts  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

JOINTS = 'sensor_msgs/msg/JointState'
CONTRACT = parse_contract("""
robot: test
rate_hz: 10
observations:
  - {key: observation.state, topic: joints, type: sensor_msgs/msg/JointState, joints: [a],
     max_age_ms: 300}
actions:
  - {topic: joints, type: sensor_msgs/msg/JointState, joints: [a], label: next_state}
""")
SETTINGS = {'task': '', 'pre_roll_s': 60.0, 'discard_on': 'dropped', 'disk_minutes': 0.0,
            'rate_tolerance': 0.3, 'max_skew_ms': 50.0, 'frozen_count': 0}
NOW_NS = 1_700_000_000_000_000_000
BEFORE = 500


@pytest.fixture
def stream():
    quality = Mock(sentences=list, counts=dict)
    return Mock(topic='joints', type=JOINTS, is_optional=False, quality=quality,
                publisher_names=lambda: ('/driver',))


@pytest.fixture
def episode(stream, tmp_path):
    """Begin an episode with messages -500 to -1 in its pre-roll."""
    pre_roll = PreRoll()
    for number in range(-BEFORE, 0):
        pre_roll.add(stream, message(number), NOW_NS + number, keep_ns=10**12, max_bytes=10**9)
    settings = {**SETTINGS, 'output': str(tmp_path / 'bags')}
    found = Episode(CONTRACT, [stream], settings, NOW_NS, pre_roll)
    yield found
    with suppress(BagError):
        found.bag.close()


def message(number):
    """Return the bytes of a message with a number."""
    return serialize_message(JointState(name=['a'], position=[float(number)]))


def stored(episode):
    """Close the episode, and return the numbers in its bag."""
    assert episode.close(NOW_NS + 10**9, '').success
    with open_bag(episode.bag.path) as bag:
        return [int(m.position[0]) for _, m, _ in bag.messages({'joints': JOINTS})]


def test_what_comes_while_a_pre_roll_is_written_waits_behind_it(episode, stream):
    for number in range(100):
        episode.write(stream, message(number), NOW_NS + number)
        episode.catch_up(0.0)  # one of the pre-roll, before the next one comes
    assert 0 < episode.waiting_count <= BEFORE
    assert stored(episode) == list(range(-BEFORE, 100))


def test_no_more_waits_than_the_pre_roll_was(episode, stream):
    for number in range(2 * BEFORE):
        episode.write(stream, message(number), NOW_NS + number)
        assert episode.waiting_count <= BEFORE
    assert stored(episode) == list(range(-BEFORE, 2 * BEFORE))


def test_a_pre_roll_that_is_written_lets_nothing_wait(episode, stream):
    pieces = 0
    while episode.waiting_count:
        episode.catch_up(0.0)  # the last one uses the time up, as a picture does
        pieces += 1
    assert pieces > 1
    episode.write(stream, message(0), NOW_NS)
    assert episode.waiting_count == 0


@pytest.mark.parametrize('end', [
    lambda episode: episode.close(NOW_NS, ''), lambda episode: episode.discard(NOW_NS)])
def test_what_nobody_wants_is_moved_before_its_bag_is_closed(
        episode, stream, tmp_path, monkeypatch, end):
    def fail(bag):
        raise BagError('the bag could not be finished; make room')

    stream.quality.counts = lambda: {'dropped': 3}
    with monkeypatch.context() as patch:
        patch.setattr(EpisodeBag, 'close', fail)
        with suppress(BagError):
            assert 'could not be finished; make room' in end(episode).message
    # A program that ended here leaves nothing in the place of an episode.
    assert [path.name for path in (tmp_path / 'bags').iterdir()] == ['discarded']


def test_an_episode_that_was_removed_broke_off(episode, tmp_path):
    shutil.rmtree(tmp_path / 'bags')
    answer = episode.close(NOW_NS, 'success')
    assert not answer.success and not answer.is_refusal
    assert answer.message.startswith(f'episode 0 BROKE OFF: the bag {tmp_path}/bags/episode_000000'
                                     ' was removed or moved while it was written')


def test_an_end_right_after_the_start_writes_the_whole_pre_roll(episode):
    assert episode.waiting_count == BEFORE
    assert stored(episode) == list(range(-BEFORE, 0))


@pytest.mark.parametrize('pre_roll_s, said', [(3.0, ' s + 2.0 s pre-roll, '), (0.0, '.0 s, ')])
def test_the_answer_tells_how_long_the_pre_roll_was(stream, tmp_path, pre_roll_s, said):
    pre_roll, settings = PreRoll(), {**SETTINGS, 'output': str(tmp_path), 'pre_roll_s': pre_roll_s}
    pre_roll.add(stream, message(0), NOW_NS - 2 * 10**9, keep_ns=10**12, max_bytes=10**9)
    found = Episode(CONTRACT, [stream], settings, NOW_NS, pre_roll)
    facts = episode_facts(found, 0)
    assert f'{said}{found.bag.path}' in found.close(NOW_NS, '').message
    assert facts['pre_roll_s'] == ('2.0' if pre_roll_s else '0.0')


@pytest.fixture
def commanded(tmp_path):
    """Return a function that begins an episode of a command topic with such publishers."""
    def begin(*names, **settings):
        quality = StreamQuality(StreamFacts('/cmd', 300, 10, is_command=True))
        commands = Mock(topic='cmd', type=JOINTS, is_optional=False, quality=quality,
                        publisher_names=lambda: names)
        settings = {**SETTINGS, 'output': str(tmp_path), 'pre_roll_s': 0.0, **settings}
        return Episode(CONTRACT, [commands], settings, NOW_NS, PreRoll())

    return begin


def test_an_episode_without_a_command_has_the_alarm_in_its_answer_and_its_bag(commanded):
    said, found = 'gap on /cmd: not one message in the episode', commanded('/teleop')
    assert found.close(NOW_NS + 10**9, '').message.endswith(f'; {said}')
    with open_bag(found.bag.path) as bag:
        assert bag.custom_data['alarms'] == said


def test_an_episode_without_a_command_can_be_unwanted(commanded):
    found = commanded('/teleop', discard_on='gap')
    assert 'was DISCARDED for the alarm gap' in found.close(NOW_NS + 10**9, '').message


def test_two_who_publish_on_one_topic_are_in_the_bag(commanded):
    found = commanded('/teleop', '/policy')
    said = 'publishers on /cmd: the messages of /teleop and /policy are recorded as one stream'
    assert found.present(NOW_NS) == [said]
    found.watch(NOW_NS + 10**9)
    assert found.counts() == {'publishers': 1}
    found.close(NOW_NS + 10**9, '')
    with open_bag(found.bag.path) as bag:
        assert said in bag.custom_data['alarms'].splitlines()


def test_what_is_taken_back_is_what_was_recorded_though_another_folder_has_its_number(tmp_path):
    recorded, other = tmp_path / 'a/episode_000009', tmp_path / 'b/episode_000009'
    for path in (recorded, other):
        path.mkdir(parents=True)
        (path / 'metadata.yaml').touch()
    answer = take_back(recorded, tmp_path / 'b', is_converting=False)
    assert answer.message == f'{recorded} was moved to {tmp_path}/a/discarded/episode_000009'
    assert other.exists() and not recorded.exists()


def test_nothing_is_taken_back_from_under_a_conversion(tmp_path):
    path = tmp_path / 'episode_000000'
    path.mkdir()
    (path / 'metadata.yaml').touch()
    answer = take_back(path, tmp_path, is_converting=True)
    assert answer.is_refusal and 'a conversion is running' in answer.message
    assert path.exists()
    assert take_back(path, tmp_path, is_converting=False).success

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

"""What was lost, and what may be wrong with a recording, is told with its reason."""

from dataclasses import replace

from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.datasets.conversion_record import episode_entries
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
import numpy as np
import pytest

PERIOD_NS = 10**8


@pytest.mark.parametrize('stamp_ns, said', [
    (0, 'the header has no time (stamp 0); let the driver stamp'),
    (2 * 10**18, 's after the message arrived; let both machines use one clock')])
def test_stamps_that_are_wrong_throughout_are_told(
        tmp_path, demonstration, bag_writer, convert, stamp_ns, said):
    """With the topic and the remedy, though there is no row to end."""
    bag = bag_writer.write(tmp_path / 'a', [
        (topic, demonstration.message(topic, 0, stamp_ns) if topic == 'joint_states' else message,
         receive_ns) for topic, message, receive_ns in demonstration.messages(range(20))])
    summary = convert(bag)
    assert (summary.episodes, summary.skipped) == (0, 1)
    assert 'skipped: no stretch of at least 8 rows; at 17000000' in summary.notes[0]
    assert 'topic joint_states' in summary.notes[0] and said in summary.notes[0]


@pytest.mark.parametrize('joints, said', [
    (['x', 'y'], 'topic joint_states: no joint elbow, wrist in the message, which has: x, y'),
    (['elbow', 'elbow', 'wrist'], 'topic joint_states: the message names a joint twice')])
def test_the_reason_for_which_there_is_no_row_at_all_is_not_that_of_the_first_tick(
        tmp_path, demonstration, bag_writer, contract, convert, joints, said):
    """Tick 0 is a stamp whose message comes a little later, if nothing may settle."""
    late = []
    for topic, message, receive_ns in demonstration.messages(range(20)):
        if topic == 'joint_states':
            message = replace(message, name=joints, position=np.zeros(len(joints)))
        late.append((topic, message, receive_ns + 300_000))
    bag = bag_writer.write(tmp_path / 'a', late)
    summary = convert(bag, contract=replace(contract, settle_ms=0))
    assert summary.skipped == 1 and 'had arrived in time' not in summary.notes[0]
    assert said in summary.notes[0].split(' into the bag): ')[1]


def test_a_recording_shorter_than_the_rows_wanted_is_told_as_such(
        tmp_path, demonstration, bag_writer, contract, convert):
    """And not what was wrong with its first tick."""
    late = [(*m[:2], m[2] + 300_000) for m in demonstration.messages(range(20))]
    bags = [bag_writer.write(tmp_path / name, late[:count])
            for name, count in (('a', 80), ('b', 4))]
    summary = convert(*bags, contract=replace(contract, settle_ms=0), min_rows=50)
    assert [note.split('skipped: ')[1] for note in summary.notes if 'skipped' in note] == [
        'no stretch of at least 50 rows, the longest has 19; it lasts 1.9 s, and they take 4.9 s',
        'no stretch of at least 50 rows; it lasts 0.0 s, and they take 4.9 s']


def test_what_the_recorder_said_of_a_bag_goes_with_its_episodes(tmp_path, demonstration, convert):
    """And is a warning: alarms, and the repair of what was not closed."""
    missing = range(12, 16)
    said = {'a': {'alarms': 'gap on camera/image_raw: 0.4 s\nrate on camera/image_raw: 7 Hz',
                  'outcome': 'failure'}, 'b': {'alarms': ''}, 'c': {'repaired': '9 messages'}}
    bags = []
    for name, fields in said.items():
        with EpisodeBag(tmp_path / name, demonstration.contract, fields=fields) as bag:
            for topic, message, receive_ns in demonstration.messages(range(30)):
                kind = demonstration.streams[topic].type
                if topic != 'camera/image_raw' or (receive_ns // PERIOD_NS) % 1000 not in missing:
                    bag.write(topic, kind, demonstration.typestore.serialize_cdr(message, kind),
                              receive_ns)
        bags.append(tmp_path / name)
    summary = convert(*bags)
    alarms = said['a']['alarms'].split('\n')
    assert [(e['bag'], e['cut'], e['piece'], e['success'], e['alarms'], e['repaired'])
            for e in summary.episode_list] == [
        (str(bag), None, piece, success, found, repaired) for bag, success, found, repaired in
        zip(bags, (False, None, None), (alarms, [], None), (None, None, '9 messages'))
        for piece in (1, 2)]
    assert summary.warnings == [
        f'{bags[0]}: recorded with alarms: {"; ".join(alarms)}',
        f'{bags[2]}: it was repaired: 9 messages',
        f"{bags[0]} and 2 more bags: no task sentence; 'small task' is written for their "
        'episodes; give --task SENTENCE']
    assert episode_entries(LeRobotReader(tmp_path / 'dataset')) == summary.episode_list


@pytest.mark.parametrize('ahead_ms, stamp, is_told', [
    (60, 'header', True), (60, 'receive', False), (40, 'header', False)])
def test_stamps_in_the_future_are_a_warning_where_they_matter(
        tmp_path, demonstration, bag_writer, contract, convert, ahead_ms, stamp, is_told):
    """Once for all bags."""
    ahead = [(topic, demonstration.message(
        topic, k, t + ahead_ms * 10**6 * (topic == 'block_pose')), t)
        for k in range(20) for topic, _, t in demonstration.messages([k])]
    bags = [bag_writer.write(tmp_path / name, ahead) for name in 'ab']
    summary = convert(*bags, contract=replace(contract, observations=(
        *contract.observations[:2], replace(contract.observations[2], stamp=stamp))))
    assert summary.episodes == 2 and len(summary.warnings) == is_told
    if is_told:
        assert summary.warnings[0].startswith(
            'block_pose: headers are stamped after the message arrived (median 60.0 ms, ')


def test_a_stream_that_fails_for_good_is_a_warning_with_what_was_lost(
        tmp_path, bag_writer, convert):
    """The rows until then are kept; an end that is only ragged is none."""
    bags = [bag_writer.without(tmp_path / 'a', range(60), range(40, 60)),
            bag_writer.without(tmp_path / 'b', range(60), range(55, 60))]
    summary = convert(*bags)
    assert (summary.rows, summary.skipped) == (41 + 56, 0)
    assert len(summary.warnings) == 1
    assert f'{bags[0]}: nothing could be used of its last 1.8 s; at 1700000004.100 s (4.100 s ' \
        'into the bag): observ' in summary.warnings[0]
    assert 'topic camera/image_raw' in summary.warnings[0]


def test_a_stream_that_comes_late_is_a_warning_with_what_was_lost(tmp_path, bag_writer, convert):
    """As is one whose first messages cannot be used."""
    bags = [bag_writer.without(tmp_path / 'a', range(100), range(70)),
            bag_writer.without(tmp_path / 'b', range(60), range(5))]
    summary = convert(*bags)
    assert (summary.rows, summary.skipped) == (30 + 55, 0)
    assert summary.warnings == [
        f'{bags[0]}: nothing could be used of its first 7.0 s; at 1700000000.000 s (0.000 s '
        'into the bag): no message on camera/image_raw for 7.0 s']


def test_what_is_lost_after_a_clock_was_set_back_is_a_warning(
        tmp_path, demonstration, bag_writer, convert, contract):
    """A latched stream does not come again, so that the second pass has no rows."""
    pose = contract.observations[2]
    held = replace(contract, observations=(
        *contract.observations[:2], replace(pose, on_stale='hold')))
    first = [m for m in demonstration.messages(range(30))
             if m[0] != pose.topic or m[2] % 10**9 == 0]
    second = [m for m in bag_writer.second_pass(range(30, 60), 50 * PERIOD_NS)
              if m[0] != pose.topic]
    summary = convert(bag_writer.write(tmp_path / 'a', first + second), contract=held)
    assert summary.rows == 30
    assert 'nothing could be used of its last 2.9 s; at 1699999998.000 s (0.000 s into the ba' \
        'g): no message on block_pose' in summary.warnings[0]

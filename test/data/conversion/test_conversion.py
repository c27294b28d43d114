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

"""Many bags become one dataset: nothing is invented, and every loss is said in a sentence."""

from dataclasses import replace
import re

from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.data.conversion.conversion import convert_bags
from diffusion_policy_ros.data.conversion.episodes import episode_rows, Row
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.errors import ContractError, DatasetError
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

PERIOD_NS = 10**8


def spoil_contract(bag):
    """Make the contract inside a bag invalid."""
    path = bag / 'metadata.yaml'
    path.write_text(path.read_text().replace('rate_hz: 10', 'rate_hz: 0'))


def test_each_whole_bag_becomes_one_episode(tmp_path, demonstration, convert):
    """Rows, stamps, values, pictures and tasks are those of the messages."""
    bags = [demonstration.write_bag(tmp_path / 'a', range(12), task='first'),
            demonstration.write_bag(tmp_path / 'b', range(12, 21), task='second')]
    summary = convert(*bags)
    assert (summary.bags, summary.episodes, summary.rows) == (2, 2, 21)
    assert (summary.skipped, summary.splits, summary.notes) == (0, 0, [])
    assert summary.age_table() == {topic: (0.0, 0.0) for topic in demonstration.streams}
    reader = LeRobotReader(tmp_path / 'dataset')
    assert [e.tasks for e in reader.episodes] == [('first',), ('second',)]
    rows = reader.columns(['action', 'tick_ns', 'age_ns'])
    assert rows['action'][:, 0].tolist() == [100.0 + k for k in range(21)]
    assert np.array_equal(np.diff(rows['tick_ns']), np.full(20, PERIOD_NS))
    assert not rows['age_ns'].any()
    pictures = reader.frames('observation.images.camera')
    assert np.array_equal(list(pictures),
                          [demonstration.values('camera/image_raw', k) for k in range(21)])


def test_a_gap_makes_two_episodes_and_a_sentence(tmp_path, bag_writer, convert):
    """Rows never bridge the gap."""
    said = []
    bag = bag_writer.without(tmp_path / 'a', range(30), range(12, 16))
    summary = convert(bag, note=said.append)
    assert (summary.episodes, summary.splits, summary.skipped) == (2, 1, 0)
    assert said == [f'NOTE: {note}' for note in summary.notes] and len(said) == 1
    assert 'episode of 13 rows ends at 1700000001.300 s' in said[0]
    assert said[0].endswith('; 0.3 s gave no rows')
    assert 'camera/image_raw' in said[0]
    reader = LeRobotReader(tmp_path / 'dataset')
    assert [e.length for e in reader.episodes] == [13, 14]
    ticks = reader.columns(['tick_ns'])['tick_ns']
    assert np.diff(ticks).tolist() == [PERIOD_NS] * 12 + [4 * PERIOD_NS] + [PERIOD_NS] * 13


def test_a_piece_too_short_is_left_out_with_a_sentence(tmp_path, bag_writer, convert):
    """Three rows before the gap."""
    bag = bag_writer.without(tmp_path / 'a', range(30), range(2, 9))
    summary = convert(bag, min_rows=5)
    assert (summary.episodes, summary.rows) == (1, 21)
    assert '3 rows left out, fewer than 5' in summary.notes[0]


def test_many_pieces_too_short_take_two_sentences(tmp_path, bag_writer, convert):
    """A camera that is slower than the contract wants would fill the screen."""
    bag = bag_writer.without(tmp_path / 'a', range(60), [k for k in range(30) if k % 3])
    summary = convert(bag)
    assert summary.rows == 30 and summary.splits == 10
    assert '2 rows left out, fewer than 8 at 1700000000.200 s' in summary.notes[0]
    assert summary.notes[1:] == [f'{bag}: 10 such pieces in all, with 20 rows']


@pytest.mark.parametrize('shift_ns', [25 * PERIOD_NS // 10, 60 * PERIOD_NS, 1000 * PERIOD_NS])
def test_a_clock_that_was_set_back_makes_two_episodes(
        tmp_path, demonstration, bag_writer, convert, shift_ns):
    """Though their times overlap, no row mixes what was recorded before and after."""
    bag = bag_writer.write(tmp_path / 'a', demonstration.messages(range(30))
                           + bag_writer.second_pass(range(30, 60), shift_ns))
    summary = convert(bag)
    assert (summary.episodes, summary.rows, summary.splits) == (2, 60, 1)
    assert re.search(r'ends at 1700000002.900 s \(.* s into the bag\): the clock was set back by '
                     f'{shift_ns / 1e9 - 0.1:.3f} s', summary.notes[0])
    reader = LeRobotReader(tmp_path / 'dataset')
    assert [e.length for e in reader.episodes] == [30, 30]
    rows = reader.columns(['action', 'observation.state', 'observation.environment_state'])
    for key, scale, offset in (('action', 1, 100), ('observation.state', 1, 0),
                               ('observation.environment_state', 0.1, 0)):
        assert np.allclose(rows[key][:, 0], np.arange(60) * scale + offset)


def test_the_good_bags_convert_where_one_has_a_bad_contract(tmp_path, demonstration, convert):
    """It is left out with its reason, also when it comes first."""
    bags = [demonstration.write_bag(tmp_path / name, range(10)) for name in 'abc']
    spoil_contract(bags[0])
    summary = convert(*bags)
    assert (summary.bags, summary.episodes, summary.skipped) == (3, 2, 1)
    assert f'{bags[0]}: skipped: contract in {bags[0]}: rate_hz' in summary.notes[0]


def test_a_bad_contract_inside_does_not_count_where_one_is_given(
        tmp_path, demonstration, convert):
    bag = demonstration.write_bag(tmp_path / 'a', range(10))
    with open_bag(bag) as whole:
        contract = whole.contract
    spoil_contract(bag)
    said = []
    summary = convert(bag, contract=contract, note=said.append)
    assert (summary.episodes, summary.skipped) == (1, 0)
    assert f'{bag}: the given contract cannot be compared with the one inside: ' in said[0]


def test_bad_bags_alone_are_told_by_what_is_wrong_with_them(tmp_path, demonstration, convert):
    """Not by the contract that could not be read from them."""
    bags = [demonstration.write_bag(tmp_path / name, range(10)) for name in 'ab']
    spoil_contract(bags[0])
    (tmp_path / 'b/b.mcap').write_bytes(b'no bag at all')
    summary = convert(*bags)
    assert (summary.episodes, summary.skipped) == (0, 2)
    assert 'rate_hz' in summary.notes[0] and 'cannot read the bag' in summary.notes[1]
    assert not (tmp_path / 'dataset').exists()


def test_ages_are_those_of_the_rows_in_the_dataset(tmp_path, demonstration, bag_writer, convert):
    """Rows that were left out do not count."""
    late = [(topic, demonstration.message(topic, k, t - PERIOD_NS // 2), t) if topic ==
            'block_pose' and k < 5 else (topic, message, t)
            for k in (*range(5), *range(10, 30))
            for topic, message, t in demonstration.messages([k])]
    summary = convert(bag_writer.write(tmp_path / 'a', late))
    assert summary.rows == 20 and '6 rows left out' in summary.notes[0]
    assert {ages.count for ages in summary.ages.values()} == {20}
    assert summary.age_table()['block_pose'] == (0.0, 0.0)


def test_a_dataset_is_not_written_into_a_bag(tmp_path, demonstration, convert):
    """Bags are only read."""
    bag = demonstration.write_bag(tmp_path / 'a', range(10))
    (tmp_path / 'link').symlink_to(bag)
    before = sorted(bag.iterdir())
    for out in (bag / 'dataset', bag / 'deep/dataset', tmp_path / 'link/dataset'):
        with pytest.raises(DatasetError, match='lies inside .*/a, which is only read'):
            convert_bags([bag], out)
    with pytest.raises(DatasetError, match='exists already'):
        convert_bags([bag], bag)
    assert sorted(bag.iterdir()) == before


def test_a_bad_bag_is_skipped_and_the_others_converted(tmp_path, demonstration, convert):
    """One sentence says which and why."""
    bags = [demonstration.write_bag(tmp_path / name, range(10)) for name in 'abc']
    (tmp_path / 'b/b.mcap').write_bytes(b'no bag at all')
    summary = convert(*bags)
    assert (summary.episodes, summary.skipped) == (2, 1)
    assert len(summary.notes) == 1 and f'{bags[1]}: skipped: cannot read' in summary.notes[0]


def test_a_missing_topic_skips_the_bag(tmp_path, demonstration, convert):
    """And leaves no dataset when it was the only one."""
    bag = demonstration.write_bag(tmp_path / 'a', range(10), leave_out=('joint_states',))
    summary = convert(bag)
    assert (summary.episodes, summary.skipped) == (0, 1)
    assert 'no message arrived on joint_states; the bag has: /block_pose' in summary.notes[0]
    assert 'Correct the topic' not in summary.notes[0] and not summary.may_pass
    assert not (tmp_path / 'dataset').exists()


def test_a_topic_that_the_recorder_was_not_told_of_is_to_be_corrected(
        tmp_path, demonstration, contract, convert):
    bag = demonstration.write_bag(tmp_path / 'a', range(10))
    elsewhere = replace(contract.observations[1], topic='arm/joints')
    observations = (contract.observations[0], elsewhere, contract.observations[2])
    summary = convert(bag, contract=replace(contract, observations=observations))
    assert "topic 'arm/joints' was not recorded; the bag has" in summary.notes[0]
    assert 'Correct the topic in the contract' in summary.notes[0]


def test_a_task_sentence_that_nobody_gave_is_a_warning(tmp_path, demonstration, convert):
    bag = demonstration.write_bag(tmp_path / 'a', range(10), task='')
    assert [w for w in convert(bag).warnings if 'no task sentence' in w] == [
        f"{bag}: no task sentence; 'small task' is written for their episodes; give --task "
        'SENTENCE']


def test_a_task_sentence_that_is_no_text_skips_the_bag(tmp_path, demonstration, convert):
    bad = demonstration.write_bag(tmp_path / 'a', range(10), task='push\ud800')
    summary = convert(bad, demonstration.write_bag(tmp_path / 'b', range(10)))
    assert (summary.episodes, summary.skipped) == (1, 1)
    assert f"{bad}: skipped: the task in metadata.yaml is 'push\\ud800', which is no text in " \
        'UTF-8; give one with --task' in summary.notes
    again = convert_bags([bad], tmp_path / 'again', task='push', codec='png', progress=False)
    assert again.episodes == 1 and not again.skipped


def test_a_bag_that_is_skipped_is_told_as_a_warning(tmp_path, demonstration, convert):
    said = []
    convert(demonstration.write_bag(tmp_path / 'a', range(3)), note=said.append)
    assert [line.split(' ')[0] for line in said] == ['NOTE:', 'WARNING:']
    assert 'rows left out' in said[0] and 'skipped: ' in said[1]


def test_the_given_contract_serves_bags_without_one(tmp_path, demonstration, contract, convert):
    """A bare mcap file has no metadata."""
    bag = (demonstration.write_bag(tmp_path / 'a', range(10)) / 'a.mcap').rename(
        tmp_path / 'bare.mcap')
    with pytest.raises(ContractError, match='--contract'):
        convert(bag)
    assert convert(bag, contract=contract, task='given').episodes == 1
    assert LeRobotReader(tmp_path / 'dataset').episodes[0].tasks == ('given',)


def test_a_sqlite3_bag_of_another_recorder_converts(tmp_path, demonstration, contract, convert):
    """As `ros2 bag record` made them before mcap: absolute topics, no contract."""
    with Writer(tmp_path / 'a', version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connections = {
            topic: writer.add_connection(f'/{topic}', stream.type, typestore=get_typestore(
                Stores.ROS2_HUMBLE)) for topic, stream in demonstration.streams.items()}
        for topic, message, receive_ns in demonstration.messages(range(10)):
            data = demonstration.typestore.serialize_cdr(message, connections[topic].msgtype)
            writer.write(connections[topic], receive_ns, data)
    summary = convert(tmp_path / 'a', contract=contract)
    assert (summary.episodes, summary.rows, summary.notes) == (1, 10, [])
    action = LeRobotReader(tmp_path / 'dataset').columns(['action'])['action']
    assert action[:, 0].tolist() == [100.0 + k for k in range(10)]


@pytest.mark.parametrize('change', [
    {'unit': 'mm'}, {'names': ('position.y', 'position.x')}])
def test_bags_whose_auxiliary_arrays_mean_other_things_are_not_merged(
        tmp_path, demonstration, contract, convert, change):
    pose = replace(contract.observations[2], **change)
    other = replace(contract, observations=(*contract.observations[:2], pose))
    bags = [demonstration.write_bag(tmp_path / 'a', range(10)),
            demonstration.write_bag(tmp_path / 'b', range(10), contract=other)]
    with pytest.raises(ContractError, match='b was recorded under another contract than .*a: '
                       f'observation.environment_state {next(iter(change))}: recorded with'):
        convert(*bags)
    assert not (tmp_path / 'dataset').exists()


def test_contracts_that_disagree_are_refused_with_the_differences(
        tmp_path, demonstration, contract, convert):
    """Whether given or inside another bag; nothing is written."""
    other = replace(contract, rate_hz=20)
    bags = [demonstration.write_bag(tmp_path / 'a', range(10)),
            demonstration.write_bag(tmp_path / 'b', range(10), contract=other)]
    with pytest.raises(ContractError, match=r'b was recorded under another contract.*rate_hz'):
        convert(*bags)
    with pytest.raises(ContractError, match='a was recorded under another contract than the '
                       'given contract: rate_hz: recorded at 10, the given contract has 20. Conv'):
        convert(bags[0], contract=other)
    assert not (tmp_path / 'dataset').exists()


def test_a_full_disk_ends_the_conversion(tmp_path, demonstration, convert, full_disk):
    """It is not taken for a fault of one bag after another, and leaves no empty dataset."""
    bags = [demonstration.write_bag(tmp_path / name, range(10)) for name in 'ab']
    said = []
    with full_disk(4000), pytest.raises(DatasetError, match='cannot write .*dataset.*Make room'):
        convert(*bags, note=said.append)
    assert not said
    assert not (tmp_path / 'dataset').exists()


def test_an_existing_dataset_is_not_touched(tmp_path, demonstration, convert):
    """The second conversion is refused."""
    bag = demonstration.write_bag(tmp_path / 'a', range(10))
    convert(bag)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / 'dataset').rglob('*')}
    with pytest.raises(DatasetError, match='never overwritten.* dpr convert BAGS --out MORE, then '
                       'dpr edit .*/dataset --append MORE'):
        convert(bag)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / 'dataset').rglob('*')} == before


def test_messages_are_not_piled_up(demonstration, contract):
    """Rows come out while the bag is still being read: at most three rows wait for commands."""
    read = 0

    def counted():
        nonlocal read
        for message in demonstration.messages(range(200)):
            read += 1
            yield message

    per_row = len(demonstration.streams)
    for number, event in enumerate(episode_rows(counted(), contract)):
        assert isinstance(event, Row)
        assert read <= (number + 4) * per_row

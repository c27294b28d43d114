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

"""Bags are found by name, below a folder and by a pattern, and nothing else is taken for one."""

import os

from diffusion_policy_ros.data.bags.bag_paths import find_bags
from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.errors import BagError
import pytest

JOINTS = {'joint_states': 'sensor_msgs/msg/JointState'}


def count(path, wanted):
    """Read a bag and count."""
    with open_bag(path) as bag:
        return sum(1 for _ in bag.messages(wanted))


def test_bags_are_found_at_any_depth_in_order(tmp_path, demonstration):
    """Folders with metadata count once; stray files count by themselves."""
    for name in ('b/two', 'a', 'b/one'):
        demonstration.write_bag(tmp_path / name, range(1))
    (tmp_path / 'b/one/metadata.yaml').unlink()
    assert find_bags(tmp_path) == [
        tmp_path / 'a', tmp_path / 'b/one/one.mcap', tmp_path / 'b/two']
    assert find_bags(tmp_path / 'a') == [tmp_path / 'a']


def test_links_to_bags_are_followed_and_each_bag_counts_once(tmp_path, demonstration):
    demonstration.write_bag(tmp_path / 'disk/one', range(1))
    demonstration.write_bag(tmp_path / 'bags/two', range(1))
    (tmp_path / 'bags/a').symlink_to(tmp_path / 'disk/one')
    (tmp_path / 'bags/b').symlink_to(tmp_path / 'disk/one')
    (tmp_path / 'bags/c').symlink_to(tmp_path)  # leads back
    assert find_bags(tmp_path / 'bags') == [tmp_path / 'bags/a', tmp_path / 'bags/two']


def test_what_the_recorder_has_set_aside_counts_only_where_it_is_named(tmp_path, demonstration):
    for name in ('episode_000000', 'discarded/episode_000001', 'unrepaired/episode_000002'):
        demonstration.write_bag(tmp_path / name, range(2))
    assert find_bags(f'{tmp_path}/*/') == [tmp_path / 'episode_000000']
    assert find_bags(tmp_path / 'discarded') == [tmp_path / 'discarded/episode_000001']
    assert find_bags(f'{tmp_path}/discarded/*') == [tmp_path / 'discarded/episode_000001']


def test_an_episode_that_is_not_finished_is_passed_over(tmp_path, demonstration):
    for name in ('episode_000000', 'episode_000001', 'episode_000002'):
        demonstration.write_bag(tmp_path / name, range(2))
    for name in ('episode_000001', 'episode_000002'):
        (tmp_path / name / 'unfinished.json').write_text('{}')
    (tmp_path / 'episode_000001/metadata.yaml').unlink()  # the other one only kept its note
    for look in (tmp_path, f'{tmp_path}/*/', f'{tmp_path}/**'):
        notes = []
        assert find_bags(look, note=notes.append) == find_bags(look) == [
            tmp_path / 'episode_000000', tmp_path / 'episode_000002']
        assert notes == [
            f'{tmp_path}/episode_000001 is being recorded, or was not closed, and was passed '
            f'over; a recorder that is started with output {tmp_path} repairs what was not closed']
    file = tmp_path / 'episode_000001/episode_000001.mcap'
    assert find_bags(file) == [file]


def test_where_nothing_is_finished_that_is_the_reason(tmp_path, demonstration):
    """Who asks for notes gets no bag, so that one among many others does no harm."""
    bag = demonstration.write_bag(tmp_path / 'episode_000000', range(2))
    (bag / 'metadata.yaml').rename(bag / 'unfinished.json')
    for look in (bag, tmp_path):
        notes = []
        assert find_bags(look, note=notes.append) == []
        assert len(notes) == 1
        with pytest.raises(BagError, match=f'^{bag} is being recorded, or was not closed, and'):
            open_bag(look)


def test_an_episode_whose_messages_or_end_are_missing_is_not_finished(tmp_path, demonstration):
    """Though its metadata may have come to the disk before them."""
    bag = demonstration.write_bag(tmp_path / 'episode_000000', range(2))
    (bag / 'unfinished.json').write_text('{}')
    file = bag / 'episode_000000.mcap'
    file.write_bytes(file.read_bytes()[:-20])
    (tmp_path / 'episode_000001').mkdir()
    (tmp_path / 'episode_000001/unfinished.json').write_text('{}')
    notes = []
    assert find_bags(tmp_path, note=notes.append) == []
    assert [note.split()[0] for note in notes] == [
        f'{tmp_path}/episode_00000{number}' for number in range(2)]
    for look in (bag, f'{tmp_path}/*/'):
        assert find_bags(look, note=notes.append) == []


@pytest.mark.parametrize('make', [os.mkfifo, lambda path: path.symlink_to('/dev/null')])
def test_what_is_neither_file_nor_folder_is_refused(tmp_path, make):
    """Opening it could take for ever."""
    make(tmp_path / 'x.mcap')
    with pytest.raises(BagError, match='x.mcap is neither a file nor a folder$'):
        open_bag(tmp_path / 'x.mcap')
    with pytest.raises(BagError, match='holds no bag'):
        open_bag(tmp_path)


def test_a_place_without_bags_is_refused(tmp_path):
    """So is a place that does not exist."""
    with pytest.raises(BagError, match='holds no bag'):
        find_bags(tmp_path)
    with pytest.raises(BagError, match='does not exist'):
        find_bags(tmp_path / 'nowhere')


def test_a_bag_that_does_not_exist_is_not_called_corrupt(tmp_path):
    """Nor is one whose link leads nowhere."""
    (tmp_path / 'link').symlink_to(tmp_path / 'nowhere')
    for name in ('nowhere', 'nowhere.mcap', 'link'):
        with pytest.raises(BagError) as refused:
            open_bag(tmp_path / name)
        assert str(refused.value) == f'{tmp_path / name} does not exist'


def test_a_folder_of_bags_in_place_of_one_is_refused_with_some_of_their_names(
        tmp_path, demonstration):
    """Whoever opens it can copy the name of one, and that is a bag."""
    for name in ('b/two', 'a', 'd', 'c'):
        demonstration.write_bag(tmp_path / name, range(1))
    with pytest.raises(BagError, match=r'but holds a, b/two, c and 1 more; name one') as refused:
        open_bag(str(tmp_path))
    assert 'corrupt' not in str(refused.value)
    assert count(str(refused.value).rpartition('such as ')[2], JOINTS) == 1


def test_the_folder_of_a_killed_recorder_is_refused_with_the_name_of_its_file(
        tmp_path, demonstration):
    """It has no metadata, but the file by itself may be readable."""
    bag = demonstration.write_bag(tmp_path / 'bag', range(1))
    (bag / 'metadata.yaml').unlink()
    with pytest.raises(BagError, match='no metadata.yaml.*, but holds bag.mcap; name one'):
        open_bag(bag)


@pytest.mark.parametrize('look', [open_bag, find_bags])
def test_a_dataset_in_place_of_a_bag_is_called_one(tmp_path, look):
    """It is neither corrupt nor an empty folder."""
    (tmp_path / 'meta').mkdir()
    (tmp_path / 'meta/info.json').write_text('{}')
    with pytest.raises(BagError, match='is a dataset .*, not a bag; name a bag') as refused:
        look(tmp_path)
    assert 'corrupt' not in str(refused.value)


def test_a_folder_without_bags_is_not_called_corrupt(tmp_path):
    """It is told what a bag would be."""
    with pytest.raises(BagError, match='holds no bag: neither metadata.yaml nor'):
        open_bag(tmp_path)


@pytest.mark.parametrize('pattern, found', [
    ('*', ['a', 'b/one', 'b/two', 'c.mcap']), ('b/*/', ['b/one', 'b/two']), ('b/t*', ['b/two']),
    ('**/one', ['b/one']), ('b/*/*', ['b/one', 'b/two']), ('?.mcap', ['c.mcap']),
    ('[ab]', ['a', 'b/one', 'b/two'])])
def test_a_pattern_finds_each_bag_once(tmp_path, demonstration, pattern, found):
    """As a shell would expand it, where the shell was kept from doing so."""
    for name in ('b/two', 'a', 'b/one'):
        demonstration.write_bag(tmp_path / name, range(1))
    (tmp_path / 'c.mcap').write_bytes((tmp_path / 'a/a.mcap').read_bytes())
    (tmp_path / 'notes').mkdir()
    assert find_bags(str(tmp_path / pattern)) == [tmp_path / name for name in found]


@pytest.mark.parametrize('pattern, said', [
    ('x*', r'x\* matches nothing'), ('n*', r'n\* matches 2 paths, but none of them holds a bag')])
def test_a_pattern_without_bags_is_refused(tmp_path, pattern, said):
    """And says which of both it is."""
    (tmp_path / 'notes').mkdir()
    (tmp_path / 'no.txt').touch()
    with pytest.raises(BagError, match=said):
        find_bags(str(tmp_path / pattern))


def test_a_folder_whose_name_holds_a_bracket_is_no_pattern(tmp_path, demonstration):
    """A name that exists is taken as it is."""
    bag = demonstration.write_bag(tmp_path / 'take[1]', range(1))
    assert find_bags(bag) == find_bags(str(bag)) == [bag]
    assert count(bag, JOINTS) == 1


def test_the_files_of_one_split_recording_without_metadata_are_one_bag(tmp_path, demonstration):
    """In the order of their numbers; other files beside each other are bags of their own."""
    (tmp_path / 'run').mkdir()
    for part in (0, 2, 10):
        whole = demonstration.write_bag(tmp_path / f'part{part}', range(part, part + 2))
        storage = whole / f'part{part}.mcap'
        (tmp_path / f'run/run_{part}.mcap').write_bytes(storage.read_bytes())
    assert find_bags(tmp_path / 'run') == [tmp_path / 'run']
    with open_bag(tmp_path / 'run') as bag:
        times = [receive_ns for _, _, receive_ns in bag.messages(JOINTS)]
        assert bag.losses == []
    assert len(times) == 6 and times == sorted(times)
    (tmp_path / 'run/other.mcap').write_bytes(storage.read_bytes())
    assert [bag.name for bag in find_bags(tmp_path / 'run')] == [
        'other.mcap', 'run_0.mcap', 'run_10.mcap', 'run_2.mcap']

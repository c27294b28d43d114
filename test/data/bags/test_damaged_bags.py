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

"""Whatever happens to the files of a bag: what is whole is read, and the rest is told."""

from collections import Counter
from io import BytesIO
import re
import shutil
import struct

from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.data.bags.stored import zstd
from diffusion_policy_ros.errors import BagError
from hypothesis import given, HealthCheck, settings, strategies
from mcap.reader import make_reader
import pytest
import yaml

KINDS = ('mcap-none', 'mcap-zstd', 'mcap-lz4', 'mcap-unchunked', 'sqlite3', 'file', 'message',
         'rosbags', 'recorder', 'ros1', 'ros1-lz4')
# Kinds in which every message is under a checksum.
CHECKED = ('mcap-none', 'mcap-zstd', 'mcap-lz4', 'recorder')
LFS = (b'version https://git-lfs.github.com/spec/v1\n'
       b'oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n'
       b'size 12345\n')
CUTS = 50
FROM_END = (3000, 2000, 1000, 600, 300, 100, 40, 10, 2, 1)


@pytest.fixture(scope='module')
def whole(tmp_path_factory, strings):
    """Return a function that gives a whole bag of a kind: its storage file and its messages."""
    made = {}

    def give(kind):
        if kind not in made:
            file = strings.write(kind, tmp_path_factory.mktemp('whole') / 'bag')
            made[kind] = file, strings.truth(60)
        return made[kind]
    return give


@pytest.mark.parametrize('kind', KINDS)
def test_a_whole_bag_is_read_without_losses(whole, strings, kind):
    """As a folder and, but for compression, as a file."""
    file, truth = whole(kind)
    assert strings.read(file) == (truth, [])
    if (file.parent / 'metadata.yaml').is_file():
        assert strings.read(file.parent) == (truth, [])


@pytest.mark.parametrize('kind', KINDS)
def test_a_cut_file_gives_what_came_before_the_cut(whole, strings, tmp_path, kind):
    """Wherever it is cut, and more of it the later; the loss is always told."""
    file, truth = whole(kind)
    data, lengths = file.read_bytes(), []
    sizes = [len(data) * number // CUTS for number in range(CUTS)]
    for size in sorted(sizes + [len(data) - missing for missing in FROM_END]):
        cut = tmp_path / f'{size}{file.name}'
        cut.write_bytes(data[:size])
        try:
            found, losses = strings.read(cut)
        except BagError as error:
            assert str(cut) in str(error) or cut.name in str(error)
            found, losses = [], [str(error)]
        assert found == truth[:len(found)]
        assert losses
        lengths.append(len(found))
    assert lengths == sorted(lengths) and lengths[-1] > len(truth) // 2


@pytest.mark.parametrize('kind', ['sqlite3', 'file', 'message', 'rosbags', 'recorder'])
def test_a_cut_file_is_compared_with_the_metadata(whole, strings, tmp_path, kind):
    """Which promises what is no longer there."""
    file, truth = whole(kind)
    bag = shutil.copytree(file.parent, tmp_path / 'bag')
    (bag / file.name).write_bytes(file.read_bytes()[:file.stat().st_size * 2 // 3])
    found, losses = strings.read(bag)
    assert 0 < len(found) < len(truth) and found == truth[:len(found)]
    for topic in strings.topics:
        left = sum(name == topic for name, _, _ in found)
        assert f'metadata.yaml promises 30 messages on {topic}, {left} were found' in losses
    assert any(f'{file.name} is truncated' in loss and ' s after its first message' in loss
               for loss in losses)


@pytest.mark.parametrize('kind', KINDS)
def test_a_tail_of_zeros_is_no_data(whole, strings, tmp_path, kind):
    """As a file system leaves it after a loss of power."""
    file, truth = whole(kind)
    data = file.read_bytes()
    for number in range(1, 20):
        zeroed = tmp_path / f'{number}{file.name}'
        kept = len(data) * number // 20
        zeroed.write_bytes(data[:kept] + bytes(len(data) - kept))
        try:
            found, losses = strings.read(zeroed)
        except BagError as error:
            found, losses = [], [str(error)]
        assert found == truth[:len(found)]
        assert losses


def test_a_damaged_chunk_costs_that_chunk(whole, strings, tmp_path):
    """What follows is found again."""
    file, truth = whole('mcap-zstd')
    data = bytearray(file.read_bytes())
    middle = len(data) // 3
    data[middle:middle + 20] = bytes(20)
    (tmp_path / 'x.mcap').write_bytes(data)
    found, losses = strings.read(tmp_path / 'x.mcap')
    assert len(truth) - 15 < len(found) < len(truth)
    assert found[0] == truth[0] and found[-1] == truth[-1] and set(found) < set(truth)
    assert 'x.mcap is damaged in the chunk at byte' in losses[0]
    assert 'its own index promises 30 messages on /a' in losses[1]


@pytest.mark.parametrize('at, value', [(0, 0), (1, 1), (4, 77), (8, 255), (2, 255)])
def test_a_damaged_length_costs_that_chunk(whole, strings, tmp_path, at, value):
    """Though nothing then tells where the next record begins, but its look."""
    file, truth = whole('mcap-zstd')
    data = bytearray(file.read_bytes())
    chunk = make_reader(BytesIO(data)).get_summary().chunk_indexes[3]
    data[chunk.chunk_start_offset + at] ^= data[chunk.chunk_start_offset + at] ^ value
    (tmp_path / 'x.mcap').write_bytes(data)
    found, losses = strings.read(tmp_path / 'x.mcap')
    assert found == [item for item in truth if not (
        chunk.message_start_time <= item[2] <= chunk.message_end_time)] != truth
    assert re.match(f'x.mcap is damaged (in the chunk )?at byte {chunk.chunk_start_offset}[, ]',
                    losses[0])


def test_without_a_promise_the_number_that_is_missing_is_said_to_be_unknown(
        whole, strings, tmp_path):
    """A file that was cut has lost its own index."""
    file, _ = whole('mcap-zstd')
    (tmp_path / 'x.mcap').write_bytes(file.read_bytes()[:-2000])
    with open_bag(tmp_path / 'x.mcap') as bag:
        assert {promised for _, promised, _ in bag.counts().values()} == {None}
        assert bag.losses[-1] == 'nothing tells how many messages the bag should hold'
        assert bag.promised_count(strings.topics) == sum(
            found for _, _, found in bag.counts().values())


@pytest.mark.parametrize('start', [2**64 - 1, 2**63 + 5, 2**62])
def test_a_footer_that_names_no_place_in_the_file_costs_the_summary(
        whole, strings, tmp_path, start):
    """The recorder's own files have no checksum of it."""
    file, truth = whole('rosbags')
    data = bytearray(file.read_bytes())
    data[-28:-20] = struct.pack('<Q', start)
    (tmp_path / 'x.mcap').write_bytes(data)
    found, losses = strings.read(tmp_path / 'x.mcap')
    assert found == truth
    assert 'x.mcap is damaged in its summary' in losses[0]


@pytest.mark.parametrize('kind', ['rosbags', 'file'])
def test_a_storage_file_that_is_named_is_compared_with_its_metadata(
        whole, strings, tmp_path, kind):
    """As long as the metadata is about this file and no other."""
    file, _ = whole(kind)
    bag = shutil.copytree(file.parent, tmp_path / 'bag')
    text = (bag / 'metadata.yaml').read_text()
    (bag / 'metadata.yaml').write_text(text.replace('message_count: 30', 'message_count: 40', 1))
    assert strings.read(bag / file.name)[1] == [
        'metadata.yaml promises 40 messages on /a, 30 were found']
    (bag / file.name).rename(bag / f'other{file.name}')
    assert strings.read(bag / f'other{file.name}')[1] == []


def test_a_file_that_was_packed_or_unpacked_later_is_the_one_that_is_listed(
        whole, strings, tmp_path):
    """Whether `zstd` added the ending to its name, or took it away."""
    for kind in ('file', 'rosbags'):
        file, truth = whole(kind)
        bag = shutil.copytree(file.parent, tmp_path / kind)
        if kind == 'file':
            data, name = zstd.decompress(file.read_bytes()), file.name.removesuffix('.zstd')
        else:
            data, name = zstd.compress(file.read_bytes()), f'{file.name}.zstd'
        (bag / file.name).unlink()
        (bag / name).write_bytes(data)
        assert strings.read(bag) == strings.read(bag / name) == (truth, [])


def test_a_refusal_names_the_files_that_are_there_and_not_listed(whole, tmp_path):
    """Somebody has renamed the only one."""
    file, _ = whole('rosbags')
    bag = shutil.copytree(file.parent, tmp_path / 'bag')
    (bag / file.name).rename(bag / 'take.mcap')
    with pytest.raises(BagError, match=f'cannot read the bag {bag}: take.mcap is not listed in '
                       f'metadata.yaml, .*; {file.name} is missing$'):
        open_bag(bag)


@pytest.fixture(params=['sqlite3', 'rosbags'])
def split(request, tmp_path, strings):
    """Give a split bag and its three files, with 60 messages each."""
    bag, entries = tmp_path / 'bag', []
    bag.mkdir()
    for number in range(3):
        file = strings.write(request.param, tmp_path / f'part{number}')
        entries.append(f'bag_{number}{file.suffix}')
        shutil.copyfile(file, bag / entries[-1])
    content = yaml.safe_load((file.parent / 'metadata.yaml').read_text())
    information = content['rosbag2_bagfile_information']
    information['relative_file_paths'] = entries
    for topic in information['topics_with_message_count']:
        topic['message_count'] *= 3
    (bag / 'metadata.yaml').write_text(yaml.safe_dump(content))
    return bag, [bag / entry for entry in entries]


@pytest.mark.parametrize('damage, said', [
    (lambda file: file.unlink(), 'is missing'),
    (lambda file: file.write_bytes(b''), r'is empty \(0 bytes\)'),
    (lambda file: file.write_bytes(LFS),
     'is a Git LFS pointer, not the data; run `git lfs pull`'),
    (lambda file: file.write_bytes(bytes(5000)), 'it begins with zeros'),
    (lambda file: file.write_bytes(b'hello world'), "it begins with b'hello wo'"),
])
def test_a_split_file_that_is_no_bag_costs_its_messages(split, strings, damage, said):
    """The others are read; without any the bag is refused for the same reason."""
    bag, files = split
    assert count(strings, bag) == (180, [])
    damage(files[1])
    number, losses = count(strings, bag)
    assert number == 120
    assert any(files[1].name in loss for loss in losses)
    assert 'metadata.yaml promises 90 messages on /a, 60 were found' in losses
    assert pytest.raises(BagError, damage_all, files, damage, bag).match(said)


def count(strings, bag):
    """Count the messages; the same times again are another pass."""
    found, losses = strings.read_any(bag)
    return len(found), losses


def damage_all(files, damage, bag):
    """Damage every file and open the bag."""
    for file in files:
        if file.exists():
            damage(file)
    open_bag(bag)


def test_a_file_that_the_metadata_does_not_list_is_told(split, strings):
    """It is not read: nobody knows whether it belongs to the bag."""
    bag, files = split
    extra = bag / f'bag_3{files[0].suffix}'
    shutil.copyfile(files[0], extra)
    number, losses = count(strings, bag)
    assert number == 180  # and not 240
    assert losses == [f'{extra.name} is not listed in metadata.yaml, and was not read; `ros2 bag '
                      'reindex` lists it']


def test_an_unreadable_bag_leaves_no_topic_and_says_why(whole, strings, tmp_path):
    """Cut within the first record; never an empty success."""
    for kind in KINDS:
        file, _ = whole(kind)
        path = tmp_path / file.name
        path.write_bytes(file.read_bytes()[:30])
        with pytest.raises(BagError, match='truncated|damaged|without'):
            strings.read(path)


damages = strategies.lists(strategies.tuples(
    strategies.sampled_from(['flip', 'flip', 'cut', 'zero', 'drop']),
    strategies.floats(0, 1, exclude_max=True), strategies.integers(1, 255)), min_size=1,
    max_size=4)


def spoil(data, damage):
    """Apply damages to a file's bytes."""
    data = bytearray(data)
    for what, at, value in damage:
        begin = int(at * len(data))
        if what == 'flip' and data:
            data[begin] ^= value
        elif what == 'cut':
            del data[begin:]
        elif what == 'zero':
            data[begin:begin + value] = bytes(len(data[begin:begin + value]))
        elif what == 'drop':
            del data[begin:begin + value]
    return bytes(data)


@pytest.mark.parametrize('kind', KINDS)
@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=damages)
def test_no_damage_makes_messages_up(whole, strings, tmp_path, kind, damage):
    """
    Random damage costs messages, which is told, or the bag.

    Where nothing is under a checksum, changed bytes inside a message cannot be told.
    """
    file, truth = whole(kind)
    path = tmp_path / file.name
    data = spoil(file.read_bytes(), damage)
    path.write_bytes(data)
    try:
        found, losses = strings.read_any(path)
    except BagError:
        return
    if kind in CHECKED:
        assert not Counter(found) - Counter(truth)
        assert losses or Counter(found) == Counter(truth)


@settings(max_examples=100, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=damages)
def test_no_damage_of_the_metadata_changes_a_message(whole, strings, tmp_path, damage):
    """It costs the promise, or the topics are refused as contradicting it."""
    file, truth = whole('rosbags')
    bag = tmp_path / 'bag'
    bag.mkdir(exist_ok=True)
    shutil.copyfile(file, bag / file.name)
    text = (file.parent / 'metadata.yaml').read_bytes()
    (bag / 'metadata.yaml').write_bytes(spoil(text, damage))
    try:
        found, _ = strings.read_any(bag)
    except BagError:
        return
    assert found == truth

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

"""A recorded episode is a bag that rosbags and rosbag2 read, and is never overwritten."""

import os
import shutil
import threading

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.bags import durable, episode_files
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.bags.episode_files import NOTE, read_note
from diffusion_policy_ros.errors import BagError
from mcap.records import Channel, Chunk
from mcap.stream_reader import breakup_chunk, StreamReader
import numpy as np
import pytest
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.errors import WriterError


def test_messages_come_back_byte_for_byte(tmp_path, contract):
    """An independent reader finds what was written, under an absolute topic."""
    with EpisodeBag(tmp_path / 'bag', contract) as bag:
        bag.write('joint_states', 'sensor_msgs/msg/JointState', b'\0\1\0\0abc', 5)
        bag.write('joint_states', 'sensor_msgs/msg/JointState', memoryview(b'\0\1\0\0de'), 7)
    with Reader(tmp_path / 'bag') as reader:
        found = [(c.topic, c.msgtype, t, bytes(d)) for c, t, d in reader.messages()]
    assert found == [('/joint_states', 'sensor_msgs/msg/JointState', 5, b'\0\1\0\0abc'),
                     ('/joint_states', 'sensor_msgs/msg/JointState', 7, b'\0\1\0\0de')]


def test_contract_and_fields_travel_in_the_metadata(tmp_path, demonstration, contract):
    """The contract inside parses to the one that was given."""
    path = demonstration.write_bag(tmp_path / 'bag', range(3), fields={'episode': '7'})
    with Reader(path) as reader:
        custom = reader.storage.metadata.custom
    assert parse_contract(custom['contract']) == contract
    assert (custom['task'], custom['episode']) == ('Move the block.', '7')


def test_an_existing_folder_is_refused(tmp_path, contract):
    """Nothing in it changes."""
    (tmp_path / 'bag').mkdir()
    (tmp_path / 'bag/mine').write_text('precious')
    with pytest.raises(BagError, match='never overwritten'):
        EpisodeBag(tmp_path / 'bag', contract)
    assert (tmp_path / 'bag/mine').read_text() == 'precious'


def test_a_closed_bag_takes_no_more_messages(tmp_path, contract):
    bag = EpisodeBag(tmp_path / 'bag', contract)
    bag.close()
    with pytest.raises(BagError, match='is closed'):
        bag.write('joint_states', 'sensor_msgs/msg/JointState', b'\0\1\0\0', 6)


@pytest.mark.parametrize('is_closed', [False, True])
def test_a_bag_may_be_set_aside_before_it_is_finished(tmp_path, contract, is_closed):
    """It is whole in its new place, and nothing is left in the old one."""
    bag = EpisodeBag(tmp_path / 'bag', contract)
    bag.write('joint_states', 'sensor_msgs/msg/JointState', b'\0\1\0\0', 5)
    if is_closed:
        bag.close()
    assert bag.set_aside('discarded') == bag.path == tmp_path / 'discarded' / 'bag'
    if not is_closed:
        bag.write('joint_states', 'sensor_msgs/msg/JointState', b'\0\1\0\0', 6)
        bag.flush()
        assert not bag.is_gone() and bag.size_bytes
    bag.close()
    assert [p.name for p in tmp_path.iterdir()] == ['discarded']
    assert sorted(p.name for p in bag.path.iterdir()) == ['bag.mcap', 'metadata.yaml']
    with Reader(bag.path) as reader:
        assert [t for _, t, _ in reader.messages()] == ([5] if is_closed else [5, 6])


def test_an_exception_removes_the_bag(tmp_path, contract):
    """A take that broke off is not left as if it were whole."""
    with pytest.raises(ZeroDivisionError):
        with EpisodeBag(tmp_path / 'bag', contract):
            raise ZeroDivisionError
    assert not (tmp_path / 'bag').exists()


def test_unknown_message_type_is_refused(tmp_path, contract):
    """The error names topic and type."""
    with EpisodeBag(tmp_path / 'bag', contract) as bag:
        with pytest.raises(BagError, match="'/x': message type 'my_msgs/msg/Mine' is unknown"):
            bag.write('x', 'my_msgs/msg/Mine', b'', 1)


@pytest.mark.parametrize('failure', [OSError(28, 'No space left on device'),
                                     WriterError('Bag was not opened.')])
def test_what_the_disk_or_the_library_refuses_names_the_bag(
        tmp_path, contract, monkeypatch, failure):
    """Every step has one type of error, with the bag's path and what to do."""
    def fail(*arguments):
        raise failure

    bag = EpisodeBag(tmp_path / 'bag', contract)
    with monkeypatch.context() as patch:
        patch.setattr(bag._writer, 'write', fail)
        with pytest.raises(BagError, match=f"'joint_states' could not be written to {bag.path}"):
            bag.write('joint_states', 'sensor_msgs/msg/JointState', b'\0\1\0\0', 5)
    assert bag.message_count == 0
    monkeypatch.setattr(bag._writer, 'close', fail)
    with pytest.raises(BagError, match=f'{bag.path} could not be finished: .*; make room'):
        bag.close()


def test_a_full_disk_leaves_no_half_bag(tmp_path, contract, full_disk):
    """Though what waits to be written cannot be written when the file is closed either."""
    noise = np.random.default_rng(0).bytes(3 << 20)
    with full_disk(100_000), pytest.raises(BagError, match='No space|File too large.*make room'):
        with EpisodeBag(tmp_path / 'bag', contract) as bag:
            for k in range(4):
                bag.write('joint_states', 'sensor_msgs/msg/JointState', noise, k)
    assert not list(tmp_path.iterdir())


def _records(path):
    """Return (kind, content) of each record of an mcap file, by the format's specification."""
    data, records, place = path.read_bytes(), [], 8
    while place < len(data):
        size = int.from_bytes(data[place + 1:place + 9], 'little')
        records.append((data[place], data[place + 9:place + 9 + size]))
        place += 9 + size
    assert place == len(data)
    return records


def test_what_was_flushed_is_in_the_file_as_whole_chunks(tmp_path, contract):
    """A process that is killed loses only what came after."""
    bag = EpisodeBag(tmp_path / 'bag', contract, compress=False)
    file = tmp_path / 'bag' / 'bag.mcap'
    bag.flush()
    for k, words in enumerate((b'first words', b'second words')):
        bag.write('joint_states', 'sensor_msgs/msg/JointState', b'\0\1\0\0' + words, k)
        bag.flush()
        bag.flush()
        chunks = [content for kind, content in _records(file) if kind == 6]
        assert len(chunks) == k + 1 and words in chunks[k]
    bag.close()
    with Reader(tmp_path / 'bag') as reader:
        assert [bytes(data[4:]) for _, _, data in reader.messages()] == [
            b'first words', b'second words']


def test_a_full_disk_is_named_when_flushing(tmp_path, contract, full_disk):
    """The remedy is room."""
    with full_disk(100_000), pytest.raises(BagError, match='to .*/bag: .*; make room'):
        with EpisodeBag(tmp_path / 'bag', contract) as bag:
            bag.write('joint_states', 'sensor_msgs/msg/JointState',
                      np.random.default_rng(0).bytes(500_000), 0)
            bag.flush()
    assert not bag.path.exists()


@pytest.mark.parametrize('gone', ['bag', 'bag/bag.mcap'])
def test_a_bag_that_was_moved_is_told_and_whole_where_it_is(tmp_path, contract, gone):
    """Nothing is left that could be taken for an episode where it was."""
    bag = EpisodeBag(tmp_path / 'bag', contract)
    bag.write('joint_states', 'sensor_msgs/msg/JointState', b'\0\1\0\0', 5)
    assert not bag.is_gone()
    (tmp_path / gone).rename(tmp_path / 'moved')
    assert bag.is_gone()
    with pytest.raises(BagError, match=f'{bag.path} was removed or moved while it was written'):
        bag.close()
    assert not (tmp_path / 'bag' / 'metadata.yaml').exists()
    moved = tmp_path / 'moved.mcap'
    ((tmp_path / 'moved' / 'bag.mcap') if gone == 'bag' else (tmp_path / 'moved')).rename(moved)
    with Reader(moved) as reader:
        assert len(list(reader.messages())) == 1


def test_removing_what_is_gone_succeeds(tmp_path, contract):
    """Its folder was to go anyway."""
    with pytest.raises(ZeroDivisionError):
        with EpisodeBag(tmp_path / 'bag', contract) as bag:
            shutil.rmtree(bag.path)
            raise ZeroDivisionError
    with EpisodeBag(tmp_path / 'bag', contract) as bag:
        bag.write('joint_states', 'sensor_msgs/msg/JointState', b'\0\1\0\0', 5)


def test_contract_and_task_are_on_the_disk_before_the_first_message(
        tmp_path, contract, monkeypatch):
    """Whoever is killed then has left what a repair needs; a closed bag has no such note."""
    synced = []
    for name in ('fsync', 'fdatasync'):
        monkeypatch.setattr(os, name, lambda number: synced.append(
            os.readlink(f'/proc/self/fd/{number}')))
    bag = EpisodeBag(tmp_path / 'new' / 'er' / 'bag', contract, task='push',
                     fields={'episode': '7'})
    note = read_note(bag.path)
    assert parse_contract(note['contract']) == contract
    assert (note['task'], note['episode']) == ('push', '7')
    bag.write('joint_states', 'sensor_msgs/msg/JointState', b'\0\1\0\0', 5)
    bag.flush()
    bag._sync.close()
    assert list(dict.fromkeys(synced)) == [
        str(bag.path / NOTE), str(bag.path), str(tmp_path / 'new' / 'er'), str(tmp_path / 'new'),
        str(tmp_path), str(bag.path / 'bag.mcap')]
    bag._sync = None
    synced.clear()
    bag.close()
    assert {str(bag.path / name) for name in ('bag.mcap', 'metadata.yaml')} <= set(synced)
    assert sorted(p.name for p in bag.path.iterdir()) == ['bag.mcap', 'metadata.yaml']


def test_what_was_flushed_is_brought_to_the_disk_by_another_thread(
        tmp_path, contract, monkeypatch):
    """A power loss costs no more than a kill, and a slow disk does not hold the recording up."""
    bag = EpisodeBag(tmp_path / 'bag', contract)
    begun, may_end, sizes = threading.Event(), threading.Event(), []

    def slow(number):
        sizes.append(os.fstat(number).st_size)
        begun.set()
        assert may_end.wait(60)

    monkeypatch.setattr(os, 'fdatasync', slow)
    bag.write('joint_states', 'sensor_msgs/msg/JointState', b'\0\1\0\0', 5)
    bag.flush()
    assert begun.wait(60) and sizes == [bag.size_bytes] and bag.size_bytes > 100
    bag.write('joint_states', 'sensor_msgs/msg/JointState', b'\0\1\0\0', 6)
    bag.flush()
    may_end.set()
    bag.close()
    assert sizes[1] > sizes[0] and bag.late_s == 0


def test_how_late_the_disk_is_counts_from_the_last_flush_that_is_on_it(
        tmp_path, contract, monkeypatch):
    """And a disk that has all is never late, however long nobody asks."""
    now_s, steps = [100.0], threading.Semaphore(0)
    begun = threading.Semaphore(0)
    monkeypatch.setattr(durable.time, 'monotonic', lambda: now_s[0])
    monkeypatch.setattr(os, 'fdatasync', lambda number: (begun.release(), steps.acquire()))
    bag = EpisodeBag(tmp_path / 'bag', contract)
    assert bag.late_s == 0
    now_s[0] = 110.0
    bag.flush()
    assert begun.acquire(timeout=60)
    now_s[0] = 110.5
    bag.flush()
    assert bag.late_s == 10.5
    steps.release()
    assert begun.acquire(timeout=60)  # the second flush, so that the first is on the disk
    now_s[0] = 113.0
    assert bag.late_s == 3.0
    for _ in range(9):
        steps.release()
    while bag.late_s:
        threading.Event().wait(0.01)
    now_s[0] = 200.0
    assert bag.late_s == 0
    bag.close()


@pytest.mark.parametrize('compress', [True, False])
def test_every_chunk_names_its_topics_and_types(tmp_path, contract, compress):
    """So that it can be read when all before it is lost."""
    with EpisodeBag(tmp_path / 'bag', contract, compress=compress) as bag:
        for k, topic in enumerate(('/a', '/a', '/b', '/a')):
            bag.write(topic, 'sensor_msgs/msg/JointState', b'\0\1\0\0', k)
            bag.flush()
    with open(bag.path / 'bag.mcap', 'rb') as file:
        topics = [[record.topic for record in breakup_chunk(chunk) if isinstance(record, Channel)]
                  for chunk in StreamReader(file, emit_chunks=True).records
                  if isinstance(chunk, Chunk)]
    assert [sorted(set(names)) for names in topics] == [
        ['/a'], ['/a'], ['/a', '/b'], ['/a', '/b']]


def test_a_changed_byte_of_a_chunk_is_found_by_any_zstd(tmp_path, contract):
    """Noise, as pictures of a camera nearly are, is stored as it is."""
    noise = np.random.default_rng(0).bytes(20_000)
    with EpisodeBag(tmp_path / 'bag', contract) as bag:
        bag.write('/a', 'sensor_msgs/msg/JointState', noise, 1)
    data = bytearray((bag.path / 'bag.mcap').read_bytes())
    begin = data.find(noise[100:200])
    assert begin > 0
    data[begin] ^= 1
    (bag.path / 'bag.mcap').write_bytes(data)
    with Reader(bag.path) as reader, pytest.raises(Exception, match='checksum'):
        list(reader.messages())


def test_a_disk_that_does_not_take_what_was_flushed_is_told_at_the_next(
        tmp_path, contract, monkeypatch):
    """Nobody waits for the thread, so that the next one says it."""
    def fail(number):
        raise OSError(5, 'Input/output error')

    bag = EpisodeBag(tmp_path / 'bag', contract)
    monkeypatch.setattr(os, 'fdatasync', fail)
    with pytest.raises(BagError, match='Input/output error; make room'):
        for _ in range(1000):
            bag.flush()
            threading.Event().wait(0.01)
    bag.close()


def test_fields_may_be_set_until_the_end(tmp_path, contract):
    """How it went is known when it is over."""
    with EpisodeBag(tmp_path / 'bag', contract) as bag:
        bag.set_field('outcome', 'success')
    with Reader(tmp_path / 'bag') as reader:
        assert reader.storage.metadata.custom['outcome'] == 'success'


def test_a_type_that_nobody_knows_is_taken_with_its_definition(tmp_path, contract):
    """As a repair copies it."""
    text = 'my_msgs/Part part\n' + '=' * 80 + '\nMSG: my_msgs/Part\nint32 x'
    with EpisodeBag(tmp_path / 'bag', contract) as bag:
        bag.write('/x', 'my_msgs/msg/Mine', b'\0\1\0\0\1\0\0\0', 1, text)
        for bad, said in (('!', 'cannot be read'), ('no definition', 'Other is incomplete')):
            with pytest.raises(BagError, match=said):
                bag.write('/y', 'my_msgs/msg/Other', b'', 1, bad)
    with Reader(tmp_path / 'bag') as reader:
        ((connection, _, data),) = reader.messages()
    assert connection.msgtype == 'my_msgs/msg/Mine' and 'int32 x' in connection.msgdef.data
    assert bytes(data)[4:] == b'\1\0\0\0'


def test_a_bag_that_cannot_be_begun_leaves_nothing(tmp_path, contract, monkeypatch):
    """An empty folder would be taken for an episode."""
    def fail(*arguments):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(episode_files, 'write_note', fail)
    with pytest.raises(BagError, match='cannot create the bag .*No space left on device'):
        EpisodeBag(tmp_path / 'bag', contract)
    assert not list(tmp_path.iterdir())

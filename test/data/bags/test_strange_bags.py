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

"""Bags that are strange on purpose: one clear sentence, no traceback, no hang, little memory."""

import os
from pathlib import Path
import resource
import sqlite3
import struct

from diffusion_policy_ros.data.bags.bag_paths import find_bags
from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.data.bags.stored import zstd
from diffusion_policy_ros.errors import BagError
import lz4.frame
import pytest
import yaml

MAGIC, SCHEMA, CHANNEL, MESSAGE, CHUNK = b'\x89MCAP0\r\n', 3, 4, 5, 6
END = struct.pack('<BQI', 15, 4, 0) + struct.pack('<BQQQI', 2, 20, 0, 0, 0) + MAGIC
STRING = 'std_msgs/msg/String'
START_NS = 10**18
GIGABYTE = 1 << 30


@pytest.fixture(scope='module', autouse=True)
def little_memory():
    """Give no more than half a gigabyte on top of what is in use."""
    used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + GIGABYTE // 2, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def losses_of(bag):
    """Return how many messages are found and what is said, when all of a bag is asked for."""
    with open_bag(bag) as opened:
        counts = opened.counts()
        return sum(found for _, _, found in counts.values()), opened.losses


# What is done to the metadata of a bag with one file, and what is said of it.
METADATA = [
    (lambda told: told.update(relative_file_paths=['..']), r"lists the files \['..'\]"),
    (lambda told: told.update(relative_file_paths=['/']), r"lists the files \['/'\]"),
    (lambda told: told.update(relative_file_paths=[['x']]), 'lists the files'),
    (lambda told: told.update(relative_file_paths=['a' * 300]),
     'strings.mcap is not listed in metadata.yaml, .*; a+ cannot be read: File name too long$'),
    (lambda told: told.update(relative_file_paths=[]),
     'strings.mcap is not listed in metadata.yaml, .*; it has no storage file$'),
    (lambda told: told.update(compression_mode=[3], compression_format=None), None),
    (lambda told: told.update(storage_identifier=7, message_count='many', duration=None), None),
]


@pytest.mark.parametrize('change, said', METADATA)
def test_metadata_that_nobody_would_write(tmp_path, strings, change, said):
    """The storage files are read all the same, unless it names others."""
    bag = strings.write('rosbags', tmp_path / 'strings').parent
    told = yaml.safe_load((bag / 'metadata.yaml').read_text())
    change(told['rosbag2_bagfile_information'])
    (bag / 'metadata.yaml').write_text(yaml.safe_dump(told))
    try:
        found, losses = losses_of(bag)
    except BagError as error:
        assert said and said.endswith('$')
        found, losses = 60, [str(error)]
    assert found == 60 and bool(losses) == bool(said)
    assert said is None or pytest.raises(BagError, fail, losses[0]).match(said)


def fail(sentence):
    """Raise a sentence."""
    raise BagError(sentence)


@pytest.mark.parametrize('content', [b'[' * 100_000, b'\xff\xfe', b'a: &a [*a]', b'- ' * 9000])
def test_metadata_that_is_none(tmp_path, strings, content):
    bag = strings.write('rosbags', tmp_path / 'strings').parent
    (bag / 'metadata.yaml').write_bytes(content)
    found, losses = losses_of(bag)
    assert found == 60
    assert losses[0].startswith('metadata.yaml cannot be read (')


def test_metadata_of_many_gigabytes_is_not_read(tmp_path, strings):
    bag = strings.write('rosbags', tmp_path / 'strings').parent
    os.truncate(bag / 'metadata.yaml', 8 * GIGABYTE)
    found, losses = losses_of(bag)
    assert found == 60 and 'is it the right file?' in losses[0]


@pytest.mark.parametrize('make, said', [
    (Path.mkdir, 'is no regular file'), (os.mkfifo, 'is no regular file'),
    (lambda path: path.symlink_to('/dev/zero'), 'is no regular file'),
    (lambda path: path.symlink_to('nowhere'), 'is a link to nothing'),
    (lambda path: path.symlink_to(path.name), 'is a link to nothing')])
def test_what_is_no_file_in_place_of_one(tmp_path, strings, make, said):
    """A bag is refused; in place of its metadata, it leaves the storage file."""
    bag = strings.write('rosbags', tmp_path / 'strings').parent
    (bag / 'metadata.yaml').rename(tmp_path / 'told')
    make(bag / 'metadata.yaml')
    assert find_bags(bag) == [bag / 'strings.mcap']
    metadata = bag / 'metadata.yaml'
    metadata.rmdir() if metadata.is_dir() else metadata.unlink()
    (tmp_path / 'told').rename(metadata)
    (bag / 'strings.mcap').unlink()
    make(bag / 'strings.mcap')
    with pytest.raises(BagError, match=f'strings: strings.mcap {said}$'):
        open_bag(bag)


def test_what_cannot_be_reached_below_a_folder_is_named(tmp_path, strings):
    """The others are found all the same."""
    bag = strings.write('rosbags', tmp_path / 'strings').parent
    (tmp_path / 'loop.mcap').symlink_to('loop.mcap')
    notes = []
    assert find_bags(tmp_path, note=notes.append) == find_bags(tmp_path) == [bag]
    assert notes == [f'{tmp_path}/loop.mcap was passed over, as it cannot be read: Too many '
                     'levels of symbolic links']
    with pytest.raises(BagError, match='loop.mcap cannot be read: Too many levels'):
        find_bags(tmp_path / 'loop.mcap')


VIEW = ('CREATE VIEW messages AS WITH RECURSIVE r(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM r)'
        " SELECT id, 1 AS topic_id, 5 AS timestamp, x'00' AS data FROM r")


@pytest.mark.parametrize('statements, found, said', [
    (['DROP TABLE messages'], 0, 'is damaged (it has no table messages)'),
    (['DROP TABLE topics'], 0, 'is damaged (it has no table topics)'),
    (['DROP TABLE messages', VIEW], 0, 'is damaged (it has no table messages)'),
    (['ALTER TABLE messages RENAME COLUMN data TO x'], 0, 'is damaged (no such column: data)'),
    (['ALTER TABLE messages ADD COLUMN x', 'CREATE TABLE y (z)'], 60, None),
    (['INSERT INTO topics SELECT id + 9, name, type, serialization_format, offered_qos_profiles, '
      'type_description_hash FROM topics'], 60, None)])
def test_tables_that_are_missing_or_more(tmp_path, strings, statements, found, said):
    """A view could go on for ever, though its file is small."""
    file = strings.write('sqlite3', tmp_path / 'strings')
    with sqlite3.connect(file) as database:
        for statement in statements:
            database.execute(statement)
    database.close()
    number, losses = losses_of(file.parent)
    assert number == found
    assert said in losses[0] if said else losses == []


def record(operation, body):
    """Make a record of an mcap file."""
    return struct.pack('<BQ', operation, len(body)) + body


def text(content):
    """Make a text behind its length."""
    return struct.pack('<I', len(content)) + content.encode()


def mcap(*records, kind=STRING, definition='string data', serialization='cdr'):
    """Make a file of some records behind the description of one topic."""
    encoding = 'ros1msg' if serialization == 'ros1' else 'ros2msg'
    return b''.join([
        MAGIC, record(1, text('ros2') + text('')),
        record(SCHEMA, struct.pack('<H', 1) + text(kind) + text(encoding) + text(definition)),
        record(CHANNEL, struct.pack('<HH', 1, 1) + text('/a') + text(serialization) + bytes(4)),
        *records, END])


def message(number, data=b'\0\1\0\0\2\0\0\0x\0'):
    """Make a message."""
    time_ns = START_NS + number * 10**8
    return record(MESSAGE, struct.pack('<HIQQ', 1, 0, time_ns, time_ns) + data)


def chunk(compression, packed, size):
    """Make a chunk that says to be of a size."""
    return record(CHUNK, struct.pack('<QQQI', 0, 0, size, 0) + text(compression)
                  + struct.pack('<Q', len(packed)) + packed)


def many_zeros(compressor, *, begin=b''):
    """Return three quarters of a gigabyte of zeros in one frame."""
    zeros = bytes(GIGABYTE // 64)
    return b''.join([begin, *(compressor.compress(zeros) for _ in range(48)), compressor.flush()])


def lz4_zeros():
    """Return the same, packed by lz4."""
    compressor = lz4.frame.LZ4FrameCompressor()
    return many_zeros(compressor, begin=compressor.begin())


TEN = [message(number) for number in range(10)]


@pytest.mark.parametrize('strange', [
    pytest.param(lambda: chunk('zstd', many_zeros(zstd.ZstdCompressor()), 9), id='zstd'),
    pytest.param(lambda: chunk('zstd', zstd.compress(bytes(9)), 2**62), id='zstd size'),
    pytest.param(lambda: chunk('lz4', lz4_zeros(), 9), id='lz4'),
    pytest.param(lambda: chunk('lz4', lz4.frame.compress(bytes(9)), 2**62), id='lz4 size'),
    pytest.param(lambda: chunk('', bytes(9), 2**62), id='size')])
def test_a_chunk_that_is_not_of_its_size_costs_itself(tmp_path, strange):
    """However much it holds, or says to hold."""
    (tmp_path / 'x.mcap').write_bytes(mcap(*TEN[:5], strange(), *TEN[5:]))
    found, losses = losses_of(tmp_path / 'x.mcap')
    assert found == 10
    assert 'x.mcap is damaged in the chunk at byte ' in losses[0]
    assert 'its checksum or its size is wrong' in losses[0] or 'its size is wrong' in losses[0]


def test_operations_that_nobody_knows_are_passed_over(tmp_path):
    """As the format wants it."""
    (tmp_path / 'x.mcap').write_bytes(mcap(
        record(0x42, b'new'), *TEN[:5], record(0x80, b'private'), *TEN[5:], record(0xff, b'')))
    assert losses_of(tmp_path / 'x.mcap') == (10, [])


def test_what_follows_the_end_of_the_data_is_told(tmp_path):
    """Somebody has put two files together."""
    (tmp_path / 'x.mcap').write_bytes(2 * mcap(*TEN))
    found, losses = losses_of(tmp_path / 'x.mcap')
    assert found == 10 and 'x.mcap is damaged at byte' in losses[0]


def test_a_file_that_grows_a_thousandfold_is_unpacked_piece_by_piece(tmp_path):
    packed = zstd.compress(mcap(*TEN)) + many_zeros(zstd.ZstdCompressor())
    (tmp_path / 'x.mcap.zstd').write_bytes(packed)
    found, losses = losses_of(tmp_path / 'x.mcap.zstd')
    assert found == 10 and losses


@pytest.mark.parametrize('definition, serialization, said', [
    ('string[2000000000] x', 'cdr', 'a/msg/A holds an array of 2000000000 elements, x'),
    (f'B[2000000000] x\n{"=" * 80}\nMSG: a/B\nuint8 y', 'cdr', 'an array of 2000000000 elements'),
    (f'B[] x\n{"=" * 80}\nMSG: a/B\n', 'ros1', 'a/msg/A holds a list of messages without fields'),
    ('A x', 'cdr', 'none of the 3 messages on /a can be decoded: RecursionError'),
    ('A[] x', 'cdr', 'none of the 3 messages on /a can be decoded'),
    ('uint8[2000000000] x', 'cdr', 'none of the 3 messages on /a can be decoded'),
    ('string x[', 'cdr', 'whose definition in the bag cannot be understood')])
def test_definitions_that_would_take_for_ever_are_refused(
        tmp_path, definition, serialization, said):
    """A few bytes could keep whoever decodes them busy for hours."""
    (tmp_path / 'x.mcap').write_bytes(mcap(
        *[message(number, b'\0\1\0\0' + b'\xff' * 4) for number in range(3)], kind='a/msg/A',
        definition=definition, serialization=serialization))
    with open_bag(tmp_path / 'x.mcap') as bag, pytest.raises(BagError, match=said):
        list(bag.messages({'/a': 'a/msg/A'}))

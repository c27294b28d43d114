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

"""ROS 1 bags are read with and without their index."""

from diffusion_policy_ros.data.bags.bag_paths import find_bags
from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.errors import BagError
import pytest
from rosbags.rosbag1.reader import Header

MAGIC = b'#ROSBAG V2.0\n'


def index_start(file):
    """Return where the index of a bag begins, as its first record tells."""
    with open(file, 'rb') as stream:
        stream.seek(len(MAGIC))
        return Header.read(stream).get_uint64('index_pos')


def without_index(file):
    """Give a bag as its recorder leaves it before it is closed."""
    data = file.read_bytes()[:index_start(file)]
    at = data.index(b'index_pos=') + len('index_pos=')
    return data[:at] + bytes(8) + data[at + 8:]


@pytest.mark.parametrize('kind', ['ros1', 'ros1-lz4'])
@pytest.mark.parametrize('make', [
    without_index, lambda file: file.read_bytes()[:index_start(file)]])
def test_a_bag_without_its_index_is_read_and_told(tmp_path, strings, kind, make):
    """Killed while it was recorded, or cut just there."""
    file = strings.write(kind, tmp_path / 'bag')
    killed = tmp_path / 'strings.bag.active'
    killed.write_bytes(make(file))
    assert find_bags(tmp_path) == [file, killed]
    found, losses = strings.read(killed)
    assert found == strings.truth(60)
    assert losses[0].startswith('strings.bag.active ends without its index: ')
    assert '`rosbag reindex` makes one' in losses[0]
    assert losses[1:] == ['nothing tells how many messages the bag should hold']


def test_the_index_promises(tmp_path, strings):
    """What the index lists and no chunk holds is told."""
    file = strings.write('ros1', tmp_path / 'bag')
    data = file.read_bytes()
    count = data.rindex((1).to_bytes(4, 'little') + data[-4:]) + 4  # of the last connection
    file.write_bytes(data[:count] + bytes([data[count] + 1]) + data[count + 1:])
    with open_bag(file) as bag:
        assert sorted(promised for _, promised, _ in bag.counts().values()) == [30, 31]
        assert len(bag.losses) == 1
        assert 'its own index promises 31 messages on /b, 30 were found' in bag.losses


@pytest.mark.parametrize('kind', ['ros1', 'ros1-lz4'])
@pytest.mark.parametrize('place, value', [
    ('compression=', b'x'), ('op=', b'\x09'), ('size=', bytes(2)), ('size=', b'\xff' * 4),
    ('length', b'\xff' * 4), ('length', b'\0\0\x01')])
def test_damage_of_the_first_chunk_costs_that_chunk(tmp_path, strings, kind, place, value):
    """The index tells the topics that only this one defines, and where the next one begins."""
    file = strings.write(kind, tmp_path / 'bag')
    data, truth = bytearray(file.read_bytes()), strings.truth(60)
    chunk = 13 + 4096
    at = data.index(place.encode(), chunk) + len(place) if place != 'length' else \
        chunk + 4 + int.from_bytes(data[chunk:chunk + 4], 'little')
    data[at:at + len(value)] = value
    file.write_bytes(data)
    found, losses = strings.read(file)
    assert 0 < len(found) < 60 and found == truth[-len(found):]
    assert 'damaged' in losses[0] and f'at byte {chunk}' in losses[0]
    assert f'its own index promises 30 messages on /a, {len(found[::2])} were found' in losses


def test_what_is_no_chunk_is_not_sought(tmp_path, strings):
    """The index may be the damaged part."""
    file = strings.write('ros1', tmp_path / 'bag')
    data = file.read_bytes()
    for value in (b'\xff' * 8, bytes(8), (5000).to_bytes(8, 'little')):
        at = data.index(b'chunk_pos=') + len('chunk_pos=')
        file.write_bytes(data[:at] + value + data[at + 8:])
        assert strings.read(file) == (strings.truth(60), [])


def test_a_file_that_ends_after_its_first_line_is_told(tmp_path):
    (tmp_path / 'x.bag').write_bytes(MAGIC)
    with open_bag(tmp_path / 'x.bag') as bag:
        assert bag.counts() == {}
        assert bag.losses[0].startswith('x.bag ends without its index: ')


def test_a_damaged_first_record_costs_no_message(tmp_path, strings):
    """It tells how much there should be, and that is said to be unknown."""
    file = strings.write('ros1', tmp_path / 'bag')
    file.write_bytes(file.read_bytes().replace(b'chunk_count=', b'chunk_kount=', 1))
    found, losses = strings.read(file)
    assert found == strings.truth(60)
    assert losses[0].startswith('strings.bag is damaged in the record at byte 13 (')
    assert 'chunk_count' in losses[0]
    assert losses[1:] == ['nothing tells how many messages the bag should hold']


def test_an_encrypted_bag_is_refused(tmp_path, strings):
    """With the program that decrypts it."""
    file = strings.write('ros1', tmp_path / 'bag')
    data = file.read_bytes()
    size = int.from_bytes(data[13:17], 'little')
    field = b'encryptor=rosbag/Aes'
    field = len(field).to_bytes(4, 'little') + field
    file.write_bytes(MAGIC + (size + len(field)).to_bytes(4, 'little') + field + data[17:])
    with open_bag(file) as bag, pytest.raises(BagError, match='is encrypted, .*rosbag decrypt'):
        bag.counts()

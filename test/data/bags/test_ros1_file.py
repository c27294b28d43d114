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

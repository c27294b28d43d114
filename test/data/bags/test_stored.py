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

"""What the kinds of storage share: decompression, zeros at the end, names of types."""

from diffusion_policy_ros.data.bags.stored import (
    BLOCK, ros_type, Scratch, unpack_file, unpack_zstd, zero_from)
from diffusion_policy_ros.errors import BagError
import pytest
import zstandard

NOISE = bytes(number * number % 251 for number in range(300_000))


@pytest.fixture(scope='module')
def frame():
    """Compress by another library than the one under test."""
    return zstandard.ZstdCompressor(write_checksum=True).compress


def test_frames_after_each_other_are_unpacked(tmp_path, frame):
    """In memory and in files."""
    packed = frame(NOISE) + frame(b'end')
    assert unpack_zstd(packed) == NOISE + b'end'
    (tmp_path / 'a.zstd').write_bytes(packed)
    assert unpack_file(tmp_path / 'a.zstd', tmp_path / 'a') is None
    assert (tmp_path / 'a').read_bytes() == NOISE + b'end'


@pytest.mark.parametrize('missing', [1, 5, 100])
def test_a_cut_frame_is_told(tmp_path, frame, missing):
    """A file is unpacked as far as it is whole."""
    packed = frame(NOISE)[:-missing]
    with pytest.raises(ValueError, match='too early'):
        unpack_zstd(packed)
    (tmp_path / 'a.zstd').write_bytes(packed)
    damage = unpack_file(tmp_path / 'a.zstd', tmp_path / 'a')
    assert damage.text == 'is truncated in its zstd compression'
    assert NOISE.startswith((tmp_path / 'a').read_bytes())


def test_a_damaged_frame_is_told(tmp_path, frame):
    """By its checksum, where it has one."""
    packed = bytearray(frame(NOISE))
    packed[-2] ^= 1
    with pytest.raises(ValueError):
        unpack_zstd(bytes(packed))
    (tmp_path / 'a.zstd').write_bytes(packed)
    damage = unpack_file(tmp_path / 'a.zstd', tmp_path / 'a')
    assert damage.text.startswith('is damaged in its zstd compression (')


def test_a_file_that_cannot_be_written_is_told(tmp_path, frame):
    """With the folder that needs room."""
    (tmp_path / 'a.zstd').write_bytes(frame(b'x'))
    with pytest.raises(BagError, match='could not be decompressed .*TMPDIR'):
        unpack_file(tmp_path / 'a.zstd', tmp_path / 'nowhere' / 'a')


@pytest.mark.parametrize('data, begin', [
    (b'', 0), (b'ab', 2), (b'a\0b\0\0', 3), (bytes(5), 0), (b'x' + bytes(2 * BLOCK), 1),
    (bytes(BLOCK) + b'x' + bytes(BLOCK + 7), BLOCK + 1)])
def test_zeros_at_the_end_are_found(tmp_path, data, begin):
    """However many blocks they fill."""
    (tmp_path / 'a').write_bytes(data)
    assert zero_from(tmp_path / 'a', len(data)) == begin


@pytest.mark.parametrize('name, expected', [
    ('std_msgs/String', 'std_msgs/msg/String'), ('std_msgs/msg/String', 'std_msgs/msg/String'),
    ('a/srv/B_Event', 'a/srv/B_Event'), ('String', 'String'), ('', '')])
def test_types_are_named_as_today(name, expected):
    """ROS 1 and the first versions of ROS 2 left something out."""
    assert ros_type(name) == expected


def test_the_folder_for_copies_is_made_when_needed_and_removed():
    """A bag that needs no copy leaves no trace."""
    scratch = Scratch()
    folder = scratch.path('a').parent
    assert folder.is_dir() and scratch.path('b').parent == folder
    scratch.close()
    assert not folder.exists()
    scratch.close()

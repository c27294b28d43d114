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

"""A replay buffer gives the rows of its episodes; what it lacks is named."""

import json
import shutil

from diffusion_policy_ros.data.datasets.replay_buffer import ReplayBuffer
from diffusion_policy_ros.errors import DatasetError
import numpy as np
import pytest

zarr = pytest.importorskip('zarr')


def write(path, ends, rows=5, **options):
    """Write a buffer with one array."""
    group = zarr.open_group(str(path), mode='w', **options)
    group['data/state'] = np.arange(2.0 * rows).reshape(rows, 2)
    group['meta/episode_ends'] = np.array(ends, dtype=np.int64)
    return path


def test_episodes_are_the_stretches_between_the_ends(tmp_path):
    buffer = ReplayBuffer(write(tmp_path / 'a.zarr', [3, 5]))
    assert len(buffer) == 2
    assert [buffer.rows(k) for k in range(2)] == [slice(0, 3), slice(3, 5)]
    assert buffer.array('state', 2)[buffer.rows(1)].tolist() == [[6, 7], [8, 9]]


@pytest.mark.parametrize('episode', [-1, 2])
def test_an_episode_that_does_not_exist_is_refused(tmp_path, episode):
    buffer = ReplayBuffer(write(tmp_path / 'a.zarr', [3, 5]))
    with pytest.raises(DatasetError, match=f'has no episode {episode}; it has 0 to 1'):
        buffer.rows(episode)


def test_an_array_that_is_missing_or_of_another_size_is_refused(tmp_path):
    buffer = ReplayBuffer(write(tmp_path / 'a.zarr', [3, 5]))
    with pytest.raises(DatasetError, match='no array data/img; it has: state'):
        buffer.array('img')
    with pytest.raises(DatasetError, match=r'data/state has shape \(5, 2\), expected \(5, 3\)'):
        buffer.array('state', 3)
    with pytest.raises(DatasetError, match='has 5 rows, meta/episode_ends says 9'):
        ReplayBuffer(write(tmp_path / 'b.zarr', [3, 9])).array('state')


def test_a_damaged_file_is_an_error_that_names_the_rows(tmp_path):
    buffer = ReplayBuffer(write(tmp_path / 'a.zarr', [3, 5]))
    for chunk in (tmp_path / 'a.zarr' / 'data' / 'state').rglob('0*'):
        if chunk.is_file():
            chunk.write_bytes(bytes(range(1, 100)))
    with pytest.raises(DatasetError, match='cannot read rows 3 to 4 of data/state: .*; a file of '
                       'it is damaged'):
        buffer.read(buffer.array('state'), buffer.rows(1))


@pytest.mark.parametrize('ends, episode', [([0, 5], 0), ([3, 3, 5], 1), ([4, 2, 5], 1)])
def test_an_episode_without_rows_is_refused(tmp_path, ends, episode):
    with pytest.raises(DatasetError, match=f'episode {episode} has no rows'):
        ReplayBuffer(write(tmp_path / 'a.zarr', ends))


def test_what_is_no_buffer_is_refused(tmp_path):
    with pytest.raises(DatasetError, match='is not a Diffusion Policy replay buffer'):
        ReplayBuffer(tmp_path / 'nowhere')
    with pytest.raises(DatasetError, match='holds no episode'):
        ReplayBuffer(write(tmp_path / 'a.zarr', [], rows=1))


@pytest.mark.parametrize('is_zip', [False, True])
@pytest.mark.parametrize('zarr_format, change', [
    (2, {'compressor': {'id': 'imagecodecs_jpegxl', 'level': 99, 'distance': 0.3}}),
    (2, {'filters': [{'id': 'imagecodecs_jpegxl'}]}),
    (2, {'shape': 'all'}),
    (3, {'codecs': [{'name': 'bytes'}, {'name': 'imagecodecs_jpegxl'}]})])
def test_an_array_that_cannot_be_opened_is_named(tmp_path, is_zip, zarr_format, change):
    """As the pictures of UMI; the other arrays can be read."""
    path = write(tmp_path / 'a.zarr', [3, 5], zarr_format=zarr_format)
    zarr.open_group(str(path), mode='a')['data/camera'] = np.zeros((5, 4, 4, 3), dtype=np.uint8)
    file = path / 'data/camera' / {2: '.zarray', 3: 'zarr.json'}[zarr_format]
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    if is_zip:
        path = shutil.make_archive(path, 'zip', path)
    buffer = ReplayBuffer(path)
    assert buffer.names == ['camera', 'state'] and buffer.array('state').shape == (5, 2)
    with pytest.raises(DatasetError, match='a.zarr.*: data/camera cannot be opened: .*. If its '
                       'codec is unknown here, take the array out, or write it anew'):
        buffer.array('camera')
    with pytest.raises(DatasetError, match='no array data/img; it has: camera, state'):
        buffer.array('img')


def test_the_other_arrays_of_a_consolidated_buffer_can_be_read(tmp_path):
    path = write(tmp_path / 'a.zarr', [3, 5], zarr_format=2)
    zarr.open_group(str(path), mode='a')['data/camera'] = np.zeros((5, 4, 4, 3), dtype=np.uint8)
    zarr.consolidate_metadata(str(path))
    for name, entry in (('.zmetadata', ('metadata', 'data/camera/.zarray')),
                        ('data/camera/.zarray', ())):
        document = place = json.loads((path / name).read_text())
        for key in entry:
            place = place[key]
        place['compressor'] = {'id': 'imagecodecs_jpegxl'}
        (path / name).write_text(json.dumps(document))
    buffer = ReplayBuffer(path)
    assert buffer.names == ['camera', 'state'] and buffer.array('state').shape == (5, 2)
    with pytest.raises(DatasetError, match='data/camera cannot be opened'):
        buffer.array('camera')


def test_what_is_no_array_over_the_rows_is_named(tmp_path):
    """Groups, and single numbers."""
    path = write(tmp_path / 'a.zarr', [3, 5])
    group = zarr.open_group(str(path), mode='a')
    group['data/obs/joints'] = np.zeros((5, 2))
    group.create_array('data/mass', data=np.array(2.5))
    buffer = ReplayBuffer(path)
    assert buffer.names == ['mass', 'obs', 'state']
    with pytest.raises(DatasetError, match='data/obs is a group; .* Move its arrays there, or'):
        buffer.array('obs')
    with pytest.raises(DatasetError, match='data/mass has 0 rows, meta/episode_ends says 5'):
        buffer.array('mass')

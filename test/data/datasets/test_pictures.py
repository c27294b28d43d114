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

"""Pictures inside the rows come back bit for bit; what no reader would take is refused."""

from dataclasses import replace

from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.errors import DatasetError
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def noise(encoding, k):
    """Make a picture that no lossy codec would keep."""
    rng = np.random.default_rng(k)
    if encoding == '32FC1':
        return rng.uniform(0, 5, (12, 16, 1)).astype(np.float32)
    dtype, channels = {'rgb8': (np.uint8, 3), 'mono8': (np.uint8, 1),
                       '16UC1': (np.uint16, 1)}[encoding]
    return rng.integers(0, np.iinfo(dtype).max + 1, (12, 16, channels), dtype=dtype)


@pytest.mark.parametrize('encoding, codec', [
    ('rgb8', 'png'), ('mono8', 'png'), ('16UC1', 'h264'), ('32FC1', 'h264'), ('16UC1', 'png')])
def test_pictures_inside_the_rows_come_back_bit_for_bit(tmp_path, contract, monkeypatch, encoding,
                                                        codec, named):
    """PNG where asked for, and depth always; also when rows do not fit into memory."""
    monkeypatch.setattr('diffusion_policy_ros.data.datasets.episode_rows.SPILL_BYTES', 4000)
    camera = contract.observations[0]
    stream = replace(camera, image=replace(camera.image, encoding=encoding))
    contract = replace(contract, observations=(stream, *contract.observations[1:]))
    wanted = [noise(encoding, k) for k in range(25)]
    with LeRobotWriter(tmp_path / 'd', contract, codec=codec) as writer:
        for begin, end in ((0, 20), (20, 22), (22, 25)):
            for k in range(begin, end):
                one = named.row(k)
                one['values'][camera.key] = wanted[k]
                writer.add_row(**one)
            if begin == 20:
                writer.discard_episode()
            else:
                writer.save_episode('t')
    del wanted[20:22]
    reader = LeRobotReader(tmp_path / 'd')
    assert reader.contract == contract and not reader.video_keys
    assert reader.picture_keys == (camera.key,)
    found = list(reader.frames(camera.key))
    assert found[0].dtype == wanted[0].dtype and np.array_equal(found, wanted)
    action = reader.columns(['action'])['action']
    assert action[:, 0].tolist() == [2 * k for k in (*range(20), *range(22, 25))]
    files = {path.name for path in (tmp_path / 'd').rglob('*') if path.is_file()}
    assert 'rows.tmp' not in files and not (tmp_path / 'd/videos').exists()
    assert pq.ParquetFile(tmp_path / 'd/data/chunk-000/file-000.parquet').num_row_groups > 1
    statistics = reader.statistics()[camera.key]
    scale = 255 if wanted[0].dtype == np.uint8 else 1
    assert statistics['mean'].shape == (wanted[0].shape[2], 1, 1)
    assert np.allclose(statistics['mean'].ravel(), np.mean(wanted, (0, 1, 2)) / scale, rtol=1e-5)
    assert statistics['max'].max() == np.max(wanted) / scale
    assert statistics['count'].tolist() == [23]


def test_a_damaged_picture_inside_a_row_is_named(tmp_path, contract, named):
    """Not taken for black."""
    named.write(tmp_path / 'd', contract, [('t', range(3))], codec='png')
    path = tmp_path / 'd/data/chunk-000/file-000.parquet'
    table = pq.read_table(path)
    key = 'observation.images.camera'
    broken = pa.array([{'bytes': b'nothing', 'path': None}] * 3, table.schema.field(key).type)
    pq.write_table(table.set_column(table.schema.get_field_index(key), key, broken), path)
    with pytest.raises(DatasetError, match="a picture of 'observation.images.camera' is no pict"):
        list(LeRobotReader(tmp_path / 'd').frames(key))


def test_a_number_that_is_not_finite_is_refused(tmp_path, contract, named):
    """No reader would take it."""
    with LeRobotWriter(tmp_path / 'd', contract) as writer:
        for k in range(3):
            one = named.row(k)
            one['values']['action'] = np.float32([k, np.nan if k == 1 else 0])
            writer.add_row(**one)
        with pytest.raises(DatasetError, match="'action' holds a number that is not finite, in "
                           'row 1 of the episode'):
            writer.save_episode('t')


@pytest.mark.parametrize('wrong', [np.nan, np.inf, -np.inf])
def test_depth_that_is_not_finite_is_refused_at_its_row(tmp_path, contract, named, wrong):
    """Which leaves the rows before it, and the videos beside it, as they are."""
    depth = replace(contract.observations[0], key='observation.images.depth', topic='depth',
                    image=replace(contract.observations[0].image, encoding='32FC1'))
    contract = replace(contract, observations=(*contract.observations, depth))
    with LeRobotWriter(tmp_path / 'd', contract, codec='h264-lossless') as writer:
        for k in range(3):
            one = named.row(k)
            one['values'][depth.key] = noise('32FC1', k)
            one['ages_ns']['depth'] = 0
            writer.add_row(**one)
            one['values'][depth.key][3, 5] = wrong
            with pytest.raises(DatasetError, match="'observation.images.depth' holds a number "
                               f'that is not finite, in row {k + 1} of the episode; write 0'):
                writer.add_row(**one)
        writer.save_episode('t')
    reader = LeRobotReader(tmp_path / 'd')
    assert np.array_equal(list(reader.frames(depth.key)), [noise('32FC1', k) for k in range(3)])
    assert [p[0, 0, 0] for p in reader.frames(contract.observations[0].key)] == [0, 1, 2]


def test_a_number_whose_square_is_not_finite_is_refused(tmp_path):
    """Its deviation would be stored as infinity, which dpr check calls damage."""
    features = {'x': {'dtype': 'float64', 'shape': [2], 'names': None}}
    with LeRobotWriter(tmp_path / 'd', features=features, rate_hz=10) as writer:
        for value in (1e150, -1e150, 0.0):
            writer.add_frame({'x': np.array([0.0, value])})
        writer.save_episode('t')
        assert all(np.isfinite(value).all() for value in
                   LeRobotReader(writer.folder).statistics()['x'].values())
        for value in (1.0, -1e200):
            writer.add_frame({'x': np.array([0.0, value])})
        with pytest.raises(DatasetError, match="'x' holds a number beyond 1e.150, -1e.200, in row "
                           '1 of the episode'):
            writer.save_episode('t')

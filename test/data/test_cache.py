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

"""The cache holds the dataset's rows, and is rebuilt exactly when the dataset changed."""

from diffusion_policy_ros.data.cache import build_cache
from diffusion_policy_ros.data.conversion import convert_bags
from diffusion_policy_ros.data.lerobot_reader import LeRobotReader
from diffusion_policy_ros.errors import DatasetError
import numpy as np
import pytest


@pytest.fixture
def dataset(tmp_path, demonstration):
    """Convert two bags without loss."""
    bags = [demonstration.write_bag(tmp_path / f'bag{n}', range(10 * n, 10 * n + 10))
            for n in (0, 1)]
    convert_bags(bags, tmp_path / 'dataset', codec='h264-lossless', progress=False)
    return tmp_path / 'dataset'


def stamps(folder):
    """Return when each file of the cache was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_arrays_hold_the_rows(dataset, demonstration):
    """Pictures uint8, vectors float32, all rows, nothing else."""
    cache = build_cache(dataset, progress=False)
    assert list(cache.arrays) == ['observation.images.camera', 'observation.state',
                                  'observation.environment_state', 'action']
    assert cache.episode_ends.tolist() == [10, 20]
    pictures = cache.arrays['observation.images.camera']
    assert isinstance(pictures, np.memmap) and pictures.dtype == np.uint8
    assert np.array_equal(pictures, [demonstration.values('camera/image_raw', k)
                                     for k in range(20)])
    columns = LeRobotReader(dataset).columns(['action', 'observation.state'])
    for key, values in columns.items():
        assert np.array_equal(cache.arrays[key], values)
        assert cache.arrays[key].dtype == np.float32


def test_an_unchanged_dataset_is_not_decoded_again(dataset):
    """The second call only opens files."""
    first = build_cache(dataset, progress=False)
    before = stamps(first.folder)
    assert stamps(build_cache(dataset, progress=False).folder) == before


def test_a_changed_dataset_is_decoded_again(dataset):
    """Even when only one file got another content of the same size."""
    before = stamps(build_cache(dataset, progress=False).folder)
    path = dataset / 'meta/tasks.parquet'
    path.write_bytes(path.read_bytes())
    after = stamps(build_cache(dataset, progress=False).folder)
    assert all(after[name] > before[name] for name in before)


def test_an_interrupted_build_is_not_taken_for_a_cache(dataset, monkeypatch):
    """No half-written array is ever opened, and nothing is left behind."""
    def interrupt(self, key):
        yield np.zeros((12, 16, 3), np.uint8)
        raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr(LeRobotReader, 'frames', interrupt)
        with pytest.raises(KeyboardInterrupt):
            build_cache(dataset, progress=False)
    assert not [p for p in dataset.iterdir() if 'cache' in p.name]
    assert build_cache(dataset, progress=False).arrays['observation.images.camera'][5].any()


def test_a_cache_can_live_elsewhere(dataset, tmp_path):
    """For datasets on a read-only disk."""
    cache = build_cache(dataset, tmp_path / 'here', progress=False)
    assert cache.folder == tmp_path / 'here'
    assert not (dataset / '.cache').exists()


def test_a_folder_with_other_things_is_not_replaced(dataset, tmp_path):
    """Somebody's files are not a cache."""
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/thesis.tex').write_text('years of work')
    with pytest.raises(DatasetError, match='something else than a cache'):
        build_cache(dataset, tmp_path / 'mine', progress=False)
    assert (tmp_path / 'mine/thesis.tex').read_text() == 'years of work'

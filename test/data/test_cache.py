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

from concurrent.futures import ThreadPoolExecutor
import subprocess
import sys
import threading
import tracemalloc

from diffusion_policy_ros.data import cache as cache_module
from diffusion_policy_ros.data.cache import build_cache
from diffusion_policy_ros.data.conversion.conversion import convert_bags
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.errors import DatasetError
import numpy as np
import pytest
from tqdm import tqdm


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


def test_sentences_are_left_out(tmp_path):
    """Nobody trains on them; the numbers beside them are all there."""
    features = {'observation.state': {'dtype': 'float32', 'shape': [2], 'names': None},
                'observation.instruction': {'dtype': 'string', 'shape': [1], 'names': None},
                'observation.door_open': {'dtype': 'bool', 'shape': [1], 'names': None},
                'action': {'dtype': 'int64', 'shape': [1], 'names': None}}
    with LeRobotWriter(tmp_path / 'd', features=features, rate_hz=10) as writer:
        for k in range(3):
            writer.add_frame({'observation.state': np.float32([k, -k]), 'action': k,
                              'observation.instruction': 'left', 'observation.door_open': k > 1})
        writer.save_episode('t')
    arrays = build_cache(tmp_path / 'd', progress=False).arrays
    assert {key: array.tolist() for key, array in arrays.items()} == {
        'observation.state': [[0, 0], [1, -1], [2, -2]], 'action': [[0], [1], [2]],
        'observation.door_open': [[0], [0], [1]]}
    assert {array.dtype.name for array in arrays.values()} == {'float32'}


def test_columns_are_in_memory_one_by_one(tmp_path):
    """Their sum may be far more than this machine has."""
    features = {f'observation.x{n}': {'dtype': 'float32', 'shape': [1000], 'names': None}
                for n in range(8)}
    with LeRobotWriter(tmp_path / 'd', features=features, rate_hz=10) as writer:
        for _ in range(500):
            writer.add_frame({key: np.zeros(1000, np.float32) for key in features})
        writer.save_episode('t')
    tracemalloc.start()
    build_cache(tmp_path / 'd', progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * 4 * 1000 * 500  # one column is 2 MB, all are 16 MB


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


@pytest.mark.parametrize('key', ['action', 'observation.images.camera'])
def test_a_damaged_cache_is_built_anew_with_a_notice(dataset, key, capfd):
    """Whatever part of a file is lost."""
    path = build_cache(dataset, progress=False).folder / f'{key}.npy'
    whole = path.read_bytes()
    for damaged in (b'', whole[:9], whole[:-1], b'X' + whole[1:],
                    whole.replace(b"'shape", b"'shap("), whole.replace(b'(20, ', b'(10, ')):
        path.write_bytes(damaged)
        assert len(build_cache(dataset, progress=False).arrays[key]) == 20
        assert path.read_bytes() == whole
        assert f'the cache file {path} is damaged' in capfd.readouterr().err
    path.unlink()
    assert len(build_cache(dataset, progress=False).arrays[key]) == 20
    assert 'FileNotFoundError' in capfd.readouterr().err
    build_cache(dataset, progress=False)
    assert capfd.readouterr() == ('', '')


def test_a_damaged_mark_is_no_mark(dataset):
    """The cache is built anew."""
    folder = build_cache(dataset, progress=False).folder
    for mark in ('', '[]', '{}', 'null', '{"fingerprint": 7}', '\x00'):
        (folder / 'cache.json').write_text(mark)
        before = stamps(folder)
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
    assert not [p for p in dataset.glob('.cache*') if p.name != '.cache.lock']
    assert build_cache(dataset, progress=False).arrays['observation.images.camera'][5].any()


def test_what_a_killed_build_left_is_removed(dataset, tmp_path):
    """And nothing that only looks alike."""
    names = ('here.building-1', 'here.building-99999999', 'where.building-1', 'here.lock2')
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / 'action.npy').touch()
    build_cache(dataset, tmp_path / 'here', progress=False)
    assert [(tmp_path / name).exists() for name in names] == [False, False, True, True]


def test_of_two_builders_one_decodes_and_the_other_waits(dataset, monkeypatch):
    """Also while the first has not finished."""
    entered, waiting, leave = threading.Event(), threading.Event(), threading.Event()
    decoded, decode = [], cache_module._decode

    def slow(*args):
        decoded.append(args)
        entered.set()
        assert leave.wait(60)
        decode(*args)

    monkeypatch.setattr(cache_module, '_decode', slow)
    monkeypatch.setattr(tqdm, 'write', lambda *args, **options: waiting.set())
    with ThreadPoolExecutor(2) as pool:
        try:
            first = pool.submit(build_cache, dataset, progress=False)
            assert entered.wait(60)
            second = pool.submit(build_cache, dataset, progress=False)
            assert waiting.wait(60)
            assert not second.done()
        finally:
            leave.set()
        caches = first.result(60), second.result(60)
    assert len(decoded) == 1
    for key, values in caches[0].arrays.items():
        assert np.array_equal(values, caches[1].arrays[key])


def test_builders_in_several_processes_all_get_the_cache(dataset):
    """Each in a process of its own, at once."""
    code = ('import sys; from diffusion_policy_ros.data.cache import build_cache; '
            'print(build_cache(sys.argv[1], progress=False).arrays["action"].sum())')
    processes = [subprocess.Popen([sys.executable, '-c', code, str(dataset)], text=True,
                                  stdout=subprocess.PIPE) for _ in range(2)]
    assert len({process.communicate(timeout=120)[0] for process in processes}) == 1
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(p.name for p in dataset.glob('.cache*')) == ['.cache', '.cache.lock']


def test_a_whole_cache_opens_where_no_lock_can_be_made(dataset):
    """As on a disk that cannot be written to."""
    build_cache(dataset, progress=False)
    (dataset / '.cache.lock').unlink(missing_ok=True)
    (dataset / '.cache.lock').mkdir()
    assert len(build_cache(dataset, progress=False).arrays['action']) == 20


def test_a_full_disk_is_named_with_the_option_that_helps(dataset, full_disk):
    """Nothing half-written stays."""
    with full_disk(5000), pytest.raises(DatasetError, match=r'cannot write the cache .*--cache'):
        build_cache(dataset, progress=False)
    assert [p.name for p in dataset.glob('.cache*')] == ['.cache.lock']


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


def test_a_file_in_the_place_of_the_cache_is_named(dataset, tmp_path):
    """And nothing is put beside it."""
    (tmp_path / 'file').write_text('mine')
    with pytest.raises(DatasetError, match='the cache .*file is a file; name a folder: dpr train'):
        build_cache(dataset, tmp_path / 'file', progress=False)
    assert sorted(path.name for path in tmp_path.glob('file*')) == ['file']
    assert (tmp_path / 'file').read_text() == 'mine'


@pytest.mark.parametrize('name', ['file/cache', 'x' * 300])
def test_a_place_that_no_disk_can_have_is_named(dataset, tmp_path, name):
    """In the words for a disk that cannot be written to."""
    (tmp_path / 'file').touch()
    with pytest.raises(DatasetError, match='cannot write the cache .*name a folder on another'):
        build_cache(dataset, tmp_path / name, progress=False)

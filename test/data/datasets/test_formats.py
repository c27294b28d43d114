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

"""What one format holds, the others hold too: copied there and back, nothing is changed."""

import json
import tracemalloc

from diffusion_policy_ros.data.datasets.formats import (
    create_dataset, detect_format, FORMATS, lerobot_features, open_dataset)
from diffusion_policy_ros.data.datasets.frames import copy_dataset
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.errors import DatasetError
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

h5py = pytest.importorskip('h5py')
zarr = pytest.importorskip('zarr')
CAMERA = 'observation.images.camera'
START_NS = 1_700_000_000_000_000_000
TOPICS = ('camera/image_raw', 'joint_states', 'block_pose', 'joint_commands')
NAMES = {'lerobot': 'd', 'zarr': 'd.zarr', 'hdf5': 'd.hdf5'}


def write_lerobot(folder, contract, lengths=(5, 1, 70), codec='h264-lossless'):
    """Write episodes of noise."""
    rng = np.random.default_rng(0)
    with LeRobotWriter(folder, contract, codec=codec) as writer:
        for episode, length in enumerate(lengths):
            for k in range(length):
                values = {CAMERA: rng.integers(0, 256, (12, 16, 3), dtype=np.uint8),
                          'observation.state': rng.normal(size=2).astype(np.float32),
                          'observation.environment_state': rng.normal(size=9).astype(np.float32),
                          'action': rng.normal(size=2).astype(np.float32)}
                writer.add_row(values, tick_ns=START_NS + k, ages_ns=dict.fromkeys(TOPICS, k))
            writer.save_episode(f'task {episode % 2}')
    return folder


def copied(source, path, format, **options):
    """Copy a dataset into another format and return its path."""
    if not hasattr(source, 'read_episodes'):
        source = open_dataset(source)
    copy_dataset(source, create_dataset(path, format, like=source, **options))
    return path


def content(path, **options):
    """Return everything that a dataset holds."""
    source = open_dataset(path, **options)
    episodes = [(task, [dict(row) for row in rows]) for task, rows in source.read_episodes()]
    return source, episodes


def assert_equal(found, wanted):
    """Compare two datasets: features, rate, contract, tasks and every value bit for bit."""
    (mine, episodes), (theirs, expected) = found, wanted
    assert list(mine.row_features) == list(theirs.row_features)
    for key, feature in theirs.row_features.items():
        assert {name: mine.row_features[key][name] for name in ('dtype', 'shape', 'names')} \
            == {name: feature[name] for name in ('dtype', 'shape', 'names')}
    assert mine.rate_hz == theirs.rate_hz and mine.contract == theirs.contract
    assert mine.robot_type == theirs.robot_type
    assert [task for task, _ in episodes] == [task for task, _ in expected]
    for (_, rows), (_, others) in zip(episodes, expected):
        assert len(rows) == len(others)
        for row, other in zip(rows, others):
            for key, value in other.items():
                one = np.reshape(row[key], np.shape(value))
                assert one.dtype == np.asarray(value).dtype, key
                assert one.tobytes() == np.asarray(value).tobytes(), key


@pytest.mark.parametrize('codec', ['h264-lossless', 'png'])
@pytest.mark.parametrize('name', ['d.zarr', 'd.zarr.zip', 'd.hdf5'])
def test_lerobot_is_the_same_after_another_format(tmp_path, contract, name, codec):
    source = write_lerobot(tmp_path / 'source', contract, codec=codec)
    other = copied(source, tmp_path / name, 'hdf5' if 'hdf5' in name else 'zarr')
    assert_equal(content(other), content(source))
    back = copied(other, tmp_path / 'back', 'lerobot', codec=codec)
    assert_equal(content(back), content(source))
    assert LeRobotReader(back).contract == contract
    for key, found in LeRobotReader(source).statistics().items():
        for entry, value in found.items():
            assert np.array_equal(LeRobotReader(back).statistics()[key][entry], value)


@pytest.mark.parametrize('unit', ['mm', 'm'])
def test_depth_is_the_same_after_every_format(tmp_path, unit):
    feature = {'dtype': 'image', 'shape': [6, 8, 1], 'names': ['height', 'width', 'channels'],
               'info': {'is_depth_map': True, 'depth_unit': unit}}
    rng = np.random.default_rng(1)
    with LeRobotWriter(tmp_path / 'source', features={'depth': feature}, rate_hz=5) as writer:
        for _ in range(4):
            depth = rng.integers(0, 65536, (6, 8, 1)).astype(np.uint16)
            writer.add_frame({'depth': depth if unit == 'mm' else np.float32(depth / 7)})
        writer.save_episode('t')
    place = tmp_path / 'source'
    for format in ('zarr', 'hdf5', 'lerobot'):
        place = copied(place, tmp_path / f'{format}.x', format)
        assert_equal(content(place), content(tmp_path / 'source'))


def test_names_in_files_suit_torch_modules(tmp_path, contract):
    """Diffusion Policy and robomimic name modules after them, which takes no dots."""
    source = write_lerobot(tmp_path / 'source', contract, (3,))
    buffer = zarr.open(str(copied(source, tmp_path / 'd.zarr', 'zarr')), mode='r')
    assert sorted(buffer['data']) == ['action', 'age_ns', 'environment_state', 'images_camera',
                                      'state', 'tick_ns']
    assert buffer['data/images_camera'].dtype == np.uint8
    assert buffer['meta/episode_ends'][:].tolist() == [3]
    with h5py.File(copied(source, tmp_path / 'd.hdf5', 'hdf5')) as file:
        demo = file['data/demo_0']
        assert sorted(demo) == ['actions', 'age_ns', 'obs', 'tick_ns']
        assert sorted(demo['obs']) == ['environment_state', 'images_camera', 'state']
        assert demo.attrs['num_samples'] == file['data'].attrs['total'] == 3
        assert demo.attrs['ep_meta'] == '{"lang": "task 0"}'
        assert '"control_freq": 10' in file['data'].attrs['env_args']


def write_buffer(path, arrays, ends):
    """Write a replay buffer as Diffusion Policy does."""
    group = zarr.open_group(str(path), mode='w', zarr_format=2)
    for name, values in arrays.items():
        group[f'data/{name}'] = values
    group['meta/episode_ends'] = np.array(ends, dtype=np.int64)
    return path


def assert_same_buffer(path, other):
    """Compare two replay buffers."""
    mine, theirs = (zarr.open_group(zarr.storage.ZipStore(str(p), mode='r') if p.is_file()
                                    else str(p), mode='r') for p in (path, other))
    assert dict(mine.attrs) == dict(theirs.attrs) == {}
    assert sorted(mine['data']) == sorted(theirs['data'])
    assert list(mine['meta']) == ['episode_ends']
    for name in [*(f'data/{name}' for name in theirs['data']), 'meta/episode_ends']:
        assert (mine[name].dtype, mine[name].shape) == (theirs[name].dtype, theirs[name].shape)
        assert mine[name].metadata.zarr_format == 2
        step = 512
        for first in range(0, mine[name].shape[0], step):
            rows = slice(first, first + step)
            assert mine[name][rows].tobytes() == theirs[name][rows].tobytes(), name


@pytest.mark.slow
def test_pusht_out_equals_pusht_in(tmp_path, shared_data):
    """All 25,650 rows of all five arrays."""
    source = shared_data / 'pusht/pusht_cchi_v7_replay.zarr'
    assert_same_buffer(copied(source, tmp_path / 'out.zarr', 'zarr'), source)


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_buffer_is_the_same_after_zarr_and_hdf5(tmp_path_factory, data):
    """Any kinds of numbers, NaN included, in any shapes; chunks of any number of rows."""
    folder = tmp_path_factory.mktemp('buffers')
    ends = np.cumsum(data.draw(st.lists(st.integers(1, 70), min_size=1, max_size=5)))
    arrays = {}
    for name in data.draw(st.sets(st.sampled_from(['action', 'img', 'state', 'x_1']), min_size=1)):
        kind = data.draw(st.sampled_from(['f4', 'f8', 'u1', 'i8', 'i4', 'u2', 'b1']))
        shape = data.draw(st.sampled_from([(), (1,), (3,), (2, 3), (4, 5, 3), (2, 1, 2, 2)]))
        seed = data.draw(st.integers(0, 99))
        values = np.random.default_rng(seed).normal(scale=100, size=(ends[-1], *shape))
        if kind[0] == 'f' and seed % 3 == 0:
            values.ravel()[::7] = np.nan
        with np.errstate(invalid='ignore'):
            arrays[name] = values.astype(kind)
    source = write_buffer(folder / 'source.zarr', arrays, ends)
    with pytest.MonkeyPatch.context() as patch:
        for module in ('zarr_writer', 'hdf5_writer'):
            patch.setattr(f'diffusion_policy_ros.data.datasets.{module}.CHUNK_BYTES',
                          data.draw(st.integers(1, 3000)))
        assert_same_buffer(copied(source, folder / 'a.zarr.zip', 'zarr'), source)
        copied(source, folder / 'b.hdf5', 'hdf5')
        assert_same_buffer(copied(folder / 'b.hdf5', folder / 'c.zarr', 'zarr'), source)


def test_float_pictures_become_video_only_when_every_pixel_is_whole(tmp_path):
    images = np.random.default_rng(3).integers(0, 256, (6, 8, 10, 3)).astype(np.float32)
    source = open_dataset(write_buffer(tmp_path / 's.zarr', {'img': images}, [4, 6]), rate_hz=10,
                          task='t')
    reader = LeRobotReader(copied(source, tmp_path / 'whole', 'lerobot', codec='h264-lossless'))
    assert reader.video_keys == ('img',) and np.array_equal(list(reader.frames('img')), images)
    images[5, 3, 2, 1] += 0.5
    source = open_dataset(write_buffer(tmp_path / 't.zarr', {'img': images}, [4, 6]), rate_hz=10,
                          task='t')
    with pytest.raises(DatasetError, match=r"'img' holds pixels that uint8 cannot, such as "
                       r'\d+\.5; turn them into uint8 in the file'):
        copied(source, tmp_path / 'broken', 'lerobot')
    assert not (tmp_path / 'broken').exists()


def test_formats_are_told_apart(tmp_path, contract):
    source = write_lerobot(tmp_path / 'd', contract, (2,))
    for format in FORMATS:
        path = copied(source, tmp_path / f'x{NAMES[format]}', format)
        assert detect_format(path) == format
    assert detect_format(copied(source, tmp_path / 'z.zarr.zip', 'zarr')) == 'zarr'
    (tmp_path / 'bag').mkdir()
    (tmp_path / 'text.txt').write_text('text')
    neither = 'is no dataset: it is neither a LeRobot'
    for name, said in (('bag', neither), ('text.txt', neither), ('nowhere', 'does not exist')):
        assert detect_format(tmp_path / name) is None
        with pytest.raises(DatasetError, match=f'{name} {said}'):
            open_dataset(tmp_path / name)


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError('Permission denied')
    (tmp_path / 'd.hdf5').write_bytes(b'')
    monkeypatch.setattr('builtins.open', refuse)
    with pytest.raises(DatasetError, match='cannot read .*d.hdf5: Permission denied'):
        open_dataset(tmp_path / 'd.hdf5')


@pytest.mark.parametrize('act, said', [
    (lambda d, new: copied(d / 's.zarr', new, 'lerobot'), 's.zarr does not say how many rows per'),
    (lambda d, new: copied(d / 's.zarr', new, 'csv'), "format is 'csv'; choose one of: lerobot"),
    (lambda d, new: copied(d / 's.zarr', d / 's.zarr/new', 'zarr'), 'lies inside'),
    (lambda d, new: copied(d / 's.zarr', d / 's.zarr', 'zarr'), 'exists already|lies inside'),
    (lambda d, new: copied(open_dataset(d / 's.zarr', rate_hz=12.5), new, 'lerobot'),
     'rate_hz is 12.5'),
    (lambda d, new: open_dataset(d / 'd', rate_hz=3), 'has 10 rows per second, and not 3'),
    *((lambda d, new, rate_hz=rate_hz, name=name: open_dataset(d / name, rate_hz=rate_hz),
       'rate is .*; it is above 0 and at most 1000 Hz')
      for rate_hz in (-5, 0, float('nan'), float('inf'), 1001) for name in ('d', 's.zarr')),
    (lambda d, new: open_dataset(d / 'd', task='t'), 'has task sentences of its own; leave --ta'),
    *((lambda d, new, to=to: copied(
        open_dataset(d / 's.zarr', rate_hz=10, task='t\udcff'), new, to), 'a task is .*no text in')
      for to in ('lerobot', 'zarr', 'hdf5')),
])
def test_what_cannot_be_copied_is_refused_and_leaves_nothing(tmp_path, contract, act, said):
    write_buffer(tmp_path / 's.zarr', {'state': np.zeros((4, 2))}, [4])
    write_lerobot(tmp_path / 'd', contract, (2,))
    with pytest.raises(DatasetError, match=said):
        act(tmp_path, tmp_path / 'new')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['d', 's.zarr']


@pytest.mark.parametrize('name', ['s.zarr', 's.hdf5'])
def test_an_array_of_rows_without_numbers_is_refused(tmp_path, name):
    """Nothing has statistics of no numbers, nor a place for them."""
    if name == 's.zarr':
        write_buffer(tmp_path / name, {'state': np.zeros((4, 2)), 'touch': np.zeros((4, 0))}, [4])
    else:
        with h5py.File(tmp_path / name, 'w') as file:
            file['data/demo_0/actions'] = np.zeros((4, 2))
            file['data/demo_0/touch'] = np.zeros((4, 0))
    with pytest.raises(DatasetError, match=rf"{name}: array 'touch' has rows of shape \[0\], "
                       'without a number in them; remove it'):
        open_dataset(tmp_path / name, rate_hz=10, task='t')


def test_a_hdf5_file_is_not_made_of_another(tmp_path, contract):
    """Its attributes and masks would be lost; whoever copies the file keeps them."""
    source = copied(write_lerobot(tmp_path / 'd', contract, (2,)), tmp_path / 's.hdf5', 'hdf5')
    with pytest.raises(DatasetError, match='s.hdf5 is a HDF5 file already; copy the file'):
        copied(source, tmp_path / 'new', 'hdf5')
    assert not list(tmp_path.glob('new*'))


DAMAGED_FEATURES = [
    ['state', {'shape': [2]}], ['state', {'dtype': 'float64'}],
    ['state', {'dtype': 'float64', 'shape': 2}], ['state', {'dtype': 'much', 'shape': [2]}],
    ['state', {'dtype': 'image', 'shape': [2]}], [3, {'dtype': 'float64', 'shape': [2]}]]


@pytest.mark.parametrize('note', [
    'no json', '[1]', '{"rate_hz": "x"}', '{"features": {"a": 1}}', '{"contract": "robot: 3"}',
    '{"rate_hz": -1}', *(json.dumps({'features': {'state': f}}) for f in DAMAGED_FEATURES)])
def test_a_damaged_note_is_named(tmp_path, note):
    path = write_buffer(tmp_path / 's.zarr', {'state': np.zeros((4, 2))}, [4])
    zarr.open_group(str(path), mode='a').attrs['diffusion_policy_ros'] = note
    with pytest.raises(DatasetError, match="s.zarr: the attribute 'diffusion_policy_ros' is dam"):
        open_dataset(path)


@pytest.mark.parametrize('format', ['zarr', 'hdf5'])
def test_an_unfinished_file_is_removed(tmp_path, contract, format, full_disk):
    """It could not be read; the source is still there."""
    source = open_dataset(write_lerobot(tmp_path / 'd', contract))
    with pytest.raises(KeyboardInterrupt):
        with create_dataset(tmp_path / 'new', format, like=source) as writer:
            row = next(next(source.read_episodes())[1])
            writer.add_frame(row)
            raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ['d']
    with full_disk(6000), pytest.raises(
            DatasetError, match='cannot write .*new.*Make room') as caught:
        copied(source, tmp_path / 'new', format)
    assert 'whole' not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ['d']


def test_lerobot_keys_and_shapes_have_limits():
    feature = {'dtype': 'float32', 'shape': [2] * 6, 'names': None}
    with pytest.raises(DatasetError, match='LeRobot allows five dimensions'):
        lerobot_features({'x': feature}, 'h264')
    with pytest.raises(DatasetError, match='no "/" in a name'):
        lerobot_features({'a/b': feature}, 'h264')


def test_copying_takes_no_more_memory_for_longer_episodes(tmp_path):
    """Counted in rows that are alive at once, whatever reads and writes them."""
    peaks = []
    for rows in (400, 1600):
        path = tmp_path / f'{rows}.zarr'
        images = np.random.default_rng(0).integers(0, 256, (rows, 64, 64, 3), dtype=np.uint8)
        group = zarr.open_group(str(path), mode='w', zarr_format=2)
        array = group.create_array('data/img', shape=images.shape, dtype=np.uint8,
                                   chunks=(50, 64, 64, 3))
        array[:] = images
        group['meta/episode_ends'] = np.array([rows], dtype=np.int64)
        del images
        source = open_dataset(path, rate_hz=10, task='t')
        tracemalloc.start()
        copied(source, tmp_path / f'{rows}.hdf5', 'hdf5')
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Far less than a quarter of the pictures that the longer one has more.
    assert peaks[1] - peaks[0] < (1600 - 400) * 64 * 64 * 3 / 4 and peaks[0] < 40e6

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

"""Files of robomimic are read and written as they are; damaged ones are named."""

import json

from diffusion_policy_ros.data.datasets.formats import create_dataset, open_dataset
from diffusion_policy_ros.data.datasets.frames import copy_dataset
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.errors import DatasetError
import numpy as np
import pytest

h5py = pytest.importorskip('h5py')


def copied(source, path, format, **options):
    """Copy a dataset into another format and return its path."""
    if not hasattr(source, 'read_episodes'):
        source = open_dataset(source)
    copy_dataset(source, create_dataset(path, format, like=source, **options))
    return path


def write_robomimic(path, lengths=(3, 70, 2)):
    """Write a file as robomimic does, with a demonstration missing and masks."""
    rng = np.random.default_rng(2)
    with h5py.File(path, 'w') as file:
        data = file.create_group('data')
        data.attrs['env_args'] = json.dumps(
            {'env_name': 'Lift', 'type': 1, 'env_kwargs': {'control_freq': 20}})
        data.attrs['total'] = sum(lengths)
        for number, length in zip((0, 2, 10), lengths):
            demo = data.create_group(f'demo_{number}')
            demo.attrs['num_samples'] = length
            demo.attrs['model_file'] = f'<mujoco>{number}</mujoco>'
            demo['actions'] = rng.normal(size=(length, 7))
            demo['dones'] = np.zeros(length, dtype=np.int64)
            demo['states'] = rng.normal(size=(length, 32))
            for part in ('obs', 'next_obs'):
                demo[f'{part}/agentview_image'] = rng.integers(
                    0, 256, (length, 8, 8, 3), dtype=np.uint8)
                demo[f'{part}/robot0_eef_pos'] = rng.normal(size=(length, 3))
        file['mask/train'] = np.array([b'demo_0', b'demo_10'])
    return path


def test_robomimic_becomes_lerobot(tmp_path):
    """With its rate; the order of episodes is that of their numbers."""
    source = write_robomimic(tmp_path / 'source.hdf5')
    out = copied(open_dataset(source, task='Lift it.'), tmp_path / 'd', 'lerobot',
                 codec='h264-lossless')
    reader = LeRobotReader(out)
    assert reader.rate_hz == 20 and [e.length for e in reader.episodes] == [3, 70, 2]
    assert {e.tasks for e in reader.episodes} == {('Lift it.',)}
    assert reader.video_keys == ('next.observation.agentview_image',
                                 'observation.agentview_image')
    with h5py.File(source) as file:
        demos = [file[f'data/demo_{n}'] for n in (0, 2, 10)]
        actions = np.concatenate([demo['actions'] for demo in demos])
        pictures = np.concatenate([demo['obs/agentview_image'] for demo in demos])
    assert np.array_equal(reader.columns(['action'])['action'], actions)
    assert np.array_equal(list(reader.frames('observation.agentview_image')), pictures)


def remove(path, name):
    """Take something out of a HDF5 file."""
    with h5py.File(path, 'a') as file:
        del file[name]


def replace_array(path, name, values):
    """Replace an array of a HDF5 file."""
    with h5py.File(path, 'a') as file:
        del file[name]
        file[name] = values


@pytest.mark.parametrize('damage, said', [
    (lambda p: remove(p, 'data'), 'is damaged, or no robomimic file'),
    (lambda p: remove(p, 'data/demo_2/obs/robot0_eef_pos'), 'demo_2 holds other arrays than dem'),
    (lambda p: replace_array(p, 'data/demo_0/actions', np.zeros((4, 7))),
     r'demo_0/actions has shape \(4, 7\), num_samples is 3'),
    (lambda p: replace_array(p, 'data/demo_0/actions', np.array([b'a', b'b', b'c'])),
     "array 'actions' holds .* instead of numbers"),
    (lambda p: p.write_bytes(p.read_bytes()[:3000]), 'cannot read|is damaged'),
    (lambda p: p.write_bytes(b'\x89HDF\r\n\x1a\n'), 'cannot read|is damaged'),
])
def test_a_damaged_robomimic_file_is_named(tmp_path, damage, said):
    path = write_robomimic(tmp_path / 'source.hdf5')
    damage(path)
    with pytest.raises(DatasetError, match=f'source.hdf5.*({said})|({said}).*source.hdf5'):
        copied(path, tmp_path / 'new.zarr', 'zarr')
    assert [path.name for path in tmp_path.iterdir()] == ['source.hdf5']


def test_columns_that_are_links_are_columns(tmp_path):
    """Each under its own name, wherever it leads, and whole groups of them too."""
    elsewhere = np.random.default_rng(3).normal(size=(3, 4))
    with h5py.File(tmp_path / 'more.hdf5', 'w') as file:
        file['touch/left'] = elsewhere
    path = write_robomimic(tmp_path / 'source.hdf5', (3,))
    with h5py.File(path, 'a') as file:
        demo = file['data/demo_0']
        demo['obs/a_hard'] = demo['obs/robot0_eef_pos']
        demo['obs/soft'] = h5py.SoftLink('/data/demo_0/states')
        demo['obs/external'] = h5py.ExternalLink('more.hdf5', '/touch/left')
        demo['obs/touch'] = h5py.ExternalLink('more.hdf5', '/touch')
        wanted = {'observation.robot0_eef_pos': demo['obs/robot0_eef_pos'][:],
                  'observation.a_hard': demo['obs/robot0_eef_pos'][:],
                  'observation.soft': demo['states'][:], 'states': demo['states'][:],
                  'observation.external': elsewhere, 'observation.touch.left': elsewhere}
    source = open_dataset(path)
    assert len(source.row_features) == 7 + 4
    (_, rows), = source.read_episodes()
    rows = list(rows)
    for key, values in wanted.items():
        assert np.array_equal([row[key] for row in rows], values), key


def link(path, name, target):
    """Put a link into a HDF5 file."""
    with h5py.File(path, 'a') as file:
        file[name] = target


@pytest.mark.parametrize('name, target, said', [
    ('demo_0/obs/y', h5py.SoftLink('/nowhere'),
     'the link demo_0/obs/y leads to /nowhere, which cannot be opened .* Restore that, or remove'),
    ('demo_2/obs/y', h5py.SoftLink('/nowhere'), 'the link demo_2/obs/y leads to /nowhere, which'),
    ('demo_0/obs/y', h5py.ExternalLink('gone.hdf5', '/x'),
     'the link demo_0/obs/y leads to /x in gone.hdf5, which cannot be opened'),
    ('demo_3', h5py.SoftLink('/nowhere'), 'the link demo_3 leads to /nowhere, which cannot'),
    ('demo_3/actions', h5py.SoftLink('/nowhere'), 'the link demo_3/actions leads to /nowhere'),
    ('demo_0/obs/y', np.dtype('f4'), 'demo_0/obs/y has shape None, num_samples is'),
    ('demo_0/obs/y', h5py.Empty('f4'), 'demo_0/obs/y has shape None, num_samples is'),
    *(('demo_0/obs/y', h5py.SoftLink(target), 'the link demo_0/obs/y leads back to a group that')
      for target in ('.', '/', '/data', '/data/demo_0', '/data/demo_0/obs'))])
def test_a_link_that_leads_nowhere_or_in_a_ring_is_named(tmp_path, name, target, said):
    path = write_robomimic(tmp_path / 'source.hdf5')
    link(path, f'data/{name}', target)
    with pytest.raises(DatasetError, match=f'source.hdf5: {said}'):
        copied(path, tmp_path / 'new.zarr', 'zarr')
    assert [path.name for path in tmp_path.iterdir()] == ['source.hdf5']


@pytest.mark.parametrize('value', [
    '{"env_name": "x", "env_kwargs": null}', '{"env_kwargs": [20]}', '[1]', 'not json', '',
    '{"env_kwargs": {"control_freq": "fast"}}', h5py.Empty('S1'), 7, np.arange(3),
    b'\xff', '[' * 60_000])
def test_what_nobody_can_make_out_beside_the_arrays_is_unknown(tmp_path, value):
    """Neither the rate nor the task is needed to read the rows."""
    path = write_robomimic(tmp_path / 'source.hdf5', (3, 70))
    with h5py.File(path, 'a') as file:
        file['data'].attrs.create('env_args', value)
        file['data/demo_2'].attrs.create('ep_meta', value)
    source = open_dataset(path)
    assert source.rate_hz is None
    assert [(task, len(list(rows))) for task, rows in source.read_episodes()] \
        == [('', 3), ('', 70)]


@pytest.mark.parametrize('value', [np.array([3]), np.array([[3]]), 3.0, np.uint8(3)])
def test_the_number_of_rows_may_be_an_array_of_one(tmp_path, value):
    path = write_robomimic(tmp_path / 'source.hdf5', (3, 2))
    with h5py.File(path, 'a') as file:
        file['data/demo_0'].attrs['num_samples'] = value
    assert open_dataset(path).episode_ends.tolist() == [3, 5]

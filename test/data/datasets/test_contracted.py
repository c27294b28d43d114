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

"""Datasets of others get a contract only where it fits them."""

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.datasets.contracted import ContractedSource
from diffusion_policy_ros.data.datasets.formats import create_dataset, open_dataset
from diffusion_policy_ros.data.datasets.frames import copy_dataset
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.observation.pixels import resize
import numpy as np
import pytest

zarr = pytest.importorskip('zarr')
CONTRACT = """
robot: theirs
rate_hz: 10
observations:
  - key: observation.images.camera
    topic: camera
    type: sensor_msgs/msg/Image
    image: {height: 12, width: 16, encoding: rgb8, resize: exact}
    max_age_ms: 100
  - key: observation.state
    topic: joints
    type: sensor_msgs/msg/JointState
    joints: [pan, lift]
    max_age_ms: 100
actions:
  - {topic: commands, type: std_msgs/msg/Float64MultiArray, names: [pan, lift], stamp: receive}
"""
RENAMES = {'img': 'observation.images.camera', 'state': 'observation.state'}


def contract(*changes):
    """Return the contract, with texts in it replaced."""
    text = CONTRACT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse_contract(text)


def arrays():
    """Return what the buffer holds: pictures as Diffusion Policy keeps them, in floats."""
    rng = np.random.default_rng(0)
    return {'img': rng.integers(0, 256, (7, 12, 16, 3)).astype(np.float32),
            'state': rng.normal(size=(7, 2)), 'extra': np.zeros((7, 3, 3), np.float32),
            'action': rng.normal(size=(7, 2)).astype(np.float32)}


@pytest.fixture
def buffer(tmp_path):
    """Open a buffer of somebody else: two episodes, no names, no rate."""
    group = zarr.open_group(str(tmp_path / 'theirs.zarr'), mode='w')
    for name, values in arrays().items():
        group[f'data/{name}'] = values
    group['meta/episode_ends'] = np.array([3, 7])
    return open_dataset(tmp_path / 'theirs.zarr', rate_hz=10, task='Go.')


def named(folder, names):
    """Write a LeRobotDataset of somebody else whose entries have names; return it opened."""
    vector = {'dtype': 'float32', 'shape': [2], 'names': {'motors': names}}
    features = {'observation.state': vector, 'action': vector}
    with LeRobotWriter(folder, features=features, rate_hz=10) as writer:
        for k in range(4):
            writer.add_frame({key: np.float32([k, 2 * k]) for key in features})
        writer.save_episode('t')
    return LeRobotReader(folder)


def without_camera():
    """Return the contract without its camera."""
    begin, end = (CONTRACT.index(f'  - key: observation.{name}') for name in ('images', 'state'))
    return contract((CONTRACT[begin:end], ''))


def test_what_fits_becomes_a_dataset_with_the_contract_inside(buffer, tmp_path):
    """Its numbers are the same ones, under the contract's keys and names; the rest is left out."""
    source = ContractedSource(buffer, contract(), renames=RENAMES)
    assert source.left_out == ('extra',)
    assert source.by_order == ('observation.state', 'action')
    copy_dataset(source, create_dataset(tmp_path / 'ours', 'lerobot', like=source, codec='png'))
    ours, theirs = LeRobotReader(tmp_path / 'ours'), arrays()
    assert ours.contract == contract() and ours.robot_type == 'theirs'
    assert [(e.length, e.tasks) for e in ours.episodes] == [(3, ('Go.',)), (4, ('Go.',))]
    assert ours.features['action']['names'] == ['pan', 'lift']
    found = ours.columns(['observation.state', 'action'])
    assert np.array_equal(found['observation.state'], theirs['state'].astype(np.float32))
    assert np.array_equal(found['action'], theirs['action'])
    assert np.array_equal(list(ours.frames('observation.images.camera')), theirs['img'])


def test_pictures_of_another_size_become_what_the_live_node_would_see(buffer):
    small = contract(('height: 12, width: 16', 'height: 6, width: 10'), ('exact', 'crop'))
    source = ContractedSource(buffer, small, renames=RENAMES)
    rows = [row for _, rows in source.read_episodes() for row in rows]
    spec = small.observations[0].image
    for row, picture in zip(rows, arrays()['img'].astype(np.uint8)):
        assert np.array_equal(row['observation.images.camera'], resize(picture, spec, 'x'))


def test_hdf5_files_are_read_as_buffers_are(buffer, tmp_path):
    pytest.importorskip('h5py')
    copy_dataset(buffer, create_dataset(tmp_path / 'theirs.hdf5', 'hdf5', like=buffer))
    source = ContractedSource(open_dataset(tmp_path / 'theirs.hdf5'), contract(), renames=RENAMES)
    actions = [row['action'] for _, rows in source.read_episodes() for row in rows]
    assert np.array_equal(actions, arrays()['action'])


@pytest.mark.parametrize('change, said', [
    (('rate_hz: 10', 'rate_hz: 20'), 'rate_hz: the dataset has 10, the contract 20'),
    (('width: 16', 'width: 8'), 'img is 16 x 12 pixels, the contract wants 8 x 12'),
    (('encoding: rgb8', 'encoding: 16UC1'), 'rgb8 cannot become the 16UC1'),
    (('joints: [pan, lift]', 'joints: [pan]'),
     r'observation.state: the dataset has shape \[2\], the contract \[1\]'),
    (('key: observation.state', 'key: observation.environment_state'),
     'environment_state is in the contract only')])
def test_a_contract_that_does_not_fit_is_refused(buffer, change, said):
    """Before anything is written; the columns that there are and the remedy are named."""
    renames = {name: key for name, key in RENAMES.items() if 'environment' not in change[1]
               or name == 'img'}
    with pytest.raises(DatasetError, match=f'{said}.*has: action .*state .*--rename'):
        ContractedSource(buffer, contract(change), renames=renames)


@pytest.mark.parametrize('renames, said', [
    ({'image': 'observation.state'}, 'no such column; did you mean "img"'),
    ({'img': 'observation.images.camra'}, 'no such key; did you mean "observation.images.camera"'),
    ({'img': 'observation.state', 'state': 'observation.state'}, 'img and state would both be')])
def test_renames_that_lead_nowhere_are_refused(buffer, renames, said):
    with pytest.raises(DatasetError, match=said):
        ContractedSource(buffer, contract(), renames=renames)


def test_other_names_are_taken_by_their_order_only_where_that_is_asked(tmp_path):
    source = named(tmp_path / 'd', ['motor_0', 'motor_1'])
    with pytest.raises(DatasetError, match='names motor_0, motor_1, the contract pan, lift.*--by'):
        ContractedSource(source, without_camera())
    taken = ContractedSource(source, without_camera(), is_by_order=True)
    assert taken.by_order == ('observation.state', 'action')
    alike = ContractedSource(named(tmp_path / 'e', ['pan', 'lift']), without_camera())
    assert alike.by_order == ()


@pytest.mark.parametrize('is_by_order', [False, True])
def test_the_same_names_in_another_order_are_never_taken(tmp_path, is_by_order):
    """They say that the order is another one: joints would be exchanged."""
    with pytest.raises(DatasetError, match='the dataset names lift, pan, the contract pan, lift'):
        ContractedSource(named(tmp_path / 'd', ['lift', 'pan']), without_camera(),
                         is_by_order=is_by_order)


def test_a_dataset_with_a_contract_keeps_its_own(buffer, tmp_path):
    source = ContractedSource(buffer, contract(), renames=RENAMES)
    copy_dataset(source, create_dataset(tmp_path / 'ours', 'lerobot', like=source))
    with pytest.raises(DatasetError, match='holds a contract already'):
        ContractedSource(LeRobotReader(tmp_path / 'ours'), contract())


def test_a_rate_that_nobody_knows_is_asked_for(buffer):
    buffer.rate_hz = None
    with pytest.raises(DatasetError, match='give it with --rate HZ'):
        ContractedSource(buffer, contract(), renames=RENAMES)

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

"""A replay buffer becomes bags whose rows are the buffer's, exactly."""

from dataclasses import replace
from pathlib import Path

from diffusion_policy_ros.contract import load_contract, parse_contract
from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.data.conversion.conversion import convert_bags
from diffusion_policy_ros.data.conversion.episodes import episode_rows
from diffusion_policy_ros.data.conversion.zarr_source import (
    load_mapping, START_NS, StreamMapping, ZarrMapping, ZarrSource)
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.recorded import recorded_topics
from diffusion_policy_ros.errors import DatasetError
import numpy as np
import pytest

zarr = pytest.importorskip('zarr')
CONFIG = Path(__file__).parents[3] / 'config'
PUSHT = 'pusht/pusht_cchi_v7_replay.zarr'


@pytest.fixture
def mapping():
    """Give the mapping that the package ships."""
    return load_mapping(CONFIG / 'import/pusht_zarr.yaml')


@pytest.fixture
def pusht():
    """Give the contract that the package ships."""
    return load_contract(CONFIG / 'robots/pusht.yaml')


@pytest.fixture
def buffer(tmp_path):
    """Write a tiny buffer of Push-T's layout: two episodes of 9 and 12 rows."""
    rng = np.random.default_rng(0)
    group = zarr.open_group(str(tmp_path / 'tiny.zarr'), mode='w')
    arrays = {'img': rng.integers(0, 256, (21, 96, 96, 3)).astype(np.float32),
              'state': rng.uniform(0, 6, (21, 5)).astype(np.float32),
              'action': rng.integers(0, 512, (21, 2)).astype(np.float32)}
    for name, values in arrays.items():
        group[f'data/{name}'] = values
    group['meta/episode_ends'] = np.array([9, 21])
    return tmp_path / 'tiny.zarr', arrays


def test_rows_of_the_bags_are_the_buffers(buffer, mapping, pusht, tmp_path):
    """Pixels in metres, angles as rotations, pictures byte for byte, ticks exact."""
    path, arrays = buffer
    source = ZarrSource(path, mapping, pusht)
    assert len(source) == 2
    assert source.write_bag(1, tmp_path / 'bag') == 12 * 4
    with open_bag(tmp_path / 'bag') as bag:
        rows = list(episode_rows(bag.messages(recorded_topics(pusht)), pusht))
        assert bag.contract == pusht
        assert bag.custom_data['episode'] == '1' and bag.custom_data['task'] == mapping.task
    assert [row.tick_ns for row in rows] == [START_NS + k * 10**8 for k in range(12)]
    for row, k in zip(rows, range(9, 21)):
        state = arrays['state'][k].astype(np.float64)
        assert np.array_equal(row.values['observation.images.camera'],
                              arrays['img'][k].astype(np.uint8))
        assert np.array_equal(row.values['observation.state'],
                              (state[:2] * 0.001).astype(np.float32))
        assert np.array_equal(row.values['action'],
                              (arrays['action'][k].astype(np.float64) * 0.001).astype(np.float32))
        c, s = np.cos(state[4]), np.sin(state[4])
        assert np.allclose(row.values['observation.environment_state'],
                           [state[2] * 0.001, state[3] * 0.001, 0, c, s, 0, -s, c, 0], atol=1e-6)


def test_real_demonstrations_through_bags_into_a_dataset(shared_data, mapping, pusht, tmp_path):
    """The whole line on the shortest human episode."""
    source = ZarrSource(shared_data / PUSHT, mapping, pusht)
    lengths = np.diff(source.buffer.episode_ends, prepend=0)
    assert len(source) == 206 and source.buffer.episode_ends[-1] == 25650
    episode = int(lengths.argmin())
    first, end = int(source.buffer.episode_ends[episode] - lengths[episode]), int(
        source.buffer.episode_ends[episode])
    source.write_bag(episode, tmp_path / 'bag')
    summary = convert_bags([tmp_path / 'bag'], tmp_path / 'dataset', codec='h264-lossless',
                           progress=False)
    assert (summary.episodes, summary.rows, summary.splits) == (1, 49, 0)
    reader = LeRobotReader(tmp_path / 'dataset')
    rows = reader.columns(['observation.state', 'action', 'age_ns'])
    buffer = zarr.open(str(shared_data / PUSHT), mode='r')
    for key, array in (('observation.state', 'state'), ('action', 'action')):
        metres = buffer[f'data/{array}'][first:end][:, :2].astype(np.float64) * 0.001
        assert np.array_equal(rows[key], metres.astype(np.float32))
    assert not rows['age_ns'].any()
    assert np.array_equal(list(reader.frames('observation.images.camera')),
                          buffer['data/img'][first:end].astype(np.uint8))


TWICE = """
robot: arm
rate_hz: 10
observations:
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [a, b], max_age_ms: 150}
  - {key: observation.speed, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [b, a], field: velocity, max_age_ms: 150}
  - {key: observation.images.depth, topic: depth, type: sensor_msgs/msg/Image, max_age_ms: 150,
     image: {height: 4, width: 6, encoding: 16UC1}}
  - {key: observation.told, topic: commands, type: sensor_msgs/msg/JointState, joints: [a],
     max_age_ms: 150}
actions:
  - {topic: commands, type: sensor_msgs/msg/JointState, joints: [a, b]}
"""


@pytest.fixture
def twice(tmp_path):
    """Write a buffer, with its mapping, for a contract that reads topics twice."""
    rng = np.random.default_rng(1)
    arrays = {'qpos': rng.normal(size=(12, 2)), 'qvel': rng.normal(size=(12, 2)),
              'depth': rng.integers(0, 65536, (12, 4, 6, 1)).astype(np.uint16),
              'action': np.stack([np.full(12, 0.5), rng.normal(size=12)], 1)}
    group = zarr.open_group(str(tmp_path / 'arm.zarr'), mode='w')
    for name, values in arrays.items():
        group[f'data/{name}'] = values
    group['meta/episode_ends'] = np.array([12])
    streams = (StreamMapping('commands', 'action', (0,)), StreamMapping('joint_states', 'qpos'),
               StreamMapping('joint_states', 'qvel', (1, 0), 2.0), StreamMapping('depth', 'depth'),
               StreamMapping('commands', 'action'))
    return tmp_path / 'arm.zarr', arrays, ZarrMapping('Wave.', streams)


def test_a_topic_that_is_read_twice_shows_both(twice, tmp_path):
    """One message with positions and velocities, each where the contract looks for it."""
    path, arrays, mapping = twice
    contract = parse_contract(TWICE)
    assert ZarrSource(path, mapping, contract).write_bag(0, tmp_path / 'bag') == 12 * 3
    with open_bag(tmp_path / 'bag') as bag:
        rows = list(episode_rows(bag.messages(recorded_topics(contract)), contract))
    assert len(rows) == 12
    for key, values in {
            'observation.state': arrays['qpos'], 'observation.speed': 2 * arrays['qvel'][:, ::-1],
            'observation.images.depth': arrays['depth'], 'action': arrays['action'],
            'observation.told': arrays['action'][:, :1]}.items():
        stored = np.stack([row.values[key] for row in rows])
        assert np.array_equal(stored, values if 'depth' in key else values.astype(np.float32))


def test_two_arrays_that_contradict_each_other_on_one_topic_are_refused(twice, tmp_path):
    path, _, mapping = twice
    wrong = (replace(mapping.streams[0], array='qpos'), *mapping.streams[1:])
    with pytest.raises(DatasetError, match='topic commands: .* shows a as .*, another one as'):
        ZarrSource(path, replace(mapping, streams=wrong), parse_contract(TWICE)).write_bags(
            tmp_path / 'bags')
    assert not list(tmp_path.glob('bags*'))


def test_it_is_told_how_many_bags_are_written(
        buffer, mapping, pusht, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('diffusion_policy_ros.data.progress.LINE_EVERY_S', 0)
    ZarrSource(buffer[0], mapping, pusht).write_bags(tmp_path / 'bags')
    said = capsys.readouterr().err
    assert said.startswith('writing bags: 50 % after') and 'writing bags: 100 %' in said


def test_each_reader_of_a_topic_needs_its_own_columns(twice):
    path, _, mapping = twice
    with pytest.raises(DatasetError, match="names topic 'joint_states' once, the contract twice; "
                       'each entry of the contract needs its own'):
        ZarrSource(path, replace(mapping, streams=(*mapping.streams[:2], *mapping.streams[3:])),
                   parse_contract(TWICE))


def test_pictures_that_are_not_bytes_are_refused(buffer, mapping, pusht):
    """Rounding would lose something in silence."""
    path, _ = buffer
    zarr.open(str(path), mode='r+')['data/img'][3] = 0.5
    with pytest.raises(DatasetError, match='data/img holds values that are not whole numbers'):
        list(ZarrSource(path, mapping, pusht).messages(0))


def test_what_does_not_fit_is_refused(buffer, mapping, pusht, tmp_path):
    """Missing arrays, topics on one side only, folders that are no buffer."""
    path, _ = buffer
    camera = mapping.streams[0]
    for streams, match in [
            ((replace(camera, array='rgb'), *mapping.streams[1:]), 'no array data/rgb.*it has'),
            (mapping.streams[1:], "no entry for topic 'camera/image_raw'"),
            ((*mapping.streams, replace(camera, topic='depth')), "names topic 'depth'"),
            ((*mapping.streams, camera), "names topic 'camera/image_raw' twice, the contract once")
    ]:
        with pytest.raises(DatasetError, match=match):
            ZarrSource(path, replace(mapping, streams=streams), pusht)
    with pytest.raises(DatasetError, match='is not a Diffusion Policy replay buffer'):
        ZarrSource(tmp_path / 'nothing.zarr', mapping, pusht)


@pytest.mark.filterwarnings('ignore:The data type')  # zarr's own opinion about texts
@pytest.mark.parametrize('number, change, said', [
    (1, {'columns': (0, 9)}, "'joint_states' of the mapping: column 9 is none of data/state, "
     'which has columns 0 to 4'),
    (1, {'columns': (0, -1)}, 'column -1 is none of'),
    (1, {'columns': ('x', 1)}, "column 'x' is none of"),
    (2, {'yaw_column': 5}, 'column 5 is none of'),
    (1, {'array': 'flat'}, r'data/flat holds float32 of shape \[21\]; vectors are'),
    (0, {'array': 'state'}, r'data/state holds float32 of shape \[21, 5\]; pictures are'),
    (0, {'array': 'grey'}, r'of shape \[21, 4, 4, 1\]; pictures are \[rows, height, width, 3\]'),
    (3, {'array': 'words'}, 'data/words holds .* instead of numbers'),
    (3, {'scale': 'x'}, "scale is 'x' instead of a number"),
    (3, {'scale': float('nan')}, 'scale is nan instead of a number'),
    (1, {'columns': (0, 1, 2)}, "'joint_states' of the mapping: got 3 columns, wanted 2: finger"),
    (1, {'columns': (0,)}, 'got 1 columns, wanted 2: finger_x, finger_y'),
    (1, {'yaw_column': 4}, 'cannot make sensor_msgs/msg/JointState of 2 columns and a yaw'),
    (2, {'columns': (2,)}, 'of 1 columns and a yaw_column; a planar pose is'),
])
def test_a_mapping_that_does_not_fit_the_arrays_is_refused_before_a_bag(
        buffer, mapping, pusht, number, change, said):
    path, _ = buffer
    group = zarr.open(str(path), mode='r+')
    group['data/flat'] = np.zeros(21, np.float32)
    group['data/grey'] = np.zeros((21, 4, 4, 1), np.uint8)
    group['data/words'] = np.full((21, 2), 'a')
    streams = [replace(entry, **(change if place == number else {}))
               for place, entry in enumerate(mapping.streams)]
    with pytest.raises(DatasetError, match=said):
        ZarrSource(path, replace(mapping, streams=tuple(streams)), pusht)


@pytest.mark.parametrize('text, match', [
    ('task: t', "'streams'"),
    ('task: 5\nstreams: []', 'task is 5 instead of a text'),
    ('task: t\nstreams: [{topic: [a], array: b}]', 'topic is .* instead of a text'),
    ('task: t\nstreams: [{topic: a, array: b, columns: 3}]', 'not iterable'),
    ('task: t\nstreams: [{topic: a, array: b, colums: [1]}]', "unknown key 'colums'"),
    ('task: t\nstreams: [{topic: a}]', 'array'),
    ('[1', 'mapping'),
])
def test_a_wrong_mapping_is_refused(tmp_path, text, match):
    """With the file and an example."""
    (tmp_path / 'm.yaml').write_text(text)
    with pytest.raises(DatasetError, match=match) as caught:
        load_mapping(tmp_path / 'm.yaml')
    assert 'm.yaml' in str(caught.value) and 'pusht_zarr.yaml' in str(caught.value)

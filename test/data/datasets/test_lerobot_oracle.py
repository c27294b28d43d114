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

"""
LeRobot reads every dataset that is written or edited here, and finds the same numbers.

LeRobot needs a newer Python and many packages, so it runs in an interpreter of its own: name it in
the environment variable DPR_LEROBOT_PYTHON (lerobot 0.6 with its extra "dataset").
"""

from dataclasses import replace
import json
import os
from pathlib import Path
import subprocess

from diffusion_policy_ros.data.datasets.edit import (
    append_datasets, delete_episodes, merge_datasets, split_dataset)
from diffusion_policy_ros.data.datasets.formats import create_dataset, open_dataset
from diffusion_policy_ros.data.datasets.frames import copy_dataset
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
import numpy as np
import pytest

PYTHON = os.environ.get('DPR_LEROBOT_PYTHON')
pytestmark = [
    pytest.mark.skipif(not PYTHON, reason='DPR_LEROBOT_PYTHON names no Python with lerobot 0.6'),
    pytest.mark.timeout(1500)]  # each question starts LeRobot, which takes its time
CAMERA = 'observation.images.camera'
SHAPE = (48, 64)
LENGTHS = (7, 1, 12)
# The largest and the mean error per pixel, of 255, that a moving pattern may have.
LIMITS = {'h264': (18, 2.0), 'h264-lossless': (0, 0), 'av1': (40, 6.0), 'png': (0, 0)}


def picture(k, encoding='rgb8'):
    """Make a smooth pattern that moves."""
    rows, columns = np.mgrid[:SHAPE[0], :SHAPE[1]]
    channel = [128 + 100 * np.sin((rows * a + columns * b) / 16 + c + k / 5)
               for a, b, c in ((1, 2, 0), (2, 1, 1), (1, -1, 2))]
    pattern = np.stack(channel, -1)
    return {'rgb8': pattern, 'mono8': pattern[..., :1], '16UC1': 250 * pattern[..., :1],
            '32FC1': pattern[..., :1] / 50}[encoding].astype(
                {'16UC1': np.uint16, '32FC1': np.float32}.get(encoding, np.uint8))


def row(k, encoding):
    """Make the values of a row."""
    rng = np.random.default_rng(k)
    return {CAMERA: picture(k, encoding),
            'observation.state': rng.normal(size=2).astype(np.float32),
            'observation.environment_state': rng.normal(size=9).astype(np.float32),
            'action': rng.normal(size=2).astype(np.float32)}


def with_camera(contract, encoding):
    """Return the contract with another camera."""
    camera = contract.observations[0]
    image = replace(camera.image, height=SHAPE[0], width=SHAPE[1], encoding=encoding)
    return replace(contract, observations=(replace(camera, image=image),
                                           *contract.observations[1:]))


def write(folder, contract, lengths=LENGTHS, encoding='rgb8', codec='h264', first=0):
    """Write episodes and return the number of the row after the last."""
    topics = ('camera/image_raw', 'joint_states', 'block_pose', 'joint_commands')
    with LeRobotWriter(folder, with_camera(contract, encoding), codec=codec) as writer:
        for episode, length in enumerate(lengths):
            for k in range(first, first + length):
                writer.add_row(row(k, encoding), tick_ns=1_700_000_000_000_000_000 + k,
                               ages_ns=dict.fromkeys(topics, k))
            writer.save_episode(f'task {episode % 2}')
            first += length
    return first


def ask_lerobot(folder, expected):
    """Let LeRobot compare a dataset with what is expected of it."""
    path = folder.with_name(f'{folder.name}.npz')
    np.savez(path, **expected)
    done = subprocess.run(
        [PYTHON, str(Path(__file__).with_name('lerobot_oracle.py')), str(folder), str(path)],
        capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL,
        env={**os.environ, 'HF_HOME': str(folder.parent / 'hf'), 'PYTHONPATH': ''})
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def assert_read(folder, rows, encoding='rgb8', codec='h264', factor=1):
    """Compare all rows; numbers bit for bit, pictures within their codec."""
    values = [row(k, encoding) for k in rows]
    expected = {key: np.stack([value[key] for value in values]) for key in values[0]}
    expected[CAMERA] = expected[CAMERA] * np.float32(factor) if factor != 1 else expected[CAMERA]
    expected['tick_ns'] = 1_700_000_000_000_000_000 + np.array(rows)
    found = ask_lerobot(folder, expected)
    print(folder.name, encoding, codec, found['rows'], found['keys'][CAMERA])
    assert found['rows'] == len(rows)
    for key in set(expected) - {CAMERA}:
        assert found['keys'][key]['largest'] == 0, key
    largest, mean = LIMITS[codec]
    assert found['keys'][CAMERA]['largest'] <= largest + 1e-4
    assert found['keys'][CAMERA]['mean'] <= mean + 1e-4
    assert {CAMERA, 'action', 'index'} <= set(found['statistics'])
    return found


@pytest.mark.parametrize('encoding, codec', [*(('rgb8', codec) for codec in LIMITS),
                                             ('mono8', 'png')])
def test_lerobot_reads_what_is_written(tmp_path, contract, encoding, codec):
    """A video always has three channels there, so a grey one cannot be compared."""
    rows = range(write(tmp_path / 'd', contract, encoding=encoding, codec=codec))
    found = assert_read(tmp_path / 'd', rows, encoding, codec)
    assert found['episodes'] == 3
    assert found['tasks'] == ['task 0'] * 7 + ['task 1'] + ['task 0'] * 12


@pytest.mark.parametrize('encoding, factor', [('16UC1', 1), ('32FC1', 1000)])
def test_lerobot_reads_depth_in_mm(tmp_path, contract, encoding, factor):
    """Bit for bit; it turns metres into mm in float32."""
    rows = range(write(tmp_path / 'd', contract, encoding=encoding))
    assert_read(tmp_path / 'd', rows, encoding, 'png', factor)


@pytest.mark.parametrize('codec', ['h264-lossless', 'png'])
def test_lerobot_reads_edited_datasets(tmp_path, contract, codec):
    middle = write(tmp_path / 'a', contract, codec=codec)
    end = write(tmp_path / 'b', contract, (5, 6), codec=codec, first=middle)
    merge_datasets([tmp_path / 'a', tmp_path / 'b'], tmp_path / 'merged')
    assert_read(tmp_path / 'merged', range(end), codec=codec)
    delete_episodes(tmp_path / 'merged', [0, 3], tmp_path / 'deleted')
    kept = [*range(7, 20), *range(25, 31)]
    found = assert_read(tmp_path / 'deleted', kept, codec=codec)
    assert found['tasks'] == ['task 1'] + ['task 0'] * 12 + ['task 1'] * 6
    split_dataset(tmp_path / 'merged', {'x': [1], 'y': [4, 2]}, tmp_path / 'parts')
    assert_read(tmp_path / 'parts/x', [7], codec=codec)
    assert_read(tmp_path / 'parts/y', [*range(25, 31), *range(8, 20)], codec=codec)
    append_datasets(tmp_path / 'deleted', [tmp_path / 'parts/x'])
    assert_read(tmp_path / 'deleted', [*kept, 7], codec=codec)


def test_lerobot_reads_a_dataset_of_its_own_after_episodes_are_deleted(tmp_path, shared_data):
    """A video that several episodes share, with only some of them left."""
    source = shared_data / 'lerobot/so101_v3/lerobot_dataset_example'
    new = delete_episodes(source, [0, 1, 2, 3], tmp_path / 'd')
    expected = {key: new.columns([key])[key] for key in ('observation.state', 'action')}
    old = open_dataset(source)
    old.episodes = old.episodes[4:]
    key = 'observation.images.wrist'
    expected[key] = np.stack(list(old.frames(key)))
    found = ask_lerobot(tmp_path / 'd', expected)
    print(found['rows'], found['keys'])
    assert found['rows'] == 252 and found['episodes'] == 2
    assert found['keys'][key]['mean'] < 1.5  # two converters of YUV to RGB
    assert found['keys']['action']['largest'] == 0


@pytest.mark.parametrize('codec', ['h264-lossless', 'png'])
def test_lerobot_reads_a_replay_buffer_with_its_arrays(tmp_path, shared_data, codec):
    """Arrays of two dimensions, single numbers and float pictures of Push-T's first rows."""
    zarr = pytest.importorskip('zarr')
    buffer = zarr.open(str(shared_data / 'pusht/pusht_cchi_v7_replay.zarr'), mode='r')
    small = zarr.open_group(str(tmp_path / 'small.zarr'), mode='w')
    for key in buffer['data']:
        small[f'data/{key}'] = buffer[f'data/{key}'][:50]
    small['meta/episode_ends'] = np.array([30, 50])
    source = open_dataset(tmp_path / 'small.zarr', rate_hz=10, task='Push the T.')
    copy_dataset(source, create_dataset(tmp_path / 'd', 'lerobot', like=source, codec=codec))
    found = ask_lerobot(tmp_path / 'd', {key: small[f'data/{key}'][:] for key in small['data']})
    print(codec, found['keys'])
    assert found['rows'] == 50 and set(found['tasks']) == {'Push the T.'}
    assert all(entry['largest'] < 1e-4 for entry in found['keys'].values())
    assert found['keys']['keypoint']['largest'] == found['keys']['action']['largest'] == 0

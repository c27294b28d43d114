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

"""The human Push-T demonstrations, written as bags by rosbags alone, come back bit for bit."""

from pathlib import Path

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.conversion.conversion import convert_bags
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

BUFFER = Path(__file__).resolve().parents[4] / 'shared/data/pusht/pusht_cchi_v7_replay.zarr'
START_NS = 1_650_000_000_123_456_789
CONTRACT = """
robot: pusht
rate_hz: 10
settle_ms: 0
observations:
  - {key: observation.images.top, topic: top/image_raw, type: sensor_msgs/msg/Image,
     image: {height: 96, width: 96}, max_age_ms: 50}
  - {key: observation.state, topic: agent, type: sensor_msgs/msg/JointState, joints: [x, y],
     unit: px, max_age_ms: 50}
  - {key: observation.block, topic: block, type: std_msgs/msg/Float32MultiArray, stamp: receive,
     names: [block_x, block_y, angle], max_age_ms: 50}
  - {key: observation.keypoint, topic: keypoint, type: std_msgs/msg/Float64MultiArray,
     stamp: receive, names: [KEYPOINTS], max_age_ms: 50}
actions:
  - {topic: target, type: sensor_msgs/msg/JointState, joints: [x, y], unit: px, max_age_ms: 50}
""".replace('KEYPOINTS', ', '.join(f'k{n}' for n in range(18)))


@pytest.fixture
def buffer():
    """Open the buffer with zarr itself."""
    if not BUFFER.is_dir():
        pytest.skip(f'{BUFFER} is not there')
    return pytest.importorskip('zarr').open_group(str(BUFFER), mode='r')


def messages_of(data, row, at_ns, types):
    """Build the messages of one row of a demonstration."""
    time = types['builtin_interfaces/msg/Time'](*divmod(at_ns, 10**9))
    header = types['std_msgs/msg/Header'](time, '')
    state, picture = data['state'][row], data['img'][row]
    none, layout = np.zeros(0), types['std_msgs/msg/MultiArrayLayout']([], 0)
    joints = types['sensor_msgs/msg/JointState']
    return {
        'top/image_raw': types['sensor_msgs/msg/Image'](
            header, 96, 96, 'rgb8', 0, 288, picture.astype(np.uint8).ravel()),
        'agent': joints(header, ['x', 'y'], state[:2].astype(np.float64), none, none),
        'block': types['std_msgs/msg/Float32MultiArray'](layout, state[2:]),
        'keypoint': types['std_msgs/msg/Float64MultiArray'](
            layout, data['keypoint'][row].astype(np.float64).ravel()),
        'target': joints(header, ['x', 'y'], data['action'][row].astype(np.float64),
                         none, none)}


def write(folder, buffer, rows, contract, store):
    """Write one demonstration with rosbags' writer."""
    kinds = {e.topic: e.type for e in contract.observations + contract.actions}
    data = {name: buffer[f'data/{name}'][rows.start:rows.stop]
            for name in ('state', 'action', 'keypoint', 'img')}
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        made = {topic: writer.add_connection(f'/{topic}', kind, typestore=store)
                for topic, kind in kinds.items()}
        for number in range(len(rows)):
            at_ns = START_NS + number * 10**8
            for topic, message in messages_of(data, number, at_ns, store.types).items():
                writer.write(made[topic], at_ns, store.serialize_cdr(message, kinds[topic]))


@pytest.mark.parametrize('numbers', [
    (0, 41, 205), pytest.param(tuple(range(206)), marks=[
        pytest.mark.slow, pytest.mark.timeout(1800)])], ids=['some', 'all'])
def test_the_demonstrations_come_back_bit_for_bit(tmp_path, buffer, numbers):
    """State, action, keypoints, angle, and every pixel of every picture."""
    contract, store = parse_contract(CONTRACT), get_typestore(Stores.LATEST)
    ends = [0, *buffer['meta/episode_ends'][:].tolist()]
    bags, rows = [], []
    for number in numbers:
        bags.append(tmp_path / f'bags/{number:03d}')
        rows.append(range(ends[number], ends[number + 1]))
        write(bags[-1], buffer, rows[-1], contract, store)
    summary = convert_bags(bags, tmp_path / 'dataset', contract=contract, task='Push.',
                           codec='h264-lossless', jobs=2, progress=False)
    assert (summary.episodes, summary.skipped, summary.notes) == (len(numbers), 0, [])
    reader = LeRobotReader(tmp_path / 'dataset')
    assert [e.length for e in reader.episodes] == [len(part) for part in rows]
    wanted = np.concatenate(rows)
    found = reader.columns(['observation.state', 'observation.block', 'observation.keypoint',
                            'action', 'tick_ns'])
    state = buffer['data/state'][:][wanted]
    assert found['observation.state'].tobytes() == state[:, :2].tobytes()
    assert found['observation.block'].tobytes() == state[:, 2:].tobytes()
    assert found['action'].tobytes() == buffer['data/action'][:][wanted].tobytes()
    assert found['observation.keypoint'].tobytes() \
        == buffer['data/keypoint'][:][wanted].astype(np.float32).tobytes()
    assert found['tick_ns'].ravel().tolist() == [
        START_NS + k * 10**8 for part in rows for k in range(len(part))]
    pictures = reader.frames('observation.images.top')
    for part in rows:
        for picture in buffer['data/img'][part.start:part.stop]:
            assert np.array_equal(next(pictures), picture)

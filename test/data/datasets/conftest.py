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

"""What the tests of datasets share: rows that name themselves, and datasets of them."""

from types import SimpleNamespace

from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
import numpy as np
import pyarrow.parquet as pq
import pytest

START_NS = 1_700_000_000_000_000_000
TOPICS = ('camera/image_raw', 'joint_states', 'block_pose', 'joint_commands')


def row(k):
    """Make a row that names k."""
    values = {'observation.images.camera': np.full((12, 16, 3), k % 251, dtype=np.uint8),
              'observation.state': np.float32([k, -k]),
              'observation.environment_state': np.arange(9, dtype=np.float32) + k,
              'action': np.float32([2 * k, k / 3])}
    return {'values': values, 'tick_ns': START_NS + k * 10**8,
            'ages_ns': {topic: 1000 * k + i for i, topic in enumerate(TOPICS)}}


def write(folder, contract, episodes, codec='h264-lossless'):
    """Write episodes, each a task and the numbers of its rows, in one go."""
    with LeRobotWriter(folder, contract, codec=codec) as writer:
        for task, rows in episodes:
            for k in rows:
                writer.add_row(**row(k))
            writer.save_episode(task)
    return folder


def episodes_of(folder):
    """Read a dataset back as episodes, each a task and the numbers of its rows."""
    found = []
    for task, rows in LeRobotReader(folder).read_episodes():
        rows = list(rows)
        for one in rows:
            k = int(one['observation.state'][0])
            wanted = row(k)
            assert all(np.array_equal(one[key], value) for key, value in wanted['values'].items())
            assert one['tick_ns'] == wanted['tick_ns']
        found.append((task, [int(one['observation.state'][0]) for one in rows]))
    return found


def files_of(folder):
    """List the files of a dataset."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file())


def assert_same(found, wanted):
    """Compare two datasets file by file: tables by content, the rest byte for byte."""
    assert files_of(found) == files_of(wanted)
    for name in files_of(found):
        mine, theirs = found / name, wanted / name
        if name.endswith('.parquet'):
            mine, theirs = pq.ParquetFile(mine), pq.ParquetFile(theirs)
            assert mine.schema_arrow.equals(theirs.schema_arrow, check_metadata=True), name
            assert mine.read().to_pylist() == theirs.read().to_pylist(), name
        else:
            assert mine.read_bytes() == theirs.read_bytes(), name


@pytest.fixture(scope='session')
def named():
    """Give these functions."""
    return SimpleNamespace(row=row, write=write, episodes_of=episodes_of, files_of=files_of,
                           assert_same=assert_same)

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

"""Statistics that others computed in float32 lack digits; wrong ones are told from them."""

from diffusion_policy_ros.data.datasets.edit import delete_episodes
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.data.datasets.statistics import moments
from diffusion_policy_ros.data.datasets.stored_statistics import differences
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def in_float32(values):
    """Compute mean and deviation as LeRobot does."""
    mean = np.mean(values, axis=0)
    square = np.mean(values ** 2, axis=0)
    return {'mean': mean, 'std': np.sqrt(np.maximum(0, square - mean ** 2))}


@pytest.mark.parametrize('rows', [386, 3000, 30_000])
def test_what_float32_loses_grows_with_the_rows_and_is_no_error(rows):
    rest = np.array([0.8679, -2.31, 1.2345e3])
    for moved in (0.0, 0.01 * np.sin(np.arange(rows) / 50)[:, None]):
        values = (rest + np.zeros((rows, 3)) + moved).astype(np.float32)
        counted = moments(values)
        stored = {**counted, **in_float32(values)}
        wrong, coarse = differences(stored, counted, 'abc')
        assert not wrong and coarse
        for name in ('mean', 'std'):
            broken = {**stored, name: stored[name] + 0.2 * np.abs(rest)}
            assert len(differences(broken, counted, 'abc')[0]) == 3, name


def test_however_many_rows_there_are_a_mean_is_not_off_by_much():
    counted = {**moments(np.ones((2, 1))), 'count': np.array([10**9])}
    wrong, coarse = differences({**counted, 'mean': [1.02], 'std': [0.2]}, counted, 'a')
    assert len(wrong) == 2 and not coarse


def test_a_dataset_with_such_statistics_can_be_edited(tmp_path):
    """A gripper that rests."""
    feature = {'dtype': 'float32', 'shape': [1], 'names': ['gripper']}
    values = np.full((1500, 1), 0.8679, np.float32)
    with LeRobotWriter(tmp_path / 'd', features={'state': feature}, rate_hz=10) as writer:
        for _ in range(2):
            for value in values:
                writer.add_frame({'state': value})
            writer.save_episode('t')
    path = tmp_path / 'd/meta/episodes/chunk-000/file-001.parquet'
    table = pq.ParquetFile(path).read()
    for name, value in in_float32(values).items():
        place = table.schema.get_field_index(f'stats/state/{name}')
        table = table.set_column(place, table.schema.field(place), pa.array([value.tolist()]))
    pq.write_table(table, path)
    assert delete_episodes(tmp_path / 'd', [0], tmp_path / 'out').row_count == 1500

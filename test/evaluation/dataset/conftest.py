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

"""A dataset without a fault, and what breaks it in one thing."""

import json
from pathlib import Path
import shutil
from types import SimpleNamespace

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.data.datasets.video import VideoWriter
from diffusion_policy_ros.evaluation.dataset.audit import audit_dataset
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

CONTRACT = """
robot: small
rate_hz: 10
observations:
  - {key: observation.images.camera, topic: camera/image_raw, type: sensor_msgs/msg/Image,
     image: {height: 48, width: 64}, max_age_ms: 150}
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [elbow, wrist], max_age_ms: 150}
actions:
  - {topic: joint_commands, type: sensor_msgs/msg/JointState, joints: [elbow, wrist],
     max_age_ms: 200}
"""
START_NS = 1_700_000_000_000_000_000
LENGTHS = (60, 50, 70)
CAMERA, TOPICS = 'observation.images.camera', ('camera/image_raw', 'joint_states',
                                               'joint_commands')


class Recipe:
    """What a dataset is made of; a test spoils one ingredient."""

    def __init__(self, seed=0, lengths=LENGTHS):
        rng = np.random.default_rng(seed)
        self.state, self.action, self.pictures, self.ages_ns, self.ticks_ns = [], [], [], [], []
        for episode, length in enumerate(lengths):
            time_s = np.arange(length)[:, None] / 10
            phase = rng.uniform(0, 6, 2)
            self.state.append(np.sin(time_s + phase) + 0.01 * rng.standard_normal((length, 2)))
            self.action.append(np.sin(time_s + 0.3 + phase))
            self.pictures.append([picture(k + 7 * episode) for k in range(length)])
            self.ages_ns.append(rng.integers(0, 60_000_000, (length, 3)))
            self.ticks_ns.append(START_NS + episode * 10**11 + np.arange(length) * 10**8)
        self.tasks = ['Move the block.'] * len(lengths)

    def write(self, folder):
        """Write the dataset."""
        with LeRobotWriter(folder, parse_contract(CONTRACT)) as writer:
            for episode, task in enumerate(self.tasks):
                for row, tick_ns in enumerate(self.ticks_ns[episode]):
                    writer.add_row(
                        {CAMERA: self.pictures[episode][row],
                         'observation.state': self.state[episode][row].astype(np.float32),
                         'action': self.action[episode][row].astype(np.float32)},
                        tick_ns=int(tick_ns),
                        ages_ns=dict(zip(TOPICS, self.ages_ns[episode][row].tolist())))
                writer.save_episode(task)
        return folder


def picture(k):
    """Return a picture whose square is somewhere else for every k."""
    picture = np.full((48, 64, 3), 90, np.uint8)
    picture[5:17, k % 50:k % 50 + 12] = (220, 60, 40)
    return picture


@pytest.fixture(scope='session')
def good(tmp_path_factory):
    """Write a dataset without a fault."""
    return Recipe().write(tmp_path_factory.mktemp('good') / 'dataset')


@pytest.fixture
def copy(good, tmp_path):
    """Give a copy of the good dataset to break."""
    return Path(shutil.copytree(good, tmp_path / 'dataset'))


def found(folder, **options):
    """Return (level, check) of every finding."""
    return [(f.level, f.check) for f in audit_dataset(folder, **options).findings]


def only(folder, **options):
    """Return the text of the only finding, and its level and check."""
    findings = audit_dataset(folder, **options).findings
    assert len(findings) == 1, [str(finding) for finding in findings]
    return findings[0]


def edit_json(path, change):
    """Change a JSON file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_column(path, key, change):
    """Change a column of a parquet file; ``change`` gets a writable array."""
    table = pq.read_table(path)
    column = table[key].combine_chunks()
    kind, rows = column.type, len(column)
    nested = pa.types.is_nested(kind)
    values = (column.flatten() if nested else column).to_numpy(zero_copy_only=False).copy()
    values = values.reshape(rows, -1)
    change(values)
    flat = pa.array(values.ravel())
    new = pa.FixedSizeListArray.from_arrays(flat, kind.list_size).cast(kind) if nested \
        else flat.cast(kind)
    pq.write_table(table.set_column(table.column_names.index(key), table.schema.field(key), new),
                   path)


def data_file(folder, episode):
    """Return the data file of an episode of ours."""
    return folder / f'data/chunk-000/file-{episode:03d}.parquet'


def put(row, entry, value):
    """Return a change that sets one value."""
    def change(values):
        values[row, entry] = value

    return change


def video(folder, episode):
    """Return the video of an episode of ours."""
    return folder / f'videos/{CAMERA}/chunk-000/file-{episode:03d}.mp4'


def write_video(path, pictures, rate_hz=10):
    """Replace a video."""
    writer = VideoWriter(path, shape=pictures[0].shape, rate_hz=rate_hz)
    for picture in pictures:
        writer.write(picture)
    writer.close()


def write_record(folder, *entries):
    """Write which bag each episode is of."""
    (folder / 'meta/conversion.json').write_text(json.dumps({'episode_list': [
        {'rows': rows, **entry} for rows, entry in zip(LENGTHS, entries)]}))


@pytest.fixture(scope='session')
def audits():
    """Give these functions."""
    return SimpleNamespace(
        Recipe=Recipe, picture=picture, found=found, only=only, edit_json=edit_json,
        edit_column=edit_column, data_file=data_file, put=put, video=video,
        write_video=write_video, write_record=write_record, CONTRACT=CONTRACT, LENGTHS=LENGTHS,
        TOPICS=TOPICS)

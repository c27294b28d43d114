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

"""Real LeRobot datasets read as they are; damaged ones are refused."""

import json
import shutil

from diffusion_policy_ros.data.lerobot_reader import LeRobotReader
from diffusion_policy_ros.errors import DatasetError
import numpy as np
import pyarrow.parquet as pq
import pytest

SO101 = 'lerobot/so101_v3/lerobot_dataset_example'
PUSHT = 'lerobot/pusht_v3_no_video/pusht'


def test_pusht_is_bit_identical_to_its_source(shared_data):
    """State and action against the zarr that the dataset was made of."""
    zarr = pytest.importorskip('zarr')
    buffer = zarr.open(str(shared_data / 'pusht/pusht_cchi_v7_replay.zarr'), mode='r')
    reader = LeRobotReader(shared_data / PUSHT)
    found = reader.columns(['observation.state', 'action', 'next.done'])
    assert np.array_equal(found['observation.state'], buffer['data/state'][:][:, :2])
    assert np.array_equal(found['action'], buffer['data/action'][:])
    assert found['next.done'].dtype == bool
    assert np.array_equal(reader.episode_ends, buffer['meta/episode_ends'][:])
    assert reader.rate_hz == 10 and reader.contract is None


def test_a_dataset_without_its_video_says_so(shared_data):
    """Rows are readable, pictures are not."""
    reader = LeRobotReader(shared_data / PUSHT)
    with pytest.raises(DatasetError, match='file-000.mp4 does not exist'):
        next(reader.frames('observation.image'))


def test_so101_rows_and_statistics(shared_data):
    """Six episodes of an arm that stood still."""
    reader = LeRobotReader(shared_data / SO101)
    assert [e.length for e in reader.episodes] == [383, 386, 379, 382, 90, 162]
    found = reader.columns(['observation.state', 'action', 'timestamp', 'frame_index'])
    assert found['action'].shape == (1782, 6)
    assert np.allclose(found['timestamp'], found['frame_index'] / 30, atol=1e-5)
    assert np.allclose(reader.statistics()['action']['mean'], found['action'].mean(0), atol=1e-4)


def test_so101_frames_of_episodes_inside_one_av1_video(shared_data):
    """Every row of the shortest episode has its own frame at its own time."""
    av = pytest.importorskip('av')
    reader = LeRobotReader(shared_data / SO101)
    wanted = reader.episodes[4]
    file, start_s = wanted.videos['observation.images.wrist']
    assert start_s == pytest.approx(51.0)
    reader.episodes = (wanted,)
    found = list(reader.frames('observation.images.wrist'))
    assert len(found) == 90 and found[0].shape == (360, 640, 3)
    with av.open(str(file)) as container:
        container.seek(int(start_s / container.streams.video[0].time_base),
                       stream=container.streams.video[0])
        first = next(f for f in container.decode(video=0)
                     if abs(float(f.pts * f.time_base) - start_s) < 1e-4)
    assert np.array_equal(found[0], first.to_ndarray(format='rgb24'))


@pytest.fixture
def copy(tmp_path, shared_data):
    """Give a writable copy of a real dataset without its video."""
    return shutil.copytree(shared_data / PUSHT, tmp_path / 'copy', copy_function=shutil.copyfile)


@pytest.mark.parametrize('name', [
    'meta/info.json', 'meta/episodes/chunk-000/file-000.parquet',
    'data/chunk-000/file-000.parquet', 'meta/stats.json'])
@pytest.mark.parametrize('damage', ['missing', 'truncated'])
def test_a_damaged_file_is_named(copy, name, damage):
    """Whichever part is lost."""
    path = copy / name
    path.parent.chmod(0o755)
    content = path.read_bytes()
    path.unlink()
    if damage == 'truncated':
        path.write_bytes(content[:len(content) // 2])
    with pytest.raises(DatasetError, match='episodes lists 0' if 'episodes' in name
                       and damage == 'missing' else name.replace('/', '.')):
        reader = LeRobotReader(copy)
        reader.columns(['action'])
        reader.statistics()


def test_another_version_is_refused(copy):
    """Version 2 keeps its files elsewhere."""
    info = copy / 'meta/info.json'
    info.write_text(info.read_text().replace('"v3.0"', '"v2.1"'))
    with pytest.raises(DatasetError, match="codebase_version is 'v2.1'"):
        LeRobotReader(copy)


def test_rows_that_contradict_the_metadata_are_refused(copy):
    """A data file whose first rows were lost."""
    path = copy / 'data/chunk-000/file-000.parquet'
    pq.write_table(pq.read_table(path).slice(5), path)
    with pytest.raises(DatasetError, match='do not hold rows 0 to 25649 in order'):
        LeRobotReader(copy).columns(['action'])


def test_episodes_that_info_does_not_count_are_passed_over(copy):
    """A writer killed before its last step leaves such rows."""
    info = copy / 'meta/info.json'
    content = json.loads(info.read_text())
    info.write_text(json.dumps({**content, 'total_episodes': 200}))
    reader = LeRobotReader(copy)
    assert len(reader.episodes) == 200
    assert len(reader.columns(['action'])['action']) == reader.row_count < 25650


def test_an_unknown_column_is_refused(copy):
    """Videos are no columns either."""
    reader = LeRobotReader(copy)
    for key in ('nothing', 'observation.image'):
        with pytest.raises(DatasetError, match=f'no column {key!r}'):
            reader.columns([key])

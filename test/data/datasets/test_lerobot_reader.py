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
import math
import shutil

from diffusion_policy_ros.data.conversion.conversion import convert_bags
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.errors import DatasetError
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
import numpy as np
import pyarrow as pa
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


def test_real_datasets_give_all_their_rows(shared_data):
    """One by one, with every column and every frame, as the whole columns say."""
    for name, count in ((SO101, 200), (PUSHT, 300)):
        reader = LeRobotReader(shared_data / name)
        keys = [key for key in reader.row_features if key not in reader.video_keys]
        wanted = reader.columns(keys)
        if name == PUSHT:  # its video is not there
            reader.info['features'].pop('observation.image')
        task, rows = next(reader.read_episodes())
        assert task == reader.episodes[0].tasks[0]
        rows = [row for row, _ in zip(rows, range(count))]
        assert len(rows) == min(count, reader.episodes[0].length)
        for k, row in enumerate(rows):
            assert list(row) == list(reader.row_features)
            for key in keys:
                assert np.array_equal(row[key], wanted[key][k]), key
        if reader.video_keys:
            key = reader.video_keys[0]
            for row, frame in zip(rows[:30], reader.frames(key)):
                assert np.array_equal(row[key], frame)


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


@pytest.fixture(scope='module')
def converted(tmp_path_factory, demonstration):
    """Convert two bags of 10 rows."""
    folder = tmp_path_factory.mktemp('converted')
    bags = [demonstration.write_bag(folder / f'bag{n}', range(10)) for n in (0, 1)]
    convert_bags(bags, folder / 'ours', progress=False)
    return folder / 'ours'


@pytest.fixture
def ours(tmp_path, converted):
    """Give a copy of a dataset of our own: two episodes of 10 rows."""
    return shutil.copytree(converted, tmp_path / 'ours')


def test_lists_in_lists_without_end_are_named(ours):
    (ours / 'meta/info.json').write_text('[' * 100_000)
    with pytest.raises(DatasetError, match='meta/info.json: more than 100 lists or groups lie in'):
        LeRobotReader(ours)


def edit_json(path, change):
    """Change the content of a JSON file."""
    content = json.loads(path.read_text())
    content = change(content) or content
    path.write_text(json.dumps(content))


@pytest.mark.parametrize('change, said', [
    (lambda info: [1], 'holds .1. instead of an object'),
    (lambda info: info.pop('codebase_version') and None, 'codebase_version is None'),
    (lambda info: info.pop('features') and None, 'features is None'),
    (lambda info: info.update(features={}), 'features is {}'),
    (lambda info: info.update(features=['action']), r"features is .'action'."),
    (lambda info: info['features'].update(action=3), "feature 'action' is 3"),
    (lambda info: info['features']['action'].pop('dtype') and None, "feature 'action' is"),
    (lambda info: info['features']['action'].update(shape=2), "feature 'action' is"),
    (lambda info: info['features']['action'].update(shape=[]), "feature 'action' is"),
    (lambda info: info['features']['action'].update(shape=[0]), "feature 'action' is"),
    (lambda info: info['features']['observation.images.camera'].update(shape=[3]), 'camera'),
    (lambda info: info.update(fps='ten'), "fps is 'ten'"),
    (lambda info: info.update(fps=0), 'fps is 0'),
    (lambda info: info.pop('total_episodes') and None, 'total_episodes is None'),
    (lambda info: info.update(total_episodes=1.5), 'total_episodes is 1.5'),
    (lambda info: info.update(data_path=None), 'data_path is None'),
    (lambda info: info.update(data_path='{chunk}'), "data_path is '{chunk}'"),
    (lambda info: info.update(data_path='{chunk_index:q}'), 'data_path is'),
    (lambda info: info.update(data_path='{'), 'data_path is'),
    (lambda info: info.update(video_path=None), 'video_path is None'),
])
def test_an_info_that_is_not_what_it_should_be_is_named(ours, change, said):
    """With the entry, its value and the remedy."""
    edit_json(ours / 'meta/info.json', change)
    with pytest.raises(DatasetError, match=f'meta/info.json.*{said}.*(damaged|convert)'):
        LeRobotReader(ours)


@pytest.mark.parametrize('text', [
    '[]', '3', '{"action": 3}', '{"action": {"mean": "x"}}', '{"action": {"mean": [[1], [2, 3]]}}',
    '{"action": {"mean": null}}', '{"action": {"mean": [1, {}]}}'])
def test_statistics_that_are_none_are_refused(ours, text):
    """They decide how a policy sees its inputs."""
    (ours / 'meta/stats.json').write_text(text)
    with pytest.raises(DatasetError, match='meta/stats.json does not hold numbers.*damaged'):
        LeRobotReader(ours).statistics()


@pytest.mark.parametrize('name, value, said', [
    ('dataset_to_index', 7, '0 has rows 0 to 7, its length is 10'),
    ('length', 7, '0 has rows 0 to 10, its length is 7'),
    ('dataset_to_index', None, '0 has rows 0 to None'),
    ('dataset_from_index', 3, '0 has rows 3 to 10'),
    ('tasks', None, 'tasks is None'),
    ('data/chunk_index', -1, 'data/chunk_index is -1'),
    ('videos/observation.images.camera/from_timestamp', None, 'from_timestamp is None'),
    ('episode_index', 4, '0 is episode 4'),
])
def test_an_episode_table_that_contradicts_itself_is_refused(ours, name, value, said):
    """Rows of two episodes must never be taken for one."""
    path = ours / 'meta/episodes/chunk-000/file-000.parquet'
    row = {**pq.read_table(path).to_pylist()[0], name: value}
    pq.write_table(pa.Table.from_pylist([row]), path)
    with pytest.raises(DatasetError, match=f'meta/episodes row .*{said}'):
        LeRobotReader(ours)


@pytest.mark.parametrize('values', [
    ['a'] * 10, [None] * 10, [[1.0]] * 10, [[1.0, None]] * 10, [[1.0, math.inf]] * 10])
def test_columns_that_are_not_what_info_says_are_refused(ours, values):
    """Texts, holes, other sizes."""
    path = ours / 'data/chunk-000/file-000.parquet'
    for other in (path, path.with_name('file-001.parquet')):
        table = pq.read_table(other)
        at = table.schema.get_field_index('action')
        pq.write_table(table.set_column(at, 'action', pa.array(values)), other)
    with pytest.raises(DatasetError, match="column 'action' of the data files does not hold"):
        LeRobotReader(ours).columns(['action'])


@settings(max_examples=80, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(['meta/info.json', 'meta/stats.json', 'meta/tasks.parquet',
                             'meta/episodes/chunk-000/file-000.parquet',
                             'data/chunk-000/file-000.parquet']),
       where=st.floats(0, 1), noise=st.binary(min_size=1, max_size=40), cut=st.booleans())
def test_no_damage_makes_anything_but_a_dataset_error(ours, name, where, noise, cut):
    """Overwritten or cut anywhere."""
    path = ours / name
    whole = path.read_bytes()
    at = int(where * len(whole))
    path.write_bytes(whole[:at] + noise + (b'' if cut else whole[at + len(noise):]))
    try:
        reader = LeRobotReader(ours)
        reader.statistics()
        reader.columns([key for key in reader.features if key not in reader.video_keys])
    except DatasetError as error:
        assert str(ours) in str(error)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize('old, new, said', [
    ('rate_hz: 10', 'rate_hz: 20', 'rate_hz: the dataset has 10, the contract 20'),
    ('  - wrist\n- key', '  - hand\n- key',
     'observation.state: the dataset names elbow, wrist, the contract elbow, hand'),
    ('height: 12', 'height: 24',
     r'camera: the dataset has shape .12, 16, 3., the contract .24, 16, 3.'),
    ('key: observation.state', 'key: observation.other', 'observation.other is in the contract o'),
])
def test_a_contract_that_contradicts_the_rows_is_refused(ours, old, new, said):
    """A checkpoint would carry it to the robot."""
    path = ours / 'meta/contract.yaml'
    text = path.read_text()
    assert old in text and LeRobotReader(ours).contract
    path.write_text(text.replace(old, new))
    with pytest.raises(DatasetError, match=f'contract.yaml contradicts .*info.json: .*{said}'):
        LeRobotReader(ours).contract


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

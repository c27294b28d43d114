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

"""What the audit of a dataset finds in its files, tables and indices."""

import shutil

from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.evaluation.dataset.audit import audit_dataset, open_source
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

LENGTHS = (60, 50, 70)
START_NS = 1_700_000_000_000_000_000


@pytest.mark.parametrize('key, value, check, words', [
    ('index', 999, 'indices', 'index does not count the rows of the dataset: episode 1 from row '
     '20 on'),
    ('frame_index', 3, 'indices', 'frame_index does not count from 0: episode 1 from row 20 on'),
    ('episode_index', 2, 'indices', 'episode_index is not the number of the episode: episode 1'),
    ('timestamp', 2.001, 'timestamps', 'is not frame_index / 10 within 0.0001 s: episode 1 from '
     'row 20'),
    ('timestamp', np.nan, 'timestamps', 'episode 1 from row 20'),
    ('tick_ns', START_NS + 10**11 + 2 * 10**9 + 5, 'timestamps', 'a gap in time was not split: '
     'episode 1 from row 20 on'),
    ('task_index', 4, 'tasks', 'is not in meta/tasks.parquet'),
])
def test_a_row_that_counts_itself_wrong(copy, key, value, check, words, audits):
    audits.edit_column(audits.data_file(copy, 1), key, audits.put(20, 0, value))
    finding = next(f for f in audit_dataset(copy).findings if f.check == check)
    assert finding.level == 'ERROR'
    assert words in finding.text
    # Only a row's own column is compared with stats.json where it describes the robot.
    assert {f.check for f in audit_dataset(copy).findings} == {check}


def test_totals_that_do_not_add_up(copy, audits):
    audits.edit_json(copy / 'meta/info.json', lambda info: info.update(total_frames=181))
    assert 'total_frames of meta/info.json is 181, meta/episodes adds up to 180' \
        in audits.only(copy).text


@pytest.mark.parametrize('entry, value, words', [
    ('total_tasks', 77, 'total_tasks of meta/info.json is 77, meta/tasks.parquet lists 1'),
    ('splits', {'train': '0:99'}, "says train '0:99', there are 3 episodes")])
def test_other_totals_that_are_not_those_of_the_tables(copy, audits, entry, value, words):
    audits.edit_json(copy / 'meta/info.json', lambda info: info.update({entry: value}))
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('ERROR', 'totals')
    assert words in finding.text


def test_episodes_that_nobody_counted(copy, audits):
    audits.edit_json(copy / 'meta/info.json', lambda info: info.update(
        total_episodes=2, total_frames=sum(LENGTHS[:2]), splits={'train': '0:2'}))
    shutil.rmtree(copy / 'videos')
    shutil.rmtree(copy / 'data')
    other = audits.Recipe(lengths=LENGTHS[:2]).write(copy.with_name('other'))
    for name in ('videos', 'data', 'meta/stats.json'):
        (other / name).rename(copy / name)
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('NOTE', 'totals')
    assert 'lists 1 episodes more than meta/info.json counts' in finding.text


def test_columns_that_no_check_looks_at_are_not_read(tmp_path):
    """Some are larger than the memory."""
    features = {'cloud': {'dtype': 'float32', 'shape': [100, 3], 'names': None},
                'action': {'dtype': 'float32', 'shape': [2], 'names': None}}
    with LeRobotWriter(tmp_path / 'd', features=features, rate_hz=10) as writer:
        for k in range(10):
            writer.add_frame({'cloud': np.zeros((100, 3)), 'action': np.full(2, k)})
        writer.save_episode('t')
    rows = next(open_source(tmp_path / 'd').rows())
    assert 'cloud' not in rows.columns and {'action', 'index'} <= set(rows.columns)


def test_a_data_file_that_lost_rows(copy, audits):
    path = audits.data_file(copy, 1)
    pq.write_table(pq.read_table(path).slice(0, 40), path)
    texts = [f.text for f in audit_dataset(copy).findings if f.check == 'data files']
    assert texts == [f'{path.relative_to(copy)} holds 40 rows, its episodes 1 to 1 have 50']


@pytest.mark.parametrize('episode', [1, 2])
def test_a_data_file_with_rows_of_nobody(copy, audits, episode):
    path = audits.data_file(copy, episode)
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table]), path)
    texts = [f.text for f in audit_dataset(copy).findings if f.check == 'data files']
    assert texts == [f'{path.relative_to(copy)} holds {2 * len(table)} rows, its episodes '
                     f'{episode} to {episode} have {len(table)}']


def test_a_data_file_that_is_damaged_or_lacks_a_column(copy, audits):
    audits.data_file(copy, 0).write_bytes(b'PAR1 no')
    path = audits.data_file(copy, 2)
    pq.write_table(pq.read_table(path).drop_columns(['action']), path)
    texts = [f.text for f in audit_dataset(copy).findings if f.check == 'data files']
    assert len(texts) == 2
    assert 'file-000.parquet cannot be read' in texts[0]
    assert 'file-002.parquet lacks the column action' in texts[1]


def test_a_column_of_another_shape(copy, audits):
    path = audits.data_file(copy, 0)
    table = pq.read_table(path)
    short = pa.array([[1.0]] * len(table), pa.list_(pa.float32()))
    pq.write_table(table.set_column(table.column_names.index('action'), 'action', short), path)
    finding = next(f for f in audit_dataset(copy).findings if f.check == 'data files')
    assert 'column action of episode 0 does not hold 2 numbers in each row' in finding.text


def test_episodes_that_are_too_short_or_too_long(tmp_path, audits):
    finding = audits.only(audits.Recipe(lengths=(60, 50, 5, 70)).write(tmp_path / 'short'))
    assert (finding.level, finding.check) == ('WARNING', 'lengths')
    assert 'episode 2 (5 rows)' in finding.text
    finding = audits.only(audits.Recipe(lengths=(20, 24, 140, 22)).write(tmp_path / 'long'))
    assert 'typical 23 rows: episode 2 (140 rows)' in finding.text


@pytest.mark.parametrize('tasks, words', [
    (['Move.', '', 'Move.'], 'a task is an empty sentence'),
    (['Move it.', 'move  it', 'Move it.'], "'Move it.' and 'move  it' are two tasks that mean"),
])
def test_task_sentences(tmp_path, tasks, words, audits):
    recipe = audits.Recipe()
    recipe.tasks = tasks
    finding = audits.only(recipe.write(tmp_path / 'd'))
    assert (finding.level, finding.check) == ('WARNING', 'tasks')
    assert words in finding.text


def test_a_task_without_rows(copy, audits):
    path = copy / 'meta/tasks.parquet'
    table = pq.read_table(path)
    more = pa.table({'task_index': [1], 'task': ['Never done.']}).cast(table.schema)
    pq.write_table(pa.concat_tables([table, more]), path)
    audits.edit_json(copy / 'meta/info.json', lambda info: info.update(total_tasks=2))
    assert audits.only(copy).text == "1 of 2 tasks belong to no row, such as 'Never done.'"
    path.unlink()
    assert audits.found(copy) == [('ERROR', 'tasks')]

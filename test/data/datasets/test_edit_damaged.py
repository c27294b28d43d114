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

"""Datasets that are damaged are edited as one sentence says, or refused with one."""

import json
import shutil

from diffusion_policy_ros.data.datasets.edit import delete_episodes, merge_datasets
from diffusion_policy_ros.errors import ContractError, DatasetError
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

EPISODES = [('push', range(5)), ('pull', range(5, 9)), ('push', range(9, 15))]
DATA = 'data/chunk-000/file-{:03d}.parquet'
VIDEO = 'videos/observation.images.camera/chunk-000/file-{:03d}.mp4'
TABLE = 'meta/episodes/chunk-000/file-{:03d}.parquet'


@pytest.fixture
def dataset(tmp_path, contract, named):
    """Give three episodes with two tasks."""
    return named.write(tmp_path / 'whole', contract, EPISODES)


def set_column(path, name, values):
    """Change a column of a parquet file, and with it perhaps its type."""
    table = pq.ParquetFile(path).read()
    place = table.schema.get_field_index(name)
    pq.write_table(table.set_column(place, name, pa.array(values)), path)


def refused(dataset, out, deleted=(0,)):
    """Delete episodes, which must be refused, and return the sentence."""
    with pytest.raises(DatasetError) as caught:
        delete_episodes(dataset, deleted, out)
    assert not out.exists() and '\n' not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize('deleted', [(), (0,), (2,)])
@pytest.mark.parametrize('damage', ['missing', 'empty', 'cut off', 'no such file'])
def test_a_file_that_is_damaged_is_named(dataset, tmp_path, named, damage, deleted):
    """Every file that is read in turn; linked ones are read too, as far as they must be."""
    for name in named.files_of(dataset):
        copy = shutil.copytree(dataset, tmp_path / 'copy')
        path = copy / name
        data = path.read_bytes()
        path.unlink()
        if damage != 'missing':
            path.write_bytes({'empty': b'', 'cut off': data[:len(data) // 2],
                              'no such file': b'\x93NUMPY' * 40}[damage])
        try:
            delete_episodes(copy, deleted, tmp_path / 'out')
        except (ContractError, DatasetError) as error:
            assert path.name in str(error) or name.startswith('meta'), (name, error)
            assert 'Make room' not in str(error) and not (tmp_path / 'out').exists()
        else:  # nothing reads the old statistics, or what is left out
            unread = [file.format(number) for file in (DATA, VIDEO) for number in deleted]
            if damage == 'missing':
                unread.append('meta/contract.yaml')
            assert name in ('meta/stats.json', *unread), name
            shutil.rmtree(tmp_path / 'out')
        shutil.rmtree(copy)


@pytest.mark.parametrize('numbers', [
    [1, 1, 1, 0], [1, 7, 1, 1], [1, -1, 1, 1], [1, None, 1, 1], list('abcd')])
def test_a_row_of_another_task_than_its_episode_is_refused(dataset, tmp_path, numbers):
    """Its new number would be made up."""
    set_column(dataset / DATA.format(1), 'task_index', numbers)
    assert 'a row has task_index' in refused(dataset, tmp_path / 'out')


def test_data_files_of_unlike_columns_are_refused(dataset, tmp_path):
    set_column(dataset / DATA.format(1), 'timestamp', list('abcd'))
    assert 'file-001.parquet holds other columns' in refused(dataset, tmp_path / 'out')


def test_rows_of_another_episode_are_refused(dataset, tmp_path):
    """New numbers would hide that they are."""
    path = dataset / DATA.format(1)
    table = pq.ParquetFile(path).read()
    other = pq.ParquetFile(dataset / DATA.format(2)).read()
    for wrong, said in ((pa.concat_tables([table, table]), 'holds 8 rows, its episodes have 4'),
                        (table.take([1, 0, 2, 3]), 'of episode 1, as its index says'),
                        (other.slice(0, 4), 'of episode 1, as its index says')):
        pq.write_table(wrong, path)
        for deleted in ((), (0,)):
            sentence = refused(dataset, tmp_path / 'out', deleted)
            assert 'file-001.parquet' in sentence and said in sentence
    pq.write_table(table, path)
    set_column(path, 'episode_index', [1, 1, 2, 1])
    assert 'of episode 1, as its episode_index says' in refused(dataset, tmp_path / 'out')


@pytest.mark.parametrize('deleted', [(), (0,)])
def test_a_task_that_the_table_lacks_is_refused(dataset, tmp_path, deleted):
    set_column(dataset / TABLE.format(1), 'tasks', [['never heard']])
    assert "episode 1 the task 'never heard', which meta/tasks.parquet does not list" in refused(
        dataset, tmp_path / 'out', deleted)


def test_a_length_that_is_not_that_of_the_rows_is_refused(dataset, tmp_path):
    set_column(dataset / TABLE.format(1), 'length', [3])
    assert 'meta/episodes row 1 has rows 5 to 9, its length is 3' in refused(
        dataset, tmp_path / 'out')


def test_a_video_that_lost_frames_is_refused(dataset, tmp_path):
    for number in (1, 2):
        shutil.copy(dataset / VIDEO.format(0), dataset / VIDEO.format(number))
        if number == 1:
            assert delete_episodes(dataset, [0], tmp_path / 'more').row_count == 10
    assert 'file-002.mp4 has no frame at the time of row 5 of episode 2. The file is damaged' \
        in refused(dataset, tmp_path / 'out')


@pytest.mark.parametrize('deleted', [(), (0,)])
def test_statistics_that_are_not_those_of_the_rows_are_refused(dataset, tmp_path, deleted):
    """``meta/stats.json`` is made of them."""
    set_column(dataset / TABLE.format(1), 'stats/action/max', [[16.0, 9e9]])
    assert "meta/episodes row 1 holds statistics of 'action' that its rows do not have: max of " \
        in refused(dataset, tmp_path / 'out', deleted)


@pytest.mark.parametrize('name, value, said', [
    ('stats/action/mean', [['a', 'b']], "statistics of 'action' that are none"),
    ('stats/action/mean', [[1.0]], "statistics of 'action' that do not go together"),
    ('stats/action/count', [[0]], "statistics of 'action' that do not go together"),
    ('stats/action/max', [None], "no max of 'action'"),
])
def test_statistics_that_are_none_are_refused(dataset, tmp_path, name, value, said):
    set_column(dataset / TABLE.format(1), name, value)
    assert said in refused(dataset, tmp_path / 'out').replace('\n', ' ') \
        or 'do not hold the same columns' in refused(dataset, tmp_path / 'out')


def test_statistics_in_whole_and_in_broken_numbers_are_merged(dataset, tmp_path, contract, named):
    """The result has them all, so that it can be edited again."""
    other = named.write(tmp_path / 'other', contract, EPISODES)
    for number, last in enumerate((4, 8, 14)):
        set_column(other / TABLE.format(number), 'stats/observation.state/max',
                   [[last, -EPISODES[number][1][0]]])
    merge_datasets([other, dataset], tmp_path / 'both')
    delete_episodes(tmp_path / 'both', [0, 1, 2], tmp_path / 'again')
    wanted = json.loads((dataset / 'meta/stats.json').read_text())
    found = json.loads((tmp_path / 'again/meta/stats.json').read_text())
    assert found['observation.state'] == wanted['observation.state']


def test_episode_tables_of_other_kinds_are_not_merged(dataset, tmp_path, contract, named):
    other = named.write(tmp_path / 'other', contract, EPISODES)
    for number in range(3):
        set_column(other / TABLE.format(number), 'stats/action/max', ['a lot'])
    with pytest.raises(DatasetError, match='the episode tables cannot be merged: .*action/max'):
        merge_datasets([dataset, other], tmp_path / 'both')

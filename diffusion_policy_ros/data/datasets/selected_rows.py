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

"""Give stored rows of an episode their new numbers."""

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.dataset_checks import REMEDY
from diffusion_policy_ros.data.datasets.episode_rows import SPILL_BYTES
from diffusion_policy_ros.data.datasets.lerobot_files import file_layout
from diffusion_policy_ros.data.datasets.statistics import RunningStatistics
from diffusion_policy_ros.data.files import replacing
from diffusion_policy_ros.errors import DatasetError
import numpy as np
import pyarrow as pa


def check_sizes(reader, episodes) -> None:
    """
    Refuse data files with more rows than their episodes have.

    :param reader: ``LeRobotReader``.
    :param episodes: The episodes of it whose files are looked at.
    :raises DatasetError: naming the file.
    """
    promised = {}
    for episode in reader.episodes:
        promised[episode.data_file] = promised.get(episode.data_file, 0) + episode.length
    for file in dict.fromkeys(episode.data_file for episode in episodes):
        found = file_layout(file)[1]
        may_have_more = reader.uncounted and file == reader.episodes[-1].data_file
        if found > promised[file] and not may_have_more:
            raise DatasetError(f'{file} holds {found} rows, its episodes have {promised[file]}. '
                               f'{REMEDY}')


def check_rows(table, episode, first, tasks, where) -> None:
    """
    Refuse rows that are not those of their episode: new numbers would hide it.

    :param table: Stored rows of it.
    :param episode: ``Episode``.
    :param first: ``index`` that the first of them must have.
    :param tasks: Its tasks, by ``task_index``.
    :param where: The data file, for the error.
    :raises DatasetError: naming the column.
    """
    wanted = {'index': first + np.arange(len(table)),
              'episode_index': np.full(len(table), episode.index)}
    for key, numbers in wanted.items():
        if key in table.column_names and not np.array_equal(table[key].to_numpy(), numbers):
            raise DatasetError(f'{where} does not hold rows {episode.first} to {episode.end - 1} '
                               f'of episode {episode.index}, as its {key} says. {REMEDY}')
    strange = set(table['task_index'].to_pylist()) - set(tasks)
    if strange:
        raise DatasetError(f'{where}: a row has task_index {shown(strange.pop())}, which is not a '
                           f'task of its episode. {REMEDY}')


def renumbered(table, schema, first, episode, tasks, where):
    """
    Return rows with other numbers.

    :param table: Stored rows of one episode, as ``check_rows`` wants them.
    :param schema: Schema of the new data file.
    :param first: New ``index`` of the first of them.
    :param episode: New ``episode_index``.
    :param tasks: ``{old task_index: new one}`` of the tasks that the episode has.
    :param where: The data file, for the error.
    :raises DatasetError: if a column is of another kind.
    """
    rows = len(table)
    numbers = {'index': first + np.arange(rows), 'episode_index': np.full(rows, episode),
               'task_index': np.array([tasks[n] for n in table['task_index'].to_pylist()])}
    try:
        columns = [pa.array(numbers[field.name]).cast(field.type) if field.name in numbers
                   else table[field.name].cast(field.type) for field in schema]
        return pa.table(columns, schema=schema)
    except pa.ArrowException as error:
        raise DatasetError(f'{where} holds other columns than the first data file: {error}. '
                           f'{REMEDY}') from error


def write_tables(path, schema, tables) -> None:
    """
    Write a data file as one row group, or several where that would take much memory.

    :param path: The file; it gets its name when it is whole.
    :param schema: Its schema.
    :param tables: Iterator of tables.
    """
    with replacing(path) as temporary, \
            layout.parquet_writer(temporary, schema) as writer:
        pending = []
        for table in tables:
            pending.append(table)
            if sum(part.nbytes for part in pending) >= SPILL_BYTES:
                _write(writer, pending)
                pending = []
        _write(writer, pending)


def index_statistics(row, first, episode, tasks, length) -> dict:
    """
    Return the statistics of the columns that number rows.

    :param row: The episode's row of the episode table; only entries that it has are returned.
    :param first: Its first ``index``.
    :param episode: Its ``episode_index``.
    :param tasks: Its task numbers; the statistics of ``task_index`` need there to be one.
    :param length: Its number of rows.
    """
    columns = {'index': first + np.arange(length), 'episode_index': np.full(length, episode)}
    if len(tasks) == 1:
        columns['task_index'] = np.full(length, tasks[0])
    found = {}
    for key, values in columns.items():
        statistics = RunningStatistics((1,), np.int64)
        statistics.add(values)
        found.update({f'stats/{key}/{name}': value.tolist()
                      for name, value in statistics.result().items()})
    return {name: value for name, value in found.items() if name in row}


def _write(writer, tables):
    """Write tables as one row group."""
    if tables:
        table = pa.concat_tables(tables)
        writer.write_table(table, row_group_size=len(table))

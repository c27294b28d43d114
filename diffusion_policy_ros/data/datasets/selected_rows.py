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
from diffusion_policy_ros.data.datasets.statistics import RunningStatistics
from diffusion_policy_ros.data.files import replacing
from diffusion_policy_ros.errors import DatasetError
import numpy as np
import pyarrow as pa


def renumbered(table, schema, first, episode, tasks, where):
    """
    Return rows with other numbers.

    :param table: Stored rows of one episode.
    :param schema: Schema of the new data file.
    :param first: New ``index`` of the first of them.
    :param episode: New ``episode_index``.
    :param tasks: ``{old task_index: new one}`` of the tasks that the episode has.
    :param where: The data file, for the error.
    :raises DatasetError: if a row has another task, or a column is of another kind.
    """
    rows, old = len(table), table['task_index'].to_pylist()
    strange = set(old) - set(tasks)
    if strange:
        raise DatasetError(f'{where}: a row has task_index {shown(strange.pop())}, which is not a '
                           f'task of its episode. {REMEDY}')
    numbers = {'index': first + np.arange(rows), 'episode_index': np.full(rows, episode),
               'task_index': np.array([tasks[number] for number in old])}
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

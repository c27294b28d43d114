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

"""Read the files of a LeRobotDataset v3.0: JSON, parquet tables, columns of arrays."""

from diffusion_policy_ros.checks import shown, told
from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.dataset_checks import REMEDY
from diffusion_policy_ros.data.datasets.pictures import decode_picture
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.json_text import parse_json
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

# Rows that are read at once where memory must not grow with the dataset.
BATCH_ROWS = 64


def read_json(path):
    """
    Read a JSON file of a dataset.

    :param path: The file.
    :raises DatasetError: if it is missing or damaged.
    """
    try:
        return parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DatasetError(f'cannot read {path}: {told(error)}. Is this the folder of a '
                           'LeRobotDataset v3.0, as `dpr convert` writes it?') from error


def read_table(path, columns=None):
    """
    Read one parquet file, and nothing but its columns.

    :param path: The file.
    :param columns: Their names; None takes all.
    :raises DatasetError: if it is missing, damaged or lacks a column.
    """
    try:
        table = pq.ParquetFile(path).read(columns=columns)
        table = table.select(columns) if columns is not None else table
        table.validate(full=True)  # texts of damaged files need not be UTF-8
        return table.replace_schema_metadata()
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise DatasetError(f'cannot read {path}: {told(error)}. The dataset is '
                           'incomplete') from error


def file_layout(path):
    """
    Tell what a parquet file holds without reading its rows.

    :param path: The file.
    :return: ``(schema, number of rows)``.
    :raises DatasetError: if it is missing or damaged.
    """
    try:
        file = pq.ParquetFile(path)
        return file.schema_arrow, file.metadata.num_rows
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DatasetError(f'cannot read {path}: {told(error)}. The dataset is '
                           'incomplete') from error


def episode_table(folder):
    """
    Read the whole episode table of a dataset, in one piece: a row of it is found at once.

    :param folder: The dataset.
    :raises DatasetError: if a file of it is damaged, or does not go with the others.
    """
    try:
        return pa.concat_tables(
            episode_tables(folder), promote_options='permissive').combine_chunks()
    except pa.ArrowException as error:
        raise DatasetError(f'{folder}: the files of meta/episodes do not hold the same columns: '
                           f'{told(error)}. {REMEDY}') from error


def episode_tables(folder, columns=None) -> list:
    """
    Read the episode table of a dataset.

    :param folder: The dataset.
    :param columns: Names of columns; None takes all.
    :return: A table for each of its files, in order.
    :raises DatasetError: if one is damaged or lacks a column.
    """
    files = sorted((folder / 'meta/episodes').glob('*/*.parquet'))
    return [read_table(file, columns) for file in files]


def read_tasks(path) -> list:
    """
    Read the task table: sentences by their number.

    :param path: The file; other writers give the column of sentences other names.
    :raises DatasetError: if it is missing, damaged or does not number the sentences from 0.
    """
    rows = read_table(path).to_pylist()
    try:
        found = {row.pop('task_index'): next(iter(row.values())) for row in rows}
        sentences = [found[number] for number in range(len(rows))]
    except (KeyError, StopIteration) as error:
        raise DatasetError(f'{path} does not number its tasks from 0. {REMEDY}') from error
    if not all(isinstance(sentence, str) for sentence in sentences):
        raise DatasetError(f'{path} holds tasks that are no sentences. {REMEDY}')
    return sentences


def read_rows(path, first, end, columns=None):
    """
    Read some rows of a parquet file, few at a time.

    :param path: The file.
    :param first: The first of them, counted from the file's beginning.
    :param end: The row after the last.
    :param columns: Names of the columns; None takes all.
    :return: Iterator of tables, in order.
    :raises DatasetError: if the file is missing, damaged, too short or lacks a column.
    """
    try:
        file = pq.ParquetFile(path)
        ends = np.cumsum([file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)])
        begins = ends - [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
        groups = [n for n in range(len(ends)) if begins[n] < end and ends[n] > first]
        place = begins[groups[0]] if groups else 0
        for batch in file.iter_batches(BATCH_ROWS, row_groups=groups, columns=columns):
            table = pa.table(batch).replace_schema_metadata()
            part = table.slice(max(0, first - place), max(0, min(end, place + len(table)) - max(
                first, place)))
            place += len(table)
            if len(part):
                yield part.select(columns) if columns is not None else part
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise DatasetError(f'cannot read {path}: {told(error)}. The dataset is '
                           'incomplete') from error
    if place < end:
        raise DatasetError(f'cannot read {path}: it has {ends[-1] if len(ends) else 0} rows, the '
                           f'episode table says {end}. The dataset is incomplete')


def column_values(column, key, feature, where):
    """
    Turn a stored column into values.

    :param column: The arrow column.
    :param key: Its name.
    :param feature: How ``info.json`` describes it.
    :param where: The dataset's folder, for the error.
    :return: Array ``(rows,)`` for features of shape (1,), else ``(rows, *shape)``; a list of
        texts or of pictures where it holds such.
    :raises DatasetError: if it does not hold what ``info.json`` says.
    """
    try:
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        if feature['dtype'] == 'string':
            return array.to_pylist()
        if feature['dtype'] == 'image':
            dtype = layout.array_dtype(feature)
            return [decode_picture(data, feature, dtype, f'{where}: a picture of {key!r}')
                    for data in array.field('bytes').to_pylist()]
        rows = len(array)
        is_list = pa.types.is_nested(array.type)
        while pa.types.is_nested(array.type):
            array = array.flatten()
        values = finite_numbers(array.to_numpy(zero_copy_only=False))
        return values.reshape(rows, *feature['shape']) if is_list else values
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(f'{where}: column {key!r} of the data files does not hold '
                           f'what info.json says: {told(error)}. {REMEDY}') from error


def finite_numbers(values):
    """
    Turn values into an array.

    :param values: Anything.
    :raises ValueError: if they are not finite numbers.
    """
    array = np.asarray(values)
    if array.dtype.kind not in 'biuf' or not np.isfinite(array).all():
        raise ValueError(f'{shown(values)} is not made of finite numbers')
    return array

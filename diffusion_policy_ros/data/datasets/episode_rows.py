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

"""The rows of one episode while it is written, in memory that does not grow with pictures."""

from pathlib import Path

from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.pictures import encode_picture
from diffusion_policy_ros.data.datasets.statistics import picture_statistics, RunningStatistics
from diffusion_policy_ros.data.files import replacing
from diffusion_policy_ros.errors import DatasetError
import numpy as np
import pyarrow as pa

# Rows are moved to the disk when they take this much memory.
SPILL_BYTES = 32 * 2**20
# The squares of larger numbers have no sum, and so no deviation.
LARGEST = 1e150


class EpisodeRows:
    """
    Rows of an episode that is not numbered yet, with their statistics.

    :ivar count: Number of rows.
    """

    def __init__(self, features, spill_path):
        """
        Begin empty.

        :param features: As ``info.json`` holds them, without the index columns.
        :param spill_path: File to keep rows in that do not fit into memory.
        """
        self.count = 0
        self._row_features = features
        features = {**features, 'frame_index': layout.INDEX_FEATURES['frame_index']}
        self._features = features
        self._columns = self._empty_columns()
        self._schema = layout.data_schema(features)
        self._spill_path, self._spill, self._bytes = Path(spill_path), None, 0
        self._statistics = {
            key: picture_statistics(feature, layout.array_dtype(feature))
            if layout.is_picture(feature)
            else RunningStatistics(feature['shape'], layout.array_dtype(feature))
            for key, feature in features.items() if feature['dtype'] != 'string'}

    def checked(self, row) -> dict:
        """
        Return what the next row is to hold, in the kind that the features say.

        :param row: ``{key: value}``.
        :raises DatasetError: if a value is missing, of another shape, or cannot be of that kind,
            or if a picture holds a number that is not finite; vectors are checked many at a time.
        """
        row = checked_row(row, self._row_features)
        for key, feature in self._row_features.items():
            if layout.is_picture(feature) and row[key].dtype.kind == 'f':
                _check_finite(key, row[key][None], self.count,
                              '; write 0 where nothing was measured')
        return row

    def add(self, row) -> None:
        """
        Append a row.

        :param row: From ``checked``.
        """
        for key, feature in self._features.items():
            if layout.is_picture(feature):
                self._statistics[key].add(row[key])
        for key, column in self._columns.items():
            feature = self._features[key]
            value = self.count if key == 'frame_index' else row[key]
            if layout.is_picture(feature):
                value = encode_picture(value)
            elif feature['dtype'] != 'string':
                value = np.asarray(value, dtype=feature['dtype']).tobytes()
            if isinstance(column, list):
                column.append(value)
            else:
                column += value
            self._bytes += len(value)
        self.count += 1
        if self._bytes >= SPILL_BYTES:
            self._spill_rows()

    def finish(self) -> None:
        """Take the last rows into the statistics; none may follow."""
        self._rest = self._take()

    def statistics(self) -> dict:
        """Return what counts the statistics of each key of the finished episode."""
        return self._statistics

    def write(self, path, features, numbers) -> None:
        """
        Write the finished episode as a data file.

        :param path: The file; it gets its name when it is whole.
        :param features: All features, in the order of the columns.
        :param numbers: ``{index column: array (rows,)}``.
        """
        schema = layout.data_schema(features)
        first = 0
        with replacing(path) as temporary, \
                layout.parquet_writer(temporary, schema) as writer:
            for table in self._tables():
                place = slice(first, first + table.num_rows)
                columns = [table[field.name] if field.name in table.column_names
                           else layout.column_array(numbers[field.name][place], field.type)
                           for field in schema]
                writer.write_table(pa.table(columns, schema=schema), row_group_size=len(table))
                first = place.stop
        self.discard()

    def discard(self) -> None:
        """Remove what was moved to the disk."""
        if self._spill is not None:
            self._spill.close()
            self._spill_path.unlink(missing_ok=True)
            self._spill = None

    def _empty_columns(self):
        """
        Return where rows are kept by key.

        Numbers are kept in one piece: as many small arrays, they would lie in the gaps that the
        pictures of rows leave in memory, and keep those from being used again.
        """
        return {key: [] if feature['dtype'] in ('image', 'string') else bytearray()
                for key, feature in self._features.items() if feature['dtype'] != 'video'}

    def _spill_rows(self):
        """Move the rows in memory to the disk."""
        table = self._take()
        if self._spill is None:
            self._spill_path.parent.mkdir(parents=True, exist_ok=True)
            self._spill = pa.ipc.new_file(str(self._spill_path), self._schema)
        self._spill.write_table(table)

    def _take(self):
        """Turn the rows in memory into a table, and empty them."""
        arrays = []
        for key, column in self._columns.items():
            feature = self._features[key]
            if not column:
                column = []  # for which there is nothing to count
            elif not isinstance(column, list):
                column = np.frombuffer(column, feature['dtype']).reshape(-1, *feature['shape'])
                _check_finite(key, column, self.count - len(column))
                self._statistics[key].add(column)
            arrays.append(layout.column_array(column, self._schema.field(key).type))
        self._columns = self._empty_columns()
        self._bytes = 0
        return pa.table(arrays, schema=self._schema)

    def _tables(self):
        """Yield all rows in order, as tables."""
        if self._spill is not None:
            self._spill.close()
            with pa.OSFile(str(self._spill_path)) as file:
                reader = pa.ipc.open_file(file)
                for number in range(reader.num_record_batches):
                    yield pa.table(reader.get_batch(number))
        if self._rest.num_rows:
            yield self._rest


def _check_finite(key, values, first, remedy=''):
    """Refuse numbers that no reader would take, in rows of which the first has that number."""
    values = values.reshape(len(values), -1)
    is_right = np.isfinite(values)
    if values.dtype == np.float64:
        is_right &= np.abs(values) <= LARGEST
    if not is_right.all():
        row, entry = np.argwhere(~is_right)[0]
        wrong = 'that is not finite' if not np.isfinite(values[row, entry]) else \
            f'beyond {LARGEST:g}, {values[row, entry]:g}'
        raise DatasetError(f'{key!r} holds a number {wrong}, in row {first + row} of the episode'
                           f'{remedy}')


def checked_row(row, features) -> dict:
    """
    Return what a row has for some features, in the kind that they say.

    :param row: ``{key: value}``.
    :param features: ``{key: {dtype, shape, names}}``.
    :raises DatasetError: if a value is missing, of another shape, or cannot be of that kind.
    """
    return {key: _checked_value(key, row, feature) for key, feature in features.items()}


def _checked_value(key, row, feature):
    """Return a row's value, refusing one that is missing or of another shape or kind."""
    if key not in row:
        raise DatasetError(f'the row has no {key!r}; it has: {", ".join(row)}')
    value, shape = row[key], feature['shape']
    if list(np.shape(value)) != shape and shape != [1]:
        raise DatasetError(f'{key!r} has shape {list(np.shape(value))}, {shape} is needed')
    dtype = layout.array_dtype(feature)
    if not layout.is_picture(feature):
        return value
    return whole_pixels(key, value, dtype)


def whole_pixels(key, value, dtype):
    """
    Return a picture in another dtype, without any loss.

    :param key: Name of its column, for the error.
    :param value: The picture.
    :param dtype: The dtype.
    :raises DatasetError: if a pixel cannot be of that dtype.
    """
    dtype = np.dtype(dtype)
    if value.dtype == dtype:
        return value
    with np.errstate(invalid='ignore'):  # NaN, which is refused below
        picture = value.astype(dtype)
    if not np.array_equal(picture, value):
        raise DatasetError(f'{key!r} holds pixels that {dtype} cannot, such as '
                           f'{value[picture != value].ravel()[0]:g}; turn them into {dtype} in '
                           'the file that is read')
    return picture

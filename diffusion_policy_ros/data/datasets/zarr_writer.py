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

"""Write Diffusion Policy's zarr replay buffers (zarr version 2), as a folder or a zip file."""

from contextlib import suppress
import json
from pathlib import Path
import shutil
import zipfile

from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.episode_rows import checked_row
from diffusion_policy_ros.data.datasets.notes import (
    ATTRIBUTE, features_to_note, Notes, short_name)
from diffusion_policy_ros.data.files import writing
from diffusion_policy_ros.data.new_folder import check_new, unfinished_path
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.on_disk import put_in_place
import numpy as np

CHUNK_BYTES = 2 * 2**20


class ZarrWriter:
    """
    A replay buffer under construction.

    It is called ``<name>.part`` until ``close``, and removed where that is not reached, as one
    that ends inside an array cannot be read.

    :ivar episode_count: Episodes saved.
    :ivar row_count: Rows in saved episodes.
    """

    def __init__(self, path, features, *, rate_hz=None, robot_type='unknown', contract=None):
        """
        Create the buffer.

        :param path: Folder to create, or file where it ends in ``.zip``.
        :param features: ``{key: {dtype, shape, names}}`` of a row, as ``FrameSource`` has them.
        :param rate_hz: Rows per second, Hz, noted in an attribute.
        :param robot_type: Name of the robot, noted too.
        :param contract: The ``RobotContract``, noted too.
        :raises DatasetError: if the path exists or cannot be written, or a feature cannot be kept.
        """
        check_new(path, DatasetError)
        self.episode_count = self.row_count = 0
        self._place, self._part = Path(path), unfinished_path(path)
        self._features = features
        self._names = {key: short_name(key) for key in features}
        check_arrays(features, self._names)
        self._notes = {'rate_hz': rate_hz, 'robot_type': robot_type, 'contract': contract}
        self._tasks, self._ends, self._rows = [], [], 0
        with writing(path):
            self._part.parent.mkdir(parents=True, exist_ok=True)
            store = _Zip if self._place.suffix == '.zip' else _Folder
            self._store = store(self._part)
        self._arrays = {key: _Array(self._store, f'data/{self._names[key]}',
                                    layout.array_dtype(feature), feature['shape'])
                        for key, feature in features.items()}

    def add_frame(self, row) -> None:
        """
        Append one row.

        :param row: ``{key: value}`` for every feature.
        :raises DatasetError: if a value is missing or has another shape, or if the disk is full.
        """
        row = checked_row(row, self._features)
        with writing(self._place):
            for key, array in self._arrays.items():
                array.append(row[key])
        self._rows += 1

    def save_episode(self, task='') -> None:
        """
        End an episode.

        :param task: What it shows, one sentence; noted in an attribute.
        :raises DatasetError: if it has no rows.
        """
        if self._rows == self.row_count:
            raise DatasetError('an episode without rows cannot be saved')
        self.row_count = self._rows
        self.episode_count += 1
        self._tasks.append(task)
        self._ends.append(self.row_count)

    def close(self) -> None:
        """
        Finish the buffer and give it its name; without any episode it is removed.

        :raises DatasetError: if rows are not in a saved episode, or the disk is full.
        """
        if self._rows != self.row_count:
            self.discard()
            raise DatasetError(f'{self._rows - self.row_count} rows are not in a saved episode')
        if not self._ends:
            return self.discard()
        try:
            with writing(self._place):
                self._finish()
        except DatasetError:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove what was written."""
        with suppress(OSError):  # its end cannot be written, and need not be
            self._store.close()
        if self._part.is_dir():
            return shutil.rmtree(self._part, ignore_errors=True)
        self._part.unlink(missing_ok=True)

    def __enter__(self):
        """Return the writer."""
        return self

    def __exit__(self, error_type, error, traceback):
        """Close; where an exception passes, remove what was written."""
        self.close() if error_type is None else self.discard()

    def _finish(self):
        """Write what is still to be written, and rename the whole."""
        for array in self._arrays.values():
            array.close()
        ends = _Array(self._store, 'meta/episode_ends', np.dtype(np.int64), [])
        for end in self._ends:
            ends.append(end)
        ends.close()
        for group in ('', 'data/', 'meta/'):
            self._store.write(f'{group}.zgroup', json.dumps({'zarr_format': 2}).encode())
        self._write_notes()
        self._store.close()
        put_in_place(self._part, self._place)

    def _write_notes(self):
        """Note what the format has no place for."""
        features = features_to_note(self._names, self._features, lambda name: name)
        tasks = tuple(self._tasks) if any(self._tasks) else ()
        text = Notes(tasks=tasks, features=features, **self._notes).to_json()
        if text:
            self._store.write('.zattrs', json.dumps({ATTRIBUTE: text}).encode())


def check_arrays(features, names) -> None:
    """
    Refuse what cannot be kept as arrays of numbers.

    :param features: ``{key: feature}``.
    :param names: ``{key: name of its array}``.
    :raises DatasetError: naming the keys.
    """
    texts = [key for key, feature in features.items() if layout.array_dtype(feature) == object]
    if texts:
        raise DatasetError(f'{", ".join(texts)}: texts cannot be kept in this format; choose '
                           'LeRobot')
    for key, name in names.items():
        same = [other for other in names if names[other] == name]
        if len(same) > 1:
            raise DatasetError(f'{" and ".join(same)} would both be called {name!r} in '
                               'this format; choose LeRobot')


class _Array:
    """One array that grows row by row, in chunks of some rows."""

    def __init__(self, store, name, dtype, shape):
        from numcodecs import Blosc  # belongs to zarr, which only some installations have
        self._store, self._name, self._dtype, self._shape = store, name, dtype, tuple(shape)
        row_bytes = max(1, dtype.itemsize * int(np.prod(shape, dtype=int)))
        self._rows = max(1, CHUNK_BYTES // row_bytes)  # in one chunk
        self._codec = Blosc(cname='zstd', clevel=5, shuffle=Blosc.BITSHUFFLE)
        self._pending, self._chunks, self._count = [], 0, 0

    def append(self, value):
        """Take one row."""
        self._pending.append(np.asarray(value, dtype=self._dtype).reshape(self._shape))
        self._count += 1
        if len(self._pending) == self._rows:
            self._write()

    def close(self):
        """Write the last chunk and what describes the array."""
        if self._count < self._rows:  # one chunk, no larger than it need be
            self._rows = self._count
        if self._pending:
            self._write()
        self._store.write(f'{self._name}/.zarray', json.dumps({
            'chunks': [self._rows, *self._shape], 'compressor': self._codec.get_config(),
            'dtype': self._dtype.str, 'fill_value': False if self._dtype == bool else 0,
            'filters': None, 'order': 'C', 'shape': [self._count, *self._shape],
            'zarr_format': 2}).encode())

    def _write(self):
        """Write a chunk; the last is filled up with zeros."""
        chunk = np.zeros((self._rows, *self._shape), dtype=self._dtype)
        chunk[:len(self._pending)] = self._pending
        name = '.'.join(['%d' % self._chunks, *['0'] * len(self._shape)])
        self._store.write(f'{self._name}/{name}', self._codec.encode(chunk))
        self._pending = []
        self._chunks += 1


class _Folder:
    """Files in a folder."""

    def __init__(self, path):
        self._path = path
        path.mkdir()

    def write(self, name, data):
        """Write one file."""
        path = self._path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def close(self):
        """Do nothing; every file is whole."""


class _Zip:
    """Files in a zip file, which are compressed already."""

    def __init__(self, path):
        self._file = zipfile.ZipFile(path, 'x', zipfile.ZIP_STORED)

    def write(self, name, data):
        """Write one file."""
        self._file.writestr(name, data)

    def close(self):
        """Write the list of files."""
        self._file.close()

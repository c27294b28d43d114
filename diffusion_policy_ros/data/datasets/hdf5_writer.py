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

"""Write HDF5 files as robomimic reads them."""

from contextlib import contextmanager
import io
import json
from pathlib import Path

from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.episode_rows import checked_row
from diffusion_policy_ros.data.datasets.hdf5_dataset import key_of
from diffusion_policy_ros.data.datasets.notes import (
    ATTRIBUTE, features_to_note, Notes, short_name)
from diffusion_policy_ros.data.datasets.zarr_writer import check_arrays
from diffusion_policy_ros.data.files import writing
from diffusion_policy_ros.data.new_folder import check_new, unfinished_path
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.on_disk import put_in_place
import numpy as np

CHUNK_BYTES = 2**20


def place_of(key) -> str:
    """
    Return the path that a key has inside a demonstration.

    :param key: Dataset key.
    """
    if key.startswith('next.observation.'):
        return f'next_obs/{short_name(key.removeprefix("next."))}'
    if key.startswith('observation.'):
        return f'obs/{short_name(key)}'
    return 'actions' if key == 'action' else short_name(key)


class Hdf5Writer:
    """
    A file under construction.

    It is called ``<name>.part`` until ``close``, and removed where that is not reached.

    :ivar episode_count: Episodes saved.
    :ivar row_count: Rows in saved episodes.
    """

    def __init__(self, path, features, *, rate_hz=None, robot_type='unknown', contract=None):
        """
        Create the file.

        :param path: File to create.
        :param features: ``{key: {dtype, shape, names}}`` of a row, as ``FrameSource`` has them.
        :param rate_hz: Rows per second, Hz, noted in an attribute.
        :param robot_type: Name of the robot, noted too.
        :param contract: The ``RobotContract``, noted too.
        :raises DatasetError: if the path exists or cannot be written, or a feature cannot be kept.
        """
        import h5py  # only some installations have it
        check_new(path, DatasetError)
        self.episode_count = self.row_count = 0
        self._place, self._part = Path(path), unfinished_path(path)
        self._features = features
        self._names = {key: place_of(key) for key in features}
        check_arrays(features, self._names)
        noted = features_to_note(self._names, features, key_of)
        notes = Notes(rate_hz=rate_hz, robot_type=robot_type, contract=contract, features=noted)
        self._pending, self._arrays, self._group, self._disk = [], {}, None, None
        self._limit = max(1, CHUNK_BYTES // max(map(_row_bytes, features.values())))
        with writing(path):
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._disk = _Disk(self._part)
        self._file = h5py.File(self._disk, 'w')
        try:
            with self._writing():
                self._data = self._file.create_group('data')
                self._write_attributes(notes)
                self._file.flush()
        except DatasetError:
            self.discard()
            raise

    def add_frame(self, row) -> None:
        """
        Append one row.

        :param row: ``{key: value}`` for every feature.
        :raises DatasetError: if a value is missing or has another shape, or if the disk is full.
        """
        self._pending.append(checked_row(row, self._features))
        if len(self._pending) >= self._limit:
            self._flush()

    def save_episode(self, task='') -> None:
        """
        End an episode.

        :param task: What it shows, one sentence; it goes where robomimic looks for it.
        :raises DatasetError: if it has no rows, or the disk is full.
        """
        self._flush()
        if self._group is None:
            raise DatasetError('an episode without rows cannot be saved')
        attributes = self._group.attrs
        count = len(next(iter(self._arrays.values())))
        with self._writing():
            attributes['num_samples'] = count
            if task:
                attributes['ep_meta'] = json.dumps({'lang': task})
        self.episode_count += 1
        self.row_count += count
        self._group, self._arrays = None, {}

    def close(self) -> None:
        """
        Finish the file and give it its name; without any episode it is removed.

        :raises DatasetError: if rows are not in a saved episode, or the disk is full.
        """
        if self._pending or self._group is not None:
            self.discard()
            raise DatasetError('the last rows are not in a saved episode')
        if not self.episode_count:
            return self.discard()
        try:
            with self._writing():
                self._data.attrs['total'] = np.int64(self.row_count)
                self._file.close()
            with self._writing():
                self._disk.close()
                put_in_place(self._part, self._place)
        except DatasetError:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove what was written."""
        self._disk.give_up()
        self._file.close()
        self._disk.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self):
        """Return the writer."""
        return self

    def __exit__(self, error_type, error, traceback):
        """Close; where an exception passes, remove what was written."""
        self.close() if error_type is None else self.discard()

    @contextmanager
    def _writing(self):
        """Name the file where the disk is full."""
        with writing(self._place):
            yield
            if self._disk is not None and self._disk.error is not None:
                raise self._disk.error

    def _write_attributes(self, notes):
        """Write what a file has beside its arrays."""
        kwargs = {'control_freq': notes.rate_hz} if notes.rate_hz else {}
        self._data.attrs['env_args'] = json.dumps(
            {'env_name': notes.robot_type, 'env_kwargs': kwargs})
        if notes.to_json():
            self._data.attrs[ATTRIBUTE] = notes.to_json()

    def _flush(self):
        """Write the rows in memory."""
        if not self._pending:
            return
        with self._writing():
            if self._group is None:
                self._group = self._data.create_group(f'demo_{self.episode_count}')
                self._arrays = {key: self._create(key) for key in self._features}
            for key, array in self._arrays.items():
                first = len(array)
                array.resize(first + len(self._pending), axis=0)
                array[first:] = np.stack([np.reshape(row[key], array.shape[1:])
                                          for row in self._pending])
        self._pending = []

    def _create(self, key):
        """Create an empty array; pictures are compressed, one by one."""
        feature = self._features[key]
        shape, dtype = tuple(feature['shape']), layout.array_dtype(feature)
        rows = max(1, min(64, CHUNK_BYTES // 16 // _row_bytes(feature)))
        return self._group.create_dataset(
            self._names[key], shape=(0, *shape), maxshape=(None, *shape), dtype=dtype,
            chunks=(rows, *shape), compression='gzip' if len(shape) == 3 else None,
            compression_opts=1 if len(shape) == 3 else None)


class _Disk(io.FileIO):
    """
    A file whose errors HDF5 never meets: after one, it cannot even close a file.

    :ivar error: The first error.
    """

    def __init__(self, path):
        """Create the file."""
        super().__init__(path, 'x+')
        self.error = None
        self._lost = {}  # what could not be written, for HDF5 may want it back

    def give_up(self):
        """Write nothing any more."""
        self.error = self.error or OSError('given up')

    def write(self, data):
        """Write, or keep until the file is removed."""
        place = self.tell()
        try:
            if self.error is not None:
                raise self.error
            return super().write(data)
        except OSError as error:
            self.error = error
            self._lost[place] = bytes(data)
            return len(data)

    def readinto(self, buffer):
        """Read what was written, or kept."""
        data = self._lost.get(self.tell())
        if data is None or len(data) < len(buffer):
            return super().readinto(buffer)
        buffer[:] = data[:len(buffer)]
        return len(buffer)

    def truncate(self, size=None):
        """Change the size, unless that is of no use any more."""
        return super().truncate(size) if self.error is None else size


def _row_bytes(feature):
    """Return what a row of a feature takes."""
    return max(1, layout.array_dtype(feature).itemsize * int(np.prod(feature['shape'], dtype=int)))

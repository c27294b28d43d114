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

"""Read a LeRobotDataset v3.0, ours or anybody's, without lerobot."""

from functools import cached_property
from itertools import islice
import os
from pathlib import Path

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.dataset_checks import (
    check_contract, check_info, check_there, REMEDY)
from diffusion_policy_ros.data.datasets.episode_table import read_episodes
from diffusion_policy_ros.data.datasets.lerobot_files import (
    column_values, finite_numbers, read_json, read_rows, read_table)
from diffusion_policy_ros.data.datasets.video import read_frames
from diffusion_policy_ros.errors import DatasetError
import numpy as np
import pyarrow as pa


class LeRobotReader:
    """
    An open dataset.

    :ivar folder: Folder of the dataset.
    :ivar info: Content of ``meta/info.json``.
    :ivar episodes: Tuple of ``Episode``, in order, contiguous from row 0.
    :ivar uncounted: Episodes that are listed but not counted in ``info.json``: a writer was
        killed before it could.

    It is also a ``FrameSource``: see ``frames.py``.
    """

    def __init__(self, folder):
        """
        Read the metadata and check that it is whole.

        :param folder: Folder that holds ``meta/info.json``.
        :raises DatasetError: naming the file that is missing, corrupt or inconsistent.
        """
        self.folder = Path(folder)
        check_there(self.folder)
        self.info = read_json(self.folder / layout.INFO_PATH)
        check_info(self.folder / layout.INFO_PATH, self.info)
        self.episodes, self.uncounted = read_episodes(self.folder, self.info)
        # The row with which each data file begins.
        self._file_begins = {e.data_file: e.first for e in reversed(self.episodes)}

    @property
    def features(self) -> dict:
        """Return the columns: ``{key: {dtype, shape, names}}``."""
        return self.info['features']

    @property
    def video_keys(self) -> tuple:
        """Return the keys of the cameras stored as video."""
        return tuple(k for k, f in self.features.items() if f['dtype'] == 'video')

    @property
    def picture_keys(self) -> tuple:
        """Return the keys of all cameras, stored as video or inside the rows."""
        return tuple(k for k, f in self.features.items() if layout.is_picture(f))

    @property
    def row_features(self) -> dict:
        """Return the features without those that number the rows."""
        return layout.without_index(self.features)

    @property
    def robot_type(self) -> str:
        """Return the name of the robot."""
        return self.info.get('robot_type') or 'unknown'

    @property
    def rate_hz(self) -> float:
        """Return the number of rows per second, Hz."""
        return self.info['fps']

    @property
    def row_count(self) -> int:
        """Return the number of rows of all episodes."""
        return self.episodes[-1].end

    @property
    def episode_ends(self):
        """Return the exclusive end row of each episode, int64 ``(episodes,)``."""
        return np.array([episode.end for episode in self.episodes], dtype=np.int64)

    @cached_property
    def contract(self):
        """
        Return the ``RobotContract`` inside the dataset, None where there is none; read once.

        :raises ContractError: if the one inside is invalid, or cannot be read.
        :raises DatasetError: if it contradicts ``meta/info.json``.
        """
        path = self.folder / layout.CONTRACT_PATH
        if not os.path.lexists(path):
            return None
        contract = load_contract(path)
        check_contract(contract, self.info, self.folder)
        return contract

    def statistics(self) -> dict:
        """
        Return ``{feature: {min, max, mean, std, count, q01 ..: array}}`` over all rows.

        :raises DatasetError: if the file is missing or damaged.
        """
        path = self.folder / layout.STATS_PATH
        raw = read_json(path)
        try:
            return {key: {name: finite_numbers(value) for name, value in found.items()}
                    for key, found in raw.items()}
        except (AttributeError, ValueError) as error:
            raise DatasetError(f'{path} does not hold numbers per feature: {error}. '
                               f'{REMEDY}') from error

    def columns(self, keys) -> dict:
        """
        Read whole columns.

        :param keys: Names of features that are not videos.
        :return: ``{key: array}``: ``(rows,)`` for features of shape (1,), else ``(rows, *shape)``.
        :raises DatasetError: if a column is missing, or rows are not what the metadata says.
        """
        for key in keys:
            if key not in self.features or key in self.picture_keys:
                raise DatasetError(f'{self.folder}: no column {key!r}; it has: '
                                   f'{", ".join(set(self.features) - set(self.picture_keys))}')
        wanted = list(dict.fromkeys([*keys, 'index']))
        files = dict.fromkeys(episode.data_file for episode in self.episodes)
        parts = [read_table(file, wanted) for file in files]
        try:
            table = pa.concat_tables(parts).slice(0, self.row_count)
        except pa.ArrowException as error:
            raise DatasetError(f'{self.folder}: the data files do not hold the same columns: '
                               f'{error}. {REMEDY}') from error
        found = {key: self._values(table, key) for key in wanted}
        if not np.array_equal(found['index'], np.arange(self.row_count)):
            raise DatasetError(f'{self.folder}: the data files do not hold rows 0 to '
                               f'{self.row_count - 1} in order; the dataset is incomplete')
        return {key: found[key] for key in keys}

    def frames(self, key):
        """
        Decode a camera's frames, one per row, in order.

        :param key: A camera's key.
        :return: Iterator of ``(height, width, channels)``: uint8, or depth in uint16 or float32.
        :raises DatasetError: if a video is missing, truncated or has no frame at a row's time,
            or if a picture cannot be decoded.
        """
        if self.features[key]['dtype'] == 'image':
            for episode in self.episodes:
                yield from self.episode_frames(episode, key)
            return
        for file, times in self._shown(key):
            yield from self._decode(key, file, times)

    def episode_frames(self, episode, key):
        """
        Decode a camera's frames of one episode; otherwise as ``frames``.

        :param episode: An ``Episode`` of this dataset.
        :param key: A camera's key.
        """
        if self.features[key]['dtype'] == 'video':
            file, start_s = episode.videos[key]
            yield from self._decode(key, file, start_s + np.arange(episode.length) / self.rate_hz)
            return
        for table in self.tables(episode, [key]):
            yield from self._values(table, key)

    def read_episodes(self, keys=None):
        """
        Read everything, few rows at a time.

        :param keys: Keys of ``row_features`` that are read; None takes all.
        :return: Iterator of ``(task, rows)``, rows an iterator of ``{key: array}``, to be
            exhausted before the next episode.
        :raises DatasetError: as soon as something is missing, damaged or inconsistent.
        """
        rows = self._rows(list(self.row_features if keys is None else keys))
        for episode in self.episodes:
            if len(episode.tasks) != 1:
                raise DatasetError(f'{self.folder}: episode {episode.index} has '
                                   f'{len(episode.tasks)} tasks, other formats keep one sentence '
                                   'per episode; leave it out with `dpr edit --delete`')
            yield episode.tasks[0], islice(rows, episode.length)

    def tables(self, episode, columns=None):
        """
        Read the stored rows of an episode, few at a time.

        :param episode: An ``Episode`` of this dataset.
        :param columns: Names of columns; None takes all.
        :return: Iterator of arrow tables, in order.
        :raises DatasetError: if the data file is missing, damaged or does not hold the episode.
        """
        before = self._file_begins[episode.data_file]
        return read_rows(episode.data_file, episode.first - before, episode.end - before, columns)

    def _decode(self, key, file, times):
        """Decode the frames at some times of a video file."""
        shape = tuple(self.features[key]['shape'])
        for picture in read_frames(file, times, channels=shape[2]):
            if picture.shape != shape:
                raise DatasetError(f'{file}: frames are {picture.shape}, info.json says {shape}')
            yield picture

    def _rows(self, wanted):
        """Yield every row, with the wanted keys."""
        keys = [key for key in wanted if key not in self.video_keys]
        videos = {key: self.frames(key) for key in wanted if key in self.video_keys}
        for episode in self.episodes:
            index = episode.first
            for table in self.tables(episode, [*keys, 'index']):
                if table['index'].to_pylist() != list(range(index, index + len(table))):
                    raise DatasetError(f'{episode.data_file} does not hold rows {episode.first} '
                                       f'to {episode.end - 1}; the dataset is incomplete')
                index += len(table)
                columns = {key: self._values(table, key) for key in keys}
                for place in range(len(table)):
                    yield {key: next(videos[key]) if key in videos else columns[key][place]
                           for key in wanted}

    def _values(self, table, key):
        """Return the values of a column."""
        feature = self.features.get(key, layout.INDEX_FEATURES['index'])
        return column_values(table[key], key, feature, self.folder)

    def _shown(self, key):
        """Group the times of rows by the video file that shows them."""
        groups = []
        for episode in self.episodes:
            file, start_s = episode.videos[key]
            times = start_s + np.arange(episode.length) / self.rate_hz
            if groups and groups[-1][0] == file and times[0] > groups[-1][1][-1]:
                groups[-1] = (file, np.concatenate([groups[-1][1], times]))
            else:
                groups.append((file, times))
        return groups

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

from dataclasses import dataclass
import json
from pathlib import Path

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.dataset_checks import (
    check_contract, check_episode, check_info, REMEDY)
from diffusion_policy_ros.data.datasets.video import read_frames
from diffusion_policy_ros.errors import DatasetError
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Episode:
    """
    Where one episode lies.

    :ivar index: Number of the episode.
    :ivar first: Its first row in the dataset.
    :ivar end: The row after its last.
    :ivar tasks: Task sentences.
    :ivar data_file: Parquet file with its rows.
    :ivar videos: ``{camera key: (mp4 file, time of the first frame in s)}``.
    """

    index: int
    first: int
    end: int
    tasks: tuple
    data_file: Path
    videos: dict

    @property
    def length(self) -> int:
        """Return the number of rows."""
        return self.end - self.first


class LeRobotReader:
    """
    An open dataset.

    :ivar folder: Folder of the dataset.
    :ivar info: Content of ``meta/info.json``.
    :ivar episodes: Tuple of ``Episode``, in order, contiguous from row 0.
    """

    def __init__(self, folder):
        """
        Read the metadata and check that it is whole.

        :param folder: Folder that holds ``meta/info.json``.
        :raises DatasetError: naming the file that is missing, corrupt or inconsistent.
        """
        self.folder = Path(folder)
        self.info = _read_json(self.folder / layout.INFO_PATH)
        check_info(self.folder / layout.INFO_PATH, self.info)
        self.episodes = self._read_episodes()

    @property
    def features(self) -> dict:
        """Return the columns: ``{key: {dtype, shape, names}}``."""
        return self.info['features']

    @property
    def video_keys(self) -> tuple:
        """Return the keys of the cameras stored as video."""
        return tuple(k for k, f in self.features.items() if f['dtype'] == 'video')

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

    @property
    def contract(self):
        """
        Return the ``RobotContract`` inside the dataset, None where there is none.

        :raises ContractError: if the one inside is invalid.
        :raises DatasetError: if it contradicts ``meta/info.json``.
        """
        path = self.folder / layout.CONTRACT_PATH
        if not path.is_file():
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
        raw = _read_json(path)
        try:
            return {key: {name: _numbers(value) for name, value in found.items()}
                    for key, found in raw.items()}
        except (AttributeError, ValueError) as error:
            raise DatasetError(f'{path} does not hold numbers per feature: {error}. '
                               f'{REMEDY}') from error

    def columns(self, keys) -> dict:
        """
        Read whole columns.

        :param keys: Names of features that are not videos.
        :return: ``{key: array}``: ``(rows,)`` for features of shape (1,), else ``(rows, D)``.
        :raises DatasetError: if a column is missing, or rows are not what the metadata says.
        """
        for key in keys:
            if key not in self.features or key in self.video_keys:
                raise DatasetError(f'{self.folder}: no column {key!r}; it has: '
                                   f'{", ".join(set(self.features) - set(self.video_keys))}')
        wanted = list(dict.fromkeys([*keys, 'index']))
        files = dict.fromkeys(episode.data_file for episode in self.episodes)
        parts = [_read_table(file, wanted) for file in files]
        try:
            table = pa.concat_tables(parts).slice(0, self.row_count)
        except pa.ArrowException as error:
            raise DatasetError(f'{self.folder}: the data files do not hold the same columns: '
                               f'{error}. {REMEDY}') from error
        found = {key: self._column(table[key], key) for key in wanted}
        if not np.array_equal(found['index'], np.arange(self.row_count)):
            raise DatasetError(f'{self.folder}: the data files do not hold rows 0 to '
                               f'{self.row_count - 1} in order; the dataset is incomplete')
        return {key: found[key] for key in keys}

    def frames(self, key):
        """
        Decode a camera's frames, one per row, in order.

        :param key: A camera's key.
        :return: Iterator of uint8 ``(height, width, channels)``.
        :raises DatasetError: if a video is missing, truncated or has no frame at a row's time.
        """
        shape = tuple(self.features[key]['shape'])
        for file, times in self._shown(key):
            for picture in read_frames(file, times, channels=shape[2]):
                if picture.shape != shape:
                    raise DatasetError(f'{file}: frames are {picture.shape}, info.json says '
                                       f'{shape}')
                yield picture

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

    def _read_episodes(self):
        """Read the episode table, as far as ``info.json`` counts it."""
        files = sorted((self.folder / 'meta/episodes').glob('*/*.parquet'))
        wanted = ['episode_index', 'tasks', 'dataset_from_index', 'dataset_to_index',
                  'data/chunk_index', 'data/file_index']
        for key in self.video_keys:
            wanted += [f'videos/{key}/{name}'
                       for name in ('chunk_index', 'file_index', 'from_timestamp')]
        rows = [row for file in files for row in _read_table(file, wanted).to_pylist()]
        rows = rows[:self.info['total_episodes']]
        if not rows or len(rows) != self.info['total_episodes']:
            raise DatasetError(f'{self.folder}: meta/episodes lists {len(rows)} episodes, '
                               f'info.json counts {self.info["total_episodes"]}')
        for number, row in enumerate(rows):
            first = rows[number - 1]['dataset_to_index'] if number else 0
            check_episode(row, number, first, self.folder)
        return tuple(self._episode(row) for row in rows)

    def _episode(self, row):
        """Build one entry of the episode table."""
        videos = {key: (self._file('video_path', row, f'videos/{key}', video_key=key),
                        row[f'videos/{key}/from_timestamp']) for key in self.video_keys}
        return Episode(
            index=row['episode_index'], first=row['dataset_from_index'],
            end=row['dataset_to_index'], tasks=tuple(row['tasks']),
            data_file=self._file('data_path', row, 'data'), videos=videos)

    def _file(self, template, row, prefix, **names):
        """Return the file of an episode whose place ``info.json`` describes."""
        try:
            return self.folder / self.info[template].format(
                chunk_index=row[f'{prefix}/chunk_index'], file_index=row[f'{prefix}/file_index'],
                **names)
        except (LookupError, ValueError) as error:
            raise DatasetError(f'{self.folder / layout.INFO_PATH}: {template} is '
                               f'{self.info[template]!r}. {REMEDY}') from error

    def _column(self, column, key):
        """Turn a scalar or list column into one array."""
        array = column.combine_chunks()
        is_list = pa.types.is_nested(array.type)
        try:
            values = _numbers((array.flatten() if is_list else array).to_numpy(
                zero_copy_only=False))
            return values.reshape(len(array), self.features[key]['shape'][0]) if is_list \
                else values
        except (AttributeError, ValueError) as error:
            raise DatasetError(f'{self.folder}: column {key!r} of the data files does not hold '
                               f'what info.json says: {error}. {REMEDY}') from error


def _read_json(path):
    """Read a JSON file of the dataset."""
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise DatasetError(f'cannot read {path}: {error}. Is this the folder of a LeRobotDataset '
                           'v3.0, as `dpr convert` writes it?') from error


def _read_table(path, columns):
    """Read columns of one parquet file, and nothing but the columns."""
    try:
        table = pq.ParquetFile(path).read(columns=columns).select(columns)
        table.validate(full=True)  # texts of damaged files need not be UTF-8
        return table.replace_schema_metadata()
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise DatasetError(f'cannot read {path}: {error}. The dataset is incomplete') from error


def _numbers(values):
    """Turn values into an array, refusing what is no finite number with a ValueError."""
    array = np.asarray(values)
    if array.dtype.kind not in 'biuf' or not np.isfinite(array).all():
        raise ValueError(f'{shown(values)} is not made of finite numbers')
    return array

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

"""Write a LeRobotDataset v3.0 row by row; every saved episode is whole on disk at once."""

from pathlib import Path
import shutil

from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.statistics import (
    merge_statistics, PictureStatistics, vector_statistics)
from diffusion_policy_ros.data.datasets.video import DEFAULT_CODEC, describe_video, VideoWriter
from diffusion_policy_ros.data.new_folder import check_new, unfinished_path
from diffusion_policy_ros.errors import DatasetError
import numpy as np
import pyarrow as pa


class LeRobotWriter:
    """
    A dataset under construction.

    Each episode gets a data file, a metadata file and one video per camera of its own. They are
    moved into place when whole, and ``meta/info.json`` last: a process killed at any moment
    leaves all saved episodes readable and loses the one in flight. The folder is called
    ``<name>.part`` until ``close``, so that nobody takes such a remainder for the whole.

    :ivar folder: Folder of the dataset as long as it is written to.
    :ivar episode_count: Episodes saved.
    :ivar row_count: Rows in saved episodes.
    """

    def __init__(self, folder, contract, *, codec=DEFAULT_CODEC, crf=None):
        """
        Create the dataset's folder.

        :param folder: Folder to create; must not exist, nor ``<name>.part`` beside it.
        :param contract: The ``RobotContract`` that rows follow; it travels in the dataset.
        :param codec: A key of ``video.CODECS``.
        :param crf: Quality of the video, lower is better; None takes the codec's default.
        :raises DatasetError: if the folder exists or cannot be written, the rate is no whole
            number, or a camera cannot be stored as video.
        """
        check_storable(contract)
        check_new(folder, DatasetError)
        self._place = Path(folder)
        self.folder = unfinished_path(folder)
        self.episode_count = 0
        self.row_count = 0
        self._contract = contract
        self._encoding = {'codec': codec, 'crf': crf}
        self._features = layout.contract_features(contract)
        self._video_keys = [k for k, f in self._features.items() if f['dtype'] == 'video']
        self._tasks = []
        self._statistics = {}
        try:
            with layout.writing(self.folder), \
                    layout.replacing(self.folder / layout.CONTRACT_PATH) as temporary:
                temporary.write_text(contract.to_yaml(), encoding='utf-8')
        except DatasetError:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self._begin()

    def add_row(self, values, *, tick_ns, ages_ns) -> None:
        """
        Append one row to the episode in flight.

        :param values: ``{dataset key: array}``: pictures uint8 ``(height, width, channels)``,
            vectors and ``action`` float32 ``(entries,)`` in robot units.
        :param tick_ns: Time of the row, ns.
        :param ages_ns: ``{topic: age}`` of each stream's sample at the tick, ns.
        :raises DatasetError: if a value is missing or has another shape, or if the disk refuses
            to be written.
        """
        row = {**values, layout.TICK_KEY: tick_ns}
        row[layout.AGE_KEY] = [ages_ns[name] for name in self._features[layout.AGE_KEY]['names']]
        for key in (*self._columns, *self._video_keys):
            _check(key, row, self._features[key])
        for key, column in self._columns.items():
            column.append(row[key])
        for key in self._video_keys:
            if key not in self._videos:
                self._videos[key] = self._open_video(key)
            self._videos[key].write(row[key])
            self._pictures[key].add(row[key])

    @property
    def pending_rows(self) -> int:
        """Return the number of rows in the episode in flight."""
        return len(self._columns[layout.TICK_KEY])

    def save_episode(self, task) -> None:
        """
        Finish the episode in flight; when this returns, it is readable whatever happens next.

        :param task: What the episode shows, one sentence.
        :raises DatasetError: if it has no rows, or if the disk refuses to be written.
        """
        if not self.pending_rows:
            raise DatasetError('an episode without rows cannot be saved')
        if task not in self._tasks:
            self._tasks.append(task)
        columns = self._full_columns(self._tasks.index(task))
        statistics = {key: vector_statistics(values) for key, values in columns.items()}
        statistics.update({key: self._pictures[key].result() for key in self._video_keys})
        with layout.writing(self.folder):
            for key, video in self._videos.items():
                video.close()
                video.path.replace(self._video_path(key))
            layout.write_parquet(self._path(layout.DATA_PATH), self._data_table(columns))
            layout.write_parquet(self._path(layout.EPISODES_PATH),
                                 self._episode_table(task, statistics))
            self._commit(statistics)
        self._begin()

    def discard_episode(self) -> None:
        """Drop the rows in flight."""
        for video in self._videos.values():
            video.discard()
        self._begin()

    def close(self) -> None:
        """
        Drop rows in flight and give the dataset its name; without any episode it is removed.

        :raises DatasetError: if the name was taken meanwhile.
        """
        if self._drop_unsaved():
            with layout.writing(self.folder):
                self.folder.rename(self._place)

    def __enter__(self):
        """Return the writer."""
        return self

    def __exit__(self, error_type, error, traceback):
        """Close; where an exception passes, what was saved stays as ``<name>.part``."""
        if error_type is None:
            self.close()
        else:
            self._drop_unsaved()

    def _drop_unsaved(self):
        """Drop rows in flight, and the folder where nothing was saved; tell whether it stays."""
        self.discard_episode()
        if not self.episode_count:
            shutil.rmtree(self.folder)
        return self.episode_count > 0

    def _begin(self):
        """Start an empty episode."""
        skipped = {**layout.INDEX_FEATURES, **dict.fromkeys(self._video_keys)}
        self._columns = {key: [] for key in self._features if key not in skipped}
        self._videos = {}
        self._pictures = {key: PictureStatistics(self._features[key]['shape'][2])
                          for key in self._video_keys}

    def _path(self, template, **names):
        """Return the path of a file of the episode in flight."""
        return self.folder / template.format(**layout.file_numbers(self.episode_count), **names)

    def _video_path(self, key):
        """Return where the video of the episode in flight will be."""
        return self._path(layout.VIDEO_PATH, video_key=key)

    def _open_video(self, key):
        """Start the video of a camera beside its final place."""
        path = self._video_path(key)
        with layout.writing(self.folder):
            path.parent.mkdir(parents=True, exist_ok=True)
        return VideoWriter(path.with_name(f'{path.name}.tmp'), rate_hz=int(self._contract.rate_hz),
                           shape=self._features[key]['shape'], **self._encoding)

    def _full_columns(self, task_index):
        """Turn the rows in flight into arrays and number them."""
        rows = self.pending_rows
        frame = np.arange(rows, dtype=np.int64)
        columns = {key: np.asarray(column, dtype=self._features[key]['dtype'])
                   for key, column in self._columns.items()}
        return {
            **columns, 'timestamp': (frame / self._contract.rate_hz).astype(np.float32),
            'frame_index': frame, 'episode_index': np.full(rows, self.episode_count),
            'index': self.row_count + frame, 'task_index': np.full(rows, task_index)}

    def _data_table(self, columns):
        """Build the data file of the episode in flight."""
        schema = layout.data_schema(self._features)
        arrays = []
        for field in schema:
            flat = pa.array(columns[field.name].ravel())
            fixed = pa.types.is_fixed_size_list(field.type)
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, field.type.list_size)
                          if fixed else flat)
        return pa.table([a.cast(f.type) for a, f in zip(arrays, schema)], schema=schema)

    def _episode_table(self, task, statistics):
        """Build the one metadata row of the episode in flight."""
        numbers = layout.file_numbers(self.episode_count)
        row = {'episode_index': self.episode_count, 'tasks': [task], 'length': self.pending_rows,
               **{f'data/{name}': number for name, number in numbers.items()},
               'dataset_from_index': self.row_count,
               'dataset_to_index': self.row_count + self.pending_rows}
        for key in self._video_keys:
            row.update({f'videos/{key}/{name}': number for name, number in numbers.items()})
            row[f'videos/{key}/from_timestamp'] = 0.0
            row[f'videos/{key}/to_timestamp'] = self.pending_rows / self._contract.rate_hz
        for key, found in statistics.items():
            row.update({f'stats/{key}/{name}': v.tolist() for name, v in found.items()})
        row.update({f'meta/episodes/{name}': number for name, number in numbers.items()})
        return pa.Table.from_pylist([row])

    def _commit(self, statistics):
        """Count the episode: totals, then ``info.json`` as the last step."""
        for key, found in statistics.items():
            before = self._statistics.get(key)
            self._statistics[key] = merge_statistics(before, found) if before else found
            if key in self._video_keys and 'info' not in self._features[key]:
                self._features[key]['info'] = describe_video(self._video_path(key))
        layout.write_parquet(self.folder / layout.TASKS_PATH, layout.task_table(self._tasks))
        layout.write_json(self.folder / layout.STATS_PATH, {
            key: {name: value.tolist() for name, value in found.items()}
            for key, found in self._statistics.items()})
        self.episode_count += 1
        self.row_count += self.pending_rows
        layout.write_json(self.folder / layout.INFO_PATH, self._info())

    def _info(self):
        """Return the content of ``info.json``."""
        return {
            'codebase_version': layout.CODEBASE_VERSION, 'robot_type': self._contract.robot,
            'total_episodes': self.episode_count, 'total_frames': self.row_count,
            'total_tasks': len(self._tasks), 'chunks_size': layout.FILES_PER_CHUNK,
            'data_files_size_in_mb': 100, 'video_files_size_in_mb': 200,
            'fps': int(self._contract.rate_hz), 'splits': {'train': f'0:{self.episode_count}'},
            'data_path': layout.DATA_PATH,
            'video_path': layout.VIDEO_PATH if self._video_keys else None,
            'features': self._features}


def check_storable(contract):
    """
    Refuse what the format cannot hold.

    :param contract: ``RobotContract``.
    :raises DatasetError: if the rate is no whole number, or a camera cannot be stored as video.
    """
    if contract.rate_hz != int(contract.rate_hz):
        raise DatasetError(f'rate_hz is {contract.rate_hz:g}; a dataset needs a whole number of '
                           'rows per second. Choose one in the contract')
    for stream in contract.observations:
        if stream.is_image and stream.image.encoding not in ('rgb8', 'mono8'):
            raise DatasetError(f'{stream.key}: {stream.image.encoding} pictures do not fit into '
                               'an 8-bit video; use rgb8 or mono8, or take the stream out of the '
                               'contract')


def _check(key, row, feature):
    """Refuse a row that lacks a value or has one of another shape."""
    if key not in row:
        raise DatasetError(f'the row has no {key!r}; it has: {", ".join(row)}')
    value = row[key]
    if list(np.shape(value)) != feature['shape'] and feature['shape'] != [1]:
        raise DatasetError(f'{key!r} has shape {list(np.shape(value))}, the contract says '
                           f'{feature["shape"]}')

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

import os
from pathlib import Path
import shutil

from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.episode_rows import EpisodeRows
from diffusion_policy_ros.data.datasets.statistics import DatasetStatistics, RunningStatistics
from diffusion_policy_ros.data.datasets.video import (
    check_quality, DEFAULT_CODEC, describe_video, PICTURE_CODEC, VideoWriter)
from diffusion_policy_ros.data.files import replacing, write_json, writing
from diffusion_policy_ros.data.new_folder import check_new, unfinished_path
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.on_disk import put_in_place
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

    def __init__(self, folder, contract=None, *, features=None, rate_hz=None, robot_type=None,
                 codec=DEFAULT_CODEC, crf=None):
        """
        Create the dataset's folder.

        :param folder: Folder to create; must not exist, nor ``<name>.part`` beside it.
        :param contract: The ``RobotContract`` that rows follow; it travels in the dataset.
        :param features: ``{key: {dtype, shape, names}}`` of a row in LeRobot's words, without the
            index columns; by default those of the contract.
        :param rate_hz: Rows per second; by default the contract's.
        :param robot_type: Name of the robot; by default the contract's.
        :param codec: A key of ``video.CODECS``; ``png`` keeps pictures inside the rows.
        :param crf: Quality of the video, lower is better; None takes the codec's default.
        :raises DatasetError: if the folder exists or cannot be written, or the rate is no whole
            number.
        """
        check_quality(codec, crf)
        self._rate_hz = whole_rate(contract.rate_hz if rate_hz is None else rate_hz)
        _check_new(folder)
        self._place = Path(folder)
        self.folder = unfinished_path(folder)
        self.episode_count = 0
        self.row_count = 0
        self._robot_type = robot_type or (contract.robot if contract else 'unknown')
        self._encoding = {'codec': codec, 'crf': crf}
        picture = 'image' if codec == PICTURE_CODEC else 'video'
        features = features or layout.contract_features(contract, picture)
        self._row_features = layout.without_index(features)
        self._features = {**self._row_features, **layout.INDEX_FEATURES}
        self._video_keys = [k for k, f in self._features.items() if f['dtype'] == 'video']
        self._tasks = []
        self._statistics = DatasetStatistics()
        try:
            self._create(contract)
            self._begin()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def add_row(self, values, *, tick_ns, ages_ns) -> None:
        """
        Append one row of a contract to the episode in flight.

        :param values: ``{dataset key: array}``: pictures ``(height, width, channels)``, vectors
            and ``action`` float32 ``(entries,)`` in robot units.
        :param tick_ns: Time of the row, ns.
        :param ages_ns: ``{topic: age}`` of each stream's sample at the tick, ns.
        :raises DatasetError: if a value is missing or has another shape, if a picture holds a
            number that is not finite, or if the disk refuses to be written.
        """
        ages = [ages_ns[name] for name in self._features[layout.AGE_KEY]['names']]
        self.add_frame({**values, layout.TICK_KEY: tick_ns, layout.AGE_KEY: ages})

    def add_frame(self, row) -> None:
        """
        Append one row to the episode in flight.

        :param row: ``{key: value}`` for every feature but the index columns.
        :raises DatasetError: if a value is missing or has another shape, if a picture holds a
            number that is not finite, or if the disk refuses to be written.
        """
        row = self._rows.checked(row)
        for key in self._video_keys:
            if key not in self._videos:
                self._videos[key] = self._open_video(key)
            self._videos[key].write(row[key])
        with writing(self.folder):
            self._rows.add(row)

    @property
    def pending_rows(self) -> int:
        """Return the number of rows in the episode in flight."""
        return self._rows.count

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
        numbers = self._numbers(self._tasks.index(task))
        self._rows.finish()
        statistics = {**self._rows.statistics(), **_statistics_of(numbers)}
        histograms = {key: found.histogram for key, found in statistics.items()
                      if isinstance(found, RunningStatistics)}
        statistics = {key: statistics[key].result() for key in self._features if key in statistics}
        with writing(self.folder):
            for key, video in self._videos.items():
                video.close()
                video.path.replace(self._video_path(key))
            self._rows.write(self._path(layout.DATA_PATH), self._features, numbers)
            layout.write_parquet(self._path(layout.EPISODES_PATH),
                                 self._episode_table(task, statistics))
            self._commit(statistics, histograms)
        self._begin()

    def discard_episode(self) -> None:
        """Drop the rows in flight."""
        for video in self._videos.values():
            video.discard()
        self._rows.discard()
        self._begin()

    def close(self) -> None:
        """
        Drop rows in flight and give the dataset its name; without any episode it is removed.

        :raises DatasetError: if the name was taken meanwhile.
        """
        if self._drop_unsaved():
            with writing(self.folder):
                put_in_place(self.folder, self._place)

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

    def _create(self, contract):
        """Create the folder, with the contract in it."""
        with writing(self.folder):
            (self.folder / 'meta').mkdir(parents=True)
            if contract is not None:
                with replacing(self.folder / layout.CONTRACT_PATH) as temporary:
                    temporary.write_text(contract.to_yaml(), encoding='utf-8')

    def _begin(self):
        """Start an empty episode."""
        self._videos = {}
        self._rows = EpisodeRows(self._row_features, self.folder / 'data' / 'rows.tmp')

    def _path(self, template, **names):
        """Return the path of a file of the episode in flight."""
        return self.folder / template.format(**layout.file_numbers(self.episode_count), **names)

    def _video_path(self, key):
        """Return where the video of the episode in flight will be."""
        return self._path(layout.VIDEO_PATH, video_key=key)

    def _open_video(self, key):
        """Start the video of a camera beside its final place."""
        path = self._video_path(key)
        with writing(self.folder):
            path.parent.mkdir(parents=True, exist_ok=True)
        return VideoWriter(path.with_name(f'{path.name}.tmp'), rate_hz=self._rate_hz,
                           shape=self._features[key]['shape'], **self._encoding)

    def _numbers(self, task_index):
        """Return the index columns of the rows in flight."""
        rows = self.pending_rows
        frame = np.arange(rows, dtype=np.int64)
        return {
            'timestamp': (frame / self._rate_hz).astype(np.float32),
            'frame_index': frame, 'episode_index': np.full(rows, self.episode_count),
            'index': self.row_count + frame, 'task_index': np.full(rows, task_index)}

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
            row[f'videos/{key}/to_timestamp'] = self.pending_rows / self._rate_hz
        for key, found in statistics.items():
            row.update({f'stats/{key}/{name}': v.tolist() for name, v in found.items()})
        row.update({f'meta/episodes/{name}': number for name, number in numbers.items()})
        return pa.Table.from_pylist([row])

    def _commit(self, statistics, histograms):
        """Count the episode: totals, then ``info.json`` as the last step."""
        self._statistics.add_episode(statistics, histograms)
        for key in self._video_keys:
            if 'info' not in self._features[key]:
                self._features[key] = {**self._features[key],
                                       'info': describe_video(self._video_path(key))}
        layout.write_parquet(self.folder / layout.TASKS_PATH, layout.task_table(self._tasks))
        write_json(self.folder / layout.STATS_PATH, {
            key: {name: value.tolist() for name, value in found.items()}
            for key, found in self._statistics.result().items()})
        self.episode_count += 1
        self.row_count += self.pending_rows
        write_json(self.folder / layout.INFO_PATH, self._info())

    def _info(self):
        """Return the content of ``info.json``."""
        return {
            'codebase_version': layout.CODEBASE_VERSION, 'robot_type': self._robot_type,
            'total_episodes': self.episode_count, 'total_frames': self.row_count,
            'total_tasks': len(self._tasks), 'chunks_size': layout.FILES_PER_CHUNK,
            'data_files_size_in_mb': 100, 'video_files_size_in_mb': 200, 'fps': self._rate_hz,
            'splits': {'train': f'0:{self.episode_count}'}, 'data_path': layout.DATA_PATH,
            'video_path': layout.VIDEO_PATH if self._video_keys else None,
            'features': self._features}


def _check_new(folder):
    """Refuse to write where something is; what another writer left there is a dataset."""
    is_dataset = os.path.isfile(unfinished_path(folder) / layout.INFO_PATH)
    keep = f'; the episodes in it are whole: to keep them, rename it to {Path(folder).name}'
    check_new(folder, DatasetError, keep if is_dataset else '')


def check_storable(contract):
    """
    Refuse what the format cannot hold.

    :param contract: ``RobotContract``.
    :raises DatasetError: if the rate is no whole number.
    """
    whole_rate(contract.rate_hz)


def whole_rate(rate_hz) -> int:
    """
    Return a rate as the format holds it.

    :param rate_hz: Rows per second.
    :raises DatasetError: if it is no whole number.
    """
    if rate_hz != int(rate_hz):
        raise DatasetError(f'rate_hz is {rate_hz:g}; a dataset needs a whole number of '
                           'rows per second. Choose one, in the contract or with --rate')
    return int(rate_hz)


def _statistics_of(numbers):
    """Return the statistics of the index columns, of which each row has one number."""
    found = {key: RunningStatistics((1,), values.dtype) for key, values in numbers.items()}
    for key, values in numbers.items():
        found[key].add(values)
    return found

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

"""Make a dataset of chosen episodes of others, without recoding a picture."""

import os
from pathlib import Path
import shutil

from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.agreement import common_features, episode_schema
from diffusion_policy_ros.data.datasets.conversion_record import carried_record
from diffusion_policy_ros.data.datasets.dataset_checks import REMEDY
from diffusion_policy_ros.data.datasets.histogram import Histogram
from diffusion_policy_ros.data.datasets.lerobot_files import (
    column_values, episode_table, file_layout, read_tasks)
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.selected_rows import (
    check_rows, check_sizes, index_statistics, renumbered, write_tables)
from diffusion_policy_ros.data.datasets.statistics import (
    counted_kind, DatasetStatistics, merge_statistics, moments)
from diffusion_policy_ros.data.datasets.stored_statistics import checked_statistics
from diffusion_policy_ros.data.datasets.video import frame_times, rows_without_frame
from diffusion_policy_ros.data.files import write_json, writing
from diffusion_policy_ros.data.new_folder import check_new, check_outside, unfinished_path
from diffusion_policy_ros.data.progress import progress_bar
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.on_disk import put_in_place
import numpy as np
import pyarrow as pa


def write_selection(out, picks, progress=True) -> LeRobotReader:
    """
    Write a dataset that holds some episodes of others, numbered on from 0.

    Videos are hard-linked, or copied where the disk has no links. One that several episodes share
    stays shared. Data files are linked where no number in them changes, and written anew
    otherwise. The result is what one ``LeRobotWriter`` would have written.

    :param out: Folder to create; it is called ``<name>.part`` until it is whole.
    :param picks: List of ``(LeRobotReader, Episode)`` in the new order.
    :param progress: Show a progress bar.
    :return: The new dataset, opened.
    :raises DatasetError: if there are no picks, the sources do not agree in features, rate and
        contract, one is damaged, or the disk cannot be written; then nothing is left of it.
    """
    check_new(out, DatasetError)
    if not picks:
        raise DatasetError(f'no episode would be left for {out}')
    readers = list({id(reader): reader for reader, _ in picks}.values())
    for reader in readers:
        check_outside(out, reader.folder, DatasetError)
    part = unfinished_path(out)
    try:
        with writing(out):
            _Selection(part, readers).write(picks, progress)
            _check_result(part, picks)
            put_in_place(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return LeRobotReader(out)


class _Selection:
    """One new dataset."""

    def __init__(self, folder, readers):
        self._folder = folder
        self._first_reader = readers[0]
        self._features = common_features(readers)
        self._schema, _ = file_layout(readers[0].episodes[0].data_file)
        self._video_keys = [k for k, f in self._features.items() if f['dtype'] == 'video']
        self._tables = {id(reader): episode_table(reader.folder) for reader in readers}
        self._episode_schema = episode_schema(self._tables.values())
        self._old_tasks = {id(reader): _numbers_of(read_tasks(reader.folder / layout.TASKS_PATH))
                           for reader in readers}
        self._counted = {
            key: Histogram(int(np.prod(feature['shape'], dtype=int)),
                           counted_kind(layout.array_dtype(feature)) is np.int64)
            for key, feature in self._features.items()
            if not layout.is_picture(feature) and layout.array_dtype(feature).kind in 'biuf'}
        self._statistics = DatasetStatistics()
        self._tasks, self._placed, self._counts = {}, {}, {}
        self._moments, self._frame_times = {}, {}
        self._episodes = self._rows = 0

    def write(self, picks, progress):
        """Write everything, ``info.json`` last."""
        record, contract = carried_record(picks), self._first_reader.contract
        for reader in {id(reader): reader for reader, _ in picks}.values():
            check_sizes(reader, [e for other, e in picks if other is reader])
        (self._folder / 'meta').mkdir(parents=True)
        unchanged = self._unchanged_files(picks)
        with progress_bar('writing episodes', len(picks), is_shown=progress) as bar:
            for reader, episode in picks:
                self._write_episode(reader, episode, unchanged)
                bar.update()
        if contract is not None:
            shutil.copyfile(self._first_reader.folder / layout.CONTRACT_PATH,
                            self._folder / layout.CONTRACT_PATH)
        if record is not None:
            write_json(self._folder / layout.RECORD_PATH, record)
        layout.write_parquet(self._folder / layout.TASKS_PATH,
                             layout.task_table(list(self._tasks)))
        self._statistics.add_values(self._counted)
        found = self._statistics.result()
        write_json(self._folder / layout.STATS_PATH, {
            key: {name: value.tolist() for name, value in found[key].items()}
            for key in self._features if key in found})
        write_json(self._folder / layout.INFO_PATH, self._info())

    def _write_episode(self, reader, episode, unchanged):
        """Write one episode."""
        tasks = [self._task_number(task) for task in episode.tasks]
        row = self._tables[id(reader)].slice(episode.index, 1).to_pylist()[0]
        self._moments = {}
        data = self._place_data(reader, episode, unchanged)
        self._finish_episode(reader, episode, row, data, tasks)

    def _unchanged_files(self, picks):
        """Return the data files in which no number changes."""
        files, changed = {}, set()
        first = 0
        for number, (reader, episode) in enumerate(picks):
            old = self._old_tasks[id(reader)]
            kept = [old.get(task) == [self._task_number(task)] for task in episode.tasks]
            file = (id(reader), episode.data_file)
            if (number, first) != (episode.index, episode.first) or not all(kept):
                changed.add(file)
            files[file] = files.get(file, 0) + episode.length
            first += episode.length
        return {file for file, rows in files.items()
                if file not in changed and self._is_whole(file[1], rows)}

    def _is_whole(self, file, rows):
        """Tell whether a data file holds nothing but some rows, in the columns of the new ones."""
        schema, found = file_layout(file)
        return found == rows and schema.equals(self._schema, check_metadata=True)

    def _place_data(self, reader, episode, unchanged):
        """Put an episode's rows into the new dataset; return their file's numbers."""
        source = (id(reader), episode.data_file)
        keys = [key for key in self._schema.names if key in self._counted]
        if source in unchanged:
            for table in self._stored(reader, episode, keys):
                self._count(table, episode.data_file)
            return self._place_file(reader, episode.data_file, 'data', layout.DATA_PATH)
        numbers = layout.file_numbers(self._next('data'))
        write_tables(self._folder / layout.DATA_PATH.format(**numbers), self._schema,
                     self._renumbered(reader, episode))
        return numbers

    def _renumbered(self, reader, episode):
        """Yield an episode's tables with their new numbers, counting their values."""
        first, tasks = self._rows, self._new_tasks(reader, episode)
        for table in self._stored(reader, episode, self._schema.names):
            table = renumbered(table, self._schema, first, self._episodes, tasks,
                               episode.data_file)
            first += len(table)
            self._count(table, episode.data_file)
            yield table

    def _stored(self, reader, episode, keys):
        """Yield an episode's tables; rows that are not its own are refused."""
        first, tasks = episode.first, self._new_tasks(reader, episode)
        for table in reader.tables(episode, keys):
            check_rows(table, episode, first, tasks, episode.data_file)
            first += len(table)
            yield table

    def _new_tasks(self, reader, episode):
        """Return ``{task_index: new one}`` of an episode's tasks."""
        old = self._old_tasks[id(reader)]
        for task in episode.tasks:
            if task not in old:
                raise DatasetError(f'{reader.folder}: meta/episodes gives episode {episode.index} '
                                   f'the task {task!r}, which meta/tasks.parquet does not list. '
                                   f'{REMEDY}')
        return {number: self._tasks[task] for task in episode.tasks for number in old[task]}

    def _count(self, table, where):
        """Take the values of some rows of a file into the histograms and the episode's moments."""
        for key, histogram in self._counted.items():
            values = column_values(table[key], key, self._features[key], where)
            kind = counted_kind(layout.array_dtype(self._features[key]))
            values = values.reshape(len(values), -1).astype(kind)
            histogram.add(values)
            found = moments(values)
            self._moments[key] = merge_statistics(self._moments[key], found) \
                if key in self._moments else found

    def _place_file(self, reader, source, kind, template, **names):
        """Link a file into the new dataset, once; return its numbers there."""
        key = (kind, id(reader), source)
        if key not in self._placed:
            numbers = layout.file_numbers(self._next(kind))
            link_file(source, self._folder / template.format(**numbers, **names))
            self._placed[key] = numbers
        return self._placed[key]

    def _next(self, kind):
        """Return the number of the next file of a kind."""
        self._counts[kind] = self._counts.get(kind, -1) + 1
        return self._counts[kind]

    def _finish_episode(self, reader, episode, row, data, tasks):
        """Write the episode's row of the episode table, and count it."""
        numbers = layout.file_numbers(self._episodes)
        row.update({
            'episode_index': self._episodes, 'dataset_from_index': self._rows,
            'dataset_to_index': self._rows + episode.length,
            **{f'data/{name}': number for name, number in data.items()},
            **{f'meta/episodes/{name}': number for name, number in numbers.items()}})
        for key in self._video_keys:
            self._check_frames(reader, episode, key)
            placed = self._place_file(reader, episode.videos[key][0], key, layout.VIDEO_PATH,
                                      video_key=key)
            row.update({f'videos/{key}/{name}': number for name, number in placed.items()})
        row.update(index_statistics(row, self._rows, self._episodes, tasks, episode.length))
        self._statistics.add_episode(checked_statistics(
            row, self._features, {key: found for key, found in self._moments.items()
                                  if key not in layout.INDEX_FEATURES},
            f'{reader.folder}: meta/episodes row {episode.index}'))
        table = pa.Table.from_pylist([row], schema=self._episode_schema)
        layout.write_parquet(self._folder / layout.EPISODES_PATH.format(**numbers), table)
        self._episodes += 1
        self._rows += episode.length

    def _check_frames(self, reader, episode, key):
        """Refuse a video that does not show every row."""
        file, begin_s = episode.videos[key]
        if file not in self._frame_times:
            self._frame_times[file] = frame_times(file)
        is_lost = rows_without_frame(self._frame_times[file], begin_s, episode.length,
                                     reader.rate_hz)
        if is_lost.any():
            raise DatasetError(f'{file} has no frame at the time of row '
                               f'{int(is_lost.argmax())} of episode {episode.index}. {REMEDY}')

    def _task_number(self, task):
        """Return the new number of a task."""
        return self._tasks.setdefault(task, len(self._tasks))

    def _info(self):
        """Return the content of ``info.json``."""
        return {
            **self._first_reader.info, 'total_episodes': self._episodes,
            'total_frames': self._rows, 'total_tasks': len(self._tasks),
            'chunks_size': layout.FILES_PER_CHUNK, 'splits': {'train': f'0:{self._episodes}'},
            'data_path': layout.DATA_PATH,
            'video_path': layout.VIDEO_PATH if self._video_keys else None,
            'features': self._features}


def _numbers_of(sentences):
    """Return ``{sentence: [task_index]}``; others may list a sentence twice."""
    found = {}
    for number, sentence in enumerate(sentences):
        found.setdefault(sentence, []).append(number)
    return found


def link_file(source, target) -> None:
    """
    Give a file a second place, or copy it where the disk has no hard links.

    :param source: The file.
    :param target: Its new path; folders are created.
    :raises DatasetError: if it does not exist.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if not Path(source).is_file():
        raise DatasetError(f'{source} does not exist; the dataset is incomplete')
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _check_result(folder, picks):
    """Read the new dataset back, as far as that is quick."""
    reader = LeRobotReader(folder)
    reader.columns(['episode_index'])
    if [e.length for e in reader.episodes] != [episode.length for _, episode in picks]:
        raise DatasetError(f'{folder} does not hold what was chosen; this is a fault of this '
                           'package')

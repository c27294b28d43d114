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

"""Do the rows of a dataset count themselves right, in place, time and task."""

import re

from diffusion_policy_ros.data.conversion.settings import MIN_ROWS
from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.lerobot_files import read_tasks
from diffusion_policy_ros.data.datasets.video import TIME_TOLERANCE_S
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.dataset.finding import (
    ERROR, Finding, NOTE, Places, WARNING)
from diffusion_policy_ros.evaluation.dataset.source import RESTORE
import numpy as np

# Ticks are rounded to whole nanoseconds one by one, so that a step may be one longer or shorter.
TICK_TOLERANCE_NS = 1
MANY_TIMES = 5


class RowsCheck:
    """Compare indices, timestamps, ticks and tasks of every episode with what they must be."""

    def __init__(self, source):
        """
        Begin with no episode.

        :param source: ``LeRobotSource``.
        """
        self._source = source
        self._wrong = {}
        self._tasks, self._task_findings = _read_tasks(source)
        self._used = {}

    def look(self, rows) -> None:
        """
        Look at one episode.

        :param rows: ``StoredRows``.
        """
        episode, columns = rows.episode, {k: v[:, 0] for k, v in rows.columns.items()
                                          if k in (*layout.INDEX_FEATURES, layout.TICK_KEY)}
        frame = np.arange(rows.count)
        for key, wanted in (('index', episode.first + frame), ('frame_index', frame),
                            ('episode_index', np.full(rows.count, episode.index))):
            if key in columns:
                self._note(key, episode, columns[key] != wanted)
        if 'timestamp' in columns:
            wanted = frame / self._source.rate_hz
            # A float32 is coarser than the tolerance from 2000 s on.
            tolerance = np.maximum(TIME_TOLERANCE_S, np.spacing(wanted.astype(np.float32)))
            apart = np.abs(columns['timestamp'].astype(np.float64) - wanted)
            self._note('timestamp', episode, ~(apart <= tolerance))
        if layout.TICK_KEY in columns:
            ticks = columns[layout.TICK_KEY].astype(np.int64)
            wanted = np.round(frame * (1e9 / self._source.rate_hz)).astype(np.int64)
            apart = np.abs(ticks - ticks[:1] - wanted)
            self._note(layout.TICK_KEY, episode, apart > TICK_TOLERANCE_NS)
        if 'task_index' in columns and self._tasks is not None:
            self._look_at_task(episode, columns['task_index'])

    def findings(self) -> list:
        """Return what was found."""
        meant = {
            'index': 'does not count the rows of the dataset', 'frame_index': 'does not count '
            'from 0', 'episode_index': 'is not the number of the episode',
            'timestamp': f'is not frame_index / {self._source.rate_hz:g} within '
            f'{TIME_TOLERANCE_S:g} s', layout.TICK_KEY: 'does not step by '
            f'1 / {self._source.rate_hz:g} s: a gap in time was not split',
            'task_index': 'is not in meta/tasks.parquet, or is not what meta/episodes says'}
        check = {'timestamp': 'timestamps', layout.TICK_KEY: 'timestamps', 'task_index': 'tasks'}
        return [*self._task_findings, *self._unused_tasks(),
                *(Finding(ERROR, check.get(key, 'indices'), f'{key} {meant[key]}: {places}',
                          RESTORE) for key, places in self._wrong.items())]

    def _note(self, key, episode, is_wrong):
        """Remember an episode whose column is wrong somewhere."""
        if is_wrong.any():
            self._wrong.setdefault(key, Places()).add(
                f'episode {episode.index} from row {int(is_wrong.argmax())} on')

    def _look_at_task(self, episode, numbers):
        """Compare the tasks of the rows with the table, and with the episode's."""
        unknown = ~np.isin(numbers, list(self._tasks))
        named = {self._tasks[number] for number in np.unique(numbers[~unknown])}
        self._used.update(dict.fromkeys(named))
        self._note('task_index', episode,
                   unknown if unknown.any() else np.array([not named <= set(episode.tasks)]))

    def _unused_tasks(self):
        """Say which tasks no row has."""
        unused = set((self._tasks or {}).values()) - set(self._used)
        if not unused or not self._used:
            return []
        return [Finding(NOTE, 'tasks', f'{len(unused)} of {len(self._tasks)} tasks belong to no '
                        f'row, such as {min(unused)!r}', 'nothing, unless you miss them')]


def check_lengths(source) -> list:
    """
    Find episodes that are too short to learn from, or much longer or shorter than the others.

    :param source: What ``open_source`` returned.
    :return: Findings.
    """
    lengths = np.array([episode.length for episode in source.episodes])
    typical = float(np.median(lengths))
    short, apart = Places(), Places()
    for episode, length in zip(source.episodes, lengths.tolist()):
        if length < MIN_ROWS:
            short.add(f'episode {episode.index} ({length} rows)')
        elif not typical / MANY_TIMES <= length <= typical * MANY_TIMES:
            apart.add(f'episode {episode.index} ({length} rows)')
    found = []
    if short:
        found.append(Finding(WARNING, 'lengths', f'{short.count} episodes have fewer than '
                             f'{MIN_ROWS} rows, too few for a movement: {short}',
                             'take them out with `dpr edit`'))
    if apart:
        found.append(Finding(WARNING, 'lengths', f'{apart.count} episodes are more than '
                             f'{MANY_TIMES} times longer or shorter than the typical '
                             f'{typical:g} rows: {apart}', 'look whether a start or a stop of '
                             'the recorder was forgotten'))
    return found


def check_totals(source) -> list:
    """
    Compare what ``info.json`` counts with what is there.

    :param source: ``LeRobotSource``.
    :return: Findings.
    """
    found, info, uncounted = [], source.reader.info, source.reader.uncounted
    if info.get('total_frames') != source.row_count:
        found.append(Finding(ERROR, 'totals', 'total_frames of meta/info.json is '
                             f'{info.get("total_frames")}, meta/episodes adds up to '
                             f'{source.row_count}', RESTORE))
    found += [] if uncounted else _wrong_tasks(source)
    found += _wrong_splits(source)
    if uncounted:
        found.append(Finding(NOTE, 'totals', f'meta/episodes lists {uncounted} episodes more than '
                             'meta/info.json counts: what wrote them was stopped before it had '
                             'counted them, and nothing reads them',
                             'nothing, unless you miss them: then convert their bags again'))
    return found


def _wrong_tasks(source):
    """Compare the number of tasks that ``info.json`` tells with the table."""
    told, tasks = source.reader.info.get('total_tasks'), _read_tasks(source)[0]
    return [] if tasks is None or told == len(tasks) else [
        Finding(ERROR, 'totals', f'total_tasks of meta/info.json is {told}, meta/tasks.parquet '
                f'lists {len(tasks)}', RESTORE)]


def _wrong_splits(source):
    """Find the splits that name episodes which are not there."""
    splits, count = source.reader.info.get('splits'), len(source.episodes)
    named = {name: re.fullmatch(r'\d+:(\d+)', str(part)) for name, part in splits.items()} \
        if isinstance(splits, dict) else {}
    return [Finding(ERROR, 'totals', f'splits of meta/info.json says {name} {ends[0]!r}, there '
                    f'are {count} episodes', RESTORE)
            for name, ends in named.items() if ends and int(ends[1]) > count]


def _read_tasks(source):
    """Return ``{number: sentence}``, None without a readable table; and what is wrong with it."""
    try:
        texts = read_tasks(source.folder / layout.TASKS_PATH)
    except DatasetError as error:
        return None, [Finding(ERROR, 'tasks', str(error), RESTORE)]
    found = []
    if any(not text.strip() for text in texts):
        found.append(Finding(WARNING, 'tasks', 'a task is an empty sentence', 'record with the '
                             'parameter task, or convert with --task'))
    alike = {}
    for text in texts:
        alike.setdefault(' '.join(text.lower().split()).rstrip('.'), []).append(text)
    for same in (same for same in alike.values() if len(same) > 1):
        found.append(Finding(WARNING, 'tasks', f'{" and ".join(map(repr, same))} are two tasks '
                             'that mean one', 'write a task in one way'))
    return dict(enumerate(texts)), found

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

"""Is each episode what the episode table says of it: its numbers, its pictures, its files."""

from diffusion_policy_ros.checks import first_of
from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.lerobot_files import episode_table
from diffusion_policy_ros.data.datasets.statistics import moments
from diffusion_policy_ros.data.datasets.stored_statistics import differences, episode_statistics
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.dataset.exchanged import ExchangeCheck
from diffusion_policy_ros.evaluation.dataset.finding import ERROR, Finding, Places
from diffusion_policy_ros.evaluation.dataset.source import is_depth, RESTORE
import numpy as np


class EpisodeTableCheck:
    """Compare ``meta/episodes`` with what is there."""

    def __init__(self, source):
        """
        Read the table.

        :param source: ``LeRobotSource``.
        """
        self._source = source
        self._findings, self._table = [], None
        self._numbers, self._times, self._pictures = Places(), Places(), {}
        try:
            self._table = episode_table(source.folder)
        except DatasetError as error:
            self._findings.append(Finding(ERROR, 'schema', str(error), RESTORE))

    def look(self, rows) -> None:
        """
        Look at the rows of one episode.

        :param rows: ``StoredRows``.
        """
        if self._table is None:
            return
        stored = self._row(rows.episode)
        wrong = []
        for key, values in rows.columns.items():
            if key not in layout.INDEX_FEATURES and len(values) and np.isfinite(values).all():
                wrong += _wrong_statistics(stored, key, values, self._source.features[key])
        if wrong:
            self._numbers.add(f'episode {rows.episode.index} ({first_of(wrong, most=1)})')
        self._look_at_times(rows.episode, stored)

    def look_at_pictures(self, episode, key, mean) -> None:
        """
        Look at the pictures of one episode.

        :param episode: ``Episode``.
        :param key: The camera.
        :param mean: Mean of all its pictures per channel, in [0, 1].
        """
        if self._table is None or is_depth(self._source.features[key]):
            return  # depth is stored in its own unit
        row = self._row(episode)
        try:
            stored = episode_statistics(row, key)
        except ValueError:
            stored = {}
        told = np.ravel(stored.get('mean', ()))
        if len(told) != len(mean) or 'count' not in stored:
            return  # older datasets hold none
        self._pictures.setdefault(key, ExchangeCheck(key)).add(
            episode.index, told, mean, np.ravel(stored['count']).tolist() == [episode.length])

    def findings(self) -> list:
        """Return what was found."""
        found = [*self._findings, *self._stray_files()]
        for places, check, what in (
                (self._numbers, 'statistics', 'meta/episodes holds other statistics than the rows '
                 'have'),
                (self._times, 'videos', 'to_timestamp of meta/episodes is not from_timestamp + '
                 'length / fps')):
            if places:
                found.append(Finding(ERROR, check, f'{what}, in {places.count} episodes: '
                                     f'{places}', RESTORE))
        return found + [finding for check in self._pictures.values()
                        for finding in check.findings()]

    def _row(self, episode):
        """Return what the table holds about an episode."""
        return self._table.slice(episode.index, 1).to_pylist()[0]

    def _look_at_times(self, episode, stored):
        """Compare when the episode ends in each video with its number of rows."""
        rate_hz = self._source.rate_hz
        for key, (_, begin_s) in episode.videos.items():
            told_s = stored.get(f'videos/{key}/to_timestamp')
            wanted_s = begin_s + episode.length / rate_hz
            if told_s is not None and abs(told_s - wanted_s) > 0.5 / rate_hz:
                self._times.add(f'episode {episode.index} ({told_s:g} s, not {wanted_s:g} s)')

    def _stray_files(self):
        """Find data files that no episode has; LeRobot reads them all the same."""
        if self._table is None:
            return []
        chunks, numbers = (self._table[f'data/{name}'].to_pylist()
                           for name in ('chunk_index', 'file_index'))
        named = {self._source.folder / self._source.reader.info['data_path'].format(
            chunk_index=chunk, file_index=number) for chunk, number in zip(chunks, numbers)}
        stray = Places()
        for file in sorted((self._source.folder / 'data').glob('*/*.parquet')):
            if file not in named:
                stray.add(str(file.relative_to(self._source.folder)))
        return [Finding(ERROR, 'data files', f'{stray.count} files belong to no episode: {stray}',
                        'move them out of data/: LeRobot takes every file there for rows')
                ] if stray else []


def _wrong_statistics(row, key, values, feature):
    """List what the table says wrongly of one column."""
    try:
        stored = episode_statistics(row, key)
    except ValueError as error:
        return [f'{key}: {error}']
    if not stored:
        return []
    wrong, _ = differences(stored, moments(values), layout.entry_names(key, feature))
    return [f'{key} {sentence}' for sentence in wrong]

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

"""What the numbers of a dataset do, entry by entry: range, spread, constants, gaps."""

from diffusion_policy_ros.data.datasets.statistics import (
    merge_statistics, QUANTILES, vector_statistics)
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.dataset.finding import (
    ERROR, Finding, NOTE, Places, WARNING)
from diffusion_policy_ros.streams import ACTION_KEY, STATE_KEY
import numpy as np

# Rows kept for medians, quantiles and histograms, evenly over the dataset.
SAMPLED_ROWS = 50_000
# Stored statistics may be computed in float32, in another order.
STATISTICS_TOLERANCE = 1e-3
# Of the size of the values: what a deviation loses that is taken from float32 sums of squares.
CANCELLATION = 3e-3
CONSTANT_REMEDY = ('is the sensor alive, and is the entry needed? Else take it out of the '
                   'contract and convert again')


class ChannelStudy:
    """
    The entries of one column over all rows.

    :ivar key: The column.
    :ivar names: A name for each entry.
    :ivar statistics: As ``vector_statistics``, of the rows that are finite; None without any.
    """

    def __init__(self, key, names, row_count):
        """
        Begin with no row.

        :param key: The column.
        :param names: A name for each entry.
        :param row_count: Rows that there will be.
        """
        self.key, self.names = key, names
        self.statistics = None
        self._every = max(1, row_count // SAMPLED_ROWS)
        self._seen = 0
        self._values, self._steps = [], []
        self._broken = [Places() for _ in names]

    def look(self, rows) -> None:
        """
        Look at one episode.

        :param rows: ``StoredRows``.
        """
        values = rows.columns.get(self.key)
        if values is None or not len(values):
            return
        finite = np.isfinite(values)
        for places, name, is_fine, column in zip(self._broken, self.names, finite.T, values.T):
            if not is_fine.all():
                row = int(is_fine.argmin())
                places.add(f'episode {rows.episode.index} row {row} is {column[row]:g}',
                           int((~is_fine).sum()))
        whole = values[finite.all(axis=1)]
        if len(whole):
            found = vector_statistics(whole)
            self.statistics = merge_statistics(self.statistics, found) if self.statistics \
                else found
        chosen = slice(-self._seen % self._every, None, self._every)
        self._seen += len(values)
        self._values.append(values[chosen].astype(np.float64))
        self._steps.append(np.abs(np.diff(values.astype(np.float64), axis=0))[chosen])

    @property
    def sample(self):
        """Return the values of rows spread evenly over the dataset, float64 ``(rows, D)``."""
        return np.concatenate(self._values) if self._values else np.empty((0, len(self.names)))

    @property
    def steps(self):
        """Return how far entries move from one row to the next, of such rows, ``(rows, D)``."""
        return np.concatenate(self._steps) if self._steps else np.empty((0, len(self.names)))

    @property
    def constant(self) -> list:
        """Return the entries that never change."""
        if self.statistics is None or self.statistics['count'][0] < 2:
            return []
        is_constant = self.statistics['min'] == self.statistics['max']
        return [name for name, same in zip(self.names, is_constant) if same]

    def findings(self) -> list:
        """Return what was found."""
        found = [Finding(ERROR, 'not finite', f'{self.key} {name}: {places.count} values are not '
                         f'finite: {places}', 'take the episode out with `dpr edit`, or repair '
                         'the driver and record it again')
                 for name, places in zip(self.names, self._broken) if places]
        constant = self.constant
        if constant and len(constant) == len(self.names) and self.key == ACTION_KEY:
            return [*found, Finding(ERROR, 'constant', f'no entry of {self.key} ever changes; '
                                    'there is nothing to learn', 'record the commands of the '
                                    'demonstration, and name their topic in the contract')]
        if constant:
            lowest = dict(zip(self.names, self.statistics['min'].tolist()))
            level = WARNING if self.key in (STATE_KEY, ACTION_KEY) else NOTE
            found.append(Finding(
                level, 'constant', f'{self.key} never changes in: '
                + ', '.join(f'{name} (always {lowest[name]:g})' for name in constant),
                CONSTANT_REMEDY))
        return found


def check_statistics(source, studies, pictures) -> list:
    """
    Compare the statistics inside a dataset, by which training normalises, with its rows.

    :param source: What ``open_source`` returned.
    :param studies: ``{key: ChannelStudy}`` that have seen all rows.
    :param pictures: ``{camera: mean of all pictures per channel in [0, 1]}``, of those decoded.
    :return: Findings.
    """
    try:
        stored = source.statistics()
    except DatasetError as error:
        return [Finding(ERROR, 'statistics', str(error), 'convert the bags again')]
    if stored is None:  # a format that holds none
        return []
    found = []
    for key, study in studies.items():
        if study.statistics is None or study.statistics['count'][0] != source.row_count:
            continue  # values are missing, which is told already
        wrong, coarse = ([], []) if key in stored else (['it is missing'], [])
        if key in stored:
            wrong, coarse = _differences(stored[key], study.statistics, study.names)
        for level, sentences, remedy in (
                (ERROR, wrong, 'training would normalise wrongly; convert the bags again'),
                (WARNING, coarse, 'it was computed with too few digits; where that matters, '
                 'convert the bags again')):
            if sentences:
                more = f' and {len(sentences) - 3} more' if sentences[3:] else ''
                found.append(Finding(level, 'statistics', f'{key} of meta/stats.json: '
                                     f'{"; ".join(sentences[:3])}{more}', remedy))
    for key, mean in pictures.items():
        if _is_depth(source.features[key]):
            continue  # stored in its own unit
        told = np.ravel(stored.get(key, {}).get('mean', []))
        if len(told) != len(mean) or np.abs(told - mean).max() > 0.1:
            found.append(Finding(
                WARNING, 'statistics', f'{key} of meta/stats.json: the mean of the pictures is '
                f'{np.round(told, 3).tolist()}, they have {np.round(mean, 3).tolist()}',
                'it normalises pictures where a policy asks for that'))
    return found


def _is_depth(feature):
    """Tell whether pictures hold distances."""
    info = feature.get('info') or feature.get('video_info') or {}
    return bool(info.get('depth_unit') or info.get('is_depth_map')
                or info.get('video.is_depth_map'))


def _differences(stored, counted, names):
    """List what differs between stored statistics and those of the rows, and what is coarse."""
    width = np.maximum(counted['max'] - counted['min'], 1e-9)
    size = np.maximum(np.abs(counted['max']), np.abs(counted['min']))
    tolerance = STATISTICS_TOLERANCE * width + 1e-5 * size
    wrong, coarse = [], []
    for name in ('min', 'max', 'mean', 'std'):
        told = np.ravel(stored.get(name, []))
        if len(told) != len(names):
            wrong.append(f'{name} has {len(told)} entries, the column {len(names)}')
            continue
        apart = np.abs(told - counted[name])
        for entry in np.flatnonzero(~(apart <= tolerance)):
            is_coarse = name == 'std' and apart[entry] <= CANCELLATION * size[entry]
            (coarse if is_coarse else wrong).append(
                f'{name} of {names[entry]} is {told[entry]:.6g}, the rows have '
                f'{counted[name][entry]:.6g}')
    quantiles = [np.ravel(stored[name]) for name in QUANTILES if name in stored]
    if len(quantiles) == len(QUANTILES) and all(len(q) == len(names) for q in quantiles) and (
            np.diff(quantiles, axis=0) < -tolerance).any():
        wrong.append('the quantiles are not in order')
    return wrong, coarse

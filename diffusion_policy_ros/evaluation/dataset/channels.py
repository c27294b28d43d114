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

from diffusion_policy_ros.checks import first_of
from diffusion_policy_ros.data.datasets.statistics import merge_statistics, moments, QUANTILES
from diffusion_policy_ros.data.datasets.stored_statistics import differences, tolerance_of
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.dataset.finding import (
    ERROR, Finding, NOTE, Places, WARNING)
from diffusion_policy_ros.evaluation.dataset.source import is_depth
from diffusion_policy_ros.message_types import POSITION, QUATERNION, ROT6D
from diffusion_policy_ros.streams import ACTION_KEY, STATE_KEY
import numpy as np

POSE = {*POSITION, *QUATERNION, *ROT6D}
# Rows kept for medians, quantiles and histograms, evenly over the dataset.
SAMPLED_ROWS = 50_000
CONSTANT_REMEDY = ('is the sensor alive, and is the entry needed? Else take it out of the '
                   'contract and convert again')


def is_auxiliary(key) -> bool:
    """
    Tell whether a column is an observation beside the robot's state, such as an object's pose.

    :param key: The column.
    """
    return key.startswith('observation.') and key != STATE_KEY


def is_of_pose(name) -> bool:
    """
    Tell whether an entry is one of a pose, of which a task may well need a part only.

    :param name: Name of the entry.
    """
    return name in POSE


class ChannelStudy:
    """
    The entries of one column over all rows.

    :ivar key: The column.
    :ivar names: A name for each entry.
    :ivar statistics: As ``moments``, of the rows that are finite; None without any.
    :ivar quantiles: ``{q01 .. q99: (least, greatest)}`` over the episodes, each ``(D,)``. That of
        all rows lies between them, and so does an average, which LeRobot takes.
    """

    def __init__(self, key, names, row_count):
        """
        Begin with no row.

        :param key: The column.
        :param names: A name for each entry.
        :param row_count: Rows that there will be.
        """
        self.key, self.names = key, names
        self.statistics, self.quantiles = None, {}
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
            found = moments(whole)
            self.statistics = merge_statistics(self.statistics, found) if self.statistics \
                else found
            self._widen_quantiles(np.sort(whole, axis=0))
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

    def _widen_quantiles(self, ordered):
        """Take the quantiles of an episode in, whichever of two neighbouring values they are."""
        for name, share in QUANTILES.items():
            place = share * (len(ordered) - 1)
            low, high = ordered[int(np.floor(place))], ordered[int(np.ceil(place))]
            least, greatest = self.quantiles.get(name, (low, high))
            self.quantiles[name] = np.minimum(least, low), np.maximum(greatest, high)

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
        if len(constant) < len(self.names):  # else the sensor may be dead, whatever it measures
            constant = [] if is_auxiliary(self.key) else [
                name for name in constant if not is_of_pose(name)]
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
            wrong, coarse = differences(stored[key], study.statistics, study.names)
            wrong += _wrong_quantiles(stored[key], study)
        for level, sentences, remedy in (
                (ERROR, wrong, 'training would normalise wrongly; convert the bags again'),
                (WARNING, coarse, 'it was computed with too few digits; where that matters, '
                 'convert the bags again')):
            if sentences:
                found.append(Finding(level, 'statistics', f'{key} of meta/stats.json: '
                                     f'{first_of(sentences)}', remedy))
    return found + _wrong_cameras(source, stored, pictures)


def _wrong_cameras(source, stored, pictures):
    """Compare the means of pictures inside a dataset with those that were decoded."""
    found = []
    for key, mean in pictures.items():
        if is_depth(source.features[key]):
            continue  # stored in its own unit
        told = np.ravel(stored.get(key, {}).get('mean', []))
        is_whole = len(told) == len(mean)
        if not is_whole or np.abs(told - mean).max() > 0.1:  # others count only some pixels
            found.append(Finding(
                NOTE if is_whole else WARNING, 'statistics', f'{key} of meta/stats.json: the mean '
                f'of the pictures is {np.round(told, 3).tolist()}, they have '
                f'{np.round(mean, 3).tolist()}',
                'it normalises pictures where a policy asks for that'))
    return found


def _wrong_quantiles(stored, study):
    """List the quantiles that cannot be those of the rows."""
    wrong, tolerance = [], tolerance_of(study.statistics)
    for name, (least, greatest) in study.quantiles.items():
        told = np.ravel(stored.get(name, []))
        if len(told) != len(study.names):
            continue  # older datasets hold none
        is_wrong = ~((least - tolerance <= told) & (told <= greatest + tolerance))
        wrong += [f'{name} of {study.names[entry]} is {told[entry]:.6g}, the episodes have '
                  f'{least[entry]:.6g} to {greatest[entry]:.6g}'
                  for entry in np.flatnonzero(is_wrong)]
    return wrong

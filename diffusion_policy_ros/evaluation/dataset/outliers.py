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

"""Values and steps of a dataset that are far from the usual: outliers, jumps, clipped ends."""

from diffusion_policy_ros.evaluation.dataset.channels import is_auxiliary, is_of_pose
from diffusion_policy_ros.evaluation.dataset.finding import Finding, NOTE, Places, WARNING
from diffusion_policy_ros.message_types import LASER_SCAN
import numpy as np

# An outlier is this many robust deviations from the median, and as rare as this or as few.
DEVIATIONS = 10.0
RARE, FEW = 1e-3, 4
# A jump is this many times the step that 95 of 100 rows do not exceed, and as rare.
STEP_FACTOR, USUAL = 10.0, 0.95
# Fewer rows have no usual.
LEAST_ROWS = 100
# An entry with so few values is a switch, which jumps by nature and rests at its ends.
SWITCH_VALUES = 20
# This share of the rows at an end of the range is no coincidence.
CLIPPED = 0.05
MAD_TO_DEVIATION = 1.4826


class OutlierCheck:
    """A second look at the rows of one column, when it is known what is usual."""

    def __init__(self, study, contract=None):
        """
        Take the measure of the usual.

        :param study: ``ChannelStudy`` that has seen all rows.
        :param contract: ``RobotContract`` that says what the entries are, where there is one.
        """
        self._key, self._names = study.key, study.names
        sample, steps = _finite(study.sample), _finite(study.steps)
        self._rows = int(study.statistics['count'][0]) if study.statistics else 0
        self.is_idle = self._rows < LEAST_ROWS or not len(steps)
        if self.is_idle:
            return
        self._low, self._high = study.statistics['min'], study.statistics['max']
        self._median = np.median(sample, axis=0)
        deviation = MAD_TO_DEVIATION * np.median(np.abs(sample - self._median), axis=0)
        spread = np.subtract(*np.quantile(sample, [0.99, 0.01], axis=0)) / 4
        self._reach = DEVIATIONS * np.where(deviation > 0, deviation, spread)
        self._step = STEP_FACTOR * np.quantile(steps, USUAL, axis=0)
        self._switches = [len(np.unique(column)) <= SWITCH_VALUES for column in sample.T]
        self._beams = _beams(contract, self._key)
        self._outliers = [Places() for _ in self._names]
        self._jumps = [Places() for _ in self._names]
        self._ends = np.zeros((2, len(self._names)), np.int64)

    def look(self, rows) -> None:
        """
        Look at one episode.

        :param rows: ``StoredRows``.
        """
        values = rows.columns.get(self._key)
        if self.is_idle or values is None or not len(values):
            return
        values = values.astype(np.float64)
        self._ends += [(values == self._low).sum(axis=0), (values == self._high).sum(axis=0)]
        far = (np.abs(values - self._median) > self._reach) & (self._reach > 0)
        jump = (np.abs(np.diff(values, axis=0)) > self._step) & (self._step > 0)
        for entry, is_switch in enumerate(self._switches):
            if is_switch:
                continue
            self._note(self._outliers[entry], rows.episode, far[:, entry],
                       lambda row: f'{values[row, entry]:.4g}')
            if entry not in self._beams:
                self._note(self._jumps[entry], rows.episode, np.append(False, jump[:, entry]),
                           lambda row: f'{values[row - 1, entry]:.4g} to {values[row, entry]:.4g}')

    def findings(self) -> list:
        """Return what was found."""
        if self.is_idle:
            return []
        found = []
        for entry, name in enumerate(self._names):
            where = f'{self._key} {name}'
            far, jumps = self._outliers[entry], self._jumps[entry]
            if 0 < far.count <= max(FEW, RARE * self._rows):
                found.append(Finding(
                    WARNING, 'outliers', f'{where}: {far.count} of {self._rows} rows are far '
                    f'from all others (median {self._median[entry]:.4g}): {far}',
                    'look at the report; one wild value widens the range by which training '
                    'normalises. Take the episode out with `dpr edit`'))
            if 0 < jumps.count <= max(FEW, RARE * self._rows):
                found.append(Finding(
                    WARNING, 'jumps', f'{where}: {jumps.count} steps are more than '
                    f'{STEP_FACTOR:g} times the usual {self._step[entry] / STEP_FACTOR:.3g}: '
                    f'{jumps}', 'a sensor that slipped, an angle that wraps, or two recordings '
                    'in one; look at the report'))
        return [*found, *self._clipped()]

    def _clipped(self):
        """Say which entries rest at an end of their range."""
        if is_auxiliary(self._key):
            return []  # an object at rest is at no limit
        share = self._ends / self._rows
        ends = [f'{name} is {"lowest" if end == 0 else "highest"} '
                f'({(self._low, self._high)[end][entry]:.4g}) in {share[end, entry]:.0%}'
                for entry, name in enumerate(self._names)
                if not self._switches[entry] and not is_of_pose(name)
                for end in (0, 1) if share[end, entry] > CLIPPED]
        return [Finding(NOTE, 'clipped', f'{self._key}: ' + ', '.join(ends) + ' of the rows',
                        'a joint at its stop or a command at its limit; fine if the task is '
                        'so, else raise the limit and record again')] if ends else []

    def _note(self, places, episode, is_wrong, describe):
        """Remember the rows of an episode that are wrong."""
        if is_wrong.any():
            row = int(is_wrong.argmax())
            places.add(f'episode {episode.index} row {row} ({describe(row)})',
                       int(is_wrong.sum()))


def _beams(contract, key):
    """Return which entries are beams of a lidar: one that leaves an edge jumps by nature."""
    kinds = [stream.type for stream in contract.streams_of(key) for _ in stream.names] \
        if contract else []
    return {entry for entry, kind in enumerate(kinds) if kind == LASER_SCAN}


def _finite(values):
    """Return the rows that are finite."""
    return values[np.isfinite(values).all(axis=1)]

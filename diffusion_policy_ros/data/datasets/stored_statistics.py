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

"""Statistics that a dataset keeps, read and compared with those of its rows."""

from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.dataset_checks import REMEDY
from diffusion_policy_ros.data.datasets.lerobot_files import finite_numbers
from diffusion_policy_ros.errors import DatasetError
import numpy as np

MOMENTS = ('min', 'max', 'mean', 'std', 'count')
# Stored statistics may be computed in float32, in another order.
TOLERANCE = 1e-3
# Of the size of the values: what a mean that is taken in float32, row after row as LeRobot does,
# may lose for each row; a deviation taken from the mean of squares loses the root of it. Measured
# from 50 to 100000 rows: 0.26 and 0.83 times as much. More rows than 166667 are forgiven no more.
ROUNDING, MOST_ROUNDING = 6e-8, 0.01
# Of the size of the values: what a deviation loses at least.
CANCELLATION = 3e-3


def episode_statistics(row, key) -> dict:
    """
    Return what the episode table holds about one column of an episode, ``{name: array}``.

    :param row: The episode's row of the table.
    :param key: The column.
    :raises ValueError: if it is not made of finite numbers.
    """
    prefix = f'stats/{key}/'
    return {name[len(prefix):]: finite_numbers(value) for name, value in row.items()
            if name.startswith(prefix) and value is not None}


def checked_statistics(row, features, counted, where) -> dict:
    """
    Return what the episode table holds about the columns of an episode, ``{key: statistics}``.

    :param row: The episode's row of the table.
    :param features: The columns, ``{key: {dtype, shape, names}}``.
    :param counted: ``{key: moments}`` of the columns whose rows were read.
    :param where: What names the episode in the error.
    :raises DatasetError: if statistics are missing, are none, or are not those of the rows.
    """
    found = {}
    for key, feature in features.items():
        if feature['dtype'] == 'string':
            continue
        try:
            found[key] = episode_statistics(row, key)
        except ValueError as error:
            raise DatasetError(f'{where} holds statistics of {key!r} that are none: {error}. '
                               f'{REMEDY}') from error
        missing = [name for name in MOMENTS if name not in found[key]]
        if missing:
            raise DatasetError(f'{where} has no {", ".join(missing)} of {key!r}; let LeRobot '
                               'compute the statistics first')
        shapes = {value.shape for name, value in found[key].items() if name != 'count'}
        count, size = found[key]['count'], int(np.prod(feature['shape'], dtype=int))
        if not (len(shapes) == 1 and count.shape == (1,) and count[0] > 0 and (
                layout.is_picture(feature) or found[key]['mean'].size == size)):
            raise DatasetError(f'{where} holds statistics of {key!r} that do not go together. '
                               f'{REMEDY}')
        if key in counted:
            wrong, _ = differences(found[key], counted[key], layout.entry_names(key, feature))
            if wrong:
                raise DatasetError(f'{where} holds statistics of {key!r} that its rows do not '
                                   f'have: {wrong[0]}. {REMEDY}')
    return found


def differences(stored, counted, names) -> tuple:
    """
    Compare stored statistics of a column with those of its rows.

    :param stored: ``{name: array}``; what it lacks is a difference.
    :param counted: As ``statistics.moments``.
    :param names: A name for each entry.
    :return: ``(wrong, coarse)``: one sentence for each difference, and for each mean or deviation
        that only lacks digits.
    """
    tolerance = tolerance_of(counted)
    size = np.maximum(np.abs(counted['max']), np.abs(counted['min'])).astype(np.float64)
    rows = int(counted['count'][0])
    lost = min(rows * ROUNDING, MOST_ROUNDING)
    forgiven = {'mean': lost * size, 'std': max(CANCELLATION, lost ** 0.5) * size}
    wrong, coarse = [], []
    for name in MOMENTS[:4]:
        told = np.ravel(stored.get(name, []))
        if len(told) != len(names):
            wrong.append(f'{name} has {len(told)} entries, the column {len(names)}')
            continue
        apart = np.abs(told.astype(np.float64) - counted[name])
        for entry in np.flatnonzero(~(apart <= tolerance)):
            is_coarse = name in forgiven and apart[entry] <= forgiven[name][entry]
            (coarse if is_coarse else wrong).append(
                f'{name} of {names[entry]} is {told[entry]:.6g}, the rows have '
                f'{counted[name][entry]:.6g}')
    if 'count' in stored and np.ravel(stored['count']).tolist() != [rows]:
        wrong.append(f'count is {np.ravel(stored["count"]).tolist()}, there are {rows} rows')
    return wrong, coarse


def tolerance_of(counted):
    """
    Return how far a stored figure of each entry may be from the one that is counted.

    :param counted: As ``statistics.moments``.
    """
    low, high = counted['min'].astype(np.float64), counted['max'].astype(np.float64)
    return TOLERANCE * np.maximum(high - low, 1e-9) + 1e-5 * np.maximum(np.abs(high), np.abs(low))

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

"""Cut training windows out of the rows of many episodes, without a Python step per window."""

from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.streams import ACTION_KEY
import numpy as np


class TrainingWindows:
    """
    Index arithmetic from rows to windows of observations and action chunks.

    Row i stands for the window whose newest observation is row i. Its observations are rows
    ``i - n_obs_steps + 1 .. i`` and its actions rows ``i - n_obs_steps + 1 .. i - n_obs_steps +
    horizon``, so that action row ``n_obs_steps - 1`` belongs to the newest observation. Rows
    beyond an episode's edge repeat the edge row.

    :ivar arrays: The arrays that windows are cut from.
    :ivar n_obs_steps: Observations per window.
    :ivar horizon: Actions per chunk, counted from the oldest observation.
    """

    def __init__(self, arrays, episode_ends, *, n_obs_steps, horizon):
        """
        Take arrays over all rows and where their episodes end.

        :param arrays: ``{dataset key: array (rows, ...)}``, memory maps allowed; must hold
            ``action``. Every other entry is treated as an observation.
        :param episode_ends: int64 ``(episodes,)``, exclusive end row of each, increasing.
        :param n_obs_steps: At least 1.
        :param horizon: At least ``n_obs_steps``.
        :raises DatasetError: if the arrays, the ends and the sizes do not fit each other.
        """
        ends = np.asarray(episode_ends, dtype=np.int64)
        _check(arrays, ends, n_obs_steps, horizon)
        lengths = np.diff(ends, prepend=0)
        self.arrays = arrays
        self.n_obs_steps = n_obs_steps
        self.horizon = horizon
        self._first = np.repeat(ends - lengths, lengths)  # (rows,) first row of the row's episode
        self._last = np.repeat(ends - 1, lengths)  # (rows,)
        oldest = 1 - n_obs_steps
        self._obs_offsets = np.arange(oldest, 1)
        self._action_offsets = np.arange(oldest, oldest + horizon)

    def __len__(self):
        """Return the number of windows: one per row."""
        return len(self._first)

    def rows(self):
        """Return the numbers of all rows, an int64 array in order."""
        return np.arange(len(self))

    def gather(self, indices):
        """
        Cut the windows of some rows.

        :param indices: Integer array ``(B,)`` of rows, each in [0, rows).
        :return: Dict of new arrays: each observation ``(B, n_obs_steps, ...)`` in its stored
            dtype, and ``action`` ``(B, horizon, action_dim)``.
        :raises IndexError: if a row does not exist.
        """
        obs_rows, action_rows = self.row_numbers(indices)
        return {key: array[action_rows if key == ACTION_KEY else obs_rows]
                for key, array in self.arrays.items()}

    def row_numbers(self, indices):
        """
        Return which rows the windows of some rows are cut from.

        :param indices: As for ``gather``.
        :return: int64 arrays: ``(B, n_obs_steps)`` of observations, ``(B, horizon)`` of actions.
        :raises IndexError: if a row does not exist.
        """
        indices = np.asarray(indices, dtype=np.int64)
        if indices.size and indices.min() < 0:
            raise IndexError(f'row {indices.min()} does not exist; rows count from 0')
        first, last = self._first[indices, None], self._last[indices, None]  # (B, 1)
        action_rows = np.clip(indices[:, None] + self._action_offsets, first, last)  # (B, horizon)
        obs_rows = np.clip(indices[:, None] + self._obs_offsets, first, last)  # (B, n_obs_steps)
        return obs_rows, action_rows


def _check(arrays, ends, n_obs_steps, horizon):
    """Refuse sizes that cannot make a window."""
    if n_obs_steps < 1 or horizon < n_obs_steps:
        raise DatasetError(f'n_obs_steps {n_obs_steps} and horizon {horizon}: 1 <= n_obs_steps <= '
                           'horizon is needed')
    if not len(ends) or ends[0] < 1 or (np.diff(ends) < 1).any():
        raise DatasetError('episode ends must increase from at least 1; got '
                           f'{ends[:5].tolist()}. Episodes without rows cannot be trained on')
    if ACTION_KEY not in arrays:
        raise DatasetError(f'no {ACTION_KEY!r} among the arrays: {", ".join(arrays)}')
    for key, array in arrays.items():
        if len(array) != ends[-1]:
            raise DatasetError(f'{key!r} has {len(array)} rows, the episodes have {ends[-1]}')

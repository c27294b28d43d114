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
"""A chunk of actions with the time at which each row is due, and what is promised before it."""

from dataclasses import dataclass

from diffusion_policy_ros.errors import ChunkError
import numpy as np

# Ticks, slots and due times are each rounded to nanoseconds: what is meant to be one instant may
# be so much apart.
ROUNDING_NS = 3


@dataclass(frozen=True, eq=False)
class TimedChunk:
    """
    The rows of one plan, in robot units, tied to the observation that they answer.

    Row k is due at ``obs_ns + first_row_offset_ns + round(k * 1e9 / rate_hz)`` and stays due
    until the next row is, the last one for one period; all but for ``ROUNDING_NS``.

    :ivar actions: Rows, float64 ``(rows, D)``, finite; kept as a read-only copy.
    :ivar obs_ns: Tick of the newest observation of the window, ns.
    :ivar rate_hz: Rows per second.
    :ivar first_row_offset_ns: What an output adds to its due times, ns.
    :raises ChunkError: if the actions are no finite table with at least one row and one column.
    """

    actions: np.ndarray
    obs_ns: int
    rate_hz: float
    first_row_offset_ns: int = 0

    def __post_init__(self):
        """Check the actions and freeze a copy of them."""
        actions = np.array(self.actions, dtype=np.float64)  # (rows, D)
        if actions.ndim != 2 or not actions.size:
            raise ChunkError(f'a chunk has shape {actions.shape}; it must be (rows, entries) with '
                             'at least one of each')
        bad = np.argwhere(~np.isfinite(actions))
        if len(bad):
            row, column = bad[0]
            raise ChunkError(
                f'the chunk is not finite: row {row}, entry {column} is {actions[row, column]} '
                f'({len(bad)} of {actions.size} values); an observation lies far outside '
                'what the policy was trained on, or the checkpoint or its normalization '
                'statistics are damaged')
        actions.setflags(write=False)
        object.__setattr__(self, 'actions', actions)

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return len(self.actions)

    @property
    def end_ns(self) -> int:
        """Return the time from which no row is due any more, ns."""
        return self.due_ns(self.rows)

    def due_ns(self, row) -> int:
        """
        Return when a row is due, ns.

        :param row: Number of the row, from 0; one past the last gives the end.
        """
        return self.obs_ns + self.first_row_offset_ns + round(row * 1e9 / self.rate_hz)

    def row_due(self, now_ns):
        """
        Return the row that is due at a time.

        :param now_ns: The time, ns.
        :return: Number of the row, or None before the first and after the last.
        """
        now_ns += ROUNDING_NS
        if not self.due_ns(0) <= now_ns < self.end_ns:
            return None
        row = min(int((now_ns - self.due_ns(0)) * self.rate_hz / 1e9), self.rows - 1)
        if now_ns < self.due_ns(row):
            return row - 1
        return row + 1 if now_ns >= self.due_ns(row + 1) else row

    def columns(self, columns, offset_ns):
        """
        Return the same plan for some entries only, due later or earlier.

        :param columns: Slice or index array of the entries.
        :param offset_ns: What is added to every due time, ns.
        """
        return TimedChunk(self.actions[:, columns], self.obs_ns, self.rate_hz,
                          self.first_row_offset_ns + offset_ns)


@dataclass(frozen=True, eq=False)
class Promise:
    """
    What is promised already when a plan is asked for, on the rows of the chunk to come.

    A promised row has been sent, or will be before the plan can arrive, or is what the plan that
    is being followed says about that instant.

    :ivar rows: float64 ``(horizon, action_dim)`` in robot units, the first observation's row
        first; NaN where nothing is promised.
    :ivar frozen: Number of rows that the robot will have left behind when the plan arrives: the
        observed ones, and as many as the delay is expected to take.
    :ivar first_row: Number of the chunk's first row, counted since the last reset; rows of two
        plans with the same number are due at the same time.
    """

    rows: np.ndarray
    frozen: int
    first_row: int = 0

    @property
    def is_empty(self) -> bool:
        """
        Tell whether no row from the first that is not frozen on is promised.

        Then there is nothing to join: what is frozen alone says what the robot did, and a plan
        that must not contradict it could still jump right after.
        """
        return bool(np.isnan(self.rows[self.frozen:]).any(axis=1).all())

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
"""One plan that is being followed: what it says is due at each output."""

from diffusion_policy_ros.control.interpolate import interpolate
from diffusion_policy_ros.policy.action_chunk import TimedChunk


class FollowedPlan:
    """
    A plan, cut into the contract's outputs, each with its own due times.

    :ivar chunk: ``TimedChunk`` over all action entries, with the due times that are followed.
    :ivar obs_ns: Tick of the observation that the plan answers, ns.
    :ivar begins_ns: From when on it has a part in commands, ns.
    """

    def __init__(self, contract, chunk, joined_ns, length_ns, *, is_first):
        """
        Cut the plan.

        :param contract: ``RobotContract``.
        :param chunk: ``TimedChunk`` over all action entries.
        :param joined_ns: When commands begin to move over to this plan, ns.
        :param length_ns: How long that may take, ns.
        :param is_first: Whether nothing is being followed: then every output is sent its first
            row until that is due, since a command is of all outputs.
        """
        self.chunk = chunk
        self.obs_ns = chunk.obs_ns
        self._outputs = contract.actions
        self._parts, column = [], 0
        for output in contract.actions:
            end = column + len(output.names)
            self._parts.append(chunk.columns(slice(column, end), output.offset_ns))
            column = end
        self._joined_ns, self._joined_by_ns = joined_ns, joined_ns + max(length_ns, 0)
        self._is_first = is_first
        self.begins_ns = joined_ns if is_first else min(part.due_ns(0) for part in self._parts)

    @property
    def end_ns(self) -> int:
        """Return the time from which no output has a row due any more, ns."""
        return max(part.end_ns for part in self._parts)

    @property
    def first_end_ns(self) -> int:
        """Return the time from which some output has no row due any more, ns."""
        return min(part.end_ns for part in self._parts)

    def joined_share(self, now_ns) -> float:
        """
        Return which part of the time for moving over has passed, in [0, 1].

        :param now_ns: The time, ns.
        """
        length_ns = self._joined_by_ns - self._joined_ns
        if not length_ns or now_ns >= self._joined_by_ns:
            return 1.0
        return max((now_ns - self._joined_ns) / length_ns, 0.0)

    def due(self, index, now_ns):
        """
        Return what is due at an output.

        :param index: Number of the output in the contract.
        :param now_ns: The time, ns.
        :return: float64 ``(entries,)``, between two rows interpolated; None if no row is due.
        """
        part = self._parts[index]
        row = part.row_due(now_ns)
        if row is None:
            waits = self._is_first and self._joined_ns <= now_ns < part.due_ns(0)
            return part.actions[0] if waits else None
        following = min(row + 1, part.rows - 1)
        start_ns, end_ns = part.due_ns(row), part.due_ns(row + 1)
        return interpolate(self._outputs[index], part.actions[row], part.actions[following],
                           max(now_ns - start_ns, 0) / (end_ns - start_ns))


def followed_from(chunk, rows_late):
    """
    Return a plan with all due times some rows later.

    :param chunk: ``TimedChunk``.
    :param rows_late: Rows, at least 0.
    """
    shift_ns = round(rows_late * 1e9 / chunk.rate_hz)
    return TimedChunk(chunk.actions, chunk.obs_ns, chunk.rate_hz,
                      chunk.first_row_offset_ns + shift_ns)

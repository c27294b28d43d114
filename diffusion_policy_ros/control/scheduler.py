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
"""Receding-horizon control without a robot: when to plan, and which command is due now."""

import threading

from diffusion_policy_ros.control.interpolate import interpolate
import numpy as np

# Without a good observation for this many periods no row is trusted any more.
LEASE_PERIODS = 3


class RecedingHorizon:
    """
    Keeps the newest plan and gives the command that is due at a time.

    The clock is passed in. Methods may be called from several threads. A new chunk takes over
    from its first row that is due; rows before that are never given. A chunk that was asked for
    before ``reset`` is discarded: its request carries an older ``epoch``.

    :ivar epoch: Number of resets so far; pass the one read at the request to ``accept``.
    :ivar rows_dropped: Rows that were already past when their chunk arrived, in total.
    """

    def __init__(self, contract, execute_horizon):
        """
        Start without a plan.

        :param contract: ``RobotContract`` of the robot.
        :param execute_horizon: Rows to execute before the next plan is asked for, at least 1.
            Later rows of a chunk serve while the next one is being computed.
        """
        self.execute_horizon = execute_horizon
        self.epoch = 0
        self.rows_dropped = 0
        self._contract = contract
        self._lock = threading.Lock()
        self._plans = []  # newest first, all with rows to come; one timed chunk per output
        self._observed_ns = None
        self._has_commanded = False  # since the last reset

    def reset(self):
        """Drop the plan, and every plan that is still being computed."""
        with self._lock:
            self.epoch += 1
            self._plans = []
            self._observed_ns = None
            self._has_commanded = False

    def observed(self, tick_ns):
        """
        Tell that a complete, fresh observation exists for a tick; rows need this to stay valid.

        :param tick_ns: The tick, ns.
        """
        with self._lock:
            self._observed_ns = tick_ns

    def wants_plan(self, tick_ns) -> bool:
        """
        Tell whether a plan should start from the observation of a tick.

        :param tick_ns: The tick, ns.
        """
        with self._lock:
            if not self._plans:
                return True
            executed = (tick_ns - self._plans[0][0].obs_ns) * self._contract.rate_hz / 1e9
            return executed > self.execute_horizon - 0.5

    def accept(self, chunk, epoch, now_ns) -> bool:
        """
        Take over a new plan.

        :param chunk: ``TimedChunk`` over all action entries of the contract.
        :param epoch: The epoch at which the plan was asked for.
        :param now_ns: The time of arrival, ns.
        :return: False if the plan is out of date and was discarded.
        """
        plan, column = [], 0
        for output in self._contract.actions:
            end = column + len(output.names)
            plan.append(chunk.columns(slice(column, end), output.offset_ns))
            column = end
        with self._lock:
            if epoch != self.epoch or (
                    self._plans and chunk.obs_ns <= self._plans[0][0].obs_ns):
                return False
            # An output with an offset may live on several plans before the newest one is due.
            self._plans = [plan] + [older for older in self._plans
                                    if any(part.end_ns > now_ns for part in older)]
            self.rows_dropped += sum(chunk.due_ns(row + 1) <= now_ns for row in range(chunk.rows))
            return True

    def command(self, now_ns):
        """
        Return the action that is due.

        :param now_ns: The time, ns.
        :return: Float64 ``(action_dim,)`` in robot units; None where an output has no row due or
            the last good observation is too long ago.
        """
        with self._lock:
            return self._command(now_ns)

    def shortage(self, now_ns) -> str:
        """
        Tell what is lacking where ``command`` gave None.

        :param now_ns: The time at which it did, ns.
        :return: ``start``: there was no command yet since the last reset; ``observation``: the
            last good observation is too long ago; ``plan``: no row is due, the next plan is late.
        """
        with self._lock:
            if not self._has_commanded:
                return 'start'
            return 'plan' if self._is_vouched_for(now_ns) else 'observation'

    def upcoming(self, now_ns):
        """
        Return the action that is due and what follows, one per row period, to the plan's end.

        :param now_ns: The time of the first one, ns.
        :return: Float64 ``(rows, action_dim)``; None where ``command`` gives None.
        """
        rows = []
        with self._lock:
            action = self._command(now_ns)
            while action is not None:
                rows.append(action)
                later_ns = self._contract.tick_ns(now_ns, len(rows))
                action = self._at(later_ns)
        return np.stack(rows) if rows else None  # (rows, action_dim)

    def _command(self, now_ns):
        """Return the action due at a time, if a fresh observation vouches for it."""
        action = self._at(now_ns) if self._is_vouched_for(now_ns) else None
        self._has_commanded |= action is not None
        return action

    def _is_vouched_for(self, now_ns):
        """Tell whether the last good observation is recent enough to follow a plan."""
        lease_ns = LEASE_PERIODS * self._contract.period_ns + self._contract.settle_ns
        # An observation from after now is one from before a clock that was set back.
        return self._observed_ns is not None and 0 <= now_ns - self._observed_ns <= lease_ns

    def _at(self, now_ns):
        """Join what is due at every output."""
        parts = [self._output_at(i, now_ns) for i in range(len(self._contract.actions))]
        if any(part is None for part in parts):
            return None
        return np.concatenate(parts)  # (action_dim,)

    def _output_at(self, index, now_ns):
        """Return what is due at one output: from the newest plan that has a row for it."""
        for plan in self._plans:
            chunk = plan[index]
            row = chunk.row_due(now_ns)
            if row is None:
                continue
            following = min(row + 1, chunk.rows - 1)
            start_ns, end_ns = chunk.due_ns(row), chunk.due_ns(row + 1)
            return interpolate(self._contract.actions[index], chunk.actions[row],
                               chunk.actions[following],
                               (now_ns - start_ns) / (end_ns - start_ns))
        return None

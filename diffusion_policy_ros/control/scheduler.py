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

from collections import deque
import math
import threading

from diffusion_policy_ros.control.commands import split_action
from diffusion_policy_ros.control.delay import DelayForecast
from diffusion_policy_ros.control.followed_plan import followed_from, FollowedPlan
from diffusion_policy_ros.control.interpolate import interpolate
from diffusion_policy_ros.control.joins import JoinSettings
from diffusion_policy_ros.errors import ChunkError
from diffusion_policy_ros.policy.action_chunk import Promise, ROUNDING_NS
import numpy as np

# Without a good observation for this many periods no row is trusted any more.
LEASE_PERIODS = 3
COMMANDS_KEPT = 1024


class RecedingHorizon:
    """
    Keeps the newest plans and gives the command that is due at a time.

    The clock is passed in. Methods may be called from several threads. A chunk that is followed
    takes over from its first row that is due; rows before that are never given. A chunk that finds
    nothing being followed, the first one above all, is followed from its first row on instead:
    to skip rows from a standstill would be a jump. A chunk that was asked for before ``reset`` is
    discarded: its request carries an older ``epoch``.

    :ivar epoch: Goes up by 1 with each reset; pass the one read at the request to ``accept``.
    :ivar replan: ``ReplanSettings``, which may be replaced at any time.
    :ivar join: ``JoinSettings``, likewise.
    """

    def __init__(self, contract, replan, join=JoinSettings(), *, expected_delay_rows=1,
                 first_epoch=0):
        """
        Start without a plan.

        :param contract: ``RobotContract`` of the robot.
        :param replan: ``ReplanSettings``.
        :param join: ``JoinSettings``.
        :param expected_delay_rows: Rows that the first plan is expected to take.
        :param first_epoch: Epoch until the first reset.
        """
        self.replan, self.join = replan, join
        self.epoch = first_epoch
        self._rows_dropped = self._late_plans = 0
        self._contract = contract
        self._lock = threading.Lock()
        self._delay = DelayForecast(expected_delay_rows)
        self._start_over()

    def _start_over(self):
        """Forget plans and commands; what was learnt about the delay stays."""
        self._plans = []  # newest first, all with rows to come
        self._observed_ns = self._origin_ns = None
        self._awaited = None  # the newest plan, until a command has come from it
        self._sent = deque(maxlen=COMMANDS_KEPT)  # (time in ns, action) of each command

    def reset(self):
        """Drop the plan, and every plan that is still being computed."""
        with self._lock:
            self.epoch += 1
            self._start_over()

    def facts(self) -> dict:
        """Return what is set and what was counted since the start: name to text."""
        return {'join': self.join.name, 'replan': self.replan.trigger,
                'execute_horizon': str(self.replan.execute_horizon),
                'rows past on arrival': str(self._rows_dropped),
                'plans later than expected': str(self._late_plans)}

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
            if not self._plans or self._plans[0].obs_ns >= tick_ns:
                return not self._plans
            chunk = self._plans[0].chunk
            executed = self._rows_between(chunk.due_ns(0), tick_ns)
            return self.replan.is_due(executed, chunk.rows - executed)

    def promise(self, tick_ns, rows, first) -> Promise:
        """
        Return what is promised on the rows of a plan that would start from a tick.

        :param tick_ns: The tick, ns.
        :param rows: Rows of the whole chunk, the observed ones included.
        :param first: Number of the row that is due at the tick.
        """
        with self._lock:
            if self._origin_ns is None:
                self._origin_ns = tick_ns
            known = np.stack([self._promised(self._contract.tick_ns(tick_ns, row - first))
                              for row in range(rows)])  # (rows, action_dim)
            return Promise(known, min(first + self._delay.rows, rows),
                           round(self._rows_between(self._origin_ns, tick_ns)) - first)

    def accept(self, chunk, epoch, now_ns):
        """
        Take over a new plan.

        :param chunk: ``TimedChunk`` over all action entries of the contract.
        :param epoch: The epoch at which the plan was asked for.
        :param now_ns: The time of arrival, ns.
        :return: The ``FollowedPlan``, with the due times that are followed; None if the plan is
            out of date and was discarded.
        :raises ChunkError: if it took longer than it lasts: even at rest nothing moves on an
            observation of such an age.
        """
        with self._lock:
            if epoch != self.epoch or (self._plans and chunk.obs_ns <= self._plans[0].obs_ns):
                return None
            if now_ns >= chunk.end_ns:
                raise ChunkError(
                    f'the plan came {(now_ns - chunk.obs_ns) / 1e9:.2f} s after its observation, '
                    f'and its {chunk.rows} rows are for '
                    f'{(chunk.end_ns - chunk.obs_ns) / 1e9:.2f} s from then on: what it answers '
                    'is too old. Set deadline_ms, or lower num_inference_steps or num_candidates')
            is_followed = self._at(now_ns) is not None
            if not is_followed or self.join.ignores_delay:
                offset_ns = min(output.offset_ns for output in self._contract.actions)
                late = self._rows_between(chunk.due_ns(0) + offset_ns, now_ns - ROUNDING_NS)
                chunk = followed_from(chunk, max(math.ceil(late), 0))
            blend_ns = min([round(self.join.blend_rows * 1e9 / self._contract.rate_hz),
                            *(older.first_end_ns - now_ns for older in self._plans[:1])])
            plan = FollowedPlan(self._contract, chunk, now_ns, blend_ns if is_followed else 0,
                                is_first=not is_followed)
            # An output with an offset may live on several plans before the newest one is due.
            self._plans = [plan] + [old for old in self._plans if old.end_ns > now_ns]
            self._awaited = plan if is_followed else None
            self._rows_dropped += sum(chunk.due_ns(row + 1) <= now_ns for row in range(chunk.rows))
            return plan

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
            if not self._sent:
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
        if action is not None:
            self._sent.append((now_ns, action))
            self._measure_delay(now_ns)
        return action

    def _measure_delay(self, now_ns):
        """Learn how many rows the newest plan took, from the first command that it has part in."""
        plan, self._awaited = self._awaited, None
        if plan is None:
            return
        rows = max(math.ceil(self._rows_between(plan.obs_ns, now_ns - ROUNDING_NS)), 0)
        self._late_plans += rows > self._delay.rows
        self._delay.add(rows)

    def _is_vouched_for(self, now_ns):
        """Tell whether the last good observation is recent enough to follow a plan."""
        lease_ns = LEASE_PERIODS * self._contract.period_ns + self._contract.settle_ns
        # An observation from after now is one from before a clock that was set back.
        return self._observed_ns is not None and 0 <= now_ns - self._observed_ns <= lease_ns

    def _rows_between(self, start_ns, end_ns):
        """Return the time between two instants in rows."""
        return (end_ns - start_ns) * self._contract.rate_hz / 1e9

    def _promised(self, now_ns):
        """Return the action of an instant, past or to come; NaN where an output has none."""
        return np.concatenate([self._promised_at(index, output, now_ns + output.offset_ns)
                               for index, output in enumerate(self._contract.actions)])

    def _promised_at(self, index, output, now_ns):
        """Return what was sent, or will be, to one output at an instant."""
        if self._sent and now_ns <= self._sent[-1][0] + ROUNDING_NS:
            value = self._sent_at(index, now_ns)
        else:
            value = self._output_at(index, now_ns)
        return np.full(len(output.names), np.nan) if value is None else value

    def _sent_at(self, index, now_ns):
        """Return the command to one output that was in force at an instant, None without one."""
        for sent_ns, action in reversed(self._sent):
            if sent_ns <= now_ns + ROUNDING_NS:
                is_in_force = now_ns - sent_ns < self._contract.period_ns - ROUNDING_NS
                return split_action(self._contract, action)[index][1] if is_in_force else None
        return None

    def _at(self, now_ns):
        """Join what is due at every output."""
        parts = [self._output_at(i, now_ns) for i in range(len(self._contract.actions))]
        if any(part is None for part in parts):
            return None
        return np.concatenate(parts)  # (action_dim,)

    def _output_at(self, index, now_ns):
        """Return what is due at one output, mixed from plans by the rule of the join."""
        output, live = self._contract.actions[index], []
        for plan in self._plans:
            row = plan.due(index, now_ns)
            if row is not None:
                live.insert(0, (plan, row))
                # What is held, such as a gripper, is never mixed.
                if output.interpolation == 'hold' or not self.join.is_mixed(plan, now_ns):
                    break
        command = live[0][1] if live else None
        for newer in range(1, len(live)):
            plan, row = live[newer]
            older_ns = [older.obs_ns for older, _ in live[:newer]]
            share = self.join.share(plan, older_ns, now_ns, self._contract.rate_hz)
            command = interpolate(output, command, row, share) if share < 1 else row
        return command

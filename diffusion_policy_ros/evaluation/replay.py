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
"""Compute recorded plans again, and the commands that came of them, without a robot."""

from bisect import bisect_right
from collections import deque

from diffusion_policy_ros.control.commands import build_commands
from diffusion_policy_ros.control.joins import JoinSettings
from diffusion_policy_ros.control.replan import ReplanSettings
from diffusion_policy_ros.control.scheduler import RecedingHorizon
from diffusion_policy_ros.errors import BagError
from diffusion_policy_ros.message_types import UNDATED_TYPES
from diffusion_policy_ros.messages import nanoseconds
from diffusion_policy_ros.observation.decode import decode
from diffusion_policy_ros.observation.stamps import sample_stamp_ns
from diffusion_policy_ros.observation.window import stack_rows
from diffusion_policy_ros.policy.action_chunk import TimedChunk
from diffusion_policy_ros.policy.planner import make_plans, PlanOptions
from diffusion_policy_ros.policy.row_encoder import RowEncoder
import numpy as np
import torch


class SampleStore:
    """The messages that recorded plans were made of, and no others."""

    def __init__(self, contract, records):
        """
        Note what is needed.

        :param contract: ``RobotContract``.
        :param records: ``PlanRecord`` objects.
        """
        self.streams = contract.policy_observations
        self._messages = {(index, stamp_ns): None for record in records
                          for row in record.stamps_ns for index, stamp_ns in enumerate(row)}
        # A stream without stamps is dated by arrivals, which another process saw a little later:
        # the stamps that no message was recorded after yet, and the newest message until then.
        self._awaited = {index: deque(sorted(ns for key, ns in self._messages if key == index))
                         for index, stream in enumerate(self.streams)
                         if stream.stamp == 'receive'}
        self._newest = {}

    def add(self, topic, message, receive_ns):
        """
        Keep what is needed of a message; they come in the order in which they were recorded.

        :param topic: Topic as the contract names it.
        :param message: The message.
        :param receive_ns: When it was recorded, ns.
        """
        for index, stream in enumerate(self.streams):
            if stream.topic != topic:
                continue
            key = index, sample_stamp_ns(message, stream, receive_ns)
            if stream.stamp == 'receive':
                self._add_nearest(index, message, receive_ns)
            elif key in self._messages:
                self._messages[key] = message

    def _add_nearest(self, index, message, receive_ns):
        """Keep a message for the stamps nearest to it; of two as near, the first one is kept."""
        newest_ns, newest = self._newest.get(index, (-float('inf'), None))
        awaited = self._awaited[index]
        while awaited and awaited[0] <= receive_ns:
            stamp_ns = awaited.popleft()
            is_nearer = receive_ns - stamp_ns < stamp_ns - newest_ns
            self._messages[index, stamp_ns] = message if is_nearer else newest
        if receive_ns > newest_ns:
            self._newest[index] = receive_ns, message

    def _message(self, index, stamp_ns):
        """Return the message of a stream, None where the bag has none."""
        found = self._messages[index, stamp_ns]
        # What is later than all that was recorded is nearest to the newest of it.
        return self._newest.get(index, (None, None))[1] if found is None else found

    def holds(self, record) -> bool:
        """
        Tell whether all that a plan was made of is in the bag.

        :param record: ``PlanRecord``.
        """
        return all(self._message(index, stamp_ns) is not None for row in record.stamps_ns
                   for index, stamp_ns in enumerate(row))

    def window(self, record):
        """
        Return the window of a plan.

        :param record: ``PlanRecord``.
        :return: Dataset key to array ``(1, n_obs_steps, ...)``.
        :raises BagError: if a sample of it is not in the bag.
        """
        rows = []
        for stamps_ns in record.stamps_ns:
            row = {}
            for index, (stream, stamp_ns) in enumerate(zip(self.streams, stamps_ns)):
                message = self._message(index, stamp_ns)
                if message is None:
                    raise BagError(f'the plan at {record.tick_ns} was made of a message of '
                                   f'{stream.topic} stamped {stamp_ns}, which the bag does not '
                                   'hold; it was lost by the recorder, or not recorded at all')
                row[stream] = decode(message, stream)
            rows.append(row)
        return {key: value[None] for key, value in stack_rows(rows).items()}


def replay_plan(policy, record, window):
    """
    Compute a plan again.

    :param policy: The ``Policy``.
    :param record: ``PlanRecord``.
    :param window: Dataset key to array ``(1, n_obs_steps, ...)``.
    :return: Rows from the newest observation on, float64 ``(rows, action_dim)``, robot units.
    """
    settings = record.settings
    options = PlanOptions(policy.sampler.changed(**settings['sampler_changes']), settings['join'],
                          settings['num_candidates'], settings['warm_start_level'])
    asked = iter(range(1, record.evaluations + 1))
    # A plan that ran out of time ends after as many evaluations again.
    is_late = None if record.is_complete else (lambda: next(asked) == record.evaluations)
    cond = RowEncoder(policy).encode({key: value[0] for key, value in window.items()})
    plans = make_plans(policy, cond, [record.promise],
                       [torch.Generator().manual_seed(record.seed)], options, is_late=is_late)
    return plans.chunks[0, policy.config.n_obs_steps - 1:].double().cpu().numpy()


class CommandReplay:
    """The commands that follow from plans, at the slots at which they were sent."""

    def __init__(self, contract, records, plans):
        """
        Prepare.

        :param contract: ``RobotContract``.
        :param records: ``PlanRecord`` objects in the order of their first commands.
        :param plans: Rows of each, as ``replay_plan`` gives them.
        """
        self._contract = contract
        self._records, self._coming = records, deque(zip(records, plans))
        self._first_commands_ns = [record.first_command_ns for record in records]
        self._record = None
        self._horizon = RecedingHorizon(contract, ReplanSettings(1))

    @property
    def known_from_ns(self) -> int:
        """
        Return from when on commands follow from nothing but the plans in the bag, ns.

        Where the first one took over from another plan, that is when both must have ended.
        """
        first = self._records[0]
        if not np.isfinite(first.promise.rows).any():
            return first.first_command_ns
        offset_ms = max(output.offset_ms for output in self._contract.actions)
        # Without the plan before it, its first row is taken to be due at the next slot.
        return first.accepted_ns + round(
            (len(first.rows) + 1) * self._contract.period_ns + offset_ms * 1e6)

    def slot_ns(self, output, message, receive_ns):
        """
        Return when a recorded command was due.

        :param output: ``ActionOutput``.
        :param message: The message.
        :param receive_ns: When it was recorded, ns.
        :return: Its stamp; without one the newest slot before it was recorded; None before the
            first plan.
        """
        if output.type not in UNDATED_TYPES:
            return nanoseconds(message.header.stamp)
        begun = bisect_right(self._first_commands_ns, receive_ns)
        if not begun:
            return None
        grid = self._records[begun - 1].grid
        index = int((receive_ns - grid['origin_ns']) * grid['rate_hz'] // 1e9)
        return grid['origin_ns'] + round(index * 1e9 / grid['rate_hz'])

    def messages(self, slot_ns, types):
        """
        Return what was due at a slot, which must not be earlier than the last one.

        :param slot_ns: The slot, ns.
        :param types: ROS type name to message class.
        :return: One message per output of the contract; None where no plan was followed.
        """
        while self._coming and self._coming[0][0].first_command_ns <= slot_ns:
            self._follow(*self._coming.popleft())
        if self._record is None:
            return None
        self._horizon.observed(slot_ns)
        return build_commands(self._contract, self._horizon, types, now_ns=slot_ns,
                              lead_ns=round(1e9 / self._record.grid['rate_hz']))

    def _follow(self, record, rows):
        """Take over a plan as it was taken over then."""
        if self._record is not None and record.epoch != self._record.epoch:
            self._horizon.reset()
        self._record = record
        self._horizon.join = JoinSettings(**record.blending)
        self._horizon.accept(TimedChunk(rows, record.tick_ns, self._contract.rate_hz),
                             self._horizon.epoch, record.accepted_ns)


def open_loop_errors(policy, rows, *, execute_horizon, seed):
    """
    Compare plans with what was demonstrated, from demonstrated observations.

    :param policy: The ``Policy``.
    :param rows: Values of successive ticks of one episode: dicts of dataset key to array.
    :param execute_horizon: Rows from one plan to the next.
    :param seed: Seed of the noise of the first plan; the others count up from it.
    :return: Planned minus demonstrated actions, float64 ``(plans, rows of a plan, action_dim)``,
        NaN beyond the end of the episode.
    """
    first, keys = policy.config.n_obs_steps - 1, policy.config.input_features
    demonstrated = np.stack([row['action'] for row in rows]).astype(np.float64)
    errors = []
    for number, start in enumerate(range(0, len(rows), execute_horizon)):
        seen = [rows[max(start - back, 0)] for back in reversed(range(first + 1))]
        window = {key: np.stack([row[key] for row in seen])[None] for key in keys}
        chunk = policy.sample(window, generator=torch.Generator().manual_seed(seed + number))
        planned = chunk[0, first:].double().cpu().numpy()  # (rows, action_dim)
        wanted = np.full_like(planned, np.nan)
        known = demonstrated[start:start + len(planned)]
        wanted[:len(known)] = known
        errors.append(planned - wanted)
    return np.stack(errors)

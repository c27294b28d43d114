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
"""From a finished plan to its first command, and to what people see of it."""

from collections import deque
from threading import Lock
import time
from typing import NamedTuple

from diffusion_policy_ros.control.joins import JoinSettings
from diffusion_policy_ros.policy.action_chunk import ROUNDING_NS, TimedChunk
from diffusion_policy_ros.policy.plan_record import PlanRecord
from diffusion_policy_ros.serving.plan_request import FinishedPlan


class Following(NamedTuple):
    """
    A plan that is followed.

    :ivar plan: ``FinishedPlan``.
    :ivar chunk: Its ``TimedChunk``, with the due times that are followed.
    :ivar begins_ns: From when on it has a part in commands, ns.
    :ivar accepted_ns: When it was taken over, ns.
    :ivar join: ``JoinSettings`` then.
    :ivar grid: ``origin_ns`` and ``rate_hz`` of the command slots then.
    :ivar sent_ns: Slot of the first command after that, ns; 0 before.
    :ivar sent_s: When that was sent, s of ``time.monotonic``.
    """

    plan: FinishedPlan
    chunk: TimedChunk
    begins_ns: int
    accepted_ns: int
    join: JoinSettings
    grid: dict
    sent_ns: int = 0
    sent_s: float = 0.0

    def record(self, about) -> PlanRecord:
        """
        Return what is to be written down of it.

        :param about: ``weights``, ``device``, ``precision``, ``backend`` and ``topics`` as in
            ``PlanRecord``.
        """
        plan, request = self.plan, self.plan.request
        settings, join = request.settings, self.join
        return PlanRecord(
            tick_ns=request.tick_ns, promise=request.promise, seed=request.seed,
            stamps_ns=[[sample.stamp_ns for sample in row.values()] for row in request.samples],
            settings={
                'sampler_changes': {**settings.sampler_changes,
                                    'num_inference_steps': plan.num_inference_steps},
                'join': settings.join, 'num_candidates': settings.num_candidates,
                'warm_start_level': settings.warm_start_level},
            evaluations=plan.evaluations, is_complete=plan.is_complete, epoch=request.epoch,
            accepted_ns=self.accepted_ns, first_command_ns=self.sent_ns, grid=self.grid,
            blending={'name': join.name, 'blend_rows': join.blend_rows,
                      'ensemble_decay': join.ensemble_decay},
            rows=plan.rows, **about)


class PlanFollower:
    """
    Hands finished plans to the ``RecedingHorizon``, and keeps those that nobody has seen yet.

    Plans are taken over in the worker's thread or the pacer's, first commands are noted in the
    pacer's, and shown in the executor's.

    :ivar lock: To be held from a command to ``sent``: a plan that has part in the command is noted
        by then, and one that is noted has part in it.
    """

    def __init__(self, horizon, rate_hz):
        """
        Start without a plan.

        :param horizon: ``RecedingHorizon``.
        :param rate_hz: Rows per second of plans, Hz.
        """
        self._horizon, self._rate_hz = horizon, rate_hz
        self.lock = Lock()
        self.drop()

    def drop(self):
        """Forget plans that have not been seen: they are followed no more."""
        self._held = None
        self._unsent, self._unshown = deque(), deque()

    @property
    def is_holding_back(self) -> bool:
        """Tell whether a finished plan waits for its time."""
        return self._held is not None

    def holds_back(self, plan, now_ns, delay_ms) -> bool:
        """
        Let a plan wait, as if it had taken longer.

        :param plan: ``FinishedPlan``.
        :param now_ns: The time, ns.
        :param delay_ms: How long, ms; 0 for not at all.
        :return: Whether it waits; an error never does.
        """
        if not delay_ms or plan.error is not None:
            return False
        self._held = now_ns + round(delay_ms * 1e6), plan
        return True

    def release(self, now_ns):
        """
        Return the plan that has waited until now, None where there is none.

        :param now_ns: The time, ns.
        """
        held = self._held
        if held is None or now_ns < held[0]:
            return None
        self._held = None
        return held[1]

    def take_over(self, plan, now_ns, join, grid) -> bool:
        """
        Follow a plan from now on.

        :param plan: ``FinishedPlan``.
        :param now_ns: The time, ns.
        :param join: ``JoinSettings`` from now on; until then, commands followed those before.
        :param grid: ``origin_ns`` and ``rate_hz`` of the command slots.
        :return: False if it is out of date.
        :raises ChunkError: if no robot may follow it.
        """
        chunk = TimedChunk(plan.rows, plan.request.tick_ns, self._rate_hz)
        with self.lock:
            self._horizon.join = join
            followed = self._horizon.accept(chunk, plan.request.epoch, now_ns)
            if followed is not None:
                self._unsent.append(Following(plan, followed.chunk, followed.begins_ns, now_ns,
                                              join, grid))
        return followed is not None

    def sent(self, now_ns) -> bool:
        """
        Note that a command was sent.

        :param now_ns: Its slot, ns.
        :return: Whether it was the first one since a plan was taken over.
        """
        begun, unsent, unshown = False, self._unsent, self._unshown  # ``drop`` puts new ones there
        while unsent and unsent[0].begins_ns <= now_ns + ROUNDING_NS:
            following = unsent.popleft()
            # One that was dropped while it was taken over has no part in the command.
            if following.plan.request.epoch == self._horizon.epoch:
                unshown.append(following._replace(sent_ns=now_ns, sent_s=time.monotonic()))
                begun = True
        return begun

    def unshown(self):
        """Yield the plans that have got their first command since the last call."""
        unshown = self._unshown  # ``drop`` puts a new one there
        while unshown:
            yield unshown.popleft()

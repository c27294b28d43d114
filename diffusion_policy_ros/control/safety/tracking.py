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

"""How a robot that is measured answers to the positions that it is sent."""

from typing import NamedTuple

import numpy as np

# This is far, s at the velocity limit: a gripper that has moved so far has let go; joint states
# are frozen, however much offset is tolerated, that did not change while a joint was sent so far.
FAR_AT_REST_S = 0.05


class Tolerance(NamedTuple):
    """
    How far commands, robot and what it is sent may be apart.

    The robot is to be where it was sent at some time within ``max_lag_s``. So what it may lag
    follows from how far it was sent lately, whatever the limits and the speed scale allow: at rest
    it is nothing.

    :ivar max_jump_s: The first command may be as far from the robot as the velocity limit goes in
        this time, s.
    :ivar max_lag_s: The longest time that the robot, and its measurement, stay behind, s.
    :ivar max_offset_s: On top of the lag it may be off by as much as the velocity limit goes in
        this time, s: what its controller leaves, and noise.
    """

    max_jump_s: float
    max_lag_s: float
    max_offset_s: float


class Tracking:
    """Compares what an output of positions was sent with what is measured."""

    def __init__(self, output, velocity, motion, period_s, tolerance):
        """
        Start before anything was sent.

        :param output: ``ActionOutput`` of the contract.
        :param velocity: Velocity limits, float64 ``(n,)``, units/s.
        :param motion: ``MotionFilter``, whose position was sent last.
        :param period_s: Time between two positions, s.
        :param tolerance: ``Tolerance``.
        """
        self._output, self._velocity, self._motion = output, velocity, motion
        self._tolerance = tolerance
        # What was sent within the longest lag, round and round.
        self._lately = np.zeros((1 + round(tolerance.max_lag_s / period_s), len(velocity)))
        # A gripper is blocked by what it grips: where it was measured when its command rested.
        self._can_be_blocked = output.interpolation == 'hold'
        self.start_over()

    def start_over(self):
        """Begin where the robot is measured."""
        # How far it was sent since the measurement last changed: by now, and when it last came.
        self._ahead, self._unanswered = np.zeros((2, len(self._velocity)))
        self._blocked_at, self._is_settled = None, False
        self._sent, self._start = 0, None  # how many positions, and the first

    def send(self, way, *, follows):
        """
        Note what is sent.

        :param way: How far the robot is sent on, ``(n,)``; 0 where it does not get it.
        :param follows: Whether the output follows commands, so that what a gripper grips changes.
        """
        position = self._motion.position
        if self._start is None:
            self._start, self._lately[:] = position, position
        self._lately[self._sent % len(self._lately)] = position
        self._sent += 1
        self._ahead = self._ahead + way
        if follows:
            self._blocked_at, self._is_settled = None, False

    def rest(self, measured, *, is_settled):
        """
        Note where a gripper comes to rest, once what it was told does not change any more.

        :param measured: Measured positions, ``(n,)``.
        :param is_settled: Whether it has come to rest there; what it does later is its own doing.
        """
        if self._can_be_blocked and not self._is_settled:
            self._blocked_at, self._is_settled = measured, is_settled

    def compare(self, fresh, has_changed):
        """
        Note a measurement beside how far the robot was sent since the last one that differed.

        :param fresh: Which entries were measured, bool ``(n,)``.
        :param has_changed: Whether anything in the message differs from the last one.
        """
        if has_changed:
            self._ahead = np.where(fresh, 0.0, self._ahead)
        self._unanswered = np.where(fresh, np.abs(self._ahead), self._unanswered)

    def still_grips(self, measured) -> bool:
        """
        Tell whether a gripper is where it was when what it was told last came to rest.

        :param measured: Measured positions, ``(n,)``.
        """
        return self._blocked_at is not None and self._beyond(
            measured - self._blocked_at, FAR_AT_REST_S) is None

    def is_astray(self, measured) -> bool:
        """
        Tell whether the robot, which is held, is somewhere else.

        :param measured: Measured positions, ``(n,)``.
        """
        if not self._can_be_blocked:
            return self._worst_offset(measured) is not None
        held = self._motion.position if self._blocked_at is None else self._blocked_at
        return self._beyond(measured - held, self._tolerance.max_jump_s) is not None

    def has_answered(self) -> bool:
        """Tell whether a robot that is nowhere astray must have moved since it was engaged."""
        return not self._can_be_blocked and self._sent > 0 and self._beyond(
            self._start - self._nearest(self._start), 2 * self._tolerance.max_offset_s) is not None

    def unanswered(self) -> str:
        """
        Say that a joint was sent on, and the joint states did not change in a single bit.

        :return: One sentence, empty where the measurements answer. A gripper need not move for
            them to change.
        """
        worst = self._beyond(self._unanswered, min(FAR_AT_REST_S, self._tolerance.max_offset_s))
        if worst is None or self._can_be_blocked:
            return ''
        return (f'{self._name(worst)} was sent {self._unanswered[worst]:.3g} further, and not a '
                'bit of the joint states has changed: they are frozen, or the robot is blocked. '
                'Move it a little by its own means; if it is where they say, deactivate and '
                'activate')

    def lag(self, measured) -> str:
        """
        Say that a joint is not where it was sent.

        :param measured: Measured positions, ``(n,)``.
        :return: One sentence, empty where the robot follows or is a gripper.
        """
        worst = None if self._can_be_blocked else self._worst_offset(measured)
        if worst is None:
            return ''
        tolerance = self._tolerance
        return (f'{self._name(worst)} was sent to {self._motion.position[worst]:.4g}, and is '
                f'measured at {measured[worst]:.4g}: over '
                f'{self._velocity[worst] * tolerance.max_offset_s:.3g} (max_offset_s) from where '
                f'it was sent in the last {tolerance.max_lag_s:g} s; it is blocked, switched off '
                'or moved by somebody else, or the joint states are frozen')

    def jump(self, wanted, measured) -> str:
        """
        Say that the first command is too far from where the robot is.

        :param wanted: The command, ``(n,)``.
        :param measured: Measured positions, ``(n,)``.
        :return: One sentence, empty where motion may begin; always for a gripper, which goes from
            open to closed at once, and may be blocked.
        """
        max_jump_s = self._tolerance.max_jump_s
        worst = self._beyond(wanted - measured, max_jump_s)
        if worst is None or self._can_be_blocked:
            return ''
        return (f'{self._output.topic}: the first command has {self._output.names[worst]} at '
                f'{wanted[worst]:.4g}, it is measured at {measured[worst]:.4g}; at most '
                f'{self._velocity[worst] * max_jump_s:.4g} apart is allowed (max_jump_s)')

    def _nearest(self, place):
        """Return the position next to a place, between those that were sent lately."""
        return np.clip(place, self._lately.min(axis=0), self._lately.max(axis=0))

    def _worst_offset(self, measured):
        """Return the entry that is furthest from where it was sent lately, None if none is."""
        return self._beyond(measured - self._nearest(measured), self._tolerance.max_offset_s)

    def _beyond(self, distances, reach_s):
        """Return the entry that is furthest beyond its reach, None where none is."""
        ratios = np.abs(distances) / (self._velocity * reach_s)
        worst = int(np.argmax(ratios))
        return worst if ratios[worst] > 1 else None

    def _name(self, entry):
        """Return how a sentence about an entry begins."""
        return f'{self._output.topic}: {self._output.names[entry]}'

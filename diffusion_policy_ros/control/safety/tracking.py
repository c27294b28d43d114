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

import numpy as np

# No robot lags further behind what it is sent than its velocity limit goes in this time, s.
LAG_S = 0.5
# At rest there is no lag, and this is far, s at the velocity limit: joint states are frozen that
# did not change at all while a joint was sent so far; a gripper that has moved so far has let go.
FAR_AT_REST_S = 0.05


class Tracking:
    """Compares what an output of positions was sent with what is measured."""

    def __init__(self, output, velocity, motion, max_jump_s):
        """
        Start before anything was sent.

        :param output: ``ActionOutput`` of the contract.
        :param velocity: Velocity limits, float64 ``(n,)``, units/s.
        :param motion: ``MotionFilter``, whose position was sent last.
        :param max_jump_s: Where motion begins, command, held position and robot may be as far
            apart as the velocity limit goes in this time, s.
        """
        self._output, self._velocity, self._motion = output, velocity, motion
        self._max_jump_s = max_jump_s
        # A gripper is blocked by what it grips: where it was measured when its command rested.
        self._can_be_blocked = output.interpolation == 'hold'
        self.start_over()

    def start_over(self):
        """Begin where the robot is measured."""
        # How far it was sent since the measurement last changed: by now, and when it last came.
        self._ahead, self._unanswered = np.zeros((2, len(self._velocity)))
        self._blocked_at, self._is_settled = None, False

    def send(self, way, *, follows):
        """
        Note what is sent.

        :param way: How far the robot is sent on, ``(n,)``; 0 where it does not get it.
        :param follows: Whether the output follows commands, so that what a gripper grips changes.
        """
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
        Tell whether the robot is further from where it is held than a first command may be.

        :param measured: Measured positions, ``(n,)``.
        """
        held = self._motion.position if self._blocked_at is None else self._blocked_at
        return self._beyond(measured - held, self._max_jump_s) is not None

    def unanswered(self) -> str:
        """
        Say that a joint was sent on, and the joint states did not change in a single bit.

        :return: One sentence, empty where the measurements answer. A gripper need not move for
            them to change.
        """
        worst = self._beyond(self._unanswered, FAR_AT_REST_S)
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
        reach_s = max(LAG_S, self._max_jump_s)  # so far it may be when motion begins
        worst = self._beyond(measured - self._motion.position, reach_s)
        if worst is None or self._can_be_blocked:
            return ''
        return (f'{self._name(worst)} was sent to {self._motion.position[worst]:.4g}, and is '
                f'measured at {measured[worst]:.4g}: it is blocked, switched off or moved by '
                'somebody else, or the joint states are frozen')

    def jump(self, wanted, measured) -> str:
        """
        Say that the first command is too far from where the robot is, or is held.

        :param wanted: The command, ``(n,)``.
        :param measured: Measured positions, ``(n,)``.
        :return: One sentence, empty where motion may begin; always for a gripper, which goes from
            open to closed at once, and may be blocked.
        """
        places = {'measured': measured, 'held': self._motion.position}
        for where, here in places.items() if not self._can_be_blocked else ():
            worst = self._beyond(wanted - here, self._max_jump_s)
            if worst is not None:
                return (f'{self._output.topic}: the first command has '
                        f'{self._output.names[worst]} at {wanted[worst]:.4g}, it is {where} at '
                        f'{here[worst]:.4g}; at most '
                        f'{self._velocity[worst] * self._max_jump_s:.4g} apart is allowed '
                        '(max_jump_s)')
        return ''

    def _beyond(self, distances, reach_s):
        """Return the entry that is furthest beyond its reach, None where none is."""
        ratios = np.abs(distances) / (self._velocity * reach_s)
        worst = int(np.argmax(ratios))
        return worst if ratios[worst] > 1 else None

    def _name(self, entry):
        """Return how a sentence about an entry begins."""
        return f'{self._output.topic}: {self._output.names[entry]}'

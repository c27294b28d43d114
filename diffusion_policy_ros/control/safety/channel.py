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

"""One commanded output: what it was told, and how it follows that within its limits."""

from collections import Counter

from diffusion_policy_ros import message_types as ros
from diffusion_policy_ros.control.safety.command_reader import CommandReader
from diffusion_policy_ros.control.safety.limits import motion_limits
from diffusion_policy_ros.control.safety.motion_filter import MotionFilter, VelocityFilter
from diffusion_policy_ros.control.safety.reference import Reference
from diffusion_policy_ros.control.safety.stopping import stopping_time
from diffusion_policy_ros.control.safety.tracking import Tracking
from diffusion_policy_ros.errors import SafetyError
import numpy as np

FILTERED_TYPES = ros.JOINT_TYPES + (ros.FLOAT64_ARRAY, ros.TWIST, ros.TWIST_STAMPED)


def check_limitable(output) -> None:
    """
    Refuse outputs whose commands cannot be limited.

    :param output: ``ActionOutput`` of the contract.
    :raises SafetyError: saying why, and what to do instead.
    """
    if output.type not in FILTERED_TYPES:
        raise SafetyError(f'action (topic {output.topic!r}): {output.type} cannot be limited; '
                          'command joints or a twist, or take this output out of the contract '
                          'given to command_safety and rely on the controller')
    if output.field == 'effort':
        raise SafetyError(f'action (topic {output.topic!r}): efforts cannot be limited; command '
                          'positions or velocities')


def unkept(contract, limits) -> list:
    """
    Name the position limits that nobody keeps, because velocities are commanded.

    :param contract: ``RobotContract``.
    :param limits: Limits of its outputs as for ``motion_limits``.
    :return: One sentence for each.
    """
    return [f'limits: the position limit of {name} cannot be kept, because topic {output.topic!r} '
            'commands its velocity; command positions, or take the limit out and rely on the '
            "controller's" for output in contract.actions if output.is_velocity
            for name in output.names if 'position' in limits.get(name, {})]


def taken_for_grippers(contract) -> list:
    """
    Name outputs that are treated as grippers, and hold so many joints that they may be an arm.

    :param contract: ``RobotContract``.
    :return: One sentence for each.
    """
    return [f'topic {output.topic!r} has interpolation: hold and {len(output.names)} joints, '
            'which are taken for grippers: what blocks or moves them is not noticed; write '
            'interpolation: linear for an arm' for output in contract.actions
            if output.interpolation == 'hold' and len(output.names) > 1
            and not output.is_velocity]


class Channel:
    """
    One output of the contract with its filter.

    :ivar output: Its ``ActionOutput``.
    :ivar limits: Its ``MotionLimits``.
    :ivar reader: ``CommandReader`` of its messages.
    :ivar tracking: ``Tracking`` of its positions, None for velocities.
    :ivar refused: How many commands were refused, by cause.
    :ivar steps: Periods in which it followed commands.
    :ivar interventions: In how many of them the limits changed what was wanted, ``(n,)``.
    :ivar any_intervention: In how many of them they did so for at least one entry.
    """

    def __init__(self, output, limits, period_s, *, watchdog_s, tolerance, source):
        """
        Start without a command.

        :param output: ``ActionOutput`` of the contract.
        :param limits: Limits as for ``motion_limits``.
        :param period_s: Time between two steps, s.
        :param watchdog_s: Longest silence that is tolerated, s.
        :param tolerance: ``Tolerance``.
        :param source: Where the limits come from, for error messages.
        :raises SafetyError: for an output that cannot be limited.
        """
        check_limitable(output)
        self.output = output
        self.limits = motion_limits(limits, output.names, source)
        kind = VelocityFilter if output.is_velocity else MotionFilter
        self._filter = kind(self.limits, period_s)
        self.reader = CommandReader(output, watchdog_s)
        self._watchdog_s = watchdog_s
        self._slack = self.limits.velocity * min(period_s, tolerance.max_offset_s / 2)
        self.tracking = None if output.is_velocity else Tracking(
            output, self.limits.velocity, self._filter, period_s, tolerance)
        self._reference = Reference(
            is_held=output.is_velocity or output.interpolation == 'hold')
        self.forget()
        self._refusal = ''
        self.refused = Counter()
        self.steps = self.any_intervention = 0
        self.interventions = np.zeros(len(output.names), dtype=int)

    @property
    def at_rest(self) -> bool:
        """Tell whether the output neither moves nor accelerates."""
        return bool(self._filter.at_rest)

    @property
    def stopping_s(self) -> float:
        """Return how long it takes at most to come to rest, s."""
        return float(stopping_time(self.limits).max())

    def engage(self, measured):
        """
        Hold where the robot is, and a gripper that still grips at what it was last told.

        A joint at its stop is often measured just outside. As far as it goes in one period at full
        speed, a step such as it makes all the time, it is taken to be at its limit; but not so far
        that it would be found elsewhere at once.

        :param measured: Measured positions, ``(n,)``; not read for velocities, which start at 0.
        :raises SafetyError: where the robot is outside its limits.
        """
        if not self.tracking:  # velocities are safe at 0 wherever the robot is
            self._filter.engage(np.zeros(len(self.output.names)))
            return
        if self.tracking.still_grips(measured):
            self.stand()
            return
        inside = np.clip(measured, self.limits.low, self.limits.high)
        is_near = np.abs(measured - inside) <= self._slack
        self._filter.engage(np.where(is_near, inside, measured))
        self.tracking.start_over()

    def stand(self):
        """Take it that the robot has come to rest where it was last sent; velocities go on."""
        if self.tracking:
            self._filter.engage(self._filter.position)

    def forget(self):
        """Forget the commands that came: the robot goes on with the next one."""
        self._heard_s = self._interval_s = None
        self._reference.clear()

    def accept(self, command, now_s, *, moving):
        """
        Take over a command.

        A point that says no time is to be reached when the next one is expected, so that the
        robot moves evenly and never further than it was told: after the longer one of the last
        two intervals, since commands may arrive in bunches.

        :param command: ``Command`` of a ``CommandReader``.
        :param now_s: When it arrived, s on a clock that never steps.
        :param moving: Whether the robot follows commands; else this one begins a new motion.
        """
        interval_s, before_s = 0.0, self._interval_s or 0.0
        if self._heard_s is not None and now_s - self._heard_s <= self._watchdog_s:
            interval_s = now_s - self._heard_s
        self._heard_s, self._interval_s, self._refusal = now_s, interval_s, ''
        if not moving:
            self._reference.clear()
        due_s = command.due_s
        if due_s is None:
            is_even = not self._reference.is_held
            due_s = np.array([max(interval_s, before_s) if is_even and interval_s else 0.0])
        self._reference.follow(now_s + due_s, command.points, now_s)

    def refuse(self, cause, text):
        """
        Count a command that cannot be followed; it counts as silence.

        :param cause: What was wrong, in a word.
        :param text: What was wrong, in a sentence.
        """
        self.refused[cause] += 1
        self._refusal = text

    def age_s(self, now_s):
        """
        Return how long ago the last acceptable command came, None before the first one.

        :param now_s: The time, s.
        """
        return None if self._heard_s is None else now_s - self._heard_s

    def silence(self, now_s) -> str:
        """
        Say that no acceptable command came for too long.

        :param now_s: The time, s.
        :return: One sentence, empty while commands come.
        """
        age_s = self.age_s(now_s)
        if age_s is not None and age_s <= self._watchdog_s:
            return ''
        text = 'no command yet' if age_s is None else \
            f'no acceptable command for {age_s:.2f} s, limit {self._watchdog_s:.2f} s'
        why = f'; last refused: {self._refusal}' if self._refusal else ''
        return f'{self.output.topic}: {text}{why}'

    def jump(self, measured, now_s) -> str:
        """
        Say that the first command is too far from where the robot is.

        :param measured: Measured positions, ``(n,)``.
        :param now_s: The time, s.
        :return: One sentence, empty where motion may begin.
        """
        return self.tracking.jump(self._reference.at(now_s), measured)

    def step(self, now_s, speed_scale, *, obeyed):
        """
        Follow the commands for one period, or brake and hold.

        :param now_s: The time, s.
        :param speed_scale: Share of the velocity limits that may be used, in (0, 1]; None brakes.
        :param obeyed: Whether the robot gets what is returned.
        :return: What to send, float64 ``(n,)``.
        """
        before = self._filter.position if self.tracking else None
        if speed_scale is None:
            sent = self._filter.step(None)
        else:
            sent = self._filter.step(self._reference.at(now_s), speed_scale=speed_scale)
            self.steps += 1
            self.interventions += self._filter.intervened
            self.any_intervention += bool(np.any(self._filter.intervened))
        if self.tracking:
            self.tracking.send(sent - before if obeyed else 0.0, follows=speed_scale is not None)
        return sent

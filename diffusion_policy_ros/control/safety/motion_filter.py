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

"""Commands that keep all limits, whatever is asked for: positions of joints, or velocities."""

from dataclasses import replace
import math

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.control.safety.joint_filter import JointFilter, JointLimits
from diffusion_policy_ros.control.safety.planner import Goal, to_position, to_velocity
from diffusion_policy_ros.errors import SafetyError
import numpy as np

# A joint within this share of its greatest speed is taken to be held back by it.
SPEED_ROUNDING = 1e-6


class _LimitedFilter:
    """What both filters share: joints that keep their limits, and distrust of all that comes."""

    QUANTITY = ''  # what is commanded
    ORDER = 0  # its place in a joint's state

    def __init__(self, limits, period_s, low, high):
        """
        Start without a commanded state.

        :param limits: ``MotionLimits`` of the joints.
        :param period_s: Time between two steps, s, above 0.
        :param low: Least command, float64 ``(n,)``.
        :param high: Greatest command, same shape.
        """
        self.limits = limits
        self._low, self._high = low, high
        bounds = zip(limits.low, limits.high, limits.velocity, limits.acceleration, limits.jerk)
        self._joints = [JointFilter(JointLimits(*map(float, each)), period_s) for each in bounds]
        self._intervened = np.zeros(low.shape, bool)

    @property
    def engaged(self) -> bool:
        """Tell whether there is a commanded state to go on from."""
        return self._joints[0].state is not None

    @property
    def velocity(self) -> np.ndarray:
        """Return the commanded velocities, float64 ``(n,)``, units/s."""
        return self._states()[:, 1]

    @property
    def acceleration(self) -> np.ndarray:
        """Return the commanded accelerations, float64 ``(n,)``, units/s^2."""
        return self._states()[:, 2]

    @property
    def at_rest(self) -> bool:
        """Tell whether all joints stand still, and go on to without a target."""
        return not self._states()[:, 1:].any()

    @property
    def intervened(self) -> np.ndarray:
        """
        Tell which joints did not go where the last step asked them to, bool ``(n,)``.

        There was no target, or it lies outside the limits, or the joint had to be braked, or it
        goes as fast as it may.
        """
        return self._intervened.copy()

    def engage(self, measured):
        """
        Start from what was measured, with all higher derivatives 0.

        :param measured: Positions, or velocities of a ``VelocityFilter``, ``(n,)``.
        :raises SafetyError: unless they are n finite numbers within the limits.
        """
        start = _numbers(measured, self._low.shape)
        if start is None:
            raise SafetyError(f'the measured {self.QUANTITY} is {shown(measured)}; wanted is a '
                              f'finite number for each of: {", ".join(self.limits.names)}')
        for name, value, low, high in zip(self.limits.names, start, self._low, self._high):
            if not low <= value <= high:
                raise SafetyError(
                    f'joint {name} is measured at {self.QUANTITY} {value:.6g}, outside its limits '
                    f'[{low:.6g}, {high:.6g}]; bring it inside by other means, or correct the '
                    'limits')
        self._intervened = np.zeros(start.shape, bool)
        for joint, value in zip(self._joints, start.tolist()):
            state = [0.0, 0.0, 0.0]
            state[self.ORDER] = value
            joint.engage(tuple(state))

    def _advance(self, candidates, as_asked):
        """Move all joints by one period and return the command."""
        followed = [joint.step(candidate) for joint, candidate in zip(self._joints, candidates)]
        self._intervened = ~(np.array(followed) & as_asked)
        # Velocities may be over their limit by rounding.
        return np.clip(self._states()[:, self.ORDER], self._low, self._high)

    def _brake(self):
        """Move all joints by one period of their stop."""
        return self._advance([()] * len(self._joints), False)

    def _states(self):
        """Return position, velocity and acceleration of all joints, float64 ``(n, 3)``."""
        self._check_engaged()
        return np.array([joint.state for joint in self._joints])

    def _check_engaged(self):
        """Refuse to go on from nowhere."""
        if not self.engaged:
            raise SafetyError('the filter has no commanded state yet; engage it first')


class MotionFilter(_LimitedFilter):
    """
    Joint positions that keep limits of position, velocity, acceleration and jerk at all times.

    Each step is the next period of the quickest way to the target, as far as the limits of
    position allow and a stop within all limits stays possible; otherwise of that stop. This holds
    for the command; a robot that does not follow it exactly needs a margin in its limits.
    """

    QUANTITY = 'position'

    def __init__(self, limits, period_s):
        """
        Start disengaged.

        :param limits: ``MotionLimits``.
        :param period_s: Time between two steps, s, above 0.
        """
        super().__init__(limits, period_s, limits.low, limits.high)

    @property
    def position(self) -> np.ndarray:
        """Return the commanded positions, float64 ``(n,)``, units."""
        return self._states()[:, 0]

    def step(self, target, *, speed_scale=1.0) -> np.ndarray:
        """
        Advance by one period; no input makes it raise or leave the limits.

        :param target: Positions to go to, ``(n,)``, units; outside the limits, their nearest
            position counts. None, or anything but n finite numbers, brakes and holds.
        :param speed_scale: Share of the velocity limits to use, in [0, 1]; 0 brakes and holds.
        :return: Positions to command now, float64 ``(n,)``, units.
        :raises SafetyError: before ``engage``.
        """
        self._check_engaged()
        target = _numbers(target, self._low.shape)
        fastest = self.limits.velocity * _share(speed_scale)
        if target is None or not fastest.all():
            return self._brake()
        reachable = np.clip(target, self._low, self._high)
        goals = map(Goal, reachable.tolist(), fastest.tolist())
        candidates = [to_position(joint.state, goal, joint.limits)
                      for joint, goal in zip(self._joints, goals)]
        sent = self._advance(candidates, reachable == target)
        self._intervened |= np.abs(self.velocity) >= fastest * (1 - SPEED_ROUNDING)
        return sent


class VelocityFilter(_LimitedFilter):
    """
    Velocities, such as a twist's, that keep limits of velocity, acceleration and jerk.

    The same joints, with nowhere to stop at: their position is unlimited and does not count.
    """

    QUANTITY = 'velocity'
    ORDER = 1

    def __init__(self, limits, period_s):
        """
        Start disengaged.

        :param limits: ``MotionLimits``; those of position are not used.
        :param period_s: Time between two steps, s, above 0.
        """
        unlimited = np.full(len(limits.names), math.inf)
        super().__init__(replace(limits, low=-unlimited, high=unlimited), period_s,
                         -limits.velocity, limits.velocity)

    def step(self, target, *, speed_scale=1.0) -> np.ndarray:
        """
        Advance by one period; no input makes it raise or leave the limits.

        :param target: Velocities to reach, ``(n,)``, units/s; outside the limits, their nearest
            velocity counts. None, or anything but n finite numbers, brakes to 0.
        :param speed_scale: Share of the velocity limits to use, in [0, 1]; 0 brakes to 0.
        :return: Velocities to command now, float64 ``(n,)``, units/s.
        :raises SafetyError: before ``engage``.
        """
        self._check_engaged()
        target = _numbers(target, self._low.shape)
        if target is None:
            return self._brake()
        scale = _share(speed_scale)
        reachable = np.clip(target, self._low * scale, self._high * scale)
        candidates = [to_velocity(joint.state, velocity, joint.limits)
                      for joint, velocity in zip(self._joints, reachable.tolist())]
        return self._advance(candidates, reachable == target)


def _share(speed_scale):
    """Return a speed scale within [0, 1], 0 for what is no number."""
    share = _numbers(speed_scale, ())
    return 0.0 if share is None else min(max(float(share), 0.0), 1.0)


def _numbers(values, shape):
    """Return finite float64 numbers of a shape, None where that is not what came."""
    try:
        array = np.asarray(values)
        if array.dtype.kind not in 'fiu' or array.shape != shape:
            return None
        with np.errstate(over='ignore'):
            array = array.astype(np.float64)
    # Whatever an object does when it is looked at, the joints must get their next command.
    except Exception:
        return None
    return array if np.isfinite(array).all() else None

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

"""One joint that never leaves its limits, wherever it is asked to go, and can always stop."""

from typing import NamedTuple

from diffusion_policy_ros.control.safety.phases import cut, end_of, extremes
from diffusion_policy_ros.control.safety.stopping import fastest_stop

# Rounding may take velocity and acceleration over their limits by this share of them.
ROUNDING = 1e-9
# How finely the moment to start braking is searched within a period.
BISECTIONS = 10


class JointLimits(NamedTuple):
    """The limits of one joint, floats; see ``MotionLimits``."""

    low: float
    high: float
    velocity: float
    acceleration: float
    jerk: float


class JointFilter:
    """
    The commanded state of one joint, and a stop from there that keeps all limits.

    Each period the joint follows its candidate for as long as a stop afterwards keeps the limits,
    and then begins that stop. If it cannot follow for an instant, it goes on with the stop it has:
    the rest of a stop that keeps the limits keeps them too. So there always is one, whatever the
    candidates are (viability: Del Prete, RA-L 3(1) 2018; with jerk: arXiv:2011.00563). All is
    checked in continuous time, with every phase that begins within a period.

    :ivar limits: ``JointLimits``.
    :ivar state: Position, velocity and acceleration of the command; None before ``engage``.
    """

    def __init__(self, limits, period_s):
        """
        Start nowhere.

        :param limits: ``JointLimits``.
        :param period_s: Time of one step, s.
        """
        self.limits = limits
        self.state = None
        self._period_s = period_s
        self._stop = ()
        # What rounding may move a position beyond its limit, and what motion counts as rest: a
        # tiny share of any step that the limits allow, so that no difference of steps shows it.
        self._negligible = ROUNDING * min(limits.velocity * period_s,
                                          limits.acceleration * period_s ** 2,
                                          limits.jerk * period_s ** 3)

    def engage(self, state):
        """
        Start from a state.

        :param state: Position, velocity and acceleration, floats: at rest within the limits, or
            at a velocity within its limit where no position is limited.
        """
        self.state = state
        self._stop = self._stop_from(state)

    def step(self, candidate) -> bool:
        """
        Advance by one period.

        :param candidate: Where the joint should go: phases ``(jerk, duration_s)`` from its present
            state, of one period or more; empty to stop.
        :return: Whether it went there all the way.
        """
        path, followed = self._viable(candidate) if candidate else (self._stop, False)
        begun, self._stop = cut(path, self._period_s)
        self._arrive(end_of(self.state, begun))
        return followed

    def _viable(self, candidate):
        """Find the path that follows the candidate longest; only what was checked is returned."""
        path = self._then_stop(candidate, self._period_s)
        if path is not None:
            return path, True
        safe_s, unsafe_s, path = 0.0, self._period_s, self._stop
        for _ in range(BISECTIONS):
            time_s = (safe_s + unsafe_s) / 2
            longer = self._then_stop(candidate, time_s)
            if longer is None:
                unsafe_s = time_s
            else:
                safe_s, path = time_s, longer
        return path, False

    def _then_stop(self, candidate, time_s):
        """Return the candidate up to a time and a stop, None where that breaks a limit."""
        begun, _ = cut(candidate, time_s)
        path = (*begun, *self._stop_from(end_of(self.state, begun)))
        low, high, speed, steepness = extremes(self.state, path)
        limits, over, slack = self.limits, 1 + ROUNDING, self._negligible
        keeps_limits = (limits.low - slack <= low and high <= limits.high + slack
                        and speed <= limits.velocity * over
                        and steepness <= limits.acceleration * over
                        and all(abs(jerk) <= limits.jerk * over for jerk, _ in begun))
        return path if keeps_limits else None

    def _stop_from(self, state):
        """Return the phases of the fastest stop."""
        return fastest_stop(state[1], state[2], self.limits.acceleration, self.limits.jerk)

    def _arrive(self, state):
        """Take over the state at the end of a period, without what rounding left of a motion."""
        position, velocity, acceleration = state
        if not self._stop or max(abs(velocity) * self._period_s, abs(acceleration)
                                 * self._period_s ** 2) <= self._negligible:
            velocity, acceleration, self._stop = 0.0, 0.0, ()
        self.state = (min(max(position, self.limits.low), self.limits.high), velocity,
                      acceleration)

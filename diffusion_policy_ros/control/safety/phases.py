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

"""One joint in phases of constant jerk: where they lead, and how far out they go on the way."""

import math

# A state is (position, velocity, acceleration); phases are a sequence of (jerk, duration in s).


def moved(state, jerk, duration_s) -> tuple:
    """
    Integrate one phase.

    :param state: Position, velocity and acceleration at its start, floats.
    :param jerk: Constant rate of change of the acceleration, units/s^3.
    :param duration_s: How long it lasts, s.
    :return: The state at its end.
    """
    position, velocity, acceleration = state
    return (position + duration_s * (velocity + duration_s * (
                acceleration / 2 + duration_s * jerk / 6)),
            velocity + duration_s * (acceleration + duration_s * jerk / 2),
            acceleration + duration_s * jerk)


def end_of(state, phases) -> tuple:
    """
    Integrate phases one after another.

    :param state: The state at their start.
    :param phases: Sequence of ``(jerk, duration_s)``.
    :return: The state at their end.
    """
    for jerk, duration_s in phases:
        state = moved(state, jerk, duration_s)
    return state


def cut(phases, time_s) -> tuple:
    """
    Divide phases in two.

    :param phases: Sequence of ``(jerk, duration_s)``.
    :param time_s: Where to cut, s from their start.
    :return: The phases before and those after, two lists; the first is shorter than ``time_s``
        where the phases are.
    """
    before, after = [], []
    for jerk, duration_s in phases:
        first_s = min(duration_s, time_s)
        time_s -= first_s
        if first_s > 0:
            before.append((jerk, first_s))
        if duration_s > first_s:
            after.append((jerk, duration_s - first_s))
    return before, after


def extremes(state, phases) -> tuple:
    """
    Find how far a motion goes, at all times and not only at the ends of its phases.

    A phase has its extreme velocity at an end or where the acceleration is zero, its extreme
    position at an end or where the velocity is.

    :param state: The state at the start.
    :param phases: Sequence of ``(jerk, duration_s)``.
    :return: Least and greatest position, greatest speed, greatest magnitude of the acceleration.
    """
    low = high = state[0]
    speed, steepness = abs(state[1]), abs(state[2])
    for jerk, duration_s in phases:
        end = moved(state, jerk, duration_s)
        for time_s in _turning_times(state[1], state[2], jerk):
            if 0 < time_s < duration_s:
                position = moved(state, jerk, time_s)[0]
                low, high = min(low, position), max(high, position)
        if state[2] * end[2] < 0:
            speed = max(speed, abs(state[1] - state[2] * state[2] / (2 * jerk)))
        low, high = min(low, end[0]), max(high, end[0])
        speed, steepness = max(speed, abs(end[1])), max(steepness, abs(end[2]))
        state = end
    return low, high, speed, steepness


def _turning_times(velocity, acceleration, jerk):
    """Return the roots of ``velocity + acceleration t + jerk t^2 / 2``, without cancellation."""
    under_root = acceleration * acceleration - 2 * jerk * velocity
    if under_root < 0:
        return ()
    far = -acceleration - math.copysign(math.sqrt(under_root), acceleration)
    return (far / jerk if jerk else 0, 2 * velocity / far if far else 0)

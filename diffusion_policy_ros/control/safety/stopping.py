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

"""The fastest stop of a joint under limits of acceleration and jerk, and how long it can take."""

import math

import numpy as np


def fastest_stop(velocity, acceleration, max_acceleration, max_jerk) -> tuple:
    """
    Return the quickest way to rest.

    Against the velocity that remains when the acceleration is let go, the joint brakes with full
    jerk up to the acceleration ``peak``, holds that if it is the limit, and lets go again. In the
    mirrored case, where that velocity is positive,
    ``peak = min(max_acceleration, sqrt(max_jerk * velocity + acceleration^2 / 2))``.
    From acceleration 0 it takes ``2 sqrt(v / J)`` up to ``v = A^2 / J``, above it
    ``v / A + A / J``.

    :param velocity: At the start, units/s, float.
    :param acceleration: At the start, units/s^2, float, at most ``max_acceleration`` either way.
    :param max_acceleration: Limit, units/s^2, above 0.
    :param max_jerk: Limit, units/s^3, above 0.
    :return: Three phases ``(jerk, duration_s)``, some of which may last 0 s.
    """
    if velocity + acceleration * abs(acceleration) / (2 * max_jerk) < 0:
        return tuple((-jerk, duration_s) for jerk, duration_s in fastest_stop(
            -velocity, -acceleration, max_acceleration, max_jerk))
    square = acceleration * acceleration / 2
    peak = math.sqrt(max(max_jerk * velocity + square, 0.0))
    hold_s = 0.0
    if peak > max_acceleration:
        peak = max_acceleration
        hold_s = (velocity + (square - peak * peak) / max_jerk) / peak
    return ((-max_jerk, max(acceleration + peak, 0.0) / max_jerk), (0.0, hold_s),
            (max_jerk, peak / max_jerk))


def stopping_time(limits) -> np.ndarray:
    """
    Return how long the fastest stop takes at most, from any state that the filter can be in.

    The slowest one begins below full velocity V with an acceleration that cannot be let go before
    V is reached: ``min(A, 2 sqrt(J V)) / J`` until there, and then the stop from V.

    :param limits: ``MotionLimits``.
    :return: Float64 ``(n,)``, s.
    """
    v, a, j = limits.velocity, limits.acceleration, limits.jerk
    to_full_velocity = np.minimum(a, 2 * np.sqrt(j * v)) / j
    from_full_velocity = np.where(v * j < a * a, 2 * np.sqrt(v / j), v / a + a / j)
    return to_full_velocity + from_full_velocity  # (n,)

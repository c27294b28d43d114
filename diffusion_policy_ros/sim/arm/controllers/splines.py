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

"""Motion through points in time: between two of them a spline of what both of them tell."""

from bisect import bisect_right
from dataclasses import dataclass
from math import perm

import numpy as np


@dataclass(frozen=True)
class Point:
    """
    Where joints are to be at a time.

    :param time_ns: The time, ns.
    :param position: float64 ``(n,)``.
    :param velocity: The same, per second; None where it is open.
    :param acceleration: The same, per second squared; None where it is open.
    """

    time_ns: int
    position: np.ndarray
    velocity: np.ndarray | None = None
    acceleration: np.ndarray | None = None

    @property
    def derivatives(self) -> list:
        """Return position, velocity and acceleration as far as they are given without a gap."""
        known = [self.position]
        for value in (self.velocity, self.acceleration):
            if value is None:
                break
            known.append(value)
        return known

    @property
    def state(self):
        """Return position, velocity and acceleration, ``(3, n)``, with 0 for what is open."""
        missing = 3 - len(self.derivatives)
        return np.array(self.derivatives + [np.zeros_like(self.position)] * missing)


class Trajectory:
    """Points in the order of their times; at rest before the first, at the last after it."""

    def __init__(self, points):
        """
        Take the points.

        :param points: Sequence of ``Point``, at least one, times strictly increasing.
        """
        self.points = tuple(points)
        self._times = [point.time_ns for point in self.points]

    def state(self, time_ns, orders=3):
        """
        Return the state at a time.

        :param time_ns: The time, ns.
        :param orders: How much of it: 1 is the position alone.
        :return: Position, velocity and acceleration, float64 ``(orders, n)``.
        """
        last = bisect_right(self._times, time_ns) - 1
        if last < 0 or last == len(self.points) - 1:
            return self.points[max(last, 0)].state[:orders]
        return interpolate(self.points[last], self.points[last + 1], time_ns, orders)


def interpolate(start, end, time_ns, orders=3):
    """
    Return the state between two points.

    The polynomial of the lowest degree that has the derivatives known at both: a line for
    positions, a cubic with velocities, a quintic with accelerations.

    :param start: ``Point``.
    :param end: ``Point`` at a later time.
    :param time_ns: A time between theirs, ns.
    :param orders: How much is wanted: 1 is the position alone.
    :return: Position, velocity and acceleration, float64 ``(orders, n)``.
    """
    duration_s = (end.time_ns - start.time_ns) / 1e9
    share = (time_ns - start.time_ns) / (end.time_ns - start.time_ns)
    known = min(len(start.derivatives), len(end.derivatives))
    ends = [value * duration_s ** order for point in (start, end)
            for order, value in enumerate(point.derivatives[:known])]
    coefficients = _COEFFICIENTS[known] @ np.array(ends)
    return np.array([_powers(share, 2 * known, order) @ coefficients / duration_s ** order
                     for order in range(orders)])


def _powers(share, count, order):
    """Return the derivative of some order of 1, x, x^2 and so on at x = share."""
    return [perm(power, order) * share ** max(power - order, 0) for power in range(count)]


def _from_ends(known):
    """Return the matrix from the derivatives at 0 and at 1 to the coefficients."""
    ends = [_powers(share, 2 * known, order) for share in (0.0, 1.0) for order in range(known)]
    return np.round(np.linalg.inv(ends) * 2) / 2  # its entries are halves


_COEFFICIENTS = {known: _from_ends(known) for known in (1, 2, 3)}

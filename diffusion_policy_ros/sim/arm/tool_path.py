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

"""Paths of the tool through waypoints, as a person leads it: smoothly, and with rests."""

from dataclasses import dataclass
import math

import numpy as np

# The tool points straight down: its z axis is against the world's.
DOWN = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class Waypoint:
    """
    Where the tool is to be next.

    :ivar position: x, y, z in the world, m.
    :ivar yaw: How far the downward tool is turned about the world's z axis, rad.
    :ivar opening: Position of the gripper's joint on the way there.
    :ivar duration_s: How long the way takes, s.
    :ivar wander: How far off the straight line the way goes in its middle, m, ``(3,)``.
    """

    position: tuple
    yaw: float
    opening: float
    duration_s: float
    wander: tuple = (0.0, 0.0, 0.0)


def rows_through(start, waypoints, period_s) -> list:
    """
    Sample the path through waypoints, at rest at each of them.

    Between them the minimum-jerk profile ``10 s^3 - 15 s^4 + 6 s^5`` (Flash and Hogan 1985), by
    which people move their hands; the wandering is ``16 s^2 (1 - s)^2`` of its peak.

    :param start: ``(position, yaw)`` of the tool at the beginning.
    :param waypoints: ``Waypoint`` objects.
    :param period_s: Time from row to row, s.
    :return: List of ``(position (3,), yaw, opening)``, one per period, the first one period after
        the start.
    """
    position, yaw = np.asarray(start[0], dtype=np.float64), start[1]
    rows = []
    for waypoint in waypoints:
        count = max(1, round(waypoint.duration_s / period_s))
        turn = math.remainder(waypoint.yaw - yaw, 2 * math.pi)
        for number in range(1, count + 1):
            share = number / count
            aside = 16 * share**2 * (1 - share)**2 * np.asarray(waypoint.wander)
            share = share**3 * (10 - 15 * share + 6 * share**2)
            rows.append((position + share * (np.asarray(waypoint.position) - position) + aside,
                         yaw + share * turn, waypoint.opening))
        position, yaw = np.asarray(waypoint.position, dtype=np.float64), yaw + turn
    return rows


def downward(yaw) -> np.ndarray:
    """
    Return the rotation of a tool that points down.

    :param yaw: Turn about the world's z axis, rad.
    :return: Rotation matrix, float64 ``(3, 3)``.
    """
    cos, sin = math.cos(yaw), math.sin(yaw)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]) @ DOWN

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

"""
The task of picking up a cube and placing it in a bin, and how a person would show it.

There are two bins, and either will do: a policy has to make up its mind.
"""

import math

from diffusion_policy_ros.rotations import quaternion_to_rot6d
from diffusion_policy_ros.sim.arm.tool_path import Waypoint
import numpy as np

CUBE, BINS = 'cube', ('bin_left', 'bin_right')
CUBE_M = 0.04
# Where the cube lies at first, x and y from and to; how far it may then be from a bin's middle, m.
AREA_M = ((0.27, -0.11), (0.45, 0.11))
INSIDE_M = 0.05
LIFTED_M = 0.08
LET_GO_M = 0.06
AT_REST_M_S = 0.02


class PickPlace:
    """
    Where things are put, and what an episode is worth.

    0.5 once the cube was lifted, 1 when it lies in a bin, let go and at rest.
    """

    world = 'arm_pick_place.sdf'
    text = 'pick up the cube and place it in a bin'

    def place(self, robot, rng):
        """
        Put the cube somewhere within reach, turned anyhow.

        :param robot: The ``SimulatedRobot``, freshly reset.
        :param rng: ``numpy.random.Generator``.
        """
        yaw = rng.uniform(0, 2 * math.pi)
        robot.arm.place(CUBE, (*rng.uniform(*AREA_M), CUBE_M / 2),
                        (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)))

    def score(self, robot) -> float:
        """
        Return what the present moment is worth: 0, 0.5 or 1.

        :param robot: The ``SimulatedRobot``.
        """
        if self.bin_of_cube(robot):
            return 1.0
        return 0.5 if robot.arm.pose_of(CUBE)[0][2] > LIFTED_M else 0.0

    def bin_of_cube(self, robot) -> str:
        """
        Return the name of the bin in which the cube lies, let go and at rest; empty if in none.

        :param robot: The ``SimulatedRobot``.
        """
        cube, _ = robot.arm.pose_of(CUBE)
        if cube[2] > CUBE_M or robot.arm.speed_of(CUBE) > AT_REST_M_S \
                or np.linalg.norm(cube - robot.tool_pose()[0]) < LET_GO_M:
            return ''
        return next((name for name in BINS if np.abs(
            cube - robot.arm.pose_of(name)[0])[:2].max() < INSIDE_M), '')

    def waypoints(self, robot, rng) -> list:
        """
        Plan a demonstration: over the cube, down, grip, up, over to a bin, let go, up.

        Which bin is a coin's toss. Pace, heights, and where it is gripped and let go vary.

        :param robot: The ``SimulatedRobot``, where it is now.
        :param rng: ``numpy.random.Generator``.
        :return: List of ``Waypoint``.
        """
        hand, yaw = robot.tool_pose()
        cube, quaternion = robot.arm.pose_of(CUBE)
        closed, opened = robot.gripper_range
        turn = yaw + math.remainder(_side_yaw(quaternion) - yaw, math.pi / 2)
        grip = cube + rng.uniform(-0.004, 0.004, 3)
        over = grip + (*rng.uniform(-0.015, 0.015, 2), rng.uniform(0.08, 0.13))
        drop = robot.arm.pose_of(BINS[rng.integers(2)])[0] + (*rng.uniform(-0.02, 0.02, 2), 0.1)
        up = rng.uniform(0.16, 0.22)
        pace = rng.uniform(0.85, 1.25)
        return [Waypoint(tuple(position), turn, opening, pace * duration_s,
                         tuple(rng.normal(0.0, wander_m, 3) * (1.0, 1.0, 0.5)))
                for position, opening, duration_s, wander_m in (
                    (over, opened, 0.7 + 2.5 * _apart(hand, over), 0.02),
                    (grip, opened, rng.uniform(0.7, 1.0), 0.006),
                    (grip, closed, 0.5, 0.0),
                    ((*grip[:2], up), closed, rng.uniform(0.8, 1.1), 0.006),
                    ((*drop[:2], up), closed, 0.6 + 3.0 * _apart(grip, drop), 0.02),
                    (drop, closed, rng.uniform(0.5, 0.8), 0.006),
                    (drop, opened, 0.4, 0.0),
                    ((*drop[:2], up), opened, 0.7, 0.006))]


def _side_yaw(quaternion):
    """Return how a cube's sides are turned about the world's z axis, up to quarter turns, rad."""
    columns = quaternion_to_rot6d(quaternion).reshape(2, 3)
    flat = columns[np.abs(columns[:, 2]).argmin()]  # one of two axes at right angles lies flat
    return math.atan2(flat[1], flat[0])


def _apart(a, b):
    """Return how far two places are from each other, seen from above, m."""
    return float(np.linalg.norm(np.asarray(a)[:2] - np.asarray(b)[:2]))

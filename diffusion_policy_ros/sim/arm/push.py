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

"""The task of pushing a puck onto a goal, and how a person would show it."""

import math

from diffusion_policy_ros.sim.arm.tool_path import Waypoint
import numpy as np

PUCK, GOAL = 'puck', 'goal'
PUCK_RADIUS_M = 0.04
# Where the puck lies at first, x and y from and to, m.
AREA_M = ((0.30, -0.16), (0.42, 0.04))
# Half of the closed fingers, across the way they push; the gap that is left behind the puck.
FINGERS_M, GAP_M = 0.0125, 0.03
ABOVE_M, LOW_M = 0.09, 0.02
ON_GOAL_M = 0.03
FAR_M = 0.3
AT_REST_M_S = 0.02


class Push:
    """
    Where things are put, and what an episode is worth.

    1 when the puck rests within 3 cm of the goal's middle, and less by how far off it is.
    """

    world = 'arm_push.sdf'
    text = 'push the puck onto the goal'

    def place(self, robot, rng):
        """
        Put the puck somewhere within reach.

        :param robot: The ``SimulatedRobot``, freshly reset.
        :param rng: ``numpy.random.Generator``.
        """
        robot.arm.place(PUCK, (*rng.uniform(*AREA_M), LOW_M))

    def score(self, robot) -> float:
        """
        Return what the present moment is worth, in [0, 1].

        :param robot: The ``SimulatedRobot``.
        """
        off = np.linalg.norm(self._way(robot))
        if off < ON_GOAL_M:
            return 1.0 if robot.arm.speed_of(PUCK) < AT_REST_M_S else 0.99
        return max(0.0, 0.99 * (1.0 - (off - ON_GOAL_M) / FAR_M))

    def waypoints(self, robot, rng) -> list:
        """
        Plan a demonstration: behind the puck, down, along the line to the goal, up.

        :param robot: The ``SimulatedRobot``, where it is now.
        :param rng: ``numpy.random.Generator``.
        :return: List of ``Waypoint``.
        """
        way = self._way(robot)
        length = float(np.linalg.norm(way))
        along = way / max(length, 1e-6)
        puck = robot.arm.pose_of(PUCK)[0][:2]
        touch = PUCK_RADIUS_M + FINGERS_M
        behind = puck - along * (touch + GAP_M + rng.uniform(0.0, 0.015))
        end = puck + along * (length - touch + rng.uniform(-0.005, 0.005))
        hand, yaw = robot.tool_pose()
        # The fingers push with their broad side, which lies along the tool's y when closed.
        turn = yaw + math.remainder(math.atan2(along[1], along[0]) - yaw, math.pi)
        height = LOW_M + rng.uniform(0.0, 0.008)
        up = ABOVE_M + rng.uniform(0.0, 0.04)
        closed, pace = robot.gripper_range[0], rng.uniform(0.85, 1.25)
        return [Waypoint((*place, z), turn, closed, pace * duration_s,
                         tuple(rng.normal(0.0, wander_m, 3) * (1.0, 1.0, 0.5)))
                for place, z, duration_s, wander_m in (
                    (behind, up, 0.8 + 2.5 * float(np.linalg.norm(hand[:2] - behind)), 0.02),
                    (behind, height, 0.7, 0.004),
                    (end, height, 0.6 + 6.0 * length, 0.0),
                    (end - along * GAP_M, height, 0.4, 0.0),
                    (end - along * GAP_M, up, 0.6, 0.004))]

    def _way(self, robot):
        """Return the way from the puck to the goal, m ``(2,)``."""
        return (robot.arm.pose_of(GOAL)[0] - robot.arm.pose_of(PUCK)[0])[:2]

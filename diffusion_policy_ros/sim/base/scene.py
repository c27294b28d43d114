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
A closed room with one block in its middle, which a base can pass on the left or on the right.

The room is its own mirror image in the line y = 0, from the start on the one side to the goal on
the other. Lengths are in m, angles in rad, x points from start to goal.
"""

from dataclasses import dataclass
import math

from diffusion_policy_ros.sim.base.geometry import closed_outline
import numpy as np

ROOM = np.array(((0.0, -2.0), (6.0, -2.0), (6.0, 2.0), (0.0, 2.0)))
BLOCK_SIZE = (0.6, 0.9)
# Middle and half width of what is drawn at a start.
START, START_SPREAD = np.array((0.8, 0.0, 0.0)), np.array((0.15, 0.15, 0.3))  # x, y, yaw
GOAL, GOAL_SPREAD = np.array((5.2, 0.0)), np.array((0.1, 0.15))
BLOCK, BLOCK_SPREAD = np.array((3.0, 0.0, 0.0)), np.array((0.2, 0.15, 0.15))  # x, y, yaw


@dataclass(frozen=True)
class Scene:
    """
    Where things are at the start of an episode.

    :ivar start: x, y and heading of the base.
    :ivar goal: x and y of the goal.
    :ivar block: x, y and angle of the block.
    """

    start: tuple
    goal: tuple
    block: tuple

    def mirrored(self) -> 'Scene':
        """Return the mirror image in the line y = 0."""
        (x, y, yaw), (goal_x, goal_y), (block_x, block_y, turn) = self.start, self.goal, self.block
        return Scene((x, -y, -yaw), (goal_x, -goal_y), (block_x, -block_y, -turn))

    def block_corners(self) -> np.ndarray:
        """Return the corners of the block, float64 (4, 2)."""
        x, y, yaw = self.block
        cos, sin = math.cos(yaw), math.sin(yaw)
        half = np.array(BLOCK_SIZE) / 2
        corners = half * ((-1, -1), (1, -1), (1, 1), (-1, 1))
        return corners @ np.array(((cos, sin), (-sin, cos))) + (x, y)

    def segments(self) -> np.ndarray:
        """Return all that can be seen and hit: walls and block, float64 (8, 2, 2)."""
        return np.concatenate([closed_outline(ROOM), closed_outline(self.block_corners())])


# Both ways are equally good here.
MIRROR_SCENE = Scene(tuple(START.tolist()), tuple(GOAL.tolist()), tuple(BLOCK.tolist()))


def draw_scene(seed) -> Scene:
    """
    Draw the start of an episode.

    :param seed: Whole number from 0; equal seeds give equal scenes.
    """
    random = np.random.default_rng(seed)
    return Scene(*(tuple((middle + spread * random.uniform(-1, 1, len(middle))).tolist())
                   for middle, spread in ((START, START_SPREAD), (GOAL, GOAL_SPREAD),
                                          (BLOCK, BLOCK_SPREAD))))

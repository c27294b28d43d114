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
A Push-T table with two valid answers, and which of them sampled chunks give.

The goal is its own mirror image in the line through its stem, and so is the table. Here the block
lies on that line too, turned as the goal is but too far on the side of its bar, and the finger is
beyond its stem: to push the block home the finger has to get to the bar, past the left or past the
right, and neither is better.
"""

import math

from diffusion_policy_ros.evaluation.modes_picture import draw_table
from diffusion_policy_ros.evaluation.two_sided import environment_of, window_at_rest
from diffusion_policy_ros.sim.pusht import PushT
import numpy as np

GOAL_M, GOAL_ANGLE = np.array((0.256, 0.256)), math.pi / 4  # of gym-pusht
# From the block's origin along its stem, in m: the end of the stem, and the finger's radius.
STEM_M, FINGER_M = 0.120, 0.015
# How far the block is from its goal, and the finger from the stem.
AWAY_M, GAP_M = 0.060, 0.100
STEM = np.array((-math.sin(GOAL_ANGLE), math.cos(GOAL_ANGLE)))
LEFT = np.array((-STEM[1], STEM[0]))  # in the picture, of who looks from the finger to the block


def two_sided_state() -> np.ndarray:
    """Return finger x, y and block x, y in m and the block's angle in rad, float64 (5,)."""
    block = GOAL_M - AWAY_M * STEM
    finger = block + (STEM_M + FINGER_M + GAP_M) * STEM
    return np.array((*finger, *block, GOAL_ANGLE))


def offset_m(points) -> np.ndarray:
    """
    Return how far points are from the line of symmetry, positive to the left.

    :param points: x and y in m, float64 (..., 2).
    :return: float64 (...), m.
    """
    return (points - GOAL_M) @ LEFT


def passes_left(chunks) -> np.ndarray:
    """
    Tell on which side of the line chunks are where they are farthest from it.

    :param chunks: float64 (K, rows, 2), m.
    :return: bool (K,).
    """
    offsets = offset_m(chunks)
    farthest = np.abs(offsets).argmax(axis=1)
    return offsets[np.arange(len(chunks)), farthest] > 0


def two_sided_window(policy) -> tuple:
    """
    Show a policy the table at rest.

    :param policy: ``Policy`` for the Push-T robot.
    :return: Window as for ``Policy.sample``, batch of one; and the ``PushT``.
    :raises ConfigError: if the policy is for another robot.
    """
    sim = environment_of(policy, PushT, 'Push-T')
    sim.reset(state=two_sided_state())
    return window_at_rest(policy, sim), sim


class MirrorTable:
    """
    The table, as a ``TwoSided``.

    :ivar window: What the policy sees.
    """

    name = 'a table that is its own mirror image'

    def __init__(self, policy):
        """
        Show a policy the table.

        :param policy: ``Policy`` for the Push-T robot.
        :raises ConfigError: if it is for another robot.
        """
        self.window, self._sim = two_sided_window(policy)

    def passes_left(self, chunks) -> np.ndarray:
        """
        Tell on which side chunks pass, as the function of that name.

        :param chunks: float64 (K, rows, 2), m.
        """
        return passes_left(chunks)

    def draw(self, path, chunks, is_left, title) -> None:
        """
        Draw chunks over the table; as for ``TwoSided``.

        :param path: PNG file to write.
        :param chunks: float64 (K, rows, 2), m.
        :param is_left: bool (K,).
        :param title: One sentence.
        """
        draw_table(path, self._sim, chunks, is_left, title)

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

"""The simulated base: it drives by twists, sees by a lidar, and stops where it touches."""

from dataclasses import replace
import math

from diffusion_policy_ros.errors import ChunkError, ConfigError
from diffusion_policy_ros.sim.base.drive import follow, Motion, wheel_targets
from diffusion_policy_ros.sim.base.geometry import cast_rays, distance_to
from diffusion_policy_ros.sim.base.scene import draw_scene
import numpy as np

SUBSTEP_S = 0.01
RADIUS_M = 0.2
GOAL_RADIUS_M = 0.15
BEAMS = 36
RANGE_MIN_M, RANGE_MAX_M = 0.1, 4.0


class MobileBase:
    """
    A round base in the room of ``scene``.

    :ivar scene: Where things were at the start of the episode.
    :ivar motion: Where the base is now, ``Motion``.
    :ivar has_touched: Whether it has touched a wall or the block since the reset.
    """

    def __init__(self):
        """Stand at the start of seed 0."""
        self.reset(0)

    def reset(self, seed=0, scene=None):
        """
        Start an episode at rest.

        :param seed: Whole number from 0, from which the scene is drawn.
        :param scene: ``Scene`` to start with, instead of a drawn one.
        """
        self.scene = draw_scene(seed) if scene is None else scene
        self._segments = self.scene.segments()
        self.motion = Motion(*self.scene.start)
        self.has_touched = False
        self._first_m = self._nearest_m = self.goal_distance()

    def advance(self, linear, angular, duration_s):
        """
        Follow a twist for a while.

        :param linear: Wanted speed along the heading, m/s.
        :param angular: Wanted turning speed, rad/s, positive to the left.
        :param duration_s: Simulated time in s, a whole number of 0.01 s steps.
        :raises ChunkError: if the twist is not finite.
        :raises ConfigError: if the duration is not a positive multiple of 0.01 s.
        """
        if not (math.isfinite(linear) and math.isfinite(angular)):
            raise ChunkError(f'the base is told {linear} m/s and {angular} rad/s; both must be '
                             'finite numbers')
        targets = wheel_targets(float(linear), float(angular))
        for _ in range(count_substeps(duration_s)):
            self._substep(targets)

    def goal_distance(self) -> float:
        """Return the distance from the base's middle to the goal, m."""
        return math.dist((self.motion.x, self.motion.y), self.scene.goal)

    def clearance(self) -> float:
        """Return the distance from the base's rim to what is nearest, m."""
        return distance_to((self.motion.x, self.motion.y), self._segments) - RADIUS_M

    def scan(self, beams=BEAMS) -> np.ndarray:
        """
        Look around: beam k points ``k * 2 pi / beams`` to the left of the heading.

        :param beams: Number of beams.
        :return: float32 (beams,), m; inf where nothing is within 4 m.
        """
        angles = self.motion.yaw + np.arange(beams) * (2 * math.pi / beams)
        ranges = cast_rays((self.motion.x, self.motion.y), angles, self._segments)
        return np.where(ranges <= RANGE_MAX_M, ranges, np.inf).astype(np.float32)

    def score(self) -> float:
        """Return the share of the way to the goal made before anything was touched, in [0, 1]."""
        way = self._first_m - GOAL_RADIUS_M
        return 1.0 if way <= 0 else min(max((self._first_m - self._nearest_m) / way, 0.0), 1.0)

    @property
    def success(self) -> bool:
        """Tell whether the base has come to the goal without having touched anything before."""
        return self._nearest_m <= GOAL_RADIUS_M

    def _substep(self, targets):
        """Move by 0.01 s; a touch stops the wheels, and the base stays where it is."""
        before, self.motion = self.motion, follow(self.motion, targets, SUBSTEP_S)
        if self.clearance() < 0:
            self.motion = replace(before, yaw=self.motion.yaw, left=0.0, right=0.0)
            self.has_touched = True
        if not self.has_touched:
            self._nearest_m = min(self._nearest_m, self.goal_distance())


def count_substeps(duration_s) -> int:
    """
    Return how many steps of 0.01 s make up a duration.

    :param duration_s: The duration, s.
    :raises ConfigError: if it is not a positive multiple of 0.01 s.
    """
    count = round(duration_s / SUBSTEP_S)
    if count < 1 or abs(count * SUBSTEP_S - duration_s) > 1e-6:
        raise ConfigError(f'the duration is {duration_s!r} s; it must be a positive multiple of '
                          f'{SUBSTEP_S:g} s')
    return count

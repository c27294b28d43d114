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

"""A scripted driver: pure pursuit of a way around the block, on the left or on the right."""

import math

from diffusion_policy_ros.sim.base.environment import OBEYED
from diffusion_policy_ros.sim.base.scene import BLOCK_SIZE
import numpy as np

LEFT, RIGHT = 1.0, -1.0
# How a driver differs from the next: ranges of an even distribution.
CRUISE = (0.45, 0.6)  # m/s
LOOK_AHEAD_M = (0.45, 0.7)
ROOM_M = (0.45, 0.7)  # from the side of the block to the base's middle
TURN_IN_M = (0.7, 1.0)  # from the block's middle to where the turns begin
# The hand is not steady: noise of so much, which is forgotten within half a second.
NOISE = np.array((0.01, 0.05))  # m/s, rad/s
MEMORY = 0.8  # of the noise, from row to row at 10 Hz
MAX_TURN = 1.5  # rad/s
SLOWEST = 0.2  # m/s
STEP_M = 0.02  # between two points of a way
# It stops well inside the goal, and rests there, so that no stop is just outside.
STOP_M, REST_ROWS = 0.06, 3


class BaseExpert:
    """
    Drives a ``BaseEnvironment`` to its goal; an ``Expert``.

    :ivar side: ``LEFT`` or ``RIGHT``: on which side of the block it passes, both equally often.
    """

    task = 'Drive to the goal, past the block.'

    def reset(self, seed, environment):
        """
        Choose a way.

        :param seed: Seed of the driver, a whole number from 0.
        :param environment: ``BaseEnvironment`` at the start of an episode.
        """
        self._random = np.random.default_rng((seed, 1))
        self.side = LEFT if self._random.random() < 0.5 else RIGHT
        self._cruise, self._look_ahead_m, room, turn_in = (
            self._random.uniform(*each) for each in (CRUISE, LOOK_AHEAD_M, ROOM_M, TURN_IN_M))
        self._way = way_around(environment.base.scene, self.side, room, turn_in)
        self._reached, self._rest, self._noise = 0, 0, np.zeros(2)
        self._last_m = math.inf
        names = environment.contract.action_names
        self._order = [OBEYED.index(name) for name in names]

    def act(self, environment):
        """
        Steer for the point of the way that lies ahead; at the goal, rest a moment.

        :param environment: ``BaseEnvironment``.
        :return: float64 ``(2,)`` in the contract's order; None at the end.
        """
        if self._rest or environment.success and self._is_there(environment.base):
            self._rest += 1
            return np.zeros(2) if self._rest <= REST_ROWS else None
        told = self._steer(environment.base)
        fresh = NOISE * self._random.standard_normal(2)
        self._noise = MEMORY * self._noise + math.sqrt(1 - MEMORY**2) * fresh
        linear, angular = told + self._noise
        told = np.array((max(linear, 0.0), min(max(angular, -MAX_TURN), MAX_TURN)))
        return told[self._order]

    def _is_there(self, base):
        """Tell whether the goal is as near as it gets."""
        before_m, self._last_m = self._last_m, base.goal_distance()
        return self._last_m < STOP_M or self._last_m > before_m

    def _steer(self, base):
        """Return m/s and rad/s of pure pursuit (Coulter 1992), slower in turns and at the end."""
        motion = base.motion
        at = np.array((motion.x, motion.y))
        away = np.linalg.norm(self._way[self._reached:] - at, axis=1)
        self._reached += int(np.argmin(away[:int(2 * self._look_ahead_m / STEP_M)]))
        ahead = min(self._reached + round(self._look_ahead_m / STEP_M), len(self._way) - 1)
        to_x, to_y = self._way[ahead] - at
        bearing = math.remainder(math.atan2(to_y, to_x) - motion.yaw, 2 * math.pi)
        speed = self._cruise * max(math.cos(bearing), 0.0)
        speed = max(min(speed, 0.9 * base.goal_distance()), SLOWEST)
        curvature = 2 * math.sin(bearing) / max(math.hypot(to_x, to_y), 0.1)
        return np.array((speed, min(max(speed * curvature, -MAX_TURN), MAX_TURN)))


def way_around(scene, side, room_m, turn_in_m) -> np.ndarray:
    """
    Return a way from the start past the block to the goal, straight from corner to corner.

    :param scene: ``Scene``.
    :param side: ``LEFT`` or ``RIGHT``.
    :param room_m: How far it keeps from the block's side, m.
    :param turn_in_m: How far before and behind the block's middle its corners are, m.
    :return: Points 0.02 m apart, float64 (N, 2), m.
    """
    x, y, _ = scene.block
    past = y + side * (BLOCK_SIZE[1] / 2 + room_m)
    corners = np.array((scene.start[:2], (x - turn_in_m, past), (x + turn_in_m, past), scene.goal))
    lengths = np.linalg.norm(np.diff(corners, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    steps = np.arange(0.0, along[-1], STEP_M)
    return np.stack([np.interp([*steps, along[-1]], along, corners[:, axis])
                     for axis in range(2)], axis=1)

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

"""A room that is its own mirror image, and on which side of its block sampled chunks pass."""

from diffusion_policy_ros.evaluation.modes_picture import draw_ways
from diffusion_policy_ros.evaluation.two_sided import environment_of, window_at_rest
from diffusion_policy_ros.sim.base.drive import follow, Motion, wheel_targets
from diffusion_policy_ros.sim.base.environment import BaseEnvironment, OBEYED
from diffusion_policy_ros.sim.base.mobile_base import GOAL_RADIUS_M, RADIUS_M, SUBSTEP_S
from diffusion_policy_ros.sim.base.scene import MIRROR_SCENE
import numpy as np


class MirrorRoom:
    """
    Start, block and goal on the room's line of symmetry, the base at rest; a ``TwoSided``.

    :ivar window: What the policy sees there.
    """

    name = 'a room that is its own mirror image'

    def __init__(self, policy):
        """
        Show a policy the room.

        :param policy: ``Policy`` for the base.
        :raises ConfigError: if it is for another robot.
        """
        environment = environment_of(policy, BaseEnvironment, 'the base')
        environment.reset(scene=MIRROR_SCENE)
        self.window = window_at_rest(policy, environment)
        names = list(policy.contract.action_names)
        self._order = [names.index(name) for name in OBEYED]
        self._substeps = round(1.0 / policy.contract.rate_hz / SUBSTEP_S)

    def passes_left(self, chunks) -> np.ndarray:
        """
        Tell on which side of the line chunks lead where they lead farthest from it.

        :param chunks: float64 (K, rows, 2), in the contract's order.
        :return: bool (K,).
        """
        sides = self.ways(chunks)[..., 1]
        farthest = np.abs(sides).argmax(axis=1)
        return sides[np.arange(len(chunks)), farthest] > 0

    def ways(self, chunks) -> np.ndarray:
        """
        Follow chunks from the start on, as if nothing were in the way.

        :param chunks: float64 (K, rows, 2), in the contract's order.
        :return: float64 (K, rows + 1, 2), x and y in m.
        """
        return np.array([self._way(chunk[:, self._order].tolist()) for chunk in chunks])

    def draw(self, path, chunks, is_left, title) -> None:
        """
        Draw where chunks lead; as for ``TwoSided``.

        :param path: PNG file to write.
        :param chunks: float64 (K, rows, 2), in the contract's order.
        :param is_left: bool (K,).
        :param title: One sentence.
        """
        circles = ((MIRROR_SCENE.start[:2], RADIUS_M, 'start'),
                   (MIRROR_SCENE.goal, GOAL_RADIUS_M, 'goal'))
        draw_ways(path, MIRROR_SCENE.segments(), circles, self.ways(chunks), is_left, title)

    def _way(self, chunk):
        """Return where the base is at the rows of one chunk."""
        motion = Motion(*MIRROR_SCENE.start)
        way = [(motion.x, motion.y)]
        for linear, angular in chunk:
            targets = wheel_targets(linear, angular)
            for _ in range(self._substeps):
                motion = follow(motion, targets, SUBSTEP_S)
            way.append((motion.x, motion.y))
        return way

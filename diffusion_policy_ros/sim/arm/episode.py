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

"""One episode of a task: where it begins, and what it is worth so far."""

from diffusion_policy_ros.sim.arm.randomisation import Randomisation
import numpy as np


START_RAD = 0.06  # so far from home a joint of the arm may be at the beginning


class Episode:
    """
    A robot at its task.

    :ivar now: What the present moment is worth, in [0, 1].
    :ivar best: The most that a moment since the reset was worth, in [0, 1].
    """

    def __init__(self, robot, task, *, randomise=False):
        """
        Wait for the first reset.

        :param robot: The ``SimulatedRobot``.
        :param task: Where things are put and what that is worth, such as ``PickPlace``.
        :param randomise: Let each episode look and slide differently.
        """
        self._robot, self._task = robot, task
        self._randomisation = Randomisation(robot.arm) if randomise else None
        self.now = self.best = 0.0

    def reset(self, seed):
        """
        Start an episode; equal seeds give equal episodes.

        :param seed: Whole number from 0.
        """
        rng = np.random.default_rng(seed)
        if self._randomisation:
            # Of a stream of its own: equal seeds place things alike with and without it.
            self._randomisation.draw(np.random.default_rng((seed, 2)))
        self._robot.reset(rng.uniform(-START_RAD, START_RAD, len(self._robot.arm_joints)))
        self._task.place(self._robot, rng)
        self.now = self.best = 0.0

    def advance(self, now_ns):
        """
        Let the robot go on for a control period.

        :param now_ns: The time at its end, ns.
        """
        self._robot.advance(now_ns)
        self.now = self._task.score(self._robot)
        self.best = max(self.best, self.now)

    @property
    def success(self) -> bool:
        """Tell whether the task has been solved since the last reset."""
        return self.best >= 1.0

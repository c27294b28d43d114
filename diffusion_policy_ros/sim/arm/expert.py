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

"""A scripted demonstrator for tasks of the arm: waypoints of the tool, and inverse kinematics."""

from diffusion_policy_ros.sim.arm.tool_actions import ToolActions
from diffusion_policy_ros.sim.arm.tool_path import rows_through
import numpy as np

TRIES = 3


class ArmExpert:
    """
    Follows the waypoints of the task; when the task is not solved by then, it plans anew.

    The gripper's joints all open alike.

    :ivar task: The task in words, from the first reset on.
    """

    def __init__(self):
        """Wait for the first episode."""
        self._actions = self.task = None

    def reset(self, seed, environment):
        """
        Get ready for an episode that has just begun.

        :param seed: Seed of what this demonstration has of its own, a whole number from 0.
        :param environment: The ``ArmEnvironment``, after its reset.
        """
        if self._actions is None or self._actions.robot is not environment.robot:
            self._actions = ToolActions(environment.robot)
        self.task = environment.task.text
        # Not the stream from which the episode drew its start: the two must have no bearing.
        self._rng = np.random.default_rng((seed, 1))
        self._path, self._tries = [], 0

    def act(self, environment):
        """
        Return the action for the period to come.

        :param environment: As for ``reset``.
        :return: Joint positions in the contract's order, float64 ``(action_dim,)``; None when
            the task is solved, or was tried often enough.
        :raises ConfigError: where the robot cannot get to what the task needs.
        """
        if not self._path and not environment.success and self._tries < TRIES:
            self._tries += 1
            robot = environment.robot
            self._path = rows_through(
                robot.tool_pose(), environment.task.waypoints(robot, self._rng),
                1.0 / environment.contract.rate_hz)[::-1]
            self._actions.begin()
        return self._actions.action(self._path.pop(), environment.contract.action_names) \
            if self._path else None

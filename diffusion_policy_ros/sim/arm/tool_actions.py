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

"""From a path of the tool to rows of actions: inverse kinematics, point after point."""

from diffusion_policy_ros.sim.arm.inverse_kinematics import InverseKinematics
from diffusion_policy_ros.sim.arm.robot import TOOL
from diffusion_policy_ros.sim.arm.tool_path import downward
import numpy as np


class ToolActions:
    """Turns points of a path into actions; each solution begins at the one before."""

    def __init__(self, robot):
        """
        Prepare for a robot.

        :param robot: The ``SimulatedRobot``.
        """
        self.robot = robot
        self._kinematics = InverseKinematics(robot.urdf_text, TOOL, robot.arm_joints)
        self.begin()

    def begin(self):
        """Begin where the robot is now."""
        self._joints = self.robot.joint_values(self.robot.arm_joints)

    def action(self, point, names) -> np.ndarray:
        """
        Return the action that brings the tool to the next point.

        :param point: ``(position (3,), yaw, opening)``, as of ``rows_through``.
        :param names: Joints in the order of the action; the gripper's all open alike.
        :return: Joint positions, float64 ``(len(names),)``.
        :raises ConfigError: where the robot cannot get there.
        """
        position, yaw, opening = point
        self._joints = self._kinematics.solve(position, downward(yaw), self._joints)
        wanted = {**dict(zip(self.robot.arm_joints, self._joints)),
                  **dict.fromkeys(self.robot.gripper_joints, opening)}
        return np.array([wanted[name] for name in names])

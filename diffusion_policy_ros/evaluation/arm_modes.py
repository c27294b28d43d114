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

"""A cube held midway between two bins, and to which of them sampled chunks carry it."""

from diffusion_policy_ros.control.kinematics import Chain
from diffusion_policy_ros.evaluation.modes_picture import draw_ways
from diffusion_policy_ros.evaluation.two_sided import environment_of, window_at_rest
from diffusion_policy_ros.sim.arm.pick_place import BINS, CUBE, CUBE_M
from diffusion_policy_ros.sim.arm.robot import TOOL
from diffusion_policy_ros.sim.arm.tasks import pick_place
from diffusion_policy_ros.sim.arm.tool_actions import ToolActions
from diffusion_policy_ros.sim.arm.tool_path import rows_through, Waypoint
from diffusion_policy_ros.urdf import parse_urdf
import numpy as np

MIDDLE_M = (0.36, 0.0)
ABOVE_M, HELD_M = 0.12, 0.19
BIN_M = 0.07  # half of a bin's width


class HeldCube:
    """
    The cube in the hand, at rest above the line between two bins; a ``TwoSided``.

    :ivar window: What the policy sees there.
    """

    name = 'a cube held midway between two bins'

    def __init__(self, policy):
        """
        Let the arm pick up the cube, and show that to a policy.

        :param policy: ``Policy`` for the arm that picks and places.
        :raises ConfigError: if it is for another robot.
        """
        environment = environment_of(policy, pick_place, 'the arm that picks and places')
        self._pick_up(environment)
        self.window = window_at_rest(policy, environment)
        robot = environment.robot
        self._chain = Chain(parse_urdf(robot.urdf_text), TOOL)
        names = list(policy.contract.action_names)
        self._columns = [names.index(name) for name in self._chain.joint_names]
        self._start = robot.tool_pose()[0]
        self._bins = [robot.arm.pose_of(name)[0] for name in BINS]

    def passes_left(self, chunks) -> np.ndarray:
        """
        Tell to which side of the middle chunks lead at their end.

        :param chunks: float64 (K, rows, action_dim), in the contract's order.
        :return: bool (K,); left is y above 0, as the arm sees it.
        """
        return self.ways(chunks)[:, -1, 1] > 0

    def ways(self, chunks) -> np.ndarray:
        """
        Return where chunks would lead the tool, seen from above.

        :param chunks: float64 (K, rows, action_dim), in the contract's order.
        :return: float64 (K, rows + 1, 2), x and y in m.
        """
        chunks = np.asarray(chunks)
        poses = self._chain.poses(chunks[..., self._columns].reshape(-1, len(self._columns)))
        ways = poses[:, :2, 3].reshape(*chunks.shape[:2], 2)
        begin = np.broadcast_to(self._start[:2], (len(chunks), 1, 2))
        return np.concatenate([begin, ways], axis=1)

    def draw(self, path, chunks, is_left, title) -> None:
        """
        Draw where chunks lead, seen from above; as for ``TwoSided``.

        :param path: PNG file to write.
        :param chunks: float64 (K, rows, action_dim), in the contract's order.
        :param is_left: bool (K,).
        :param title: One sentence.
        """
        corners = BIN_M * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)])
        segments = np.concatenate([np.stack([place[:2] + corners[:-1], place[:2] + corners[1:]],
                                            axis=1) for place in self._bins])
        circles = ((self._start[:2], CUBE_M / 2, 'cube'),)
        draw_ways(path, segments, circles, self.ways(chunks), is_left, title)

    def _pick_up(self, environment):
        """Grip the cube in the middle and lift it, straight."""
        robot, contract = environment.robot, environment.contract
        environment.reset(0)
        robot.reset()
        robot.arm.place(CUBE, (*MIDDLE_M, CUBE_M / 2))
        yaw, (closed, opened) = robot.tool_pose()[1], robot.gripper_range
        path = rows_through(robot.tool_pose(), [
            Waypoint((*MIDDLE_M, ABOVE_M), yaw, opened, 1.5),
            Waypoint((*MIDDLE_M, CUBE_M / 2), yaw, opened, 1.0),
            Waypoint((*MIDDLE_M, CUBE_M / 2), yaw, closed, 0.6),
            Waypoint((*MIDDLE_M, HELD_M), yaw, closed, 1.0)], 1.0 / contract.rate_hz)
        actions = ToolActions(robot)
        for point in path:
            environment.step(actions.action(point, contract.action_names))

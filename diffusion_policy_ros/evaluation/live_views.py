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
"""Pictures of recorded episodes, with the plan that was followed: a view for each simulation."""

import math

import cv2
from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.control.kinematics import Chain
from diffusion_policy_ros.control.plan_path import choose_plan_path
from diffusion_policy_ros.evaluation.live_simulations import LIVE
from diffusion_policy_ros.share import share_path
from diffusion_policy_ros.urdf import parse_urdf
import numpy as np

PLAN_COLOUR = (230, 60, 20)
CAMERA_SCALE = 3
# What is nearer to a camera than this is not drawn, m.
NEAREST_M = 0.02
# OpenCV draws no lines to where pixels cannot be counted.
FAR_PX = 10_000


class TableView:
    """
    Push-T from straight above, one pixel per millimetre.

    :ivar size: Height and width of all pictures side by side, px.
    :ivar has_inset: Whether what the policy sees is another picture than these.
    """

    has_inset = True

    def __init__(self, contract):
        """
        Set up a table to draw with.

        :param contract: Not looked at.
        """
        from diffusion_policy_ros.sim.pusht import PIXELS_PER_METRE, PushT
        from diffusion_policy_ros.sim.pusht_picture import TABLE_PX

        del contract
        self._sim, self._scale = PushT(), PIXELS_PER_METRE
        self.size = (TABLE_PX, TABLE_PX)

    def pictures(self, record, index) -> list:
        """
        Draw the table with the plan that was being followed.

        :param record: ``EpisodeRecord``.
        :param index: Number of the kept picture.
        :return: One picture, uint8 ``(512, 512, 3)``, RGB.
        """
        finger_x, finger_y, block_x, block_y, _, cos, sin = record.states[index, :7]
        self._sim.reset(state=(finger_x, finger_y, block_x, block_y, math.atan2(sin, cos)))
        picture = self._sim.picture(self.size[0])
        return [draw_plan(picture, record.plan_at(record.frame_ns[index]) * self._scale)]


class CamerasView:
    """
    What the cameras of the arm took, side by side, with the way on which a plan leads the tool.

    :ivar size: Height and width of all pictures side by side, px.
    :ivar has_inset: Whether what the policy sees is another picture than these.
    """

    has_inset = False

    def __init__(self, contract):
        """
        Read where the cameras are.

        :param contract: ``RobotContract`` of the simulation.
        """
        from diffusion_policy_ros.sim.arm.description import expand_xacro, read_cameras
        from diffusion_policy_ros.sim.arm.robot import TOOL

        text = expand_xacro(share_path('urdf', 'arm.urdf.xacro'))
        urdf, cameras = parse_urdf(text), read_cameras(text)
        self._path, _ = choose_plan_path(contract, urdf=urdf, tip_link=TOOL)
        streams = [stream for stream in contract.observations if stream.is_image]
        self._joints = [name for stream in contract.observations if not stream.is_image
                        for name in stream.names]
        self._cameras = [cameras[stream.topic.partition('/')[0]] for stream in streams]
        self._chains = [Chain(urdf, camera.optical_frame) for camera in self._cameras]
        # The one that stands still shows more of what happens.
        self._order = sorted(range(len(streams)), key=lambda k: len(self._chains[k].joint_names))
        self.size = (CAMERA_SCALE * self._cameras[0].height,
                     CAMERA_SCALE * sum(camera.width for camera in self._cameras))

    def pictures(self, record, index) -> list:
        """
        Enlarge the pictures and draw the plan that was being followed.

        :param record: ``EpisodeRecord``.
        :param index: Number of the kept pictures.
        :return: Pictures of equal height, uint8 ``(H, W, 3)``, RGB.
        """
        rows = record.plan_at(record.frame_ns[index])
        points = self._path.points(rows) if len(rows) else np.empty((0, 3))
        joints = dict(zip(self._joints, record.states[index]))
        return [self._picture(k, record.pictures[index, k], points, joints) for k in self._order]

    def _picture(self, number, taken, points, joints):
        """Return a camera's picture with points in the world."""
        camera, chain = self._cameras[number], self._chains[number]
        pose = chain.poses([[joints[name] for name in chain.joint_names]])[0]
        seen = (points - pose[:3, 3]) @ pose[:3, :3]  # (n, 3): right, down, away
        seen = seen[seen[:, 2] > NEAREST_M]
        pixels = (seen @ camera.matrix.T)[:, :2] / seen[:, 2:]
        large = cv2.resize(taken, None, fx=CAMERA_SCALE, fy=CAMERA_SCALE,
                           interpolation=cv2.INTER_CUBIC)
        return draw_plan(large, pixels * CAMERA_SCALE)


VIEWS = {'arm_sim': CamerasView, 'pusht_sim': TableView}


def view_of(sim):
    """
    Return what draws the episodes of a simulation.

    :param sim: A key of ``LIVE``.
    """
    live = LIVE[sim]
    return VIEWS[live.node](load_contract(share_path('config', 'robots', live.contract)))


def draw_plan(picture, points):
    """
    Draw rows of a plan as dots on a line.

    :param picture: uint8 ``(H, W, 3)``, RGB; it is changed.
    :param points: Where the rows lead, float64 ``(n, 2)``, px; n may be 0.
    :return: The picture.
    """
    points = np.round(np.clip(points, -FAR_PX, FAR_PX)).astype(np.int32)
    cv2.polylines(picture, [points.reshape(-1, 1, 2)], False, PLAN_COLOUR, 2, cv2.LINE_AA)
    for x, y in points.tolist():
        cv2.circle(picture, (x, y), 4, PLAN_COLOUR, cv2.FILLED, cv2.LINE_AA)
    return picture

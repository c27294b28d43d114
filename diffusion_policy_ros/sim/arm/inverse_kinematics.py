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

"""Joint positions that bring a frame of the robot to a pose: inverse kinematics by mink."""

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.sim.arm.model import read_robot
from diffusion_policy_ros.urdf import parse_urdf
import mink
import numpy as np

SOLVER = 'daqp'
TOLERANCE_M, TOLERANCE_RAD = 5e-4, 5e-3
ROUNDS = 200
STEP_S = 1.0
POSTURE_COST = 1e-3  # so little that it only chooses among the ways to the same pose
DAMPING = 1e-4


class InverseKinematics:
    """The way from poses of one frame back to the joints that carry it there."""

    def __init__(self, urdf_text, frame, joints):
        """
        Prepare the search.

        :param urdf_text: The robot's URDF, xacro expanded.
        :param frame: Name of the body that is brought to poses.
        :param joints: Names of the joints whose positions are wanted, in this order.
        """
        model = read_robot(urdf_text, parse_urdf(urdf_text)).compile()
        self._configuration = mink.Configuration(model)
        self._addresses = [model.joint(name).qposadr[0] for name in joints]
        self._frame = mink.FrameTask(frame, 'body', position_cost=1.0, orientation_cost=0.3,
                                     lm_damping=1e-6)
        self._posture = mink.PostureTask(model, cost=POSTURE_COST)
        self._limits = [mink.ConfigurationLimit(model)]

    def solve(self, position, rotation, start) -> np.ndarray:
        """
        Find joint positions for a pose, within the joints' limits.

        :param position: Of the frame in the world, m, ``(3,)``.
        :param rotation: Of the frame in the world, rotation matrix ``(3, 3)``.
        :param start: Joint positions to begin at, ``(n,)``; of several solutions the nearest.
        :return: Joint positions, float64 ``(n,)``.
        :raises ConfigError: where the robot cannot get there.
        """
        configuration = self._configuration
        begin = configuration.q.copy()
        begin[self._addresses] = start
        configuration.update(begin)
        self._posture.set_target(begin)
        self._frame.set_target(mink.SE3.from_rotation_and_translation(
            mink.SO3.from_matrix(np.asarray(rotation)), np.asarray(position)))
        for _ in range(ROUNDS):
            if self._is_there():
                return configuration.q[self._addresses].copy()
            velocity = mink.solve_ik(configuration, [self._frame, self._posture], STEP_S, SOLVER,
                                     damping=DAMPING, limits=self._limits)
            configuration.integrate_inplace(velocity, STEP_S)
        metres, radians = self._error()
        raise ConfigError(f'the robot cannot bring {self._frame.frame_name} to '
                          f'{np.round(position, 3).tolist()} with the wanted rotation: it comes '
                          f'no nearer than {metres:.3f} m and {radians:.2f} rad; choose a place '
                          'within its reach')

    def _error(self):
        """Return how far the frame is from where it shall be, m and rad."""
        error = self._frame.compute_error(self._configuration)
        return np.linalg.norm(error[:3]), np.linalg.norm(error[3:])

    def _is_there(self):
        """Tell whether the frame is where it shall be."""
        metres, radians = self._error()
        return metres < TOLERANCE_M and radians < TOLERANCE_RAD

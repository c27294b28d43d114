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

"""The joint_trajectory_controller, with position interfaces."""

from diffusion_policy_ros.sim.arm.controllers.acceptance import read_trajectory
from diffusion_policy_ros.sim.arm.controllers.controller import Controller
from diffusion_policy_ros.sim.arm.controllers.fields import LARGEST
from diffusion_policy_ros.sim.arm.controllers.splines import Point, Trajectory
import numpy as np


class TrajectoryController(Controller):
    """
    Moves through the points of the newest trajectory by their times, and holds the last one.

    The way to a trajectory's first point begins at the state of the moment in which the trajectory
    takes effect. Points that are due before that moment are skipped: when the first one was,
    there is no way to it, and the command jumps to where the trajectory is by then.
    """

    def __init__(self, joints, name='joint_trajectory_controller', *,
                 interpolate_from_desired_state=True, allow_trajectory_replacement=True,
                 allow_nonzero_velocity_at_trajectory_end=False):
        """
        Name the joints and choose, by the controller's own parameters.

        :param joints: Their names, in the order of ``positions``.
        :param name: Name of the controller, for error messages and ``ControllerSet``.
        :param interpolate_from_desired_state: Begin where the last trajectory has come to;
            otherwise at what is measured, and ``positions`` needs it. False by default there.
        :param allow_trajectory_replacement: Let a trajectory that starts in the future take
            effect at its start, as from ros2_controllers 6.8 on; otherwise on arrival, as before,
            so that the way to its first point begins at once.
        :param allow_nonzero_velocity_at_trajectory_end: Whether a trajectory may end moving.
        :raises ConfigError: for no joint at all, or one named twice.
        """
        super().__init__(joints, name)
        self._from_desired = interpolate_from_desired_state
        self._waits_for_start = allow_trajectory_replacement
        self._may_end_moving = allow_nonzero_velocity_at_trajectory_end
        self._now_ns = self._trajectory = self._next = None

    def accept(self, message, now_ns):
        """
        Take a trajectory; it replaces one that has not taken effect yet.

        :param message: trajectory_msgs/JointTrajectory, or any object with its fields.
        :param now_ns: When it arrived, ns.
        :raises CommandRefused: if the controller is not active, or the trajectory breaks a rule
            of ``acceptance``; the last one goes on then.
        """
        self._require_active()
        now_ns = max(now_ns, self._now_ns)
        start_ns, points = read_trajectory(message, self.joints, self.name, now_ns,
                                           self._may_end_moving)
        self._advance(now_ns, None)
        self._next = max(now_ns, start_ns) if self._waits_for_start else now_ns, points

    def positions(self, now_ns, measured=None):
        """
        Return the positions that are commanded now.

        :param now_ns: The time, ns.
        :param measured: Pair of positions and velocities of the joints, each float ``(n,)``;
            needed without ``interpolate_from_desired_state``.
        :return: float64 ``(n,)``, in the order of ``joints``.
        """
        self._advance(now_ns, measured)
        if self._is_due():
            raise ValueError(f'{self.name} begins its trajectories at the measured state, so it '
                             'needs "measured"')
        return self._trajectory.state(self._now_ns, 1)[0]

    def deactivate(self):
        """Let go of the joints, and drop all trajectories; ``positions`` stays what it was."""
        super().deactivate()
        self._start(self._now_ns, self._trajectory.state(self._now_ns, 1)[0])

    def _start(self, now_ns, positions):
        """Hold a position."""
        self._now_ns, self._next = now_ns, None
        self._trajectory = Trajectory([Point(now_ns, positions)])

    def _advance(self, now_ns, measured):
        """Move the clock on; what is due takes effect, if it is known from where."""
        self._now_ns = max(now_ns, self._now_ns)
        if self._is_due() and (self._from_desired or measured is not None):
            self._begin(measured)

    def _is_due(self):
        """Tell whether the next trajectory should have taken effect."""
        return self._next is not None and self._next[0] <= self._now_ns

    def _begin(self, measured):
        """Let the next trajectory take effect."""
        start_ns, points = self._next
        if self._from_desired:
            state = self._trajectory.state(start_ns)
        else:
            start_ns = self._now_ns
            state = np.array([*measured, np.zeros(len(self.joints))], dtype=np.float64)
        before = Point(start_ns, *np.clip(state, -LARGEST, LARGEST))
        self._next = None
        self._trajectory = Trajectory(
            [before, *points] if start_ns < points[0].time_ns else points)

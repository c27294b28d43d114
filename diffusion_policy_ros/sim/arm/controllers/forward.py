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

"""The forward_command_controller, on positions."""

from diffusion_policy_ros.errors import CommandRefused
from diffusion_policy_ros.sim.arm.controllers.controller import Controller
from diffusion_policy_ros.sim.arm.controllers.fields import field, LARGEST, numbers
import numpy as np


class ForwardController(Controller):
    """
    Passes the newest command on as it is.

    As there: a command with a number that is not finite is dropped, an empty one does nothing, and
    one of another length ends the controller, for its update fails and the controller_manager
    deactivates it.
    """

    def __init__(self, joints, name='forward_command_controller'):
        """
        Name the joints.

        :param joints: Their names, in the order of the numbers in a command.
        :param name: Name of the controller, for error messages and ``ControllerSet``.
        :raises ConfigError: for no joint at all, or one named twice.
        """
        super().__init__(joints, name)
        self._target = None

    def accept(self, message, now_ns):
        """
        Take a command, which holds from now on.

        :param message: std_msgs/Float64MultiArray, or any object with its field ``data``: one
            number per joint.
        :param now_ns: When it arrived, ns; of no importance here.
        :raises CommandRefused: if the controller is not active; if a number is not finite,
            or beyond ``LARGEST``, or there is none, and the last command holds on; if there are
            too few or too many, and the controller is not active any more.
        """
        self._require_active()
        values = numbers(field(message, 'data', self.name), f'{self.name}: data')
        wanted = f'{len(self.joints)} numbers, one each for {", ".join(self.joints)}'
        if not np.isfinite(values).all():
            raise CommandRefused(f'{self.name} drops the command {values.tolist()}, which is not '
                                 f'finite; send {wanted}')
        if (np.abs(values) > LARGEST).any():
            raise CommandRefused(f'{self.name} drops the command {values.tolist()}; no number may '
                                 f'be beyond {LARGEST:g}; send {wanted}')
        if not len(values):
            raise CommandRefused(f'{self.name} got an empty command; send {wanted}')
        if len(values) != len(self.joints):
            self.deactivate()
            raise CommandRefused(f'{self.name} got {len(values)} numbers, wanted {wanted}, and is '
                                 'deactivated, as a controller_manager would do; send that many, '
                                 'and activate it again (arm_sim: by ~/reset)')
        self._target = values

    def positions(self, now_ns, measured=None):
        """
        Return the last command, or what was commanded at activation while there is none.

        :param now_ns: The time, ns; of no importance here.
        :param measured: Of no importance here.
        :return: float64 ``(n,)``, in the order of ``joints``.
        """
        return self._target.copy()

    def _start(self, now_ns, positions):
        """Forget all commands."""
        self._target = positions

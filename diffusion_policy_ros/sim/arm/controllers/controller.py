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

"""What all simulated controllers share: their joints, and being active or not."""

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.errors import CommandRefused, ConfigError
import numpy as np


class Controller:
    """
    Commands positions to its joints from the moment it is activated.

    Not active at first. Its clock does not go back: a time before the last one counts as the last
    one, until the next ``activate``.
    """

    def __init__(self, joints, name):
        """
        Name the joints.

        :param joints: Their names, in the order of ``positions``.
        :param name: Name of the controller, for error messages and ``ControllerSet``.
        :raises ConfigError: for no joint at all, or one named twice.
        """
        self.joints, self.name = tuple(joints), name
        self.is_active = False
        if not self.joints or len(set(self.joints)) != len(self.joints):
            raise ConfigError(f'the controller {name} has the joints {shown(self.joints)}; name '
                              'at least one, and each once')

    def activate(self, now_ns, positions):
        """
        Take over the joints and hold them where they are commanded to be.

        :param now_ns: The time, ns; it may be before the last one.
        :param positions: The last positions that were commanded, or measured, one per joint.
        :raises ConfigError: unless they are as many finite numbers as there are joints.
        """
        self._start(now_ns, self._own(positions))
        self.is_active = True

    def deactivate(self):
        """Let go of the joints; ``positions`` stays what it was last."""
        self.is_active = False

    def accept(self, message, now_ns):
        """
        Take a command, or refuse it and go on as if it had not come.

        :param message: Any object with the fields of the ROS message.
        :param now_ns: When it arrived, ns.
        :raises CommandRefused: saying what is wrong with it and what to do.
        """
        raise NotImplementedError

    def positions(self, now_ns, measured=None):
        """
        Return the positions that are commanded now.

        :param now_ns: The time, ns.
        :param measured: Pair of positions and velocities of the joints, each float ``(n,)``.
        :return: float64 ``(n,)``, in the order of ``joints``.
        """
        raise NotImplementedError

    def _start(self, now_ns, positions):
        """Begin anew, holding a position."""
        raise NotImplementedError

    def _own(self, positions):
        """Check one number per joint, and copy them."""
        positions = np.array(positions, dtype=np.float64)
        if positions.shape != (len(self.joints),) or not np.isfinite(positions).all():
            raise ConfigError(f'the controller {self.name} got the positions {shown(positions)}; '
                              f'it needs {len(self.joints)} finite numbers, one each for '
                              f'{", ".join(self.joints)}')
        return positions

    def _require_active(self):
        """Refuse commands that nobody would follow."""
        if not self.is_active:
            raise CommandRefused(f'{self.name} got a command, but is not active; activate it, '
                                 'after deactivating what else commands its joints')

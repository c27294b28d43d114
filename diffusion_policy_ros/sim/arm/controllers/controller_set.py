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

"""The part of the controller_manager that lets one controller at a time have a joint."""

from diffusion_policy_ros.errors import CommandRefused, ConfigError
import numpy as np


class ControllerSet:
    """
    Controllers of one robot, and what they command to its joints together.

    Joints that no active controller has stay where they were commanded to last.
    """

    def __init__(self, joints, positions, controllers):
        """
        Take the controllers, none of them active yet.

        :param joints: Names of all joints that can be commanded, in the order of ``positions``.
        :param positions: What they are commanded at first, float ``(n,)``.
        :param controllers: List of ``Controller``; several may have the same joint.
        :raises ConfigError: if two have the same name, or one has a joint that is not there.
        """
        self.joints = tuple(joints)
        self.controllers = {controller.name: controller for controller in controllers}
        if len(self.controllers) != len(controllers):
            names = ', '.join(controller.name for controller in controllers)
            raise ConfigError(f'controllers are named ({names}); give each its own name')
        for controller in controllers:
            unknown = [joint for joint in controller.joints if joint not in self.joints]
            if unknown:
                raise ConfigError(f'the controller {controller.name} has the joint {unknown[0]}; '
                                  f'the joints are {", ".join(self.joints)}')
        self._columns = {name: [self.joints.index(joint) for joint in controller.joints]
                         for name, controller in self.controllers.items()}
        self._target = np.array(positions, dtype=np.float64)

    @property
    def active(self) -> list:
        """Return the names of the active controllers."""
        return [name for name, controller in self.controllers.items() if controller.is_active]

    def switch(self, now_ns, *, activate=(), deactivate=()):
        """
        Deactivate and activate controllers in one go, or change nothing.

        A controller that is activated holds its joints where ``positions`` had them last.

        :param now_ns: The time, ns.
        :param activate: Names of controllers.
        :param deactivate: Names of controllers.
        :raises CommandRefused: for a name that is not there, a controller that is active already
            or not at all, and a joint that another one has.
        """
        self._check_switch(activate, deactivate)
        for name in deactivate:
            self.controllers[name].deactivate()
        for name in activate:
            self.controllers[name].activate(now_ns, self._target[self._columns[name]])

    def positions(self, now_ns, measured=None):
        """
        Return the positions that are commanded now.

        :param now_ns: The time, ns.
        :param measured: Pair of positions and velocities of all joints, each float ``(n,)``, for
            controllers that need it.
        :return: float64 ``(n,)``, in the order of ``joints``.
        """
        for name in self.active:
            columns = self._columns[name]
            own = None if measured is None else [np.asarray(part)[columns] for part in measured]
            self._target[columns] = self.controllers[name].positions(now_ns, own)
        return self._target.copy()

    def reset(self, now_ns, positions):
        """
        Start over with the same controllers active, as after a reset of the simulation.

        :param now_ns: The time, ns; it may be before the last one.
        :param positions: Where all joints are now, float ``(n,)``.
        """
        self._target[:] = positions
        for name in self.active:
            self.controllers[name].activate(now_ns, self._target[self._columns[name]])

    def _check_switch(self, activate, deactivate):
        """Refuse a switch as a whole."""
        for name in (*activate, *deactivate):
            if name not in self.controllers:
                raise CommandRefused(f'there is no controller {name}; there are '
                                     f'{", ".join(self.controllers)}')
        active = self.active
        for name in deactivate:
            if name not in active:
                raise CommandRefused(f'{name} cannot be deactivated, for it is not active; '
                                     f'active are: {", ".join(active) or "none"}')
        owners = {joint: name for name in active if name not in deactivate
                  for joint in self.controllers[name].joints}
        for name in activate:
            if name in active and name not in deactivate:
                raise CommandRefused(f'{name} cannot be activated, for it is active already')
            for joint in self.controllers[name].joints:
                if joint in owners:
                    raise CommandRefused(
                        f'{name} cannot be activated, for {owners[joint]} has the joint {joint}; '
                        f'deactivate {owners[joint]} in the same switch')
                owners[joint] = name

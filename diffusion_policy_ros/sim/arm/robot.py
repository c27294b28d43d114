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

"""A simulated arm as ROS meets it: topics of commands in, joint states and pictures out."""

import math

from diffusion_policy_ros.control.kinematics import Chain
from diffusion_policy_ros.errors import CommandRefused, ConfigError
from diffusion_policy_ros.rotations import quaternion_to_rot6d
from diffusion_policy_ros.share import share_path
from diffusion_policy_ros.sim.arm.arm import Arm
from diffusion_policy_ros.sim.arm.controllers.controller_set import ControllerSet
from diffusion_policy_ros.sim.arm.controllers.parameter_file import read_controllers
from diffusion_policy_ros.sim.arm.description import expand_xacro
from diffusion_policy_ros.urdf import parse_urdf
import numpy as np

CONTROL_PERIOD_S = 0.01
CONTROL_PERIOD_NS = 10_000_000
TOOL = 'tool0'
FIELDS = {'position': Arm.positions, 'velocity': Arm.velocities, 'effort': Arm.efforts}


class SimulatedRobot:
    """
    An ``Arm`` whose joints go where ros2_control's controllers send them, 100 times per second.

    :ivar urdf_text: Its description.
    :ivar arm: The ``Arm``.
    :ivar arm_joints: Commanded joints that carry the tool; the others are the gripper's.
    :ivar gripper_joints: The others.
    :ivar controllers: Dict of the topic on which each controller listens -> the controller.
    :ivar now_ns: Simulated time, ns.
    """

    def __init__(self, world, description=None, controllers=None, *, shared=False):
        """
        Build robot, world and controllers, none of which is active yet.

        :param world: SDF file of the world, or the name of one of this package's.
        :param description: xacro or URDF file; None for the robot of this package.
        :param controllers: Parameter file of the controllers; None for those of this package.
        :param shared: As for ``Arm``.
        :raises ConfigError: naming the file and the fault.
        """
        self.urdf_text = expand_xacro(description or share_path('urdf', 'arm.urdf.xacro'))
        self.arm = Arm(self.urdf_text, share_path('worlds', world), shared=shared)
        self.controllers = read_controllers(
            controllers or share_path('config', 'gazebo', 'controllers.yaml'))
        self._set = ControllerSet(self.arm.joint_names, self.arm.positions(),
                                  list(self.controllers.values()))
        carrying = Chain(parse_urdf(self.urdf_text), TOOL).joint_names
        self.arm_joints = tuple(name for name in self.arm.joint_names if name in carrying)
        self.gripper_joints = tuple(
            name for name in self.arm.joint_names if name not in carrying)
        self.now_ns = 0

    @property
    def gripper_range(self) -> tuple:
        """Return the positions of a closed and of an open gripper; ``ConfigError`` for none."""
        joint = next((joint for joint in self.arm.model.joints
                      if joint.name in self.gripper_joints), None)
        if joint is None:
            raise ConfigError(f'the arm has no gripper, which its demonstrations need: all of '
                              f'{", ".join(self.arm.joint_names)} carry {TOOL}')
        return joint.min, joint.max

    @property
    def active_topics(self) -> tuple:
        """Return the topics that active controllers listen on."""
        return tuple(topic for topic, controller in self.controllers.items()
                     if controller.is_active)

    def activate(self, topics=()):
        """
        Activate the controllers behind some topics, and on other joints the first of the file.

        :param topics: Topics of commands, such as those of a contract's outputs.
        :raises ConfigError: if a topic belongs to no controller, or two of them share a joint.
        """
        unknown = [topic for topic in topics if topic not in self.controllers]
        if unknown:
            raise ConfigError(f'no controller listens on {unknown[0]}; there are '
                              f'{", ".join(self.controllers)}')
        chosen = [self.controllers[topic] for topic in topics]
        for controller in self.controllers.values():
            if all(set(controller.joints).isdisjoint(other.joints) for other in chosen):
                chosen.append(controller)
        try:
            self._set.switch(self.now_ns, deactivate=self._set.active,
                             activate=[controller.name for controller in chosen])
        except CommandRefused as error:
            raise ConfigError(f'{", ".join(topics)} cannot be commanded together: {error}') \
                from error

    def command(self, topic, message):
        """
        Hand a message to the controller that listens on a topic.

        :param topic: Topic of commands.
        :param message: Any object with the fields of the ROS message.
        :raises CommandRefused: as the controller does.
        """
        self.controllers[topic].accept(message, self.now_ns)

    def reset(self, offsets=0.0):
        """
        Put everything back; the same controllers are active, and the clock goes on.

        :param offsets: How far from home the joints of the arm are then, rad or m, a number or
            float ``(len(arm_joints),)``.
        """
        self.arm.reset()
        positions = self.arm.positions()
        positions[np.isin(self.arm.joint_names, self.arm_joints)] += offsets
        limits = [(joint.min, joint.max) for joint in self.arm.model.joints]
        self.arm.put(np.clip(positions, *np.transpose(limits)))
        self._set.reset(self.now_ns, self.arm.positions())

    def advance(self, now_ns):
        """
        Let the controllers write once, and the joints follow until they write again.

        :param now_ns: The time at the end of the period, ns. Where it goes back, the controllers
            hold what they command and start over.
        """
        measured = self.arm.positions(), self.arm.velocities()
        if now_ns < self.now_ns:
            self._set.reset(now_ns, self._set.positions(self.now_ns, measured))
        self.now_ns = now_ns
        targets = self._set.positions(now_ns, measured)
        self.arm.advance(dict(zip(self.arm.joint_names, targets)), CONTROL_PERIOD_S)

    def tool_pose(self) -> tuple:
        """Return where the tool is, m ``(3,)``, and its turn about z when downward, rad."""
        position, quaternion = self.arm.pose_of(TOOL)
        x_axis = quaternion_to_rot6d(quaternion)[:3]
        return position, math.atan2(x_axis[1], x_axis[0])

    def joint_values(self, names, field='position') -> np.ndarray:
        """
        Return what is measured of some joints.

        :param names: Joint names.
        :param field: ``position``, ``velocity`` or ``effort``.
        :return: float64 ``(len(names),)``.
        """
        found = dict(zip(self.arm.joint_names, FIELDS[field](self.arm)))
        return np.array([found[name] for name in names])

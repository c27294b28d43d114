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

"""A simulated robot arm among the things of its world: commanded, measured and photographed."""

from functools import lru_cache
from pathlib import Path

from diffusion_policy_ros.checks import is_number, shown
from diffusion_policy_ros.errors import ChunkError, ConfigError
from diffusion_policy_ros.rotations import unit_quaternion
from diffusion_policy_ros.sim.arm.engine import mujoco
from diffusion_policy_ros.sim.arm.model import build_model
from diffusion_policy_ros.sim.arm.rendering import Pictures
import numpy as np


class Arm:
    """
    A robot and its world. Equal commands after a reset give bit-equal states.

    Each joint has a position servo. As ros2_control does, a target is cut to the limits of
    command, and approached no faster than the URDF lets the joint move.

    :ivar model: ``ArmModel``: the MuJoCo model, joints and cameras.
    :ivar data: ``mujoco.MjData``: the state.
    :ivar joint_names: Tuple of the commanded joints' names, in the order of ``read_control``.
    """

    def __init__(self, urdf_text, world_path, *, shared=False):
        """
        Build robot and world, and reset them.

        :param urdf_text: The URDF, xacro expanded.
        :param world_path: SDF file of the world.
        :param shared: Have model and renderers in common with the other shared arms of these
            files: 90 MB less for each. Nobody may change the model then, and one thread draws.
        :raises ConfigError: naming the file and the fault, if either cannot be simulated.
        """
        self.model, self._pictures = _shared_parts(
            urdf_text, Path(world_path), Path(world_path).stat().st_mtime_ns) if shared \
            else _parts(urdf_text, world_path)
        self.data = mujoco.MjData(self.model.mj)
        self.joint_names = tuple(joint.name for joint in self.model.joints)
        self._index = {name: k for k, name in enumerate(self.joint_names)}
        self._low, self._high = np.array([[joint.min, joint.max] for joint in self.model.joints]).T
        self.reset()

    def reset(self):
        """Put the robot to where ros2_control begins, and everything where the world has it."""
        mujoco.mj_resetData(self.model.mj, self.data)
        self.put([joint.initial for joint in self.model.joints])

    def put(self, positions):
        """
        Put the robot somewhere at once, at rest; its targets are there too.

        :param positions: Rad or m, float ``(n,)`` in the order of ``joint_names``.
        :raises ConfigError: if a number is not finite or outside the limits of command.
        """
        positions = np.asarray(positions, dtype=np.float64)
        if positions.shape != self._low.shape or not (
                (self._low <= positions) & (positions <= self._high)).all():
            raise ConfigError(f'the positions {shown(positions.tolist())} are not within '
                              f'{self._low.tolist()} to {self._high.tolist()}')
        self.data.qpos[self.model.positions] = positions
        self.data.qvel[self.model.velocities] = 0.0
        for name, leader, multiplier, offset in self.model.followers:
            self.data.joint(name).qpos = offset + multiplier * self.data.joint(leader).qpos
            self.data.joint(name).qvel = 0.0
        self._targets = positions.copy()
        self.data.ctrl[:] = positions
        mujoco.mj_forward(self.model.mj, self.data)

    def advance(self, targets, duration_s):
        """
        Let the joints follow their targets for a while.

        :param targets: Dict of joint name -> position, rad or m; the others keep their target.
        :param duration_s: Simulated time in s, a whole number of steps of the physics.
        :raises ChunkError: for an unknown joint, or a target that is no finite number.
        :raises ConfigError: if the duration is not a positive multiple of the step.
        """
        wanted = self._targets.copy()
        for name, position in targets.items():
            if name not in self._index:
                raise ChunkError(f'{shown(name)} is no joint that can be commanded; those are: '
                                 f'{", ".join(self.joint_names)}')
            if not is_number(float(position)):
                raise ChunkError(f'the target of joint {name!r} is {shown(position)}; it must be '
                                 'a finite number')
            wanted[self._index[name]] = float(position)
        step_s = self.model.mj.opt.timestep
        steps = _count_steps(duration_s, step_s)
        self._targets = np.clip(wanted, self._low, self._high)
        reach = self.model.max_velocities * step_s
        for _ in range(steps):
            self.data.ctrl += np.clip(self._targets - self.data.ctrl, -reach, reach)
            self._brake()
            mujoco.mj_step(self.model.mj, self.data)
        mujoco.mj_forward(self.model.mj, self.data)

    def _brake(self):
        """
        Take commands that ran ahead of blocked joints back, once the joints are too fast.

        At this lead over the joint, spring and damper of its servo hold the largest velocity. A
        joint that is not too fast may have any lead, so that it presses with all its effort.
        """
        speeds, limits = self.velocities(), self.model.max_velocities
        if (np.abs(speeds) <= limits).all():
            return
        positions, lead = self.positions(), limits * self.model.trailing_s
        self.data.ctrl[:] = np.clip(
            self.data.ctrl, np.where(speeds < -limits, positions - lead, -np.inf),
            np.where(speeds > limits, positions + lead, np.inf))

    def positions(self):
        """Return the joints' positions, rad or m, float64 ``(n,)`` as ``joint_names``."""
        return self.data.qpos[self.model.positions]

    def velocities(self):
        """Return the joints' velocities, rad/s or m/s, float64 ``(n,)`` as ``joint_names``."""
        return self.data.qvel[self.model.velocities]

    def efforts(self):
        """Return what the servos exert, Nm or N, float64 ``(n,)`` as ``joint_names``."""
        return self.data.qfrc_actuator[self.model.velocities]

    def picture(self, camera):
        """
        Return what a camera sees now.

        :param camera: Its name.
        :return: RGB, uint8 ``(height, width, 3)``.
        :raises ConfigError: for an unknown camera; naming what to install, where MuJoCo cannot
            draw.
        """
        return self._pictures.draw(self.data, camera)

    def place(self, model, xyz, quaternion=(0.0, 0.0, 0.0, 1.0)):
        """
        Put a model of the world somewhere at once, at rest.

        :param model: Its name; it must not be static.
        :param xyz: Position of its frame in the world, m ``(3,)``.
        :param quaternion: Its orientation there, x, y, z, w ``(4,)``.
        :raises ConfigError: for a model that cannot be moved.
        """
        if model not in self.model.movable:
            raise ConfigError(f'{shown(model)} is no model that can be moved; those are: '
                              f'{", ".join(self.model.movable) or "none"}')
        start = self.model.movable[model]
        x, y, z, w = unit_quaternion(quaternion)
        self.data.qpos[start:start + 7] = (*xyz, w, x, y, z)
        speed = self.model.mj.joint(model).dofadr[0]
        self.data.qvel[speed:speed + 6] = 0.0
        mujoco.mj_forward(self.model.mj, self.data)

    def pose_of(self, body):
        """
        Return where a link of the robot or a model of the world is.

        :param body: Its name.
        :return: Position in the world, m, float64 ``(3,)``; and unit quaternion x, y, z, w with
            w >= 0, float64 ``(4,)``.
        :raises ConfigError: for an unknown name.
        """
        number = mujoco.mj_name2id(self.model.mj, mujoco.mjtObj.mjOBJ_BODY, body)
        if number < 0:
            raise ConfigError(f'{shown(body)} is neither a link of the robot nor a model of the '
                              'world')
        w, x, y, z = self.data.xquat[number]
        return self.data.xpos[number].copy(), unit_quaternion((x, y, z, w))

    def speed_of(self, model) -> float:
        """
        Return how fast a model of the world moves, m/s.

        :param model: Its name; it must not be static.
        """
        return float(np.linalg.norm(self.data.joint(model).qvel[:3]))

    def close(self):
        """Give the memory of the pictures back; in the thread that drew them."""
        self._pictures.close()


def _parts(urdf_text, world_path):
    """Return the ``ArmModel`` of robot and world, and the ``Pictures`` of it."""
    model = build_model(urdf_text, world_path)
    return model, Pictures(model.mj, model.cameras)


@lru_cache(maxsize=4)
def _shared_parts(urdf_text, world_path, _written_ns):
    """Return the same parts for the same files."""
    return _parts(urdf_text, world_path)


def _count_steps(duration_s, step_s):
    """Return how many steps of the physics a duration has."""
    steps = round(duration_s / step_s)
    if steps < 1 or abs(steps * step_s - duration_s) > 1e-9:
        raise ConfigError(f'the duration is {duration_s} s; it must be a positive multiple of '
                          f'{step_s} s')
    return steps

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

"""The simulated base under a contract, row by row: what each topic shows, and what it obeys."""

import math

from diffusion_policy_ros import message_types as ros
from diffusion_policy_ros.errors import ChunkError, ConfigError, ContractError
from diffusion_policy_ros.rotations import quaternion_to_rot6d
from diffusion_policy_ros.sim.base.mobile_base import count_substeps, MobileBase, RANGE_MAX_M
import numpy as np

# What the base publishes, and what it listens to.
SCAN_TOPIC, ODOMETRY_TOPIC, GOAL_TOPIC, COMMAND_TOPIC = 'scan', 'odom', 'goal_pose', 'cmd_vel'
SHOWN = {SCAN_TOPIC: ros.LASER_SCAN, ODOMETRY_TOPIC: ros.ODOMETRY, GOAL_TOPIC: ros.POSE_STAMPED}
OBEYED = ('linear.x', 'angular.z')


class BaseEnvironment:
    """
    The base and its task, as an ``Environment``.

    :ivar contract: The contract that ``step`` follows.
    :ivar base: The ``MobileBase``.
    """

    def __init__(self, contract):
        """
        Set the base up; ``reset`` begins an episode.

        :param contract: Robot contract; its streams are told apart by their topics, and the
            lidar has as many beams as the contract has names for them.
        :raises ContractError: if the contract wants what this base does not show or obey.
        """
        _check_contract(contract)
        self.contract, self.base = contract, MobileBase()
        self._period_s = 1.0 / contract.rate_hz
        self._order = [contract.action_names.index(name) for name in OBEYED]
        self._told = (0.0, 0.0)

    def reset(self, seed=0, scene=None):
        """
        Start an episode.

        :param seed: Whole number from 0; equal seeds give equal episodes.
        :param scene: ``Scene`` to start with, instead of a drawn one.
        """
        self.base.reset(seed, scene)
        self._told = (0.0, 0.0)

    def step(self, action):
        """
        Follow one action for one period of the contract.

        :param action: ``(2,)`` in the contract's order: m/s along the heading, and rad/s.
        :raises ChunkError: if the action is not two finite numbers.
        """
        if np.shape(action) != (2,):
            raise ChunkError(f'the action is {action!r}; it must be two numbers')
        told = tuple(float(action[index]) for index in self._order)
        self.base.advance(*told, self._period_s)
        self._told = told

    def wait(self):
        """Let one period pass without a command: the base keeps to its last one."""
        self.base.advance(*self._told, self._period_s)

    def observation(self):
        """
        Return what the base shows now.

        :return: Dict of dataset key to float32 vector, with the entries that the contract names.
        """
        return {key: np.concatenate([self._shown(stream)
                                     for stream in self.contract.streams_of(key)])
                for key in self.contract.keys}

    def score(self):
        """Return the share of the way to the goal made before anything was touched, in [0, 1]."""
        return self.base.score()

    @property
    def success(self):
        """Tell whether the base has come to the goal without having touched anything before."""
        return self.base.success

    def _shown(self, stream):
        """Return what one stream shows."""
        if stream.topic == SCAN_TOPIC:
            return np.minimum(self.base.scan(len(stream.names)), np.float32(RANGE_MAX_M))
        components = self._odometry() if stream.topic == ODOMETRY_TOPIC \
            else _pose_components(*self.base.scene.goal, 0.0)
        return np.array([components[name] for name in stream.names], dtype=np.float32)

    def _odometry(self):
        """Return the components of the odometry, which is exact."""
        motion = self.base.motion
        twist = dict.fromkeys(ros.TWIST_COMPONENTS, 0.0)
        return {**_pose_components(motion.x, motion.y, motion.yaw), **twist,
                'linear.x': motion.linear, 'angular.z': motion.angular}


def _pose_components(x, y, yaw):
    """Return the components of a pose in the plane, its rotation both ways."""
    turned = math.remainder(yaw, 2 * math.pi) / 2  # in [-pi/2, pi/2], so that w >= 0
    quaternion = (0.0, 0.0, math.sin(turned), math.cos(turned))
    return dict(zip(ros.POSITION + ros.QUATERNION + ros.ROT6D,
                    (x, y, 0.0, *quaternion, *quaternion_to_rot6d(quaternion))))


def _check_contract(contract):
    """Refuse a contract that wants another robot."""
    where, example = f'contract of {contract.robot!r}', 'use config/robots/base.yaml'
    for stream in contract.observations:
        if SHOWN.get(stream.topic) != stream.type:
            raise ContractError(
                f'{where}: the simulated base shows no {stream.type} on {stream.topic!r}; it '
                'shows ' + ', '.join(f'{kind} on {topic!r}' for topic, kind in SHOWN.items())
                + f'; {example}')
    output = contract.actions[0]
    if len(contract.actions) > 1 or output.topic != COMMAND_TOPIC or \
            output.type not in (ros.TWIST, ros.TWIST_STAMPED) or set(output.names) != set(OBEYED):
        raise ContractError(
            f'{where}: the simulated base obeys {" and ".join(OBEYED)} of a twist on '
            f'{COMMAND_TOPIC!r} and nothing else; {example}')
    try:
        count_substeps(1.0 / contract.rate_hz)
    except ConfigError as error:
        raise ContractError(f'{where}: rate_hz is {contract.rate_hz:g}: {error}') from error

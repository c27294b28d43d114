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

"""An arm and its task as an ``Environment``: rows of a contract in, what the arm shows out."""

from diffusion_policy_ros.control.commands import build_command, split_action
from diffusion_policy_ros.errors import ContractError
from diffusion_policy_ros.message_types import JOINT_STATE
from diffusion_policy_ros.messages import PLAIN_TYPES
from diffusion_policy_ros.sim.arm.episode import Episode
from diffusion_policy_ros.sim.arm.robot import CONTROL_PERIOD_NS, SimulatedRobot
import numpy as np


class ArmEnvironment:
    """
    A simulated arm in simulated time. Many share one model; one thread may use them.

    Each action goes, as the messages that the contract names, to the controllers that the robot
    has on those topics. Nothing here knows how many joints or cameras there are.

    :ivar contract: The contract that ``step`` follows.
    :ivar task: The task, such as ``PickPlace``.
    :ivar robot: The ``SimulatedRobot``.
    """

    def __init__(self, contract, task, description=None, controllers=None):
        """
        Build the robot and its world.

        :param contract: Robot contract; its topics say which cameras are seen, its outputs which
            controllers are active.
        :param task: The task.
        :param description: As for ``SimulatedRobot``.
        :param controllers: As for ``SimulatedRobot``.
        :raises ContractError: if the contract wants what this robot does not show or obey.
        """
        self.contract, self.task = contract, task
        self.robot = SimulatedRobot(task.world, description, controllers, shared=True)
        check_contract(contract, self.robot)
        self.robot.activate([output.topic for output in contract.actions])
        self._episode = Episode(self.robot, task)

    def reset(self, seed):
        """
        Start an episode; equal seeds give equal episodes.

        :param seed: Whole number from 0.
        """
        self._episode.reset(seed)

    def step(self, action):
        """
        Follow one action for one period of the contract.

        :param action: Row of the action vector, ``(action_dim,)``, in robot units.
        """
        for output, row in split_action(self.contract, action):
            self.robot.command(output.topic, build_command(
                output, row[None], PLAIN_TYPES, stamp_ns=self.robot.now_ns,
                lead_ns=self.contract.period_ns, period_ns=self.contract.period_ns))
        self.wait()

    def wait(self):
        """Let one period pass; the controllers go on with what they were told last."""
        for _ in range(self.contract.period_ns // CONTROL_PERIOD_NS):
            self._episode.advance(self.robot.now_ns + CONTROL_PERIOD_NS)

    def observation(self):
        """Return what the robot shows now, pictures as large as the cameras take them."""
        found = {}
        for stream in self.contract.observations:
            if stream.is_image:
                found[stream.key] = self.robot.arm.picture(_camera(stream))
            else:
                values = self.robot.joint_values(stream.names, stream.field)
                found[stream.key] = np.append(found.get(stream.key, ()), values).astype(np.float32)
        return found

    def score(self):
        """Return how far the episode got, in [0, 1]."""
        return self._episode.best

    @property
    def success(self):
        """Tell whether the task has been solved since the last reset."""
        return self._episode.success


def _camera(stream):
    """Return the name of the camera that publishes a stream."""
    return stream.topic.partition('/')[0]


def check_contract(contract, robot):
    """
    Refuse a contract that wants what a robot does not show or obey.

    :param contract: The robot's contract.
    :param robot: The ``SimulatedRobot``.
    :raises ContractError: naming the topic, and what there is; or the rate, if a row is no whole
        number of control periods.
    """
    where = f'contract of {contract.robot!r}'
    if contract.period_ns % CONTROL_PERIOD_NS:
        raise ContractError(
            f'{where}: rate_hz is {contract.rate_hz:g}, so that a row takes '
            f'{contract.period_ns / 1e6:g} ms; the simulated arm is controlled every '
            f'{CONTROL_PERIOD_NS / 1e6:g} ms, of which a row must be a whole number: use 10, 20, '
            '25 or 50 Hz')
    for stream in contract.observations:
        cameras = robot.arm.model.cameras
        if stream.is_image and _camera(stream) not in cameras:
            raise ContractError(f'{where}: {stream.topic} is no picture of the simulated arm, '
                                f'whose cameras are {", ".join(cameras)}: CAMERA/image_raw')
        if not stream.is_image and stream.type != JOINT_STATE:
            raise ContractError(f'{where}: {stream.topic} is a {stream.type}; the simulated arm '
                                f'shows pictures and {JOINT_STATE}')
        _check_joints(f'{where}: {stream.topic}', () if stream.is_image else stream.names, robot)
    for output in contract.actions:
        _check_joints(f'{where}: {output.topic}', output.names, robot)


def _check_joints(where, names, robot):
    """Refuse joints that the robot has not."""
    unknown = [name for name in names if name not in robot.arm.joint_names]
    if unknown:
        raise ContractError(f'{where} names the joint {unknown[0]}; the simulated arm has '
                            f'{", ".join(robot.arm.joint_names)}')

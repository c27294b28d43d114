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

"""What observations with two valid answers have in common, whatever the simulated robot."""

from typing import Protocol

from diffusion_policy_ros.contract import START_NS
from diffusion_policy_ros.errors import ConfigError, ContractError
from diffusion_policy_ros.evaluation.evaluate import observation_messages
from diffusion_policy_ros.observation.window import WindowBuilder
import numpy as np


class TwoSided(Protocol):
    """
    A robot at rest where it can go on in two ways, which are each other's mirror image.

    :ivar name: What it is, for a sentence.
    :ivar window: What the policy sees there, as for ``Policy.sample``, batch of one.
    """

    name: str
    window: dict

    def passes_left(self, chunks) -> np.ndarray:
        """
        Tell which chunks go on the left way.

        :param chunks: float64 (K, rows, action_dim), robot units, from the newest observation on.
        :return: bool (K,).
        """

    def draw(self, path, chunks, is_left, title) -> None:
        """
        Draw the chunks where they would lead.

        :param path: PNG file to write.
        :param chunks: As for ``passes_left``.
        :param is_left: What that returned.
        :param title: One sentence.
        """


def environment_of(policy, make_environment, task):
    """
    Return the simulated robot that a policy is for.

    :param policy: ``Policy``.
    :param make_environment: Called with its contract.
    :param task: Name of the simulation, for the sentence.
    :raises ConfigError: if it is for another robot, saying what else can be done.
    """
    elsewhere = 'name an observation of its own with --dataset FOLDER --episode N --row R'
    if policy.contract is None:
        raise ConfigError(f'the checkpoint holds no robot contract; {elsewhere}')
    try:
        return make_environment(policy.contract)
    except ContractError as error:
        raise ConfigError(f'the policy is not for {task}: {error}; {elsewhere}') from error


def window_at_rest(policy, environment) -> dict:
    """
    Show a policy a robot that rests.

    :param policy: ``Policy`` for the robot.
    :param environment: The robot, placed.
    :return: Window as for ``Policy.sample``, batch of one.
    """
    windows = WindowBuilder(policy.contract, policy.config.n_obs_steps)
    for row in range(policy.config.n_obs_steps):
        now_ns = policy.contract.tick_ns(START_NS, row)
        for topic, message in observation_messages(policy.contract, environment.observation(),
                                                   now_ns):
            windows.push(topic, message, now_ns)
    window, _ = windows.window(now_ns)
    return {key: value[None] for key, value in window.items()}

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

"""A LeRobot policy for a robot: its features under the names of the robot's contract."""

from dataclasses import replace

from diffusion_policy_ros.checks import suggestion
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.policy.window_check import window_layout


def with_contract(checkpoint, contract, renames):
    """
    Give a checkpoint of LeRobot a robot.

    The weights are told apart by the order of the features, which stays.

    :param checkpoint: Checkpoint without a contract.
    :param contract: RobotContract of the robot that it shall drive.
    :param renames: Key in the checkpoint -> key in the contract.
    :return: Checkpoint with the contract.
    :raises ConfigError: if a key is not there, two become one, or shapes are not the robot's.
    """
    config, keys = checkpoint.config, list(checkpoint.config.input_features)
    for old in renames:
        if old not in keys:
            raise ConfigError(f'--rename {old}=...: the policy has no such observation; '
                              f'{suggestion(old, keys)}')
    names = {key: renames.get(key, key) for key in keys}
    if len(set(names.values())) < len(names):
        raise ConfigError(f'after --rename two observations have one key: '
                          f'{", ".join(names.values())}')
    renamed = replace(config, input_features={
        names[key]: feature for key, feature in config.input_features.items()})
    try:
        window_layout(renamed, contract)
    except ConfigError as error:
        raise ConfigError(f'{error}. Name the key of the contract for each observation with '
                          '--rename KEY_OF_LEROBOT=KEY_OF_CONTRACT, or write a contract with '
                          'these shapes') from error
    statistics = {names.get(key, key): known for key, known in checkpoint.statistics.items()}
    return replace(checkpoint, config=renamed, contract=contract, statistics=statistics)

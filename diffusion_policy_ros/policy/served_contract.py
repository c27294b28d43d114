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
"""The contract under which a checkpoint is served."""

from diffusion_policy_ros.checks import first_of
from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.errors import CheckpointError, ContractError


def choose_contract(path, trained, model):
    """
    Return the contract to run under.

    :param path: Contract file, or an empty string for the checkpoint's own.
    :param trained: ``RobotContract`` of the checkpoint, None if it holds none.
    :param model: The checkpoint folder, for messages.
    :return: ``RobotContract``.
    :raises ContractError: if the file cannot be used, or disagrees with the checkpoint.
    :raises CheckpointError: if there is neither a file nor a contract in the checkpoint.
    """
    if not path:
        if trained is None:
            raise CheckpointError(f'{model} holds no contract.yaml; set the parameter "contract" '
                                  'to the contract of the robot')
        return trained
    contract = load_contract(path)
    differences = trained.disagreements(contract) if trained is not None else []
    if differences:
        raise ContractError(f'the contract {path} disagrees with the checkpoint {model}: '
                            f'{first_of(differences)}. Use the contract it was trained with, or '
                            'train for this robot')
    return contract

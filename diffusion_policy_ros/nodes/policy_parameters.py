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
"""The parameters of the policy server, and what makes a set of them usable together."""

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.control.timetable import is_multiple
from diffusion_policy_ros.errors import CheckpointError, ConfigError, ContractError
from diffusion_policy_ros.nodes.parameters import ParameterSpec
from diffusion_policy_ros.sampler_options import OPTIONS

# The sampler's options that are asked for most; the others have names in a group of their own.
UNGROUPED = ('solver', 'num_inference_steps')


def _sampler_spec(option):
    """Return the parameter for an option of the sampler, its unset value included."""
    return ParameterSpec(
        _parameter_name(option), option.unset,
        f"{option.description}; {option.unset} for the checkpoint's own",
        None if option.low is None else min(option.low, option.unset), option.high,
        choices=(option.unset, *option.choices) if option.choices else ())


def _parameter_name(option):
    """Return the name of the parameter for an option of the sampler."""
    return option.name if option.name in UNGROUPED else f'sampler.{option.name}'


SPECS = (
    ParameterSpec('model', '', 'Checkpoint folder, made by "dpr train" or by LeRobot', fixed=True),
    ParameterSpec('contract', '', "Robot contract (YAML file); empty for the checkpoint's own",
                  fixed=True),
    ParameterSpec('device', 'auto', 'Where to run the policy: auto, cpu, cuda or cuda:<n>',
                  fixed=True),
    ParameterSpec('num_threads', 0, 'CPU threads of the policy; 0 leaves one core to the rest',
                  0, 256, fixed=True),
    ParameterSpec('command_rate_hz', 0.0, "Commands per second, Hz; a multiple of the contract's "
                  "rate, between whose rows commands are interpolated; 0 for the contract's rate",
                  0.0, 1000.0, fixed=True),
    ParameterSpec('execute_horizon', 0, 'Rows to execute before the next plan starts, at most '
                  "the checkpoint's n_action_steps; 1 plans at every row; 0 for n_action_steps",
                  0, 1000),
    *(_sampler_spec(option) for option in OPTIONS),
    ParameterSpec('seed', 0, 'Seed of the noise, taken at activation and reset; -1 for another '
                  'one every time', -1, 2**31 - 1),
)


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
                            f'{"; ".join(differences)}. Use the contract it was trained with, or '
                            'train for this robot')
    return contract


def choose_command_rate(wanted_hz, contract) -> float:
    """
    Return the command rate in Hz.

    :param wanted_hz: The parameter; 0 for the contract's rate.
    :param contract: ``RobotContract``.
    :raises ConfigError: if it is no multiple of the contract's rate.
    """
    if not wanted_hz:
        return contract.rate_hz
    if not is_multiple(wanted_hz, contract.rate_hz):
        raise ConfigError(f'command_rate_hz is {wanted_hz:g}; it must be a whole multiple of the '
                          f"contract's rate_hz, {contract.rate_hz:g}")
    return wanted_hz


def choose_execute_horizon(wanted, config) -> int:
    """
    Return how many rows to execute before the next plan starts.

    :param wanted: The parameter; 0 for the checkpoint's ``n_action_steps``.
    :param config: ``PolicyConfig``.
    :raises ConfigError: if it is more than those.
    """
    if wanted > config.n_action_steps:
        raise ConfigError(f'execute_horizon is {wanted}; it must be at most n_action_steps of '
                          f'this checkpoint, {config.n_action_steps}')
    return wanted or config.n_action_steps


def sampler_changes(values) -> dict:
    """
    Return what the parameters ask of the sampler that differs from the checkpoint's own.

    :param values: All parameters by name.
    :return: Changes for ``Sampler.changed``.
    """
    wanted = {option: values[_parameter_name(option)] for option in OPTIONS}
    return {option.name: value for option, value in wanted.items() if value != option.unset}

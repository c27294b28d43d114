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

"""What makes a set of parameters of the policy server usable together."""

from diffusion_policy_ros.control.joins import JoinSettings
from diffusion_policy_ros.control.replan import ReplanSettings
from diffusion_policy_ros.control.timetable import is_multiple
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.sampler_options import OPTIONS
from diffusion_policy_ros.server_parameters import NO_LIMIT, parameter_name
from diffusion_policy_ros.serving.plan_request import PlanSettings


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


def choose_replan(values, config) -> ReplanSettings:
    """
    Return when to plan.

    :param values: All parameters by name.
    :param config: ``PolicyConfig``.
    :raises ConfigError: if execute_horizon is more than the checkpoint's ``n_action_steps``.
    """
    wanted = values['execute_horizon']
    if wanted > config.n_action_steps:
        raise ConfigError(f'execute_horizon is {wanted}; it must be at most n_action_steps of '
                          f'this checkpoint, {config.n_action_steps}')
    return ReplanSettings(wanted or config.n_action_steps, values['replan'],
                          values['replan_low_rows'])


def choose_join(values) -> JoinSettings:
    """
    Return how plans follow each other.

    :param values: All parameters by name.
    """
    return JoinSettings(values['join'], values['blend_rows'], values['ensemble_decay'])


def plan_settings(values) -> PlanSettings:
    """
    Return how plans are made.

    :param values: All parameters by name.
    """
    return PlanSettings(sampler_changes(values), values['join'], values['num_candidates'],
                        values['warm_start_level'], values['deadline_ms'],
                        values['likelihood_steps'])


def check_measured(values):
    """
    Refuse a choice among candidates, and limits, for something that there is not.

    :param values: All parameters by name.
    :raises ConfigError: if one candidate is to be chosen from or limited in its spread, or there
        is a limit for a likelihood that nobody asks for.
    """
    if values['join'] == 'coherent' and values['num_candidates'] < 2:
        raise ConfigError('join is coherent, which chooses among candidates, but num_candidates '
                          'is 1; set num_candidates to 8, say, or another join first')
    if values['max_spread'] and values['num_candidates'] < 2:
        raise ConfigError(f'max_spread is {values["max_spread"]:g}, but num_candidates is 1, '
                          'which has no spread; set num_candidates to 8, say, or max_spread to '
                          '0 first')
    if values['min_log_likelihood'] > NO_LIMIT and not values['likelihood_steps']:
        raise ConfigError(f'min_log_likelihood is {values["min_log_likelihood"]:g}, but '
                          'likelihood_steps is 0, which measures none; set it to 10, say')


def sampler_changes(values) -> dict:
    """
    Return what the parameters ask of the sampler that differs from the checkpoint's own.

    :param values: All parameters by name.
    :return: Changes for ``Sampler.changed``.
    """
    wanted = {option: values[parameter_name(option)] for option in OPTIONS}
    return {option.name: value for option, value in wanted.items() if value != option.unset}

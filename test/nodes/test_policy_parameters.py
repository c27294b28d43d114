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
"""The policy server's parameters: the file in config/ is complete, and bad sets are refused."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

pytest.importorskip('rclpy')
from diffusion_policy_ros.choices import SOLVERS  # noqa: E402,I100
from diffusion_policy_ros.contract import load_contract  # noqa: E402
from diffusion_policy_ros.errors import ConfigError  # noqa: E402
from diffusion_policy_ros.nodes.policy_parameters import (  # noqa: E402
    check_measured, choose_command_rate, choose_replan, sampler_changes)
from diffusion_policy_ros.sampler_options import OPTIONS  # noqa: E402
from diffusion_policy_ros.server_parameters import SPECS  # noqa: E402

CONFIG = Path(__file__).parents[2] / 'config'
PUSHT, ARM = (load_contract(CONFIG / f'robots/{name}.yaml') for name in ('pusht', 'arm6'))
SIZES = SimpleNamespace(horizon=16, n_obs_steps=2, n_action_steps=8)


def test_the_shipped_file_has_every_parameter_with_its_default():
    document = yaml.safe_load((CONFIG / 'policy_server.yaml').read_text(encoding='utf-8'))
    shipped = document['/**/policy_server']['ros__parameters']
    grouped = shipped.pop('sampler')
    shipped.update({f'sampler.{name}': value for name, value in grouped.items()})
    assert shipped == {spec.name: spec.default for spec in SPECS}
    assert all(spec.refusal(spec.default) == '' for spec in SPECS)


def test_the_command_rate_is_the_contracts_or_a_multiple():
    assert choose_command_rate(0.0, PUSHT) == 10
    assert choose_command_rate(30.0, PUSHT) == 30
    for wanted in (5.0, 25.0):
        with pytest.raises(ConfigError, match='whole multiple'):
            choose_command_rate(wanted, PUSHT)


def test_no_more_rows_are_executed_than_the_policy_was_trained_to():
    values = {spec.name: spec.default for spec in SPECS}
    assert choose_replan(values, SIZES).execute_horizon == 8
    assert choose_replan({**values, 'execute_horizon': 3}, SIZES).execute_horizon == 3
    with pytest.raises(ConfigError, match='execute_horizon is 9; .* n_action_steps .*, 8'):
        choose_replan({**values, 'execute_horizon': 9}, SIZES)


def test_a_limit_for_the_spread_needs_something_that_can_spread():
    values = {spec.name: spec.default for spec in SPECS}
    check_measured(values)
    check_measured({**values, 'max_spread': 0.3, 'num_candidates': 2})
    with pytest.raises(ConfigError, match='max_spread is 0.3, but num_candidates is 1'):
        check_measured({**values, 'max_spread': 0.3})


def test_a_choice_among_candidates_needs_several():
    values = {spec.name: spec.default for spec in SPECS}
    check_measured({**values, 'join': 'coherent', 'num_candidates': 2})
    with pytest.raises(ConfigError, match='join is coherent.* num_candidates is 1; set'):
        check_measured({**values, 'join': 'coherent'})


def test_a_limit_for_the_likelihood_needs_one_that_is_measured():
    values = {spec.name: spec.default for spec in SPECS}
    check_measured({**values, 'min_log_likelihood': 1.5, 'likelihood_steps': 10})
    check_measured({**values, 'likelihood_steps': 10})
    with pytest.raises(ConfigError, match='min_log_likelihood is -0.5, but likelihood_steps is 0'):
        check_measured({**values, 'min_log_likelihood': -0.5})


def test_every_option_of_the_sampler_is_a_parameter_that_changes_at_any_time():
    specs = {spec.name: spec for spec in SPECS}
    for option in OPTIONS:
        name = option.name if option.name in ('solver', 'num_inference_steps') \
            else f'sampler.{option.name}'
        assert option.description in specs[name].description
        assert str(option.unset) in specs[name].description
        assert not specs[name].fixed and not specs[name].read_only
        for value in (option.unset, option.low, option.high, *option.choices):
            assert value is None or specs[name].refusal(value) == ''


def test_only_parameters_that_were_set_change_the_sampler():
    values = {spec.name: spec.default for spec in SPECS}
    assert sampler_changes(values) == {}
    asked = {'solver': 'heun', 'num_inference_steps': 3, 'sampler.temperature': 0.0,
             'sampler.switch_lambda': -1.0, 'sampler.spacing': 'karras'}
    assert sampler_changes({**values, **asked}) == {
        'solver': 'heun', 'num_inference_steps': 3, 'temperature': 0.0, 'switch_lambda': -1.0,
        'spacing': 'karras'}


def test_a_wrong_solver_is_refused_with_all_that_there_are():
    spec = next(spec for spec in SPECS if spec.name == 'solver')
    assert spec.refusal('eular') == \
        f"solver is 'eular'; choose one of: checkpoint, {', '.join(SOLVERS)}"

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
"""How plans are made: what is refused, and how many steps a budget leaves."""

from diffusion_policy_ros.diffusion import DiscreteVp, inference_levels, Sampler
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.policy.action_chunk import Promise
from diffusion_policy_ros.policy.planner import PlanOptions
from hypothesis import given, strategies as st
import numpy as np
import pytest

ODE, T, PROCESS = Sampler('dpm_solver++', 4), 100, DiscreteVp(100)
NOTHING, ALL = Promise(np.full((16, 2), np.nan), 2), Promise(np.zeros((16, 2)), 2)


@pytest.mark.parametrize('changes, complaint', [
    ({'join': 'glue'}, "join is 'glue'; choose one of: none, blend"),
    ({'num_candidates': 0}, 'num_candidates is 0; it must be a whole number from 1 to 256'),
    ({'num_candidates': 257}, 'num_candidates is 257'),
    ({'num_candidates': 2.0}, 'num_candidates is 2.0'),
    ({'num_candidates': True}, 'num_candidates is True'),
    ({'warm_start_level': 0}, 'warm_start_level is 0; it must be above 0 and below 1'),
    ({'warm_start_level': 1.0}, 'warm_start_level is 1.0'),
    ({'warm_start_level': float('nan')}, 'warm_start_level is nan'),
    ({'warm_start_level': '0.5'}, "warm_start_level is '0.5'")])
def test_options_that_cannot_be_are_refused_by_name(changes, complaint):
    with pytest.raises(ConfigError, match=complaint):
        PlanOptions(ODE, **changes)


@given(solver=st.sampled_from(['ddim', 'heun', 'rk4', 'predictor_corrector']),
       steps=st.integers(1, 40), budget=st.integers(1, 150),
       join=st.sampled_from(['none', 'rtc', 'warm_start']), level=st.floats(0.05, 0.99),
       promise=st.sampled_from([NOTHING, ALL]))
def test_a_budget_leaves_as_many_steps_as_it_can_pay_for(
        solver, steps, budget, join, level, promise):
    options = PlanOptions(Sampler(solver, steps), join, 3, level)
    left = options.within(budget, promise, PROCESS)

    def cost(options):
        is_warm = join == 'warm_start' and promise is ALL
        return (options.warm_sampler(T) if is_warm else options.sampler).evaluations

    kept = left.sampler.num_inference_steps
    assert cost(left) <= budget and kept <= steps
    if kept < steps:
        one_more = Sampler(solver, kept + 1)
        assert cost(PlanOptions(one_more, join, 3, level)) > budget
    assert left == PlanOptions(options.sampler.changed(num_inference_steps=kept), join, 3, level)
    assert len(inference_levels(DiscreteVp(), left.sampler)) == kept + 1


@pytest.mark.parametrize('options', [PlanOptions(ODE), PlanOptions(ODE, 'warm_start'),
                                     PlanOptions(Sampler('adaptive'), 'rtc', 4)])
def test_with_time_for_all_nothing_is_left_out(options):
    assert options.within(float('inf'), ALL, PROCESS) == options


def test_the_adaptive_solver_keeps_its_own_steps():
    options = PlanOptions(Sampler('adaptive'))
    assert options.within(3, NOTHING, PROCESS) == options


@pytest.mark.parametrize('options, complaint', [
    (PlanOptions(Sampler('ddim', 101)), 'num_inference_steps is 101'),
    (PlanOptions(Sampler(guidance_scale=2.0)), 'guidance_scale is 2'),
    (PlanOptions(ODE, 'warm_start', warm_start_level=0.001), 'start_timestep is 0'),
    (PlanOptions(Sampler('ddim', 30, spacing='leading'), 'rtc'), 'num_inference_steps is 30'),
    (PlanOptions(Sampler('dpm_solver++', 10, then='ddim', switch_lambda=-1.0), 'warm_start',
                 warm_start_level=0.3), 'switch_lambda is -1')])
def test_what_a_policy_cannot_do_is_refused_before_the_first_plan(policy, options, complaint):
    with pytest.raises(ConfigError, match=complaint):
        options.check(policy)


def test_only_a_warm_start_needs_its_levels(policy):
    PlanOptions(ODE, 'none', warm_start_level=0.001).check(policy)
    PlanOptions(ODE, 'warm_start', warm_start_level=0.3).check(policy)


@pytest.mark.parametrize('sampler, evaluations', [
    (Sampler('ddim', 50, spacing='leading'), 30),
    (Sampler('dpm_solver++', 10, then='ddim', switch_lambda=1.5), 3)])
def test_fewer_steps_are_only_such_as_the_process_has_levels_for(sampler, evaluations):
    inference_levels(PROCESS, sampler)
    left = PlanOptions(sampler).within(evaluations, ALL, PROCESS)
    inference_levels(PROCESS, left.sampler)


def test_a_warm_start_from_the_top_starts_no_lower_in_lambda_than_a_cold_start():
    options = PlanOptions(Sampler('dpm_solver++', 10), 'warm_start', warm_start_level=0.99)
    cold = inference_levels(PROCESS, options.sampler)[0]
    warm = inference_levels(PROCESS, options.warm_sampler(100))[0]
    assert warm.lambda_t >= cold.lambda_t

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

"""Rollouts while training run the episodes of ``dpr eval``, on seeds of their own."""

from diffusion_policy_ros.cli.simulations import SIMULATIONS
from diffusion_policy_ros.cli.train_rollouts import FIRST_SEED, rollout_function
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.evaluation import evaluate
from diffusion_policy_ros.policy.policy import Policy
from diffusion_policy_ros.training.config_groups import RolloutSettings
import pytest


def test_no_simulation_means_no_rollouts():
    assert rollout_function(RolloutSettings()) is None


def test_an_unknown_simulation_is_named():
    with pytest.raises(ConfigError, match="rollouts.sim is 'kitchen'; choose one of: "
                       f'{", ".join(SIMULATIONS)}$'):
        rollout_function(RolloutSettings('kitchen', 5, 1))


def test_the_seeds_are_always_the_same_and_none_of_those_of_dpr_eval(
        save_tiny_policy, monkeypatch):
    pytest.importorskip('gym_pusht')
    policy, calls = Policy.load(save_tiny_policy()), []
    run = evaluate.evaluate

    def short(policy, environment, seeds, **options):
        calls.append(seeds)
        return run(policy, environment, seeds, **{**options, 'max_steps': 4})

    monkeypatch.setattr(evaluate, 'evaluate', short)
    roll_out = rollout_function(RolloutSettings('pusht', 5, 2))
    first, second = roll_out(policy), roll_out(policy)
    assert first == second and sorted(first) == ['rollout_score', 'rollout_success']
    assert calls == [range(FIRST_SEED, FIRST_SEED + 2)] * 2
    assert not set(calls[0]) & set(range(100_000, 200_000))

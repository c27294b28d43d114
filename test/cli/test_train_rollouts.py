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

from pathlib import Path

from diffusion_policy_ros.cli.simulations import SIMULATIONS
from diffusion_policy_ros.cli.train_rollouts import FIRST_SEED, rollout_function
from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.data.datasets.lerobot_format import contract_features, without_index
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.errors import ConfigError, ContractError
from diffusion_policy_ros.evaluation import evaluate
from diffusion_policy_ros.policy.policy import Policy
from diffusion_policy_ros.training.config_groups import RolloutSettings
import numpy as np
import pytest

ROBOTS = Path(__file__).resolve().parents[2] / 'config' / 'robots'


def write_dataset(folder, robot):
    """Write an episode of a robot without cameras, two rows of zeros."""
    contract = load_contract(ROBOTS / robot)
    with LeRobotWriter(folder, contract) as writer:
        for row in range(2):
            writer.add_row({key: np.zeros(feature['shape'], np.float32)
                            for key, feature in without_index(
                                contract_features(contract)).items()},
                           tick_ns=row * 10**8,
                           ages_ns=dict.fromkeys(
                               (s.topic for s in (*contract.observations, *contract.actions)), 0))
        writer.save_episode('Push.')
    return folder


def test_no_simulation_means_no_rollouts():
    assert rollout_function(RolloutSettings(), 'nowhere') is None


def test_an_unknown_simulation_is_named():
    with pytest.raises(ConfigError, match="rollouts.sim is 'kitchen'; choose one of: "
                       f'{", ".join(SIMULATIONS)}$'):
        rollout_function(RolloutSettings('kitchen', 5, 1), 'nowhere')


def test_a_simulation_of_another_robot_is_refused_before_the_training(tmp_path):
    pytest.importorskip('gym_pusht')
    dataset = write_dataset(tmp_path / 'd', 'base.yaml')
    with pytest.raises(ContractError, match="contract of 'base'"):
        rollout_function(RolloutSettings('pusht', 5, 1), dataset)


def test_a_library_that_is_missing_is_named_with_what_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(SIMULATIONS, 'arm_push', ('no_such_engine', 'push', 200))
    with pytest.raises(ConfigError, match=r'arm_push cannot be imported here \(No module named '
                       r"'no_such_engine'\); install it with: .*\[arm\]"):
        rollout_function(RolloutSettings('arm_push', 5, 1), tmp_path)


def test_the_seeds_are_always_the_same_and_none_of_those_of_dpr_eval(
        save_tiny_policy, monkeypatch, tmp_path):
    pytest.importorskip('gym_pusht')
    policy, calls = Policy.load(save_tiny_policy()), []
    run = evaluate.evaluate

    def short(policy, environment, seeds, **options):
        calls.append(seeds)
        return run(policy, environment, seeds, **{**options, 'max_steps': 4})

    monkeypatch.setattr(evaluate, 'evaluate', short)
    roll_out = rollout_function(RolloutSettings('pusht', 5, 2),
                                write_dataset(tmp_path / 'd', 'pusht_state.yaml'))
    first, second = roll_out(policy), roll_out(policy)
    assert first == second and sorted(first) == ['rollout_score', 'rollout_success']
    assert calls == [range(FIRST_SEED, FIRST_SEED + 2)] * 2
    assert not set(calls[0]) & set(range(100_000, 200_000))

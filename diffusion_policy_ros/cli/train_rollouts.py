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

"""Episodes in simulation while ``dpr train`` runs."""

from diffusion_policy_ros.cli.simulations import load_simulation, run_episodes, SIMULATIONS
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.errors import ConfigError

# Far from the seeds of dpr eval, which measures what was chosen by these.
FIRST_SEED = 900_000
BATCH = 50


def rollout_function(settings, dataset):
    """
    Return what measures a policy under training, or None where no rollouts are asked for.

    :param settings: ``RolloutSettings``.
    :param dataset: Folder of the dataset that the policy learns from.
    :return: ``policy -> {'rollout_score': mean score, 'rollout_success': share of successes}``,
        over the same seeds each time, as ``dpr eval`` measures without options.
    :raises DiffusionPolicyError: if there is no such simulation, it cannot be imported here, or
        it is not one of the dataset's robot.
    """
    if settings.sim is None:
        return None
    if settings.sim not in SIMULATIONS:
        raise ConfigError(f'rollouts.sim is {settings.sim!r}; choose one of: '
                          f'{", ".join(SIMULATIONS)}')
    simulation, contract = load_simulation(settings.sim), LeRobotReader(dataset).contract
    if contract is not None:
        simulation[0](contract)  # refuses another robot before hours of training, not after

    def roll_out(policy):
        result = run_episodes(
            policy, simulation, range(FIRST_SEED, FIRST_SEED + settings.episodes),
            sampler=policy.sampler, batch_size=BATCH)
        return {'rollout_score': result.mean_score, 'rollout_success': result.success_rate}

    return roll_out

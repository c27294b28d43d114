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

"""Observation windows to measure a policy on: from a simulated robot, or from a dataset."""

from diffusion_policy_ros.control.replan import ReplanSettings
from diffusion_policy_ros.data.cache import build_cache
from diffusion_policy_ros.data.training_windows import TrainingWindows
from diffusion_policy_ros.evaluation.evaluate import observation_messages
from diffusion_policy_ros.evaluation.rollout import LoopSettings, roll_out, Rollout
from diffusion_policy_ros.policy.planner import PlanOptions
import numpy as np

# Windows come from this many moments of the episodes: the start, and after 1, 2, ... plans.
MOMENTS = 5


def simulated_windows(policy, make_environment, count, seed):
    """
    Collect windows of seeded episodes, each after some plans of the policy itself.

    :param policy: The policy, on its device.
    :param make_environment: Called with the contract for each episode.
    :param count: Number of windows, at least 1.
    :param seed: Seed of the first episode; the others count up from it.
    :return: Dataset key -> array (windows, n_obs_steps, ...). Episodes that are solved on the way
        give no window, so that there may be fewer than ``count``; the first is always there.
    """
    rows, kept = policy.config.n_action_steps, []
    loop = LoopSettings(ReplanSettings(rows))
    for moment in range(min(MOMENTS, count)):
        rollouts = [Rollout(make_environment(policy.contract), policy.config, seed + index,
                            observation_messages, loop)
                    for index in range(moment, count, MOMENTS)]
        if moment:
            roll_out(policy, rollouts, options=PlanOptions(policy.sampler),
                     max_steps=moment * rows)
        kept += [rollout.window() for rollout in rollouts if not rollout.success]
    return {key: np.stack([window[key] for window in kept]) for key in kept[0]}


def recorded_windows(policy, dataset_dir, count, cache_dir=None):
    """
    Cut windows out of a dataset, evenly spread over its rows.

    :param policy: The policy.
    :param dataset_dir: Folder of a LeRobotDataset v3.0.
    :param count: Number of windows; fewer where the dataset has fewer rows.
    :param cache_dir: Folder for the decoded dataset; by default inside the dataset.
    :return: Dataset key -> array (windows, n_obs_steps, ...).
    :raises DatasetError: if the dataset is damaged or its cache cannot be written.
    """
    cache = build_cache(dataset_dir, cache_dir)
    windows = TrainingWindows(cache.arrays, cache.episode_ends,
                              n_obs_steps=policy.config.n_obs_steps,
                              horizon=policy.config.horizon)
    chosen = np.linspace(0, len(windows) - 1, min(count, len(windows))).round()
    return windows.gather(chosen.astype(np.int64))

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

"""One recorded observation, as a policy sees it."""

from diffusion_policy_ros.data.cache import build_cache
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.training_windows import TrainingWindows
from diffusion_policy_ros.errors import ConfigError
import numpy as np


def recorded_window(policy, dataset_dir, episode, row, cache_dir=None) -> tuple:
    """
    Cut the window whose newest observation is a certain row of a dataset.

    :param policy: ``Policy``.
    :param dataset_dir: Folder of a LeRobotDataset v3.0.
    :param episode: Number of the episode, from 0.
    :param row: Number of the row in it, from 0.
    :param cache_dir: Folder for the decoded dataset; by default inside the dataset.
    :return: Dataset key -> array (1, n_obs_steps, ...), with the ``action`` that was done then,
        (1, horizon, action_dim); and the rows per second.
    :raises ConfigError: if there is no such row.
    :raises DatasetError: if the dataset is damaged or its cache cannot be written.
    """
    cache = build_cache(dataset_dir, cache_dir)
    ends = np.asarray(cache.episode_ends)
    if not 0 <= episode < len(ends):
        raise ConfigError(f'--episode is {episode}; {dataset_dir} holds the episodes 0 to '
                          f'{len(ends) - 1}')
    first = int(ends[episode - 1]) if episode else 0
    if not 0 <= row < ends[episode] - first:
        raise ConfigError(f'--row is {row}; episode {episode} has the rows 0 to '
                          f'{ends[episode] - first - 1}')
    windows = TrainingWindows(cache.arrays, ends, n_obs_steps=policy.config.n_obs_steps,
                              horizon=policy.config.horizon)
    rate_hz = float(LeRobotReader(dataset_dir).info['fps'])
    return windows.gather(np.array([first + row])), rate_hz

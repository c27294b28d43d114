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

"""Which episodes are trained on and which are held out."""

from diffusion_policy_ros.errors import DatasetError
import numpy as np


class Split:
    """
    Which rows are trained on and which are held out: the last episodes.

    :ivar train_episodes: Number of episodes that are trained on.
    :ivar held_out_episodes: Number of the others.
    :ivar longest: Rows of the longest episode that is trained on.
    :ivar first_held_out: First row that is not.
    """

    def __init__(self, episode_ends, validation_episodes):
        """
        Cut the rows at an episode's end.

        :param episode_ends: int64 (episodes,), exclusive end row of each.
        :param validation_episodes: How many are held out.
        :raises DatasetError: if no episode is left.
        """
        self.train_episodes = len(episode_ends) - validation_episodes
        if self.train_episodes < 1:
            count = len(episode_ends)
            fewer = max(count // 10, min(count - 1, 1))
            raise DatasetError(
                f'validation_episodes is {validation_episodes}, but the dataset has only '
                f'{count} episode{"" if count == 1 else "s"}; hold out fewer: '
                f'--set validation_episodes={fewer}')
        self.held_out_episodes = validation_episodes
        self.longest = int(np.diff(episode_ends[:self.train_episodes], prepend=0).max())
        self.first_held_out = int(episode_ends[self.train_episodes - 1])

    def rows(self, rows):
        """Return ``(training rows, held-out rows)`` of an array of rows."""
        return rows[rows < self.first_held_out], rows[rows >= self.first_held_out]

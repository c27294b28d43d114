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

"""The last episodes are held out; where nothing would be left, it is said how many may be."""

from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.training.split import Split
import numpy as np
import pytest


def test_the_last_episodes_are_held_out():
    split = Split(np.array([3, 10, 12, 20]), 2)
    assert (split.train_episodes, split.held_out_episodes, split.longest) == (2, 2, 7)
    training, held_out = split.rows(np.arange(20))
    assert training.tolist() == list(range(10)) and held_out.tolist() == list(range(10, 20))


@pytest.mark.parametrize('episodes, wanted, words', [
    (6, 10, 'only 6 episodes; hold out fewer: --set validation_episodes=1'),
    (50, 50, 'only 50 episodes; hold out fewer: --set validation_episodes=5'),
    (2, 2, '--set validation_episodes=1'), (1, 1, 'only 1 episode; .*validation_episodes=0')])
def test_a_dataset_with_too_few_episodes_is_told_how_many_may_be_held_out(
        episodes, wanted, words):
    ends = np.arange(1, episodes + 1) * 10
    with pytest.raises(DatasetError, match=words):
        Split(ends, wanted)
    assert Split(ends, int(words.rpartition('=')[2])).train_episodes > 0

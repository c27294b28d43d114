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

"""Numbers of episodes are read as they are written."""

from diffusion_policy_ros.data.datasets.episode_ranges import episode_ranges, parse_episodes
import pytest


@pytest.mark.parametrize('text, wanted', [
    ('3', [3]), ('3,5-7', [3, 5, 6, 7]), (' 1 , 0', [1, 0]), ('2-2', [2])])
def test_episodes_are_numbers_and_ranges(text, wanted):
    assert parse_episodes(text) == wanted


@pytest.mark.parametrize('text', ['', ',', 'a', '1-', '-1', '5-3', '1--2', '1-2-3', '0-99999999',
                                  '²', '1.5'])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match='is no number and no range'):
        parse_episodes(text)


def test_episode_numbers_are_written_in_ranges():
    numbers = [0, 2, 3, 4, 9]
    assert episode_ranges(numbers) == '0,2-4,9' and parse_episodes('0,2-4,9') == numbers

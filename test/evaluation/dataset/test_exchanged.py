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

"""Exchanged videos are told from means of pictures that are off for another reason."""

from diffusion_policy_ros.evaluation.dataset.exchanged import ExchangeCheck
import numpy as np
import pytest


def levels(told, seen, is_counted=False):
    """Return the levels of what is found, and how many episodes the first is about."""
    check = ExchangeCheck('camera')
    for number, means in enumerate(zip(told, seen)):
        check.add(number, *map(np.array, means), is_counted)
    found = check.findings()
    return [finding.level for finding in found], found[0].text if found else ''


def brightness(count):
    """Return unlike means of some episodes, ``(count, 3)``."""
    return np.random.default_rng(4).uniform(0.2, 0.7, (count, 3))


@pytest.mark.parametrize('count', [2, 3, 40])
def test_two_of_any_number_of_episodes_that_were_exchanged(count):
    told = brightness(count)
    seen = told + 0.002
    seen[[0, 1]] = seen[[1, 0]]
    found, text = levels(told, seen)
    assert found == ['ERROR']
    assert 'camera: 2 episodes show' in text and 'episode 0 shows those of 1' in text


def test_what_a_codec_does_to_all_pictures_alike_hides_no_exchange_and_makes_none():
    told = np.linspace(0.2, 0.7, 40)[:, None] + np.zeros(3)
    seen = told + 0.07
    assert levels(told, seen)[0] == ['NOTE']
    seen[[3, 30]] = seen[[30, 3]]
    found, text = levels(told, seen)
    assert found == ['ERROR', 'NOTE'] and 'episode 3 shows those of 30 ' in text


def test_a_pattern_that_only_some_episodes_show():
    """Their means are off to one side, and then like those of others by chance."""
    told = np.linspace(0.2, 0.7, 400)[:, None] + np.zeros(3)
    seen = told + np.where(np.arange(400) % 3 == 0, 0.2, 0.0)[:, None]
    found, text = levels(told, seen)
    assert found == ['NOTE'] and 'camera: 134 episodes show' in text


def test_one_episode_alone_has_nothing_to_be_exchanged_with():
    assert levels([[0.5] * 3], [[0.3] * 3])[0] == ['NOTE']
    assert levels([[0.5] * 3], [[0.47] * 3], is_counted=True)[0] == []


def test_small_differences_count_where_every_picture_was_counted():
    told = np.array([[0.5] * 3, [0.52] * 3])
    assert levels(told, told[::-1], is_counted=True)[0] == ['ERROR']
    assert levels(told, told[::-1])[0] == []

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

"""Noise has the strength that was asked for, and belongs to the episode and the time."""

from types import SimpleNamespace

from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.data.datasets.statistics import vector_statistics
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.evaluation.evaluate import observation_messages
from diffusion_policy_ros.evaluation.observation_noise import (
    NoisySensors, ObservationNoise, ranges)
from diffusion_policy_ros.observation.window import WindowBuilder
from diffusion_policy_ros.policy.normalizer import Normalizer
import numpy as np
import pytest
import torch

CAMERA, STATE, OTHER = 'observation.images.camera', 'observation.state', 'observation.other'


def shown(noise, seed=1, stamp_ns=10**9, entries=4000):
    """Return what sensors show of a grey picture and of vectors of zeros."""
    caught = {}
    sensors = NoisySensors(lambda contract, seen, stamp: caught.update(seen) or [], noise,
                           {STATE: np.linspace(0.0, 4.0, entries)}, seed)
    sensors(None, {CAMERA: np.full((64, 64, 3), 128, np.uint8),
                   STATE: np.zeros(entries, np.float32),
                   OTHER: np.ones(3, np.float32)}, stamp_ns)
    return caught


def test_the_strength_is_a_share_of_the_range_and_in_grey_levels():
    seen = shown(ObservationNoise(vectors=0.02, images=5.0))
    scaled = seen[STATE][1:] / np.linspace(0.0, 4.0, 4000)[1:]
    assert scaled.std() == pytest.approx(0.02, rel=0.05)
    assert scaled.mean() == pytest.approx(0, abs=0.002)
    assert seen[STATE][0] == 0 and seen[STATE].dtype == np.float32
    # Rounding to whole levels adds 1/12 to the variance.
    assert seen[CAMERA].std() == pytest.approx(np.sqrt(25 + 1 / 12), rel=0.03)
    assert seen[CAMERA].mean() == pytest.approx(128, abs=0.2) and seen[CAMERA].dtype == np.uint8
    assert (seen[OTHER] == 1).all()


def test_strong_noise_stays_among_the_grey_levels():
    seen = shown(ObservationNoise(images=128.0))[CAMERA]
    assert seen.min() == 0 and seen.max() == 255
    assert np.mean(seen == 0) == pytest.approx(0.16, abs=0.02)  # one deviation below the middle


def test_the_noise_belongs_to_the_episode_and_to_the_time():
    noise = ObservationNoise(0.02, 5.0)
    first = shown(noise)
    for key in (CAMERA, STATE):
        assert np.array_equal(first[key], shown(noise)[key])
        assert not np.array_equal(first[key], shown(noise, seed=2)[key])
        assert not np.array_equal(first[key], shown(noise, stamp_ns=2 * 10**9)[key])
    weak = shown(ObservationNoise(0.01))[STATE]
    np.testing.assert_allclose(first[STATE], 2 * weak, rtol=1e-5)


def test_it_reaches_the_policy_through_the_messages(echo):
    contract = echo().contract
    observation = {CAMERA: np.full((4, 4, 3), 100, np.uint8),
                   STATE: np.array([0.25, -1.5, 0.5], np.float32)}
    sensors = NoisySensors(observation_messages, ObservationNoise(0.1, 9.0),
                           {STATE: np.array([1.0, 2.0, 0.0])}, 3)
    windows = WindowBuilder(contract, 1)
    for topic, message in sensors(contract, observation, 10**9):
        windows.push(topic, message, 10**9)
    window, _ = windows.window(10**9)
    apart = window[STATE][0] - observation[STATE]
    assert (apart[:2] != 0).all() and apart[2] == 0 and np.abs(apart).max() < 1
    assert window[CAMERA].std() > 3


def policy_with(**statistics):
    """Return what ``ranges`` looks at."""
    known = {name: torch.as_tensor(values) for name, values in statistics.items()}
    return SimpleNamespace(config=SimpleNamespace(vector_keys=(STATE,)),
                           normalizer=SimpleNamespace(statistics={STATE: known}))


def test_ranges_are_those_of_the_training_and_0_where_nothing_moved():
    found = ranges(policy_with(min=[0.0, -1.0, -1.0], max=[0.5, 1.0, 1.0],
                               std=[0.1, 1.0, 0.7]))
    assert found[STATE].tolist() == [0.5, 0.0, 2.0]
    with pytest.raises(ConfigError, match='no min and max of observation.state'):
        ranges(policy_with(mean=[0.0], std=[1.0]))


@pytest.mark.parametrize('place', [0.5, np.pi, -123.456, 1e5 / 3])
def test_what_stood_anywhere_has_no_range(place):
    """The widened range is rounded to 32 bits at both ends."""
    stood, moved = np.full(50, place), np.linspace(place - 1, place + 1, 50)
    rows = np.stack([stood, moved, moved], axis=1).astype(np.float32)
    measured = vector_statistics(rows)
    config = PolicyConfig({STATE: {'type': 'STATE', 'shape': (3,)}},
                          {'action': {'type': 'ACTION', 'shape': (3,)}})
    statistics = Normalizer.from_dataset(config, {STATE: measured, 'action': measured}).statistics
    found = ranges(policy_with(**statistics[STATE]))[STATE]
    assert found[0] == 0 and found[1:] == pytest.approx(2, rel=0.01)

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

"""Tests of a policy's chunks as points of a space."""

import math
from pathlib import Path

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.policy import latent_space, Policy
import pytest
import torch

MODEL = Path(__file__).resolve().parents[2] / 'models' / 'pusht_image'


def seeded(seed=0):
    """Return a generator."""
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope='module')
def trained():
    """Return the image policy that comes with the package."""
    return Policy.load(MODEL)


def repeated(window, count):
    """Return the first window as a batch."""
    return {key: value[:1].repeat(count, axis=0) for key, value in window.items()}


def test_a_chunk_of_the_trained_policy_comes_back_from_its_latent(trained, window):
    window = repeated(window, 1)
    chunk = trained.sample(window, generator=seeded())
    latents = latent_space.invert(trained, window, chunk, steps=40)
    again = latent_space.generate(trained, window, latents, steps=40)
    errors = trained.normalizer.normalize('action', again) \
        - trained.normalizer.normalize('action', chunk)
    assert errors.abs().max() < 1e-4
    assert 0.4 < latents.std() < 1.5


def test_the_trained_policy_finds_its_own_chunks_likelier_than_noise(trained, window):
    window = repeated(window, 2)
    chunk = trained.sample(window, generator=seeded()).clone()
    low, high = chunk.amin((0, 1)), chunk.amax((0, 1))
    chunk[1] = low + (high - low) * torch.rand(16, 2, generator=seeded(1))
    drawn, noise = latent_space.log_likelihood(trained, window, chunk, steps=15, probes=1,
                                               generator=seeded(2))
    assert drawn > noise + 20


def test_clipping_of_the_sampler_does_not_reach_the_flow(policy, window):
    assert policy.config.clip_sample
    latents = torch.randn(2, 16, 2, generator=seeded())
    chunk = latent_space.generate(policy, window, latents, steps=40)
    assert policy.normalizer.normalize('action', chunk).abs().max() > 1.01
    again = latent_space.invert(policy, window, chunk, steps=40)
    torch.testing.assert_close(again, latents, rtol=0, atol=1e-4)


def test_the_exact_trace_is_what_probes_come_to_on_average(make_policy, window):
    policy = make_policy(horizon=4, n_action_steps=2, down_dims=(16,)).eval()
    chunk = policy.sample(window, generator=seeded())
    exact = latent_space.log_likelihood(policy, window, chunk, steps=4)
    many = {key: value[:1].repeat(300, axis=0) for key, value in window.items()}
    found = latent_space.log_likelihood(policy, many, chunk[:1].repeat(300, 1, 1), steps=4,
                                        probes=1, generator=seeded())
    assert exact.shape == (2,) and exact.dtype == torch.float32
    assert (found.mean() - exact[0]).abs() < 4 * found.std() / math.sqrt(300) + 1e-3


def test_from_what_was_encoded_under_inference_mode_the_likelihood_is_the_same(policy, window):
    chunk = policy.sample(window, generator=seeded())
    with torch.inference_mode():
        cond = policy.encode(window)
    assert cond.is_inference() and chunk.is_inference()
    how = {'steps': 4, 'probes': 1}
    expected = latent_space.log_likelihood(policy, window, chunk, generator=seeded(1), **how)
    found = latent_space.log_likelihood_from(policy, cond, chunk, generator=seeded(1), **how)
    assert torch.equal(found, expected)
    each = latent_space.confidence(policy, cond, chunk, steps=4, generator=seeded(1))
    torch.testing.assert_close(each, expected / (16 * 2))


def test_a_way_between_chunks_begins_and_ends_with_them(policy, window):
    first, second = (latent_space.generate(
        policy, window, torch.randn(2, 16, 2, generator=seeded(seed)), steps=20)
        for seed in (0, 1))
    way = latent_space.interpolate(policy, window, first, second, [0.0, 0.5, 1.0], steps=20)
    assert way.shape == (2, 3, 16, 2)
    torch.testing.assert_close(way[:, 0], first, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(way[:, 2], second, rtol=1e-3, atol=1e-4)
    alone = latent_space.interpolate(policy, {key: value[1:] for key, value in window.items()},
                                     first[1:], second[1:], [0.5], steps=20)
    torch.testing.assert_close(way[1:, 1:2], alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('call', [latent_space.log_likelihood, latent_space.invert,
                                  latent_space.generate])
def test_chunks_that_do_not_fit_are_refused(policy, window, call):
    with pytest.raises(ConfigError, match=r'got float32 \(1, 16, 2\), wanted float32 \(2, 16, 2'):
        call(policy, window, torch.zeros(1, 16, 2))
    with pytest.raises(ConfigError, match='got float64'):
        call(policy, window, torch.zeros(2, 16, 2, dtype=torch.float64))

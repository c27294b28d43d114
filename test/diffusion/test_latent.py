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

"""Tests of latents: there and back, and from one to another."""

import math

from diffusion_policy_ros.diffusion import (
    ContinuousVp, DiscreteVp, generate, GeometricVe, interpolate, invert, KarrasVe)
from diffusion_policy_ros.errors import ConfigError, SamplingError
import pytest
import torch

PROCESSES = [DiscreteVp(), DiscreteVp(1000, 'linear'), ContinuousVp(), GeometricVe(), KarrasVe()]


def normal(*shape, seed=0, dtype=torch.float64):
    """Return standard normal latents."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('process', PROCESSES)
def test_a_chunk_comes_back_from_its_latent(process, dtype, plane_mixture):
    chunk = plane_mixture.draw(200, 2, torch.Generator().manual_seed(0)).to(dtype)
    latent = invert(plane_mixture.denoise, chunk, process)
    again = generate(plane_mixture.denoise, latent, process)
    assert latent.dtype == again.dtype == dtype
    assert (again - chunk).abs().max() < 1e-4


@pytest.mark.parametrize('process', [DiscreteVp(), GeometricVe(), KarrasVe()])
def test_latents_of_data_are_standard_normal_and_latents_make_data(process, plane_mixture):
    noisy = plane_mixture.draw(4000, 1, torch.Generator().manual_seed(0))
    noisy = noisy + math.exp(-process.level(process.t_min).lambda_t) * normal(4000, 1, 2)
    latent = invert(plane_mixture.denoise, noisy, process, steps=30).squeeze(1)
    torch.testing.assert_close(latent.mean(0), torch.zeros(2).double(), rtol=0, atol=0.06)
    torch.testing.assert_close(torch.cov(latent.T), torch.eye(2).double(), rtol=0, atol=0.08)
    made = generate(plane_mixture.denoise, normal(4000, 1, 2, seed=1), process, steps=30)
    assert float((made[:, 0, 0] < 0).double().mean()) == pytest.approx(0.3, abs=0.03)
    torch.testing.assert_close(torch.cov(made.squeeze(1).T), plane_mixture.covariance, rtol=0,
                               atol=0.03)


def test_the_ends_of_a_way_are_exact_and_it_is_the_same_backwards():
    first, second, weights = normal(5, 16, 2), 2 * normal(5, 16, 2, seed=1), [0.0, 0.3, 0.5, 1.0]
    way = interpolate(first, second, weights)
    assert way.shape == (5, 4, 16, 2)
    assert torch.equal(way[:, 0], first) and torch.equal(way[:, -1], second)
    back = interpolate(second, first, [1 - weight for weight in weights])
    torch.testing.assert_close(way, back, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_latents_of_equal_norm_keep_it_and_the_angle_grows_evenly(dtype):
    first, second = (normal(5, 16, 2, seed=seed, dtype=dtype) for seed in (0, 1))
    second = second * (first.flatten(1).norm(dim=1) / second.flatten(1).norm(dim=1)).view(5, 1, 1)
    way = interpolate(first, second, torch.linspace(0, 1, 5)).flatten(2)
    norms = way.norm(dim=2)
    torch.testing.assert_close(norms, norms[:, :1].expand(5, 5), rtol=1e-5, atol=0)
    chords = way.diff(dim=1).norm(dim=2)
    torch.testing.assert_close(chords, chords[:, :1].expand(5, 4), rtol=1e-5, atol=0)


@pytest.mark.parametrize('factor', [1.0, 1 + 1e-9, 3.0, -1.0, 0.0])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_between_parallel_latents_the_way_is_straight(factor, dtype):
    first = normal(2, 4, 2, dtype=dtype)
    way = interpolate(first, factor * first, [0.0, 0.25, 1.0])
    torch.testing.assert_close(way[:, 1], (0.75 + 0.25 * factor) * first)
    assert torch.equal(way[:, 0], first) and torch.equal(way[:, 2], factor * first)


def test_every_chunk_of_a_batch_has_a_way_of_its_own():
    first, second = normal(3, 4, 2), normal(3, 4, 2, seed=1)
    second[1] = first[1]
    way = interpolate(first, second, [0.5])
    for item in range(3):
        alone = interpolate(first[item:item + 1], second[item:item + 1], [0.5])
        torch.testing.assert_close(way[item:item + 1], alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('weights', [0.5, [0.5, 1.1], [-0.1], [math.nan], [[0.5]]])
def test_weights_outside_the_way_are_refused(weights):
    with pytest.raises(ConfigError, match='weights are .*from 0 to 1'):
        interpolate(normal(1, 4, 2), normal(1, 4, 2), weights)


def test_latents_of_different_shape_are_refused():
    with pytest.raises(ConfigError, match=r'first is \(1, 4, 2\) and second \(1, 4, 3\)'):
        interpolate(normal(1, 4, 2), normal(1, 4, 3), [0.5])


def test_a_latent_that_is_not_finite_is_refused():
    good = torch.ones(1, 4, 2)
    for bad in (good * float('nan'), good * float('inf')):
        with pytest.raises(SamplingError, match='a latent is not finite'):
            interpolate(good, bad, [0.5])

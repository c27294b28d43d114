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
"""Tests of the variance-exploding processes."""

import math

from diffusion_policy_ros.diffusion import GeometricVe, KarrasVe
from diffusion_policy_ros.errors import ConfigError
import pytest
import torch

PROCESSES = (GeometricVe(), GeometricVe(0.1, 3.0), KarrasVe(), KarrasVe(0.01, 20.0, rho=1.0))
ALL = pytest.mark.parametrize('process', PROCESSES, ids=str)


@ALL
def test_data_keep_their_size_while_noise_grows_between_the_two_ends(process):
    alpha, sigma = process.marginal(torch.linspace(0, 1, 33))
    assert (alpha == 1).all() and (sigma[1:] > sigma[:-1]).all()
    assert float(sigma[0]) == pytest.approx(process.sigma_min)
    assert float(sigma[-1]) == pytest.approx(process.sigma_max)
    assert (process.drift(torch.linspace(0, 1, 33)) == 0).all()


@ALL
def test_diffusion_squared_integrates_to_the_variance(process):
    grid = torch.linspace(0, 1, 20001, dtype=torch.float64)
    gained = float(torch.trapezoid(process.diffusion(grid) ** 2, grid))
    assert gained == pytest.approx(process.sigma_max ** 2 - process.sigma_min ** 2, rel=1e-6)


@ALL
def test_sampling_starts_at_the_deviation_of_the_level(process):
    for t in (0.3, 1.0):
        assert process.prior_std(process.level(t)) == process.level(t).sigma


def test_geometric_sigmas_grow_by_equal_factors():
    sigma = GeometricVe(0.01, 50.0).sigma(torch.linspace(0, 1, 11, dtype=torch.float64))
    torch.testing.assert_close(sigma[1:] / sigma[:-1],
                               torch.full((10,), 5000 ** 0.1, dtype=torch.float64))


def test_karras_sigmas_follow_their_equation():
    # Eq. 5 of arXiv:2206.00364 counts its steps from the noisiest.
    process, count = KarrasVe(0.002, 80.0, rho=7.0), 18
    for i in range(count):
        expected = (80 ** (1 / 7) + i / (count - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
        assert process.level(1 - i / (count - 1)).sigma == pytest.approx(expected, rel=1e-9)


def test_karras_with_a_large_exponent_nears_the_geometric_process():
    near, limit = KarrasVe(0.01, 50.0, rho=1e5), GeometricVe(0.01, 50.0)
    for t in (0.1, 0.5, 0.9):
        assert near.level(t).sigma == pytest.approx(limit.level(t).sigma, rel=1e-3)
        assert float(near.diffusion(t)) == pytest.approx(float(limit.diffusion(t)), rel=1e-3)


def test_geometric_sigmas_equal_those_of_diffusers():
    diffusers = pytest.importorskip('diffusers')
    theirs = diffusers.ScoreSdeVeScheduler(20, sigma_min=0.01, sigma_max=50.0)
    theirs.set_sigmas(20, sampling_eps=0.0)
    ours = GeometricVe(0.01, 50.0).sigma(torch.linspace(0, 1, 20, dtype=torch.float64))
    torch.testing.assert_close(ours.float(), theirs.discrete_sigmas, rtol=1e-5, atol=0)


def test_karras_sigmas_equal_those_of_diffusers():
    diffusers = pytest.importorskip('diffusers')
    theirs = diffusers.EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, rho=7.0)
    theirs.set_timesteps(18)
    ours = KarrasVe(0.002, 80.0, rho=7.0).sigma(torch.linspace(1, 0, 18, dtype=torch.float64))
    torch.testing.assert_close(ours.float(), theirs.sigmas[:-1], rtol=1e-5, atol=0)


@pytest.mark.parametrize('kind', (GeometricVe, KarrasVe))
@pytest.mark.parametrize('fields', [
    {'sigma_min': 0.0}, {'sigma_min': -0.1}, {'sigma_max': 0.001}, {'sigma_max': math.inf},
    {'sigma_min': 90.0}, {'sigma_min': 'small'}, {'sigma_max': True}])
def test_impossible_ends_are_refused(kind, fields):
    with pytest.raises(ConfigError, match='wanted 0 < sigma_min < sigma_max') as refused:
        kind(**fields)
    (name, value), = fields.items()
    assert f'{name} is {value!r}' in str(refused.value) \
        or f'{name} {value!r}' in str(refused.value)


@pytest.mark.parametrize('rho', (0, -7.0, math.nan, None))
def test_impossible_exponent_is_refused(rho):
    with pytest.raises(ConfigError, match=f'rho is {rho}; it must be a number above 0'):
        KarrasVe(rho=rho)

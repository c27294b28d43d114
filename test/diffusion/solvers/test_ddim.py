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
"""Tests of the DDIM step."""

import math

from diffusion_policy_ros.diffusion import CLEAN, Level
from diffusion_policy_ros.diffusion.solvers.ddim import ddim_step
import pytest
import torch

NOISY, CLEANER = Level(9, 0.6, 0.8), Level(4, 0.96, 0.28)
# The second pair belongs to a variance-exploding process.
PAIRS = [(NOISY, CLEANER), (Level(0.8, 1.0, 20.0), Level(0.3, 1.0, 0.5))]


def test_perfect_prediction_moves_along_the_same_noise():
    x0, noise = torch.randn(2, 4, 16, 3, dtype=torch.float64)
    x = ddim_step(0.6 * x0 + 0.8 * noise, x0, NOISY, CLEANER)
    torch.testing.assert_close(x, 0.96 * x0 + 0.28 * noise)


def test_last_step_ends_at_the_prediction():
    x_t, x0_hat = torch.randn(2, 4, 16, 3)
    assert torch.equal(ddim_step(x_t, x0_hat, NOISY, CLEAN), x0_hat)
    assert torch.equal(ddim_step(x_t, x0_hat, NOISY, CLEAN, eta=1.0, noise=x_t), x0_hat)


def test_eta_one_is_the_posterior_of_ddpm():
    x_t, x0_hat, noise = torch.randn(3, 4, 16, 3, dtype=torch.float64)
    alpha_bar, alpha_bar_next = 0.36, 0.9216
    beta = 1 - alpha_bar / alpha_bar_next
    mean = (math.sqrt(alpha_bar_next) * beta / (1 - alpha_bar) * x0_hat
            + math.sqrt(1 - beta) * (1 - alpha_bar_next) / (1 - alpha_bar) * x_t)
    variance = (1 - alpha_bar_next) / (1 - alpha_bar) * beta
    torch.testing.assert_close(ddim_step(x_t, x0_hat, NOISY, CLEANER, eta=1.0, noise=noise),
                               mean + math.sqrt(variance) * noise)


def test_eta_one_is_the_posterior_of_a_variance_exploding_chain():
    level, next_level = PAIRS[1]
    x_t, x0_hat, noise = torch.randn(3, 4, 16, 3, dtype=torch.float64)
    share = 0.5 ** 2 / 20.0 ** 2
    mean, variance = share * x_t + (1 - share) * x0_hat, 0.5 ** 2 * (1 - share)
    torch.testing.assert_close(ddim_step(x_t, x0_hat, level, next_level, eta=1.0, noise=noise),
                               mean + math.sqrt(variance) * noise)


@pytest.mark.parametrize('eta', (0.0, 0.3, 1.0))
@pytest.mark.parametrize('level, next_level', PAIRS)
def test_a_chunk_keeps_the_variance_of_its_level(eta, level, next_level):
    generator = torch.Generator().manual_seed(0)
    eps, fresh = torch.randn(2, 200000, generator=generator)
    x0 = torch.full_like(eps, 0.5)
    x = ddim_step(level.alpha * x0 + level.sigma * eps, x0, level, next_level, eta=eta,
                  noise=fresh)
    assert float(x.mean()) == pytest.approx(0.5 * next_level.alpha, abs=6e-3)
    assert float(x.std()) == pytest.approx(next_level.sigma, rel=1e-2)


def test_eta_zero_ignores_the_noise():
    x_t, x0_hat, noise = torch.randn(3, 4, 16, 3)
    assert torch.equal(ddim_step(x_t, x0_hat, NOISY, CLEANER, noise=noise),
                       ddim_step(x_t, x0_hat, NOISY, CLEANER))

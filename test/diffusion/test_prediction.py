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
"""Tests of the prediction types."""

import math

from diffusion_policy_ros.choices import PREDICTION_TYPES
from diffusion_policy_ros.diffusion import (
    clean_from_prediction, DiscreteVp, KarrasVe, Level, prediction_target)
from diffusion_policy_ros.diffusion.prediction import noise_from_clean
from diffusion_policy_ros.errors import ConfigError
import pytest
import torch

LEVELS = [DiscreteVp().level(t) for t in (0, 40, 98)] + [KarrasVe().level(t) for t in (0, 0.6, 1)]
ALL_TYPES = pytest.mark.parametrize('prediction_type', PREDICTION_TYPES)
ALL_LEVELS = pytest.mark.parametrize('level', LEVELS,
                                     ids=lambda at: f'{at.alpha:.2g}-{at.sigma:.2g}')
MEANS, STD = torch.tensor([-0.6, 0.5], dtype=torch.float64), 0.15


def log_density(x_t, level):
    """Return the log density of two noised Gaussians of equal weight, up to a constant."""
    variance = (level.alpha * STD) ** 2 + level.sigma ** 2
    return torch.logsumexp(-(x_t.unsqueeze(-1) - level.alpha * MEANS) ** 2 / (2 * variance), -1)


def posterior_mean(x_t, level):
    """Return the mean of x0 given x_t by quadrature over x0, with no use of any score."""
    x0 = torch.linspace(-3, 3, 30001, dtype=torch.float64)
    clean = torch.exp(-(x0.unsqueeze(-1) - MEANS) ** 2 / (2 * STD ** 2)).sum(-1)
    exponent = -(x_t.unsqueeze(-1) - level.alpha * x0) ** 2 / (2 * level.sigma ** 2)
    weight = torch.softmax(exponent + clean.log(), -1)
    return (weight * x0).sum(-1)


def test_targets_follow_their_definitions():
    x0, noise = torch.randn(2, 4, 16, 3)
    target = {name: prediction_target(x0, noise, 0.6, 0.8, name) for name in PREDICTION_TYPES}
    torch.testing.assert_close(target['epsilon'], noise)
    torch.testing.assert_close(target['sample'], x0)
    torch.testing.assert_close(target['v_prediction'], 0.6 * noise - 0.8 * x0)
    torch.testing.assert_close(target['score'], noise / -0.8)


@ALL_TYPES
@ALL_LEVELS
def test_perfect_prediction_gives_back_the_clean_chunk(prediction_type, level):
    x0, noise = torch.randn(2, 4, 16, 3, dtype=torch.float64)
    target = prediction_target(x0, noise, level.alpha, level.sigma, prediction_type)
    x_t = level.alpha * x0 + level.sigma * noise
    torch.testing.assert_close(
        clean_from_prediction(target, x_t, level.alpha, level.sigma, prediction_type), x0)
    torch.testing.assert_close(noise_from_clean(x_t, x0, level), noise, rtol=1e-6, atol=1e-9)


@ALL_TYPES
def test_every_sample_of_a_batch_is_converted_at_its_own_level(prediction_type):
    output, x_t = torch.randn(2, 6, 16, 3, dtype=torch.float64)
    alpha, sigma = (torch.tensor(values, dtype=torch.float64).view(-1, 1, 1)
                    for values in list(zip(*LEVELS))[1:])
    batch = clean_from_prediction(output, x_t, alpha, sigma, prediction_type)
    for row, level in enumerate(LEVELS):
        torch.testing.assert_close(batch[row], clean_from_prediction(
            output[row], x_t[row], level.alpha, level.sigma, prediction_type))


@ALL_LEVELS
def test_score_of_a_mixture_gives_the_posterior_mean(level):
    spread = math.hypot(level.alpha, level.sigma)
    x_t = (torch.linspace(-2, 2, 9, dtype=torch.float64) * spread).requires_grad_()
    score, = torch.autograd.grad(log_density(x_t, level).sum(), x_t)
    x_t = x_t.detach()
    x0_hat = clean_from_prediction(score, x_t, level.alpha, level.sigma, 'score')
    torch.testing.assert_close(x0_hat, posterior_mean(x_t, level), rtol=1e-6, atol=1e-6)


@ALL_TYPES
@ALL_LEVELS
def test_expected_target_gives_the_posterior_mean(prediction_type, level):
    # A network learns the mean of its target, which every type must turn into the same x0_hat.
    x_t = torch.linspace(-1, 1, 9, dtype=torch.float64)
    x0_hat = posterior_mean(x_t, level)
    eps_hat = noise_from_clean(x_t, x0_hat, level)
    learnt = prediction_target(x0_hat, eps_hat, level.alpha, level.sigma, prediction_type)
    torch.testing.assert_close(
        clean_from_prediction(learnt, x_t, level.alpha, level.sigma, prediction_type), x0_hat)


def test_velocity_equals_that_of_diffusers():
    diffusers = pytest.importorskip('diffusers')
    scheduler = diffusers.DDIMScheduler(100, beta_schedule='squaredcos_cap_v2')
    x0, noise = torch.randn(2, 1, 16, 3)
    alpha_bar = scheduler.alphas_cumprod[40]
    ours = prediction_target(x0, noise, alpha_bar ** 0.5, (1 - alpha_bar) ** 0.5, 'v_prediction')
    theirs = scheduler.get_velocity(x0, noise, torch.tensor([40]))
    torch.testing.assert_close(ours, theirs)


def test_velocity_of_a_variance_exploding_process_is_that_of_diffusers_times_its_spread():
    # diffusers' Euler scheduler holds x0 + sigma eps, but its v is that of the scaled-down,
    # variance-preserving chunk; ours is defined by the alpha and sigma of the chunk itself.
    diffusers = pytest.importorskip('diffusers')
    scheduler = diffusers.EulerDiscreteScheduler(100, prediction_type='v_prediction')
    scheduler.set_timesteps(10)
    sigma = scheduler.sigmas[3].item()
    x0, noise = torch.randn(2, 1, 16, 3)
    spread = math.sqrt(1 + sigma ** 2)
    ours = prediction_target(x0, noise, 1.0, sigma, 'v_prediction')
    scheduler._step_index = 3
    theirs = scheduler.step(ours / spread, scheduler.timesteps[3], x0 + sigma * noise)
    torch.testing.assert_close(theirs.pred_original_sample, x0, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        clean_from_prediction(ours, x0 + sigma * noise, 1.0, sigma, 'v_prediction'), x0,
        rtol=1e-4, atol=1e-5)


def test_velocity_is_the_slope_along_the_angle_of_a_variance_preserving_process():
    x0, noise = torch.randn(2, 16, dtype=torch.float64)
    angle, step = 0.7, 1e-6
    before, after = (math.cos(at) * x0 + math.sin(at) * noise
                     for at in (angle - step, angle + step))
    torch.testing.assert_close(
        prediction_target(x0, noise, math.cos(angle), math.sin(angle), 'v_prediction'),
        (after - before) / (2 * step), rtol=1e-6, atol=1e-8)


def test_precision_of_the_chunk_is_kept():
    level = Level(3, 0.6, 0.8)
    for dtype in (torch.float32, torch.float64):
        x = torch.ones(1, 2, 2, dtype=dtype)
        for name in PREDICTION_TYPES:
            assert clean_from_prediction(x, x, level.alpha, level.sigma, name).dtype == dtype


def test_unknown_type_is_refused():
    x = torch.zeros(1)
    for call in (clean_from_prediction, prediction_target):
        with pytest.raises(ConfigError, match="prediction_type is 'flow'; choose one of: epsilon, "
                                              'sample, v_prediction, score'):
            call(x, x, 0.6, 0.8, 'flow')

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

"""Samples have the distribution of the data: moments, covariances and the weights of modes."""

import math

from diffusion_policy_ros.diffusion import (
    CLEAN, ContinuousVp, DiscreteVp, GeometricVe, KarrasVe, Level, sample_chunk, Sampler)
import pytest
import torch

PURE_NOISE = Level(timestep=0, alpha=1e-9, sigma=1.0)
PROCESSES = [DiscreteVp(), ContinuousVp(), GeometricVe(), KarrasVe()]
CHUNKS, ROWS = 1200, 3
SAMPLES = CHUNKS * ROWS
# Methods of weak order 1 err by about this much divided by the number of steps. With 60 steps and
# 20000 samples up to 0.038 was measured in a covariance and 0.028 in a weight. SDE-DPM-Solver++ of
# order 2 is held to half of it.
FIRST_ORDER_BIAS = 2.5
STOCHASTIC = [
    Sampler('ddpm', 200), Sampler('ddim', 200, eta=0.5), Sampler('sde_dpm_solver++', 80),
    Sampler('euler_maruyama', 200), Sampler('predictor_corrector', 120)]
DETERMINISTIC = [
    Sampler('ddim', 200), Sampler('euler', 200), Sampler('heun', 40), Sampler('rk4', 20),
    Sampler('dpm_solver', 40, order=2), Sampler('dpm_solver', 20, order=3),
    Sampler('dpm_solver++', 40), Sampler('dpm_solver++', 40, order=3),
    Sampler('dpm_solver++_singlestep', 40), Sampler('adaptive')]
EVERY_PROCESS = pytest.mark.parametrize('process', PROCESSES, ids=lambda p: type(p).__name__)


def name_of(sampler):
    return f'{sampler.solver}-{sampler.order}-{sampler.eta:g}'


@pytest.fixture
def both(plane_gaussian, plane_mixture):
    """Return a denoiser whose first rows are Gaussian data, whose others have two modes."""
    def denoise(x, level):
        return torch.cat([plane_gaussian.denoise(x[:, :ROWS], level),
                          plane_mixture.denoise(x[:, ROWS:], level)], dim=1)

    return denoise


def in_first_mode(x, data):
    """Tell which samples are nearer to the mean of the first mode."""
    return (x - data.means[0]).norm(dim=-1) < (x - data.means[1]).norm(dim=-1)


def assert_moments(x, mean, covariance, bias):
    """Compare with the moments of the data, within four standard errors and a bias."""
    deviations = covariance.diagonal().sqrt()
    assert ((x.mean(0) - mean).abs() < 4 * deviations / math.sqrt(len(x)) + bias).all()
    # Var(cov_ij) = (cov_ii cov_jj + cov_ij^2) / n of Gaussian data.
    error = ((deviations.outer(deviations) ** 2 + covariance ** 2) / len(x)).sqrt()
    assert ((torch.cov(x.T) - covariance).abs() < 4 * error + bias).all()


def assert_two_modes(x, data, bias):
    first = in_first_mode(x, data)
    weight = float(data.weights[0])
    error = math.sqrt(weight * (1 - weight) / len(x))
    assert float(first.double().mean()) == pytest.approx(weight, abs=4 * error + bias)
    assert_moments(x[first], data.means[0], data.covariances[0], bias)
    assert_moments(x[~first], data.means[1], data.covariances[1], bias)


@EVERY_PROCESS
@pytest.mark.parametrize('sampler', STOCHASTIC, ids=name_of)
def test_sde_samples_have_the_distribution_of_the_data(
        sampler, process, both, plane_gaussian, plane_mixture):
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(CHUNKS, 2 * ROWS, 2, generator=generator)
    sampler = sampler.changed(spacing='lambda')
    x = sample_chunk(both, noise, process, sampler, generator=generator).double()
    bias = FIRST_ORDER_BIAS / sampler.num_inference_steps
    bias = bias / 2 if sampler.solver == 'sde_dpm_solver++' else bias
    assert_moments(x[:, :ROWS].reshape(SAMPLES, 2), plane_gaussian.mean,
                   plane_gaussian.covariance, bias)
    assert_two_modes(x[:, ROWS:].reshape(SAMPLES, 2), plane_mixture, bias)


@EVERY_PROCESS
def test_ddpm_ddim_and_the_first_order_of_sde_dpm_solver_are_one_method(process, both):
    noise = torch.randn(2, 2 * ROWS, 2, generator=torch.Generator().manual_seed(3)).double()
    chunks = [sample_chunk(both, noise, process, sampler,
                           generator=torch.Generator().manual_seed(4))
              for sampler in (Sampler('ddpm', 20, spacing='lambda'),
                              Sampler('ddim', 20, spacing='lambda', eta=1.0),
                              Sampler('sde_dpm_solver++', 20, order=1, spacing='lambda'))]
    torch.testing.assert_close(chunks[1], chunks[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(chunks[2], chunks[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('process', (DiscreteVp(), KarrasVe()), ids=('vp', 've'))
@pytest.mark.parametrize('sampler', DETERMINISTIC, ids=name_of)
def test_ode_samples_are_the_quantiles_of_the_data(sampler, process, line_mixture):
    # Noise at even quantiles has no sampling error: the flow takes it to those of the data.
    shares = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    noise = torch.special.ndtri(shares).view(10, 100, 1)
    x = sample_chunk(line_mixture.denoise, noise, process, sampler.changed(spacing='lambda'))
    quantiles = line_mixture.flow(noise, PURE_NOISE, CLEAN)
    bias = 0.004 if sampler.order > 1 else 0.01
    assert float((x - quantiles).abs().mean()) < bias
    below = [float((samples < 0).double().mean()) for samples in (x, quantiles)]
    assert below[0] == pytest.approx(below[1], abs=bias)

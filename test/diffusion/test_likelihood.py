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

"""Tests of the likelihood: mixtures of Gaussians have a density in closed form."""

import math

from diffusion_policy_ros.diffusion import (
    bits_per_dimension, ContinuousVp, DiscreteVp, GeometricVe, invert, KarrasVe, log_likelihood)
from diffusion_policy_ros.errors import ConfigError, SamplingError
import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal, Normal


class LongVp(ContinuousVp):
    """A process that begins almost at the data and ends in almost pure noise."""

    t_min = 1e-6


# The noisiest level of these holds almost nothing of the data: alpha / sigma is below 3e-4.
PROCESSES = [DiscreteVp(1000, 'linear', beta_end=0.04), DiscreteVp(1000, 'squaredcos_cap_v2'),
             LongVp(beta_max=40.0), GeometricVe(1e-3, 5000.0), KarrasVe(1e-3, 5000.0)]
# These start where the added noise is far below the data's own deviation.
FINE = PROCESSES[2:]


@pytest.fixture(scope='module')
def four_dimensions(line_mixture):
    """Return data with two modes in four dimensions, with axes of different size."""
    axes = torch.tensor([[2.0, 0, 0, 0], [1, 2, 0, 0], [0, 1, 2, 0], [0, 0, -1, 3]]) / 12
    covariance = (axes @ axes.T).tolist()
    return type(line_mixture)([0.3, 0.7], [[-0.6, 0.2, 0.0, 0.4], [0.5, -0.3, 0.4, -0.1]],
                              [covariance, (axes.T @ axes).tolist()])


def log_density(mixture, y, rho):
    """Return the log density, (B,), of chunks whose entries have noise of deviation rho added."""
    noise = rho ** 2 * torch.eye(mixture.means.shape[1], dtype=torch.float64)
    rows = MixtureSameFamily(Categorical(mixture.weights),
                             MultivariateNormal(mixture.means, mixture.covariances + noise))
    return rows.log_prob(y.double()).sum(1)


def rho_of(process, t):
    """Return the deviation of the noise beside data of size 1."""
    return math.exp(-process.level(t).lambda_t)


def some_chunks(mixture, horizon, count=40):
    """Return chunks of the data, float64, and one between the modes."""
    drawn = mixture.draw(count, horizon, torch.Generator().manual_seed(0))
    return torch.cat([drawn, torch.zeros_like(drawn[:1])])


@pytest.mark.parametrize('process', PROCESSES)
@pytest.mark.parametrize('name', ['line_mixture', 'four_dimensions'])
def test_it_is_the_density_of_the_data_at_the_least_noisy_level(process, name, request):
    mixture = request.getfixturevalue(name)
    chunk = some_chunks(mixture, 1)
    found = log_likelihood(mixture.denoise, chunk, process)
    exact = log_density(mixture, chunk, rho_of(process, process.t_min))
    assert (found - exact).abs().max() / chunk[0].numel() < 1e-3
    if process in FINE:
        exact = log_density(mixture, chunk, 0.0)
        assert (found - exact).abs().max() / chunk[0].numel() < 1e-3


def test_the_density_of_independent_rows_is_a_product(plane_mixture):
    chunk, process = some_chunks(plane_mixture, 2), PROCESSES[0]
    found = log_likelihood(plane_mixture.denoise, chunk, process)
    exact = log_density(plane_mixture, chunk, rho_of(process, process.t_min))
    torch.testing.assert_close(found, exact, rtol=0, atol=4e-3)


@pytest.mark.parametrize('process', [DiscreteVp(), DiscreteVp(1000, 'linear'), ContinuousVp(),
                                     KarrasVe()])
def test_where_the_prior_is_not_the_noisiest_marginal_only_that_is_missing(process, line_mixture):
    chunk = some_chunks(line_mixture, 1)
    found = log_likelihood(line_mixture.denoise, chunk, process, steps=100)
    last = process.level(process.t_max)
    std, rho = process.prior_std(last), last.sigma / last.alpha
    y = invert(line_mixture.denoise, chunk, process, steps=100) * std / last.alpha
    prior = Normal(0, torch.tensor(std / last.alpha, dtype=torch.float64)).log_prob(y).sum((1, 2))
    exact = log_density(line_mixture, chunk, rho_of(process, process.t_min))
    torch.testing.assert_close(found - prior + log_density(line_mixture, y, rho), exact,
                               rtol=0, atol=1e-4)


@pytest.mark.parametrize('process', [DiscreteVp(), LongVp(), KarrasVe()])
def test_the_density_integrates_to_one(process, line_mixture):
    y = torch.linspace(-2.5, 2.5, 801, dtype=torch.float64)
    density = log_likelihood(line_mixture.denoise, y.view(-1, 1, 1), process, steps=60).exp()
    assert float(torch.trapezoid(density, y)) == pytest.approx(1, abs=2e-3)


def test_probes_are_right_on_average_and_steadier_in_numbers(four_dimensions):
    chunk = some_chunks(four_dimensions, 1, 1)[:1]
    process, many = KarrasVe(), chunk.expand(1500, 1, 4)
    exact = log_likelihood(four_dimensions.denoise, chunk, process, steps=30)
    generator = torch.Generator().manual_seed(0)
    deviations = []
    for probes in (1, 6):
        found = log_likelihood(four_dimensions.denoise, many, process, steps=30, probes=probes,
                               generator=generator)
        deviations.append(found.std())
        assert (found.mean() - exact).abs() < 4 * found.std() / math.sqrt(1500)
    assert deviations[0] / deviations[1] == pytest.approx(math.sqrt(6), rel=0.15)


def test_the_generator_decides_the_probes(plane_mixture):
    chunk = some_chunks(plane_mixture, 2, 2)
    first, again, other = (
        log_likelihood(plane_mixture.denoise, chunk, DiscreteVp(), steps=5, probes=2,
                       generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_float32_comes_close_to_float64_and_chunks_do_not_depend_on_each_other(plane_mixture):
    chunk = some_chunks(plane_mixture, 2, 6)
    double, single, alone = (
        log_likelihood(plane_mixture.denoise, x, DiscreteVp(), steps=30)
        for x in (chunk, chunk.float(), chunk[2:3]))
    assert single.dtype == torch.float32 and double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-3)
    torch.testing.assert_close(alone, double[2:3], rtol=1e-12, atol=0)


def test_it_works_without_gradients_outside_and_leaves_none_behind(line_mixture):
    chunk = some_chunks(line_mixture, 1, 2)
    before = chunk.clone()
    with torch.no_grad():
        found = log_likelihood(line_mixture.denoise, chunk, DiscreteVp(), steps=5)
    assert torch.equal(found, log_likelihood(line_mixture.denoise, chunk, DiscreteVp(), steps=5))
    assert not found.requires_grad and not chunk.requires_grad and torch.equal(chunk, before)


def test_a_chunk_from_inference_mode_can_be_judged(line_mixture):
    with torch.inference_mode():
        chunk = some_chunks(line_mixture, 1, 2) + 0
    found = log_likelihood(line_mixture.denoise, chunk, DiscreteVp(), steps=5)
    assert torch.isfinite(found).all()


def test_where_no_gradient_runs_it_says_so(line_mixture):
    chunk = torch.zeros(1, 1, 1, dtype=torch.float64)
    with pytest.raises(ConfigError, match='no gradient runs through the denoiser'):
        log_likelihood(lambda x, level: torch.zeros_like(x), chunk, DiscreteVp())
    with torch.inference_mode(), pytest.raises(ConfigError, match='outside torch.inference_mode'):
        log_likelihood(line_mixture.denoise, chunk, DiscreteVp())


@pytest.mark.parametrize('probes', [-1, 1.5, None])
def test_a_number_of_probes_that_is_none_is_refused(probes, line_mixture):
    with pytest.raises(ConfigError, match='probes is .*at least 0'):
        log_likelihood(line_mixture.denoise, torch.zeros(1, 1, 1), DiscreteVp(), probes=probes)


def test_a_gradient_that_is_not_finite_is_an_error():
    with pytest.raises(SamplingError, match='log-likelihood is not finite'):
        log_likelihood(lambda x, level: (0 * x).abs().sqrt(), torch.zeros(1, 1, 1), DiscreteVp(),
                       steps=2)


def test_bits_per_dimension_of_a_uniform_cube_are_the_logarithm_of_its_side():
    chunk = torch.zeros(2, 3, 4)
    nats = torch.tensor([-12 * math.log(8.0), 12 * math.log(2.0)])
    torch.testing.assert_close(bits_per_dimension(nats, chunk), torch.tensor([3.0, -1.0]))

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
"""Tests of the variance-preserving processes."""

from fractions import Fraction
import math

from diffusion_policy_ros.choices import BETA_SCHEDULES
from diffusion_policy_ros.diffusion import CLEAN, ContinuousVp, DiscreteVp
from diffusion_policy_ros.errors import ConfigError
import pytest
import torch


@pytest.fixture(scope='module')
def diffusers():
    return pytest.importorskip('diffusers')


@pytest.mark.parametrize('name', BETA_SCHEDULES)
@pytest.mark.parametrize('count', (100, 1000))
def test_betas_and_their_products_equal_those_of_diffusers(diffusers, name, count):
    theirs = diffusers.DDPMScheduler(count, beta_schedule=name)
    ours = DiscreteVp(count, name)
    assert ours.betas.dtype == ours.alphas_cumprod.dtype == torch.float64
    # Theirs are float32, whose 1 - beta has few digits left at the ends.
    torch.testing.assert_close(ours.betas, theirs.betas.double(), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(ours.alphas_cumprod, theirs.alphas_cumprod.double(),
                               rtol=2e-3, atol=2e-7)


@pytest.mark.parametrize('name', BETA_SCHEDULES)
def test_noised_chunks_equal_those_of_diffusers(diffusers, name):
    theirs = diffusers.DDPMScheduler(100, beta_schedule=name)
    x0, noise = torch.randn(2, 100, 4, 2, generator=torch.Generator().manual_seed(0))
    t = torch.arange(100)
    torch.testing.assert_close(DiscreteVp(100, name).add_noise(x0, noise, t),
                               theirs.add_noise(x0, noise, t), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('name', BETA_SCHEDULES)
def test_kept_variance_is_the_exact_product_of_what_every_step_keeps(name):
    process, product = DiscreteVp(60, name), Fraction(1)
    for t, beta in enumerate(process.betas.tolist()):
        product *= 1 - Fraction(beta)
        level = process.level(t)
        assert float(process.alphas_cumprod[t]) == pytest.approx(float(product), rel=1e-12)
        assert level.alpha ** 2 == pytest.approx(float(product), rel=1e-12)
        assert level.sigma ** 2 == pytest.approx(float(1 - product), rel=1e-12)


@pytest.mark.parametrize('name', BETA_SCHEDULES)
def test_a_step_of_the_chain_loses_one_beta(name):
    process = DiscreteVp(100, name)
    one, zero = torch.ones(100, 1, dtype=torch.float64), torch.zeros(100, 1, dtype=torch.float64)
    s, t = torch.arange(-1, 99), torch.arange(100)
    torch.testing.assert_close(process.forward_step(one, zero, s, t).flatten() ** 2,
                               1 - process.betas)
    torch.testing.assert_close(process.forward_step(zero, one, s, t).flatten() ** 2,
                               process.betas)


def test_cosine_schedule_follows_its_equation_until_the_cap():
    process = DiscreteVp(100, 'squaredcos_cap_v2')
    for t in (0, 10, 50, 98):
        expected = (math.cos(((t + 1) / 100 + 0.008) / 1.008 * math.pi / 2)
                    / math.cos(0.008 / 1.008 * math.pi / 2)) ** 2
        assert float(process.alphas_cumprod[t]) == pytest.approx(expected, rel=1e-12)
    assert float(process.betas[99]) == 0.999
    assert process.level(99).lambda_t == pytest.approx(-7.62, abs=0.01)


@pytest.mark.parametrize('name', BETA_SCHEDULES)
def test_time_before_the_first_level_is_clean(name):
    process = DiscreteVp(100, name)
    assert process.level(-1) == CLEAN and process.level(-1).is_clean
    assert process.level(-0.5).lambda_t > process.level(0).lambda_t


def test_log_of_alpha_is_linear_between_whole_times():
    process = DiscreteVp(100)
    before, after = (math.log(process.level(t).alpha) for t in (40, 41))
    between = math.log(process.level(40.25).alpha)
    assert between == pytest.approx(0.75 * before + 0.25 * after, rel=1e-12)


def test_drift_at_a_whole_time_is_that_of_the_step_to_it():
    process = DiscreteVp(100)
    t = torch.arange(100)
    torch.testing.assert_close(process.drift(t), torch.log1p(-process.betas) / 2)
    torch.testing.assert_close(process.drift(t), process.drift(t - 0.5))
    torch.testing.assert_close(process.diffusion(t) ** 2, -torch.log1p(-process.betas))


@pytest.mark.parametrize('process', (ContinuousVp(), ContinuousVp(0.5, 9.0), DiscreteVp()),
                         ids=str)
def test_variance_is_preserved(process):
    alpha, sigma = process.marginal(torch.linspace(0, 1, 33) * process.t_max)
    torch.testing.assert_close(alpha ** 2 + sigma ** 2, torch.ones(33, dtype=torch.float64))


@pytest.mark.parametrize('process', (ContinuousVp(), ContinuousVp(0.5, 9.0)), ids=str)
@pytest.mark.parametrize('t', (1e-3, 0.2, 0.77, 1.0))
def test_log_of_alpha_is_minus_half_the_integral_of_beta(process, t):
    grid = torch.linspace(0, t, 2001, dtype=torch.float64)
    integral = float(torch.trapezoid(process.beta(grid), grid))
    assert process.level(t).alpha == pytest.approx(math.exp(-integral / 2), rel=1e-9)
    assert process.level(t).sigma == pytest.approx(math.sqrt(1 - math.exp(-integral)), rel=1e-9)


def test_continuous_process_is_the_limit_of_the_discrete_one():
    # Appendix B of arXiv:2011.13456: beta(t) is the discrete beta times the number of steps.
    count = 4000
    discrete = DiscreteVp(count, 'linear', 0.1 / count, 20 / count)
    continuous = ContinuousVp(0.1, 20.0)
    for share in (0.1, 0.5, 1.0):
        at = discrete.level(round(share * count) - 1)
        assert at.alpha == pytest.approx(continuous.level(share).alpha, rel=1e-2)
        assert at.sigma == pytest.approx(continuous.level(share).sigma, rel=1e-3)


def test_constant_beta_decays_exponentially():
    process = ContinuousVp(3.0, 3.0)
    assert process.level(0.5).alpha == pytest.approx(math.exp(-0.75))
    assert float(process.time_at(process.level(0.5).lambda_t)) == pytest.approx(0.5)


@pytest.mark.parametrize('fields, message', [
    ({'beta_schedule': 'sigmoid'}, "beta_schedule is 'sigmoid'; choose one of: linear, scaled_"),
    ({'beta_schedule': ['linear']}, r"beta_schedule is \['linear'\]"),
    ({'num_train_timesteps': 0}, 'num_train_timesteps is 0; it must be a whole number'),
    ({'num_train_timesteps': 10.0}, 'num_train_timesteps is 10.0'),
    ({'num_train_timesteps': True}, 'num_train_timesteps is True'),
    ({'beta_start': 0.0}, 'beta_start is 0.0 and beta_end 0.02; wanted 0 < beta_start'),
    ({'beta_start': 0.03}, 'beta_start is 0.03 and beta_end 0.02'),
    ({'beta_end': 1.0}, 'beta_end 1.0'),
    ({'beta_end': math.nan}, 'beta_end nan'),
    ({'beta_start': '0.1'}, "beta_start is '0.1'")])
def test_impossible_discrete_process_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        DiscreteVp(**fields)


@pytest.mark.parametrize('fields', [
    {'beta_min': 0}, {'beta_min': -1.0}, {'beta_min': 21.0}, {'beta_max': math.inf},
    {'beta_max': None}, {'beta_min': True}])
def test_impossible_continuous_process_is_refused(fields):
    with pytest.raises(ConfigError, match='wanted 0 < beta_min <= beta_max') as refused:
        ContinuousVp(**fields)
    assert all(f'{name} is {value!r}' in str(refused.value) or f'{name} {value!r}'
               in str(refused.value) for name, value in fields.items())


@pytest.mark.parametrize('make', [lambda: DiscreteVp(1000, 'linear', 0.9, 0.999),
                                  lambda: ContinuousVp(0.1, 5000.0)])
def test_a_process_at_whose_end_alpha_vanishes_is_refused(make):
    with pytest.raises(ConfigError, match=r'log\(alpha\) is -.* at its end, below -50'):
        make()

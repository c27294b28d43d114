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
"""Tests of what every noise process promises, over all of them."""

import math

from diffusion_policy_ros.diffusion import ContinuousVp, DiscreteVp, GeometricVe, KarrasVe
from hypothesis import given, settings, strategies as st
import pytest
import torch

PROCESSES = (DiscreteVp(), DiscreteVp(1000, 'linear'), DiscreteVp(300, 'scaled_linear'),
             ContinuousVp(), ContinuousVp(2.0, 2.0), GeometricVe(), GeometricVe(0.1, 3.0),
             KarrasVe(), KarrasVe(0.01, 20.0, rho=1.0))
ALL = pytest.mark.parametrize('process', PROCESSES, ids=str)
# Every process that its checks let through, within what float64 can tell apart.
ANY_PROCESS = st.one_of(
    st.builds(DiscreteVp, st.integers(1, 1500), st.just('squaredcos_cap_v2')),
    st.builds(lambda count, name, ends: DiscreteVp(count, name, *sorted(ends)),
              st.integers(1, 200), st.sampled_from(('linear', 'scaled_linear')),
              st.tuples(st.floats(1e-6, 0.2), st.floats(1e-6, 0.2))),
    st.builds(lambda ends: ContinuousVp(*sorted(ends)),
              st.tuples(st.floats(0.01, 30), st.floats(0.01, 30))),
    st.builds(GeometricVe, st.floats(1e-4, 0.5), st.floats(1, 200)),
    st.builds(KarrasVe, st.floats(1e-4, 0.5), st.floats(1, 200), st.floats(1, 10)))


def times(process, count=40):
    """Return times over the whole process, between whole ones where that makes a difference."""
    ends = torch.linspace(process.t_min, process.t_max, count + 1, dtype=torch.float64)
    middle = (ends[1:] + ends[:-1]) / 2
    return middle.floor().clamp(max=process.t_max - 1) + 0.37 if process.is_discrete else middle


def slope(function, t, step):
    """Return the central difference of a function of time."""
    return (function(t + step) - function(t - step)) / (2 * step)


@ALL
def test_drift_is_the_slope_of_the_log_of_alpha(process):
    t = times(process)
    numerical = slope(lambda at: process.marginal(at)[0].log(), t, 1e-5)
    torch.testing.assert_close(process.drift(t), numerical, rtol=1e-6, atol=1e-8)


@ALL
def test_diffusion_gives_the_variance_what_the_drift_does_not(process):
    t = times(process)
    gained = slope(lambda at: process.marginal(at)[1] ** 2, t, 1e-5)
    expected = gained - 2 * process.drift(t) * process.marginal(t)[1] ** 2
    torch.testing.assert_close(process.diffusion(t) ** 2, expected, rtol=1e-6, atol=1e-8)


@settings(max_examples=200, deadline=None)
@given(ANY_PROCESS, st.floats(0, 1))
def test_time_at_inverts_the_marginal(process, share):
    t = process.t_min + share * (process.t_max - process.t_min)
    lambda_t = process.level(t).lambda_t
    assert float(process.time_at(lambda_t)) == pytest.approx(t, abs=1e-6, rel=1e-6)
    found = process.level_at(lambda_t)
    assert found.lambda_t == pytest.approx(lambda_t, abs=1e-7)
    assert isinstance(found.alpha, float) and isinstance(found.timestep, (int, float))


@settings(max_examples=100, deadline=None)
@given(ANY_PROCESS, st.floats(0, 1), st.floats(0, 1))
def test_later_times_are_noisier(process, one, other):
    earlier, later = (process.level(process.t_min + share * (process.t_max - process.t_min))
                      for share in sorted((one, other)))
    assert 0 < earlier.sigma <= later.sigma and 0 < later.alpha <= earlier.alpha <= 1
    if later.timestep - earlier.timestep > 1e-6:
        assert later.lambda_t < earlier.lambda_t


@ALL
def test_levels_of_a_batch_equal_those_alone_and_keep_its_dtype(process):
    t = times(process, 5)
    lambdas = torch.tensor([process.level(float(at)).lambda_t for at in t]).view(-1, 1, 1)
    batch = process.level_at(lambdas)
    for row, lambda_t in enumerate(lambdas.flatten().tolist()):
        alone = process.level_at(lambda_t)
        assert [float(field[row]) for field in batch] == pytest.approx(list(alone), rel=1e-5)
    assert {field.dtype for field in batch} == {torch.float32}
    assert {field.shape for field in batch} == {(5, 1, 1)}


@ALL
@pytest.mark.parametrize('dtype', (torch.float32, torch.float64))
def test_noise_is_added_to_every_sample_at_its_own_time(process, dtype):
    x0, noise = torch.randn(2, 3, 4, 2, dtype=dtype)
    t = torch.tensor([process.t_min, (process.t_min + process.t_max) // 2, process.t_max])
    x_t = process.add_noise(x0, noise, t)
    assert x_t.dtype == dtype
    for row, at in enumerate(t.tolist()):
        level = process.level(at)
        torch.testing.assert_close(x_t[row], level.alpha * x0[row] + level.sigma * noise[row])


@ALL
def test_whole_and_broken_times_are_noised_alike(process):
    x0, noise = torch.randn(2, 1, 4, 2)
    whole = process.add_noise(x0, noise, torch.tensor([int(process.t_max)]))
    torch.testing.assert_close(
        whole, process.add_noise(x0, noise, torch.tensor([float(process.t_max)])))


def forward_grid(process):
    """Return times from the first to the last, and all of a discrete process."""
    if process.is_discrete:
        return torch.arange(process.t_clean, process.t_max + 1)
    return torch.linspace(process.t_clean, process.t_max, 41, dtype=torch.float64)


@ALL
def test_steps_of_the_forward_chain_compose_to_the_marginal(process):
    grid = forward_grid(process)
    one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    alpha, sigma = (float(value) for value in process.marginal(grid[0]))
    mean, variance = alpha, sigma ** 2
    for s, t in zip(grid[:-1], grid[1:]):
        kept = float(process.forward_step(one, zero, s.view(1), t.view(1)))
        added = float(process.forward_step(zero, one, s.view(1), t.view(1)))
        mean, variance = kept * mean, kept ** 2 * variance + added ** 2
        alpha, sigma = (float(value) for value in process.marginal(t))
        assert mean == pytest.approx(alpha, rel=1e-9)
        assert variance == pytest.approx(sigma ** 2, rel=1e-9)


@ALL
def test_steps_add_the_noise_of_the_sde(process):
    # Between s and t a variance grows as dv/dt = 2 f v + g^2; here by the midpoint rule.
    s = times(process, 10)
    step = 1e-3
    zero, one = torch.zeros(10, 1, dtype=torch.float64), torch.ones(10, 1, dtype=torch.float64)
    added = process.forward_step(zero, one, s, s + step).flatten() ** 2
    middle = s + step / 2
    expected = step * process.diffusion(middle) ** 2 * (1 + process.drift(middle) * step)
    torch.testing.assert_close(added, expected, rtol=2e-4, atol=0)


@ALL
def test_a_chain_of_draws_has_the_mean_and_deviation_of_the_marginal(process):
    generator = torch.Generator().manual_seed(5)
    count, start = 20000, 0.8
    grid = forward_grid(process)[:101]
    x = torch.full((count, 1), start)
    noise = torch.randn(x.shape, generator=generator)
    x = process.add_noise(x, noise, grid[:1].expand(count))
    for s, t in zip(grid[:-1], grid[1:]):
        noise = torch.randn(x.shape, generator=generator)
        x = process.forward_step(x, noise, s.expand(count), t.expand(count))
    level = process.level(grid[-1].item())
    deviation_of_mean = level.sigma / math.sqrt(count)
    assert float(x.mean()) == pytest.approx(level.alpha * start, abs=4 * deviation_of_mean)
    assert float(x.std()) == pytest.approx(level.sigma, rel=4 / math.sqrt(2 * count))


@ALL
def test_sampling_starts_with_nearly_the_deviation_of_noised_data(process):
    level = process.level(process.t_max)
    noised = math.sqrt((level.alpha * 0.5) ** 2 + level.sigma ** 2)
    assert process.prior_std(level) == pytest.approx(noised, rel=0.1)


@ALL
def test_coefficients_are_float64(process):
    for values in (*process.marginal(process.t_max), process.drift(process.t_max),
                   process.diffusion(process.t_max), process.time_at(0.0)):
        assert values.dtype == torch.float64


@ALL
def test_equal_processes_are_equal_and_can_be_keys(process):
    same = type(process)(**vars(process))
    assert same == process and len({same, process}) == 1

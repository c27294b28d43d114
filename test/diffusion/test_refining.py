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

"""Two phases, refining and temperature: the distribution stays what it should be."""

import math

from diffusion_policy_ros.diffusion import (
    DiscreteVp, KarrasVe, Level, refine_chunk, sample_chunk, Sampler)
from diffusion_policy_ros.errors import ConfigError
import pytest
import torch

VP, VE = DiscreteVp(), KarrasVe()
CHUNKS, ROWS = 1500, 4
# A sample of the right distribution exceeds this in one of a thousand tests (Kolmogorov).
LIMIT = 1.95 / math.sqrt(CHUNKS * ROWS) + 0.004
ODE, SDE = 'dpm_solver++', 'sde_dpm_solver++'
BOTH_WAYS = pytest.mark.parametrize('solver, then', ((ODE, SDE), (SDE, ODE)))


def noise_of(seed, count=CHUNKS):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, ROWS, 1, generator=generator, dtype=torch.float64)


def deviation_from(data, x):
    """Return the largest distance between the distribution functions of samples and data."""
    x = x.flatten().sort().values.unsqueeze(-1)
    exact = data.share_below(x, Level(0, 1.0, 0.0)).flatten()
    steps = torch.arange(len(x) + 1, dtype=torch.float64) / len(x)
    return float(torch.maximum(exact - steps[:-1], steps[1:] - exact).max())


def correlation(a, b):
    return float(torch.corrcoef(torch.stack((a.flatten(), b.flatten())))[0, 1])


@pytest.fixture
def clean(line_mixture):
    """Return chunks drawn from the data themselves."""
    return line_mixture.draw(CHUNKS, ROWS, torch.Generator().manual_seed(1))


@BOTH_WAYS
@pytest.mark.parametrize('process', (VP, VE), ids=('vp', 've'))
@pytest.mark.parametrize('switch_lambda', (-1.0, 1.0))
def test_two_phases_keep_the_distribution(solver, then, process, switch_lambda, line_mixture):
    sampler = Sampler(solver, 60, spacing='lambda', then=then, switch_lambda=switch_lambda)
    x = sample_chunk(line_mixture.denoise, noise_of(2), process, sampler,
                     generator=torch.Generator().manual_seed(3))
    assert deviation_from(line_mixture, x) < LIMIT
    assert float((x < 0).double().mean()) == pytest.approx(0.3, abs=0.03)


@BOTH_WAYS
def test_each_solver_works_on_its_side_of_the_switch(solver, then, line_mixture):
    # From equal noise, two seeds part only where the stochastic solver works.
    seen = {}
    for seed in (0, 1):
        seen[seed] = []

        def denoise(x, level, at=seen[seed]):
            at.append((level.lambda_t, x.clone()))
            return line_mixture.denoise(x, level)

        sampler = Sampler(solver, 20, spacing='lambda', then=then, switch_lambda=0.0)
        sample_chunk(denoise, noise_of(2, 5), VP, sampler,
                     generator=torch.Generator().manual_seed(seed))
    parted = [at for (at, a), (_, b) in zip(seen[0], seen[1]) if not torch.equal(a, b)]
    if solver == ODE:
        assert 0 < parted[0] < 1
    else:
        assert parted[0] == seen[0][1][0]


def test_refining_needs_to_know_from_where():
    with pytest.raises(ConfigError, match='start_timestep is None; refining a chunk needs'):
        refine_chunk(None, noise_of(1), noise_of(2), VP, Sampler())


def test_noise_alone_is_no_chunk_of_a_level_where_data_are_visible(line_mixture):
    sampler = Sampler(ODE, 5, start_timestep=40)
    with pytest.raises(ConfigError, match='start_timestep is 40, where alpha is 0.* refine an'):
        sample_chunk(line_mixture.denoise, noise_of(2), VP, sampler)


@pytest.mark.parametrize('solver', (ODE, SDE))
@pytest.mark.parametrize('start', (20, 50, 80))
def test_refining_keeps_the_distribution(solver, start, line_mixture, clean):
    sampler = Sampler(solver, 40, spacing='lambda', start_timestep=start)
    x = refine_chunk(line_mixture.denoise, clean, noise_of(4), VP, sampler,
                     generator=torch.Generator().manual_seed(5))
    assert deviation_from(line_mixture, x) < LIMIT


@pytest.mark.parametrize('solver', (ODE, SDE))
def test_refining_stays_near_from_a_low_level_and_forgets_from_the_top(
        solver, line_mixture, clean):
    kept = []
    for start in (3, 20, 50, 80, 99):
        sampler = Sampler(solver, 20, spacing='lambda', start_timestep=start)
        x = refine_chunk(line_mixture.denoise, clean, noise_of(4), VP, sampler,
                         generator=torch.Generator().manual_seed(5))
        kept.append(correlation(x, clean))
        if start == 3:
            assert float((x - clean).abs().mean()) < 2 * VP.level(start).sigma
    assert kept == sorted(kept, reverse=True)
    assert kept[0] > 0.98
    assert abs(kept[-1]) < 4 / math.sqrt(CHUNKS * ROWS)


def test_refining_needs_a_level_of_the_process(line_mixture, clean):
    with pytest.raises(ConfigError, match='start_timestep is 100'):
        refine_chunk(line_mixture.denoise, clean, clean, VP, Sampler(start_timestep=100))


@pytest.mark.parametrize('temperature', (0.0, 0.5, 1.0, 2.0))
@pytest.mark.parametrize('process', (VP, VE), ids=('vp', 've'))
def test_temperature_scales_the_spread_of_gaussian_data(temperature, process, line_gaussian):
    sampler = Sampler('heun', 60, spacing='lambda', temperature=temperature)
    x = sample_chunk(line_gaussian.denoise, noise_of(6), process, sampler).flatten()
    spread = 0.4 * temperature * float(noise_of(6).std())
    assert float(x.std()) == pytest.approx(spread, abs=0.005)
    assert float(x.mean()) == pytest.approx(0.3, abs=0.02)


def test_low_temperature_gathers_around_the_modes(line_mixture):
    sampler = Sampler(ODE, 40, spacing='lambda')
    warm, cool = (sample_chunk(line_mixture.denoise, noise_of(6), VP,
                               sampler.changed(temperature=temperature))
                  for temperature in (1.0, 0.5))
    assert float(cool.std()) < 0.9 * float(warm.std())

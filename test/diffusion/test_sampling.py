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

"""The loop: which levels it visits, in which order of accuracy, and where its noise is from."""

from diffusion_policy_ros.choices import SPACINGS
from diffusion_policy_ros.diffusion import (
    CLEAN, DiscreteVp, draw_noise, inference_levels, integrate, KarrasVe, refine_chunk,
    sample_chunk, Sampler, sampling)
from diffusion_policy_ros.diffusion.solvers import Solver
from diffusion_policy_ros.errors import ConfigError, SamplingError
from hypothesis import given, settings, strategies as st
import pytest
import torch

VP, VE = DiscreteVp(), KarrasVe()
SAMPLERS = [Sampler('dpm_solver++'), Sampler('ddim', eta=0.5), Sampler('ddpm'), Sampler('euler')]
NOISE = torch.randn(2, 16, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def recorded(monkeypatch):
    """Replace every solver by one that notes its intervals; its steps change nothing."""
    seen = []

    def step(denoise, x, interval, state, draw, sampler):
        seen.append(interval)
        return x, (state or ()) + ('known',)

    monkeypatch.setattr(sampling, 'load_solver', lambda name: Solver(step, orders=(1, 2, 3)))
    return seen


@pytest.mark.parametrize('process', (VP, VE), ids=('vp', 've'))
@pytest.mark.parametrize('spacing', SPACINGS)
@pytest.mark.parametrize('sampler', SAMPLERS, ids=lambda sampler: sampler.solver)
def test_loop_visits_every_level_of_the_grid_once_and_ends_clean(
        sampler, spacing, process, bent):
    sampler, seen = sampler.changed(spacing=spacing), []

    def denoiser(x, level):
        seen.append(level)
        return bent(x, level)

    levels = inference_levels(process, sampler)
    x = sample_chunk(denoiser, NOISE, process, sampler)
    assert tuple(seen) == levels[:-1] and levels[-1] == CLEAN
    assert all(a.lambda_t < b.lambda_t for a, b in zip(seen, seen[1:]))
    assert x.abs().max() <= 1  # It ends at a prediction, and those are within 1.


def test_order_is_lowered_towards_clean_data_alone(recorded):
    levels = tuple(VP.level(t) for t in (90, 80, 60, 40, 20, 10))
    integrate(None, NOISE, (*levels, CLEAN), VP, Sampler(order=3))
    assert [interval.order for interval in recorded] == [3, 3, 3, 3, 2, 1]
    recorded.clear()
    integrate(None, NOISE, levels, VP, Sampler(order=3))
    assert [interval.order for interval in recorded] == [3, 3, 3, 3, 3]


def test_intervals_join_one_another(recorded):
    levels = inference_levels(VP, Sampler(num_inference_steps=7))
    integrate(None, NOISE, levels, VP, Sampler())
    assert tuple(interval.start for interval in recorded) == levels[:-1]
    assert tuple(interval.end for interval in recorded) == levels[1:]


@pytest.mark.parametrize('process', (VP, VE), ids=('vp', 've'))
def test_noise_starts_with_the_deviation_of_the_prior_times_the_temperature(process, bent):
    starts = []

    def denoiser(x, level):
        starts.append(x)
        return bent(x, level)

    sampler = Sampler(temperature=0.25)
    sample_chunk(denoiser, NOISE, process, sampler)
    std = 1.0 if process is VP else 80.0
    torch.testing.assert_close(starts[0], 0.25 * std * NOISE)


@pytest.mark.parametrize('process', (VP, VE), ids=('vp', 've'))
def test_refining_starts_at_the_noised_chunk(process, bent):
    starts = []

    def denoiser(x, level):
        starts.append(x)
        return bent(x, level)

    chunk = torch.full_like(NOISE, 0.5)
    sampler = Sampler(start_timestep=50 if process is VP else 0.5, num_inference_steps=3)
    refine_chunk(denoiser, chunk, NOISE, process, sampler)
    level = process.level(sampler.start_timestep)
    torch.testing.assert_close(starts[0], level.alpha * chunk + level.sigma * NOISE)


def test_ode_draws_no_noise_and_a_generator_spares_the_global_one(bent):
    generator = torch.Generator().manual_seed(1)
    before, everywhere = generator.get_state(), torch.get_rng_state()
    sample_chunk(bent, NOISE, VP, Sampler(), generator=generator)
    assert torch.equal(generator.get_state(), before)
    sample_chunk(bent, NOISE, VP, Sampler('ddpm'), generator=generator)
    assert not torch.equal(generator.get_state(), before)
    assert torch.equal(torch.get_rng_state(), everywhere)


@pytest.mark.parametrize('dtype', (torch.float32, torch.float64), ids=str)
def test_drawn_noise_is_standard_normal_of_the_asked_type(dtype):
    noise = draw_noise((200, 100), generator=torch.Generator().manual_seed(0), dtype=dtype)
    assert noise.dtype == dtype
    assert float(noise.mean()) == pytest.approx(0, abs=0.03)
    assert float(noise.std()) == pytest.approx(1, abs=0.02)


@given(solver=st.sampled_from(('dpm_solver++', 'ddim', 'ddpm', 'heun', 'dpm_solver', 'rk4')),
       steps=st.integers(1, 130), spacing=st.sampled_from(SPACINGS), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_any_request_gives_a_finite_chunk_or_is_refused(solver, steps, spacing, seed):
    generator = torch.Generator().manual_seed(seed)
    sampler = Sampler(solver, steps, spacing=spacing)
    try:
        x = sample_chunk(lambda x, level: torch.tanh(x), torch.randn(1, 4, 2), VP, sampler,
                         generator=generator)
    except ConfigError as error:
        assert f'num_inference_steps is {steps}' in str(error)
        return
    assert x.shape == (1, 4, 2) and x.abs().max() <= 1


def test_nan_that_appears_on_the_way_is_not_handed_on(bent):
    with pytest.raises(SamplingError, match='the result of sampling is not finite; look for NaN'):
        sample_chunk(lambda x, level: x * float('nan'), NOISE, VP, Sampler('ddim'))


@pytest.mark.parametrize('dtype', (torch.bfloat16, torch.float16))
def test_types_that_are_too_coarse_for_a_solver_are_refused(dtype, bent):
    with pytest.raises(ConfigError, match='solvers need float32 or float64'):
        sample_chunk(bent, torch.ones(1, 4, 2, dtype=dtype), VP, Sampler())

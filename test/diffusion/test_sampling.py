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
"""Tests of the sampling loop and its solvers against closed forms and diffusers."""

import math

from diffusion_policy_ros.diffusion import (
    inference_levels, Level, NoiseSchedule, sample_chunk, Sampler)
from diffusion_policy_ros.diffusion.schedule import CLEAN
from diffusion_policy_ros.errors import ConfigError
from hypothesis import given, settings, strategies as st
import pytest
import torch

MEAN, STD = 0.3, 0.4
EVERY_SAMPLER = [Sampler(solver, steps, order, spacing, eta)
                 for solver, order, eta in (('dpm_solver++', 1, 0.0), ('dpm_solver++', 2, 0.0),
                                            ('ddim', 2, 0.0), ('ddim', 2, 0.5), ('ddpm', 2, 0.0))
                 for steps in (1, 2, 10, 99)
                 for spacing in ('trailing', 'linspace')]


def exact_denoiser(x_t, level):
    """Return the expectation of clean data from N(MEAN, STD ** 2)."""
    gain = level.alpha * STD ** 2 / ((level.alpha * STD) ** 2 + level.sigma ** 2)
    return MEAN + gain * (x_t - level.alpha * MEAN)


def exact_flow(x_t, level, next_level):
    """Return where the probability-flow ODE takes data from N(MEAN, STD ** 2)."""
    before, after = (math.sqrt((at.alpha * STD) ** 2 + at.sigma ** 2)
                     for at in (level, next_level))
    return next_level.alpha * MEAN + after / before * (x_t - level.alpha * MEAN)


def levels_even_in_lambda(count, first=-4.0, last=4.0):
    """Return count + 1 levels of a continuous variance-preserving process."""
    lambdas = torch.linspace(first, last, count + 1, dtype=torch.float64).tolist()
    return tuple(Level(count - i, (1 + math.exp(-2 * at)) ** -0.5, (1 + math.exp(2 * at)) ** -0.5)
                 for i, at in enumerate(lambdas))


def bent_denoiser(x_t, level):
    """Return something smooth that depends on the chunk and the level, within [-1, 1]."""
    return torch.tanh(1.5 * x_t + level.timestep / 50)


@pytest.mark.parametrize('sampler, order', [
    (Sampler('ddim'), 1), (Sampler('dpm_solver++', order=1), 1), (Sampler('dpm_solver++'), 2)])
def test_solver_converges_to_the_exact_flow_with_its_order(sampler, order):
    x = torch.linspace(-3, 3, 48, dtype=torch.float64).view(1, 16, 3)
    errors = []
    for count in (32, 64, 128, 256):
        levels = levels_even_in_lambda(count)
        end = sample_chunk(exact_denoiser, x, levels, sampler)
        errors.append(float((end - exact_flow(x, levels[0], levels[-1])).abs().max()))
    rates = [math.log2(coarse / fine) for coarse, fine in zip(errors, errors[1:])]
    assert rates[-1] == pytest.approx(order, abs=0.15)
    assert errors[-1] < (2e-2 if order == 1 else 2e-4)


@pytest.mark.parametrize('sampler, count', [
    (Sampler('ddim', 100), 100), (Sampler('dpm_solver++', 99, order=1), 100),
    (Sampler('dpm_solver++', 99), 100), (Sampler('dpm_solver++', 20), 100),
    (Sampler('ddim', 100, eta=0.5), 100), (Sampler('ddpm', 800), 800)])
def test_samples_of_gaussian_data_have_its_mean_and_deviation(sampler, count):
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(20000, 1, 1, generator=generator)
    levels = inference_levels(NoiseSchedule(count), sampler)
    chunk = sample_chunk(exact_denoiser, noise, levels, sampler, generator=generator)
    assert float(chunk.mean()) == pytest.approx(MEAN, abs=0.01)
    assert float(chunk.std()) == pytest.approx(STD, abs=0.01)


@pytest.mark.parametrize('sampler', EVERY_SAMPLER)
def test_every_sampler_keeps_shape_and_dtype_and_is_reproducible(sampler):
    levels = inference_levels(NoiseSchedule(), sampler)
    chunks = []
    for seed in (3, 3, 4):
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(2, 16, 3, generator=generator)
        chunks.append(sample_chunk(bent_denoiser, noise, levels, sampler, generator=generator))
    assert chunks[0].shape == (2, 16, 3) and chunks[0].dtype == torch.float32
    assert torch.isfinite(chunks[0]).all()
    assert torch.equal(chunks[0], chunks[1])
    assert not torch.equal(chunks[0], chunks[2])


@pytest.mark.parametrize('sampler', EVERY_SAMPLER)
def test_every_sampler_starts_noisiest_and_calls_the_denoiser_once_per_step(sampler):
    seen = []

    def denoiser(x_t, level):
        seen.append(level.timestep)
        return bent_denoiser(x_t, level)

    levels = inference_levels(NoiseSchedule(), sampler)
    end = sample_chunk(denoiser, torch.randn(1, 16, 2), levels, sampler)
    assert len(seen) == sampler.num_inference_steps
    assert seen[0] == (98 if sampler.solver == 'dpm_solver++' else 99)
    assert seen == sorted(seen, reverse=True)
    assert levels[-1] == CLEAN
    assert end.abs().max() <= 1  # The chunk ends at a prediction, and those are within 1.


@given(steps=st.integers(1, 300), count=st.integers(1, 300),
       solver=st.sampled_from(('dpm_solver++', 'ddim', 'ddpm')),
       spacing=st.sampled_from(('trailing', 'linspace')))
@settings(max_examples=150, deadline=None)
def test_levels_are_distinct_falling_and_usable_or_refused(steps, count, solver, spacing):
    schedule, sampler = NoiseSchedule(count), Sampler(solver, steps, spacing=spacing)
    usable = sum(schedule.level(t).lambda_t >= -5.1 for t in range(count))
    usable = usable if solver == 'dpm_solver++' else count
    if steps > usable:
        with pytest.raises(ConfigError, match=f'num_inference_steps is {steps}; .* has {usable} '):
            inference_levels(schedule, sampler)
        return
    timesteps = [level.timestep for level in inference_levels(schedule, sampler)]
    assert len(timesteps) == steps + 1 and timesteps[0] == usable - 1
    assert all(a > b for a, b in zip(timesteps, timesteps[1:]))


def test_one_step_gives_the_prediction_at_the_noisiest_level():
    noise = torch.randn(1, 16, 2)
    for solver, first in (('dpm_solver++', 98), ('ddim', 99), ('ddpm', 99)):
        sampler = Sampler(solver, 1)
        schedule = NoiseSchedule()
        chunk = sample_chunk(bent_denoiser, noise, inference_levels(schedule, sampler), sampler)
        assert torch.equal(chunk, bent_denoiser(noise, schedule.level(first)))


def test_first_order_solver_is_ddim():
    levels = inference_levels(NoiseSchedule(), Sampler(order=1))
    noise = torch.randn(1, 16, 2, dtype=torch.float64)
    torch.testing.assert_close(sample_chunk(bent_denoiser, noise, levels, Sampler(order=1)),
                               sample_chunk(bent_denoiser, noise, levels, Sampler('ddim')))


@pytest.mark.parametrize('changes, message', [
    ({'solver': 'euler'}, "solver is 'euler'; choose one of: dpm_solver"),
    ({'num_inference_steps': 0}, 'num_inference_steps is 0'),
    ({'num_inference_steps': 2.0}, 'num_inference_steps is 2.0'),
    ({'order': 3}, 'order is 3'), ({'spacing': 'leading'}, "spacing is 'leading'"),
    ({'solver': 'ddim', 'eta': 1.5}, 'eta is 1.5'), ({'eta': 0.5}, 'only with ddim'),
    ({'eta': 'much'}, "eta is 'much'")])
def test_sampler_refuses_what_it_cannot_do(changes, message):
    with pytest.raises(ConfigError, match=message):
        Sampler(**changes)


def run_diffusers(scheduler, noise, timesteps, **step_options):
    """Run a diffusers scheduler on given timesteps, from the same denoiser."""
    scheduler.set_timesteps(len(timesteps))
    scheduler.timesteps = torch.tensor(timesteps)
    x = noise
    for t in timesteps:
        x0_hat = bent_denoiser(x, Level(t, 0.0, 0.0))
        x = scheduler.step(x0_hat, t, x, **step_options).prev_sample
    return x


@pytest.mark.parametrize('beta_schedule', ('linear', 'squaredcos_cap_v2'))
@pytest.mark.parametrize('steps', (1, 5, 10, 20, 50, 100))
def test_ddim_equals_diffusers(beta_schedule, steps):
    diffusers = pytest.importorskip('diffusers')
    scheduler = diffusers.DDIMScheduler(
        100, beta_schedule=beta_schedule, prediction_type='sample', clip_sample=True,
        timestep_spacing='trailing')
    sampler = Sampler('ddim', steps)
    levels = inference_levels(NoiseSchedule(100, beta_schedule), sampler)
    timesteps = [level.timestep for level in levels[:-1]]
    scheduler.set_timesteps(steps)
    assert scheduler.timesteps.tolist() == timesteps
    noise = torch.randn(2, 16, 3, generator=torch.Generator().manual_seed(0))
    theirs = run_diffusers(scheduler, noise, timesteps, use_clipped_model_output=True)
    ours = sample_chunk(bent_denoiser, noise, levels, sampler)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_ddpm_equals_diffusers_with_the_same_noise():
    diffusers = pytest.importorskip('diffusers')
    scheduler = diffusers.DDPMScheduler(
        100, beta_schedule='squaredcos_cap_v2', prediction_type='sample', clip_sample=True,
        variance_type='fixed_small')
    sampler = Sampler('ddpm', 100)
    levels = inference_levels(NoiseSchedule(), sampler)
    noise = torch.randn(2, 16, 3, generator=torch.Generator().manual_seed(0))
    theirs = run_diffusers(scheduler, noise, [level.timestep for level in levels[:-1]],
                           generator=torch.Generator().manual_seed(7))
    ours = sample_chunk(bent_denoiser, noise, levels, sampler,
                        generator=torch.Generator().manual_seed(7))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('order', (1, 2))
@pytest.mark.parametrize('steps', (1, 2, 5, 10, 30))
def test_dpm_solver_equals_diffusers(order, steps):
    diffusers = pytest.importorskip('diffusers')
    scheduler = diffusers.DPMSolverMultistepScheduler(
        100, beta_schedule='squaredcos_cap_v2', prediction_type='sample', solver_order=order,
        algorithm_type='dpmsolver++', final_sigmas_type='zero', lambda_min_clipped=-5.1)
    sampler = Sampler('dpm_solver++', steps, order=order)
    levels = inference_levels(NoiseSchedule(), sampler)
    timesteps = [level.timestep for level in levels[:-1]]
    scheduler.set_timesteps(timesteps=timesteps)
    assert scheduler.timesteps.tolist() == timesteps
    noise = torch.randn(2, 16, 3, generator=torch.Generator().manual_seed(0))
    x = noise
    for t in timesteps:
        x = scheduler.step(bent_denoiser(x, Level(t, 0.0, 0.0)), t, x).prev_sample
    ours = sample_chunk(bent_denoiser, noise, levels, sampler)
    torch.testing.assert_close(ours, x, rtol=1e-3, atol=1e-3)

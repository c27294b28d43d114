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

"""UniPC against diffusers, and its order with and against the exact flow."""

import math

from diffusion_policy_ros.diffusion import (
    DiscreteVp, inference_levels, integrate, Level, Sampler)
import pytest
import torch

MEAN, STD = 0.3, 0.4


def bent_denoiser(x_t, level):
    """Return something smooth that depends on the chunk and the level."""
    return torch.tanh(1.5 * x_t + level.timestep / 50)


def exact_denoiser(x_t, level):
    """Return the expectation of clean data from N(MEAN, STD ** 2)."""
    gain = level.alpha * STD ** 2 / ((level.alpha * STD) ** 2 + level.sigma ** 2)
    return MEAN + gain * (x_t - level.alpha * MEAN)


def exact_flow(x_t, level, next_level):
    """Return where the probability-flow ODE takes data from N(MEAN, STD ** 2)."""
    before, after = (math.hypot(at.alpha * STD, at.sigma) for at in (level, next_level))
    return next_level.alpha * MEAN + after / before * (x_t - level.alpha * MEAN)


@pytest.mark.parametrize('order', (1, 2, 3))
@pytest.mark.parametrize('steps', (1, 2, 5, 8, 20))
@pytest.mark.parametrize('spacing', ('trailing', 'linspace'))
def test_unipc_equals_diffusers(order, steps, spacing):
    diffusers = pytest.importorskip('diffusers')
    scheduler = diffusers.UniPCMultistepScheduler(
        100, beta_schedule='squaredcos_cap_v2', prediction_type='sample', solver_order=order,
        solver_type='bh2', final_sigmas_type='zero', lower_order_final=True)
    sampler, process = Sampler('unipc', steps, order=order, spacing=spacing), DiscreteVp()
    levels = inference_levels(process, sampler)
    scheduler.set_timesteps(steps)
    scheduler.timesteps = torch.tensor([level.timestep for level in levels[:-1]])
    scheduler.sigmas = torch.tensor([level.sigma / level.alpha for level in levels],
                                    dtype=torch.float64)
    noise = torch.randn(2, 16, 3, generator=torch.Generator().manual_seed(0),
                        dtype=torch.float64)
    theirs = noise
    for t in scheduler.timesteps.tolist():
        x0_hat = bent_denoiser(theirs, Level(t, 0.0, 0.0))
        theirs = scheduler.step(x0_hat, t, theirs).prev_sample
    solution = integrate(bent_denoiser, noise, levels, process, sampler)
    torch.testing.assert_close(solution.x, theirs, rtol=1e-10, atol=1e-10)
    assert solution.evaluations == steps


@pytest.mark.parametrize('order', (1, 2, 3))
def test_the_corrector_raises_the_order_by_one(order):
    """Theorem 3.1 of Zhao et al. 2023."""
    process = DiscreteVp(1000, 'linear')
    noise = torch.linspace(-3, 3, 48, dtype=torch.float64).view(1, 16, 3)
    sampler, errors = Sampler('unipc', order=order), []
    for count in (64, 128, 256):
        levels = tuple(process.level_at(-3 + 5 * k / count) for k in range(count + 1))
        end = integrate(exact_denoiser, noise, levels, process, sampler).x
        errors.append(float((end - exact_flow(noise, levels[0], levels[-1])).abs().max()))
    slopes = [math.log2(coarse / fine) for coarse, fine in zip(errors, errors[1:])]
    assert slopes[-1] == pytest.approx(order + 1, abs=0.3)

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

from diffusion_policy_ros.diffusion import DiscreteVp, inference_levels, integrate, Sampler
import pytest
import torch


@pytest.mark.parametrize('order', (1, 2, 3))
@pytest.mark.parametrize('steps', (1, 2, 5, 8, 20))
@pytest.mark.parametrize('spacing', ('trailing', 'linspace'))
def test_unipc_equals_diffusers(order, steps, spacing, bent):
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
        x0_hat = bent(theirs, process.level(t))
        theirs = scheduler.step(x0_hat, t, theirs).prev_sample
    solution = integrate(bent, noise, levels, process, sampler)
    torch.testing.assert_close(solution.x, theirs, rtol=1e-10, atol=1e-10)
    assert solution.evaluations == steps


@pytest.mark.parametrize('order', (1, 2, 3))
def test_the_corrector_raises_the_order_by_one(order, line_gaussian):
    """Theorem 3.1 of Zhao et al. 2023."""
    process = DiscreteVp(1000, 'linear')
    noise = torch.linspace(-3, 3, 48, dtype=torch.float64).view(1, 48, 1)
    sampler, errors = Sampler('unipc', order=order), []
    for count in (64, 128, 256):
        levels = tuple(process.level_at(-3 + 5 * k / count) for k in range(count + 1))
        end = integrate(line_gaussian.denoise, noise, levels, process, sampler).x
        errors.append(float((end - line_gaussian.flow(noise, levels[0], levels[-1])).abs().max()))
    slopes = [math.log2(coarse / fine) for coarse, fine in zip(errors, errors[1:])]
    assert slopes[-1] == pytest.approx(order + 1, abs=0.3)

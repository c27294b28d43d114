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

"""
The adaptive solver: DPM-Solver-23, whose steps keep an estimated error below a tolerance.

After Lu et al. 2022 (arXiv:2206.00927): every step is taken with order 2 and 3, which share their
first two denoiser calls, and the entry in which the two differ most counts as the error.
Every chunk of a batch has steps of its own, so that no chunk depends on its neighbours.
"""

from typing import NamedTuple

from diffusion_policy_ros.diffusion.prediction import noise_from_clean
from diffusion_policy_ros.diffusion.solvers.dpm_solver import (
    inner_noise, R_OF_ORDER_3, second_order, third_order)
from diffusion_policy_ros.diffusion.solvers.solver import ends_clean, Interval, Solver
from diffusion_policy_ros.errors import SamplingError
import torch

FIRST_STEP = 0.05
SAFETY = 0.9
LARGEST_GROWTH = 2.0
CALLS_PER_STEP = 3
# How close to the end, in lambda, counts as there.
CLOSE = 1e-5


class Progress(NamedTuple):
    """
    What was spent and how exact it is.

    :ivar calls: Denoiser calls so far.
    :ivar error: Largest error of the accepted steps so far, relative to the tolerance, (B, 1, 1).
    """

    calls: int
    error: torch.Tensor


@ends_clean
def _step(denoise, x, interval, state, draw, sampler):
    """Cross an interval in as many steps as its error asks for."""
    del draw
    start, end = interval.start, interval.end
    shape = (len(x), *[1] * (x.dim() - 1))
    lambdas = torch.full(shape, start.lambda_t, dtype=torch.float64, device=x.device)
    steps = torch.full_like(lambdas, FIRST_STEP).clamp(max=interval.step)
    state = state or Progress(0, torch.zeros(shape, dtype=x.dtype, device=x.device))
    before = x
    while (lambdas < end.lambda_t - CLOSE).any():
        if state.calls + CALLS_PER_STEP + 1 > sampler.max_evaluations:
            raise SamplingError(
                f'the adaptive solver needs more than max_evaluations = {sampler.max_evaluations} '
                f'denoiser calls for rtol {sampler.rtol:g} and atol {sampler.atol:g}; it came to '
                f'lambda {float(lambdas.min()):.2f} of {end.lambda_t:.2f}. Raise one of them')
        ends = torch.minimum(lambdas + steps, torch.full_like(lambdas, end.lambda_t))
        x, before, lambdas, steps, error = _try(denoise, x, before, lambdas, ends, steps,
                                                interval, sampler)
        state = Progress(state.calls + CALLS_PER_STEP, torch.maximum(state.error, error))
    return x, state


def _try(denoise, x, before, lambdas, ends, steps, interval, sampler):
    """Try one step for every chunk; those whose error is too large stay where they are."""
    moving = lambdas < interval.end.lambda_t - CLOSE
    # Chunks that have arrived take part in the batch from a place where a step has a length.
    begins = torch.where(moving, lambdas, interval.end.lambda_t - FIRST_STEP)
    low, high = _pair(denoise, x, begins.to(x.dtype), ends.to(x.dtype), interval.level_at)
    scale = torch.maximum(low.abs(), before.abs()).mul(sampler.rtol).clamp(min=sampler.atol)
    error = ((low - high) / scale).abs().flatten(1).amax(1).view_as(lambdas)
    if not torch.isfinite(error[moving]).all():
        raise SamplingError('the denoiser predicted a chunk that is not finite')
    accepted = moving & (error <= 1)
    growth = SAFETY * error.clamp(min=1e-12).pow(-1 / 3)
    steps = torch.where(moving, (ends - lambdas) * growth.clamp(max=LARGEST_GROWTH), steps)
    return (torch.where(accepted, high, x), torch.where(accepted, low, before),
            torch.where(accepted, ends, lambdas), steps,
            torch.where(accepted, error, 0.0).to(x.dtype))


def _pair(denoise, x, lambdas, ends, level_at):
    """Take a step with order 2 and 3."""
    part = Interval(level_at(lambdas), level_at(ends), 3, level_at)
    eps = noise_from_clean(x, denoise(x, part.start), part.start)
    eps_inner = inner_noise(denoise, x, eps, part, R_OF_ORDER_3[0])
    return (second_order(x, eps, eps_inner, R_OF_ORDER_3[0], part.start, part.end),
            third_order(denoise, x, eps, eps_inner, part))


ADAPTIVE = Solver(_step, orders=(3,), default_order=3, is_adaptive=True)

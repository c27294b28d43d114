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
The probability-flow ODE, which carries every chunk to one latent and back.

In ``y = x / alpha`` and ``rho = sigma / alpha`` it is ``dy / drho = eps_hat(y, rho)`` for every
process (Eq. 4 of Karras et al. 2022, arXiv:2206.00364). It starts and ends at noisy levels, never
at clean data, so that either direction undoes the other.
"""

import math

from diffusion_policy_ros.checks import is_count, shown
from diffusion_policy_ros.diffusion.sampler import Sampler
from diffusion_policy_ros.diffusion.sampling import integrate
from diffusion_policy_ros.diffusion.solvers.runge_kutta import RK4_TABLEAU
from diffusion_policy_ros.errors import ConfigError
import torch

RK4 = Sampler('rk4')


def flow_levels(process, steps) -> tuple:
    """
    Return levels from the least to the most noisy one, even in lambda.

    :param process: Process of the training.
    :param steps: Steps between them, at least 1.
    :return: Tuple of ``steps + 1`` Levels.
    :raises ConfigError: if ``steps`` is no such number.
    """
    if not is_count(steps):
        raise ConfigError(f'steps is {shown(steps)}; it must be a whole number, at least 1')
    first, last = process.level(process.t_min), process.level(process.t_max)
    slope = (last.lambda_t - first.lambda_t) / steps
    inner = [process.level_at(first.lambda_t + k * slope) for k in range(1, steps)]
    return (first, *inner, last)


def follow_flow(denoiser, x, levels, process):
    """
    Carry a chunk through given levels, one RK4 step between each two.

    :param denoiser: Callable ``(x_t, level) -> x0_hat``, not clipped.
    :param x: Chunk at the first level, float (B, horizon, action_dim).
    :param levels: Tuple of Levels, none of them clean, in either direction.
    :param process: Process that the levels belong to.
    :return: Chunk at the last level, shaped like ``x``.
    :raises SamplingError: if a value is not finite.
    """
    return integrate(denoiser, x, levels, process, RK4).x


def follow_flow_with_volume(denoiser, x, levels, process, directions):
    """
    Carry a chunk through given levels, and tell how the flow stretches space around it.

    The logarithm of the volume is the integral of the divergence ``tr(d eps_hat / dy)`` over rho
    (Eq. 39 of Song et al. 2021, arXiv:2011.13456; Chen et al. 2018, arXiv:1806.07366, Eq. 8).
    It is summed by the rule that carries the chunk: RK4 calls the denoiser at its stages in
    order, and the divergence there is weighted as the slope is.

    :param denoiser: As for ``follow_flow``, and differentiable by torch.
    :param x: As for ``follow_flow``.
    :param levels: As for ``follow_flow``.
    :param process: As for ``follow_flow``.
    :param directions: Tensor (K, B, horizon, action_dim) with ``sum_k v_k v_k^T = 1``, exactly or
        in expectation: the trace of J is ``sum_k v_k^T J v_k``.
    :return: Chunk at the last level, shaped like ``x``, and the log volume of y, (B,).
    :raises ConfigError: if no gradient runs from the denoiser's result to its argument.
    :raises SamplingError: if a value is not finite.
    """
    divergences = []

    def denoise(x_t, level):
        x0_hat, trace = _with_trace(denoiser, x_t, level, directions)
        dimensions = math.prod(x_t.shape[1:])
        divergences.append((dimensions - level.alpha * trace) * (level.alpha / level.sigma))
        return x0_hat

    end = follow_flow(denoise, x.detach(), levels, process)
    rhos = x.new_tensor([level.sigma / level.alpha for level in levels])
    slopes = torch.stack(divergences).unflatten(0, (-1, len(RK4_TABLEAU.weights)))
    return end, torch.einsum('s,r,srb->b', rhos.diff(), x.new_tensor(RK4_TABLEAU.weights), slopes)


def _with_trace(denoiser, x_t, level, directions):
    """Return x0_hat and the trace of ``d x0_hat / d x_t`` of every chunk, (B,)."""
    with torch.enable_grad():
        x_t = x_t.detach().requires_grad_()
        x0_hat = denoiser(x_t, level)
    if not x0_hat.requires_grad or torch.is_inference_mode_enabled():
        raise ConfigError('no gradient runs through the denoiser, so the flow has no volume; call '
                          'this outside torch.inference_mode, with a denoiser that torch can '
                          'differentiate')
    trace = 0
    # Chunks of a batch do not depend on each other: one pass backward serves all of them.
    for direction in directions:
        gradient, = torch.autograd.grad(x0_hat, x_t, direction, retain_graph=True)
        trace = trace + (gradient * direction).flatten(1).sum(1)
    return x0_hat.detach(), trace

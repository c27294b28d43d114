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
DPM-Solver++: exponential integrators in the data prediction, for the ODE and for the SDE.

Lu et al. 2022 (arXiv:2211.01095); the solution of the ODE is its Eq. 8. With ``h`` the
step in lambda, the clean prediction is expanded around the start of the step; its derivatives
come from the steps before (multistep) or from an inner stage (singlestep 2S).
"""

import math
from typing import NamedTuple

from diffusion_policy_ros.diffusion.solvers.solver import ends_clean, Solver
import torch

R_OF_2S = 1 / 2


class Past(NamedTuple):
    """
    A prediction that a multistep solver remembers.

    :ivar x0_hat: Clean chunk predicted there.
    :ivar lambda_t: Where that was.
    """

    x0_hat: torch.Tensor
    lambda_t: float


def data_step(x, x0_hat, start, end):
    """
    Take a step of order 1 (DDIM): ``sigma_end / sigma_start x - alpha_end (e^-h - 1) x0_hat``.

    :param x: Noisy chunk at ``start``, float (B, horizon, action_dim), normalized units.
    :param x0_hat: Clean chunk to move to, shaped like ``x``.
    :param start: Level to start from.
    :param end: Level to go to, not clean.
    :return: Chunk at ``end``, shaped like ``x``.
    """
    weight = -end.alpha * math.expm1(start.lambda_t - end.lambda_t)
    return end.sigma / start.sigma * x + weight * x0_hat


def derivatives(x0_hat, past, interval):
    """
    Return divided differences of the prediction at the start of a step.

    :param x0_hat: Prediction there, float (B, horizon, action_dim).
    :param past: Tuple of Past, newest first.
    :param interval: The step.
    :return: ``[D1]`` or ``[D1, D2]``, as many as order and memory allow: the first derivative
        times h and half the second times h squared, each shaped like ``x0_hat``.
    """
    known = min(interval.order - 1, len(past))
    if known == 0:
        return []
    r0 = (interval.start.lambda_t - past[0].lambda_t) / interval.step
    first = (x0_hat - past[0].x0_hat) / r0
    if known == 1:
        return [first]
    r1 = (past[0].lambda_t - past[1].lambda_t) / interval.step
    before = (past[0].x0_hat - past[1].x0_hat) / r1
    bend = (first - before) / (r0 + r1)
    return [first + r0 * bend, bend]


def _remembered(x0_hat, interval, past):
    """Return the memory for the next step."""
    return (Past(x0_hat, interval.start.lambda_t), *past)[:2]


@ends_clean
def _multistep(denoise, x, interval, state, draw, sampler):
    """Take a step of order 1, 2 (2M, algorithm 2) or 3 (3M)."""
    del draw, sampler
    start, end, past = interval.start, interval.end, state or ()
    x0_hat = denoise(x, start)
    h, next_state = interval.step, _remembered(x0_hat, interval, past)
    found = derivatives(x0_hat, past, interval)
    result = data_step(x, x0_hat, start, end)
    if len(found) == 1:
        result = result - (0.5 * end.alpha * math.expm1(-h)) * found[0]
    elif found:
        # The expansion weighs h^2 times the second derivative, of which found[1] is half.
        result = (result + (end.alpha * (math.expm1(-h) / h + 1)) * found[0]
                  - (2 * end.alpha * ((math.expm1(-h) + h) / h ** 2 - 0.5)) * found[1])
    return result, next_state


@ends_clean
def _singlestep(denoise, x, interval, state, draw, sampler):
    """Take a step of order 1 or 2 (2S, algorithm 1)."""
    del draw, sampler
    start, end = interval.start, interval.end
    x0_hat = denoise(x, start)
    if interval.order == 1:
        return data_step(x, x0_hat, start, end), state
    at = interval.inner(R_OF_2S)
    x0_inner = denoise(data_step(x, x0_hat, start, at), at)
    x0_mixed = x0_hat + (x0_inner - x0_hat) / (2 * R_OF_2S)
    return data_step(x, x0_mixed, start, end), state


@ends_clean
def _sde_multistep(denoise, x, interval, state, draw, sampler):
    """Take a step of SDE-DPM-Solver++ of order 1 or 2 (2M)."""
    del sampler
    start, end, past = interval.start, interval.end, state or ()
    x0_hat = denoise(x, start)
    kept = math.exp(-interval.step)
    lost = -math.expm1(-2 * interval.step)
    result = end.sigma / start.sigma * kept * x + end.alpha * lost * x0_hat
    for derivative in derivatives(x0_hat, past, interval):
        result = result + 0.5 * end.alpha * lost * derivative
    return (result + end.sigma * math.sqrt(lost) * draw(),
            _remembered(x0_hat, interval, past))


DPM_SOLVER_PP = Solver(_multistep, orders=(1, 2, 3), default_order=2)
DPM_SOLVER_PP_SINGLESTEP = Solver(_singlestep, orders=(1, 2), default_order=2,
                                  calls=lambda sampler: sampler.order)
SDE_DPM_SOLVER_PP = Solver(_sde_multistep, orders=(1, 2), default_order=2,
                           is_stochastic=lambda sampler: True)

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
DPM-Solver: single steps of order 1, 2 and 3 in the noise prediction.

Lu et al. 2022 (arXiv:2206.00927), Eq. 3.7 and algorithms 1 and 2. The linear part of the ODE is
solved exactly and eps_hat is expanded in lambda; each step stands alone.
"""

import math

from diffusion_policy_ros.diffusion.prediction import noise_from_clean
from diffusion_policy_ros.diffusion.solvers.solver import ends_clean, Solver
import torch

# Where the inner stages of orders 2 and 3 lie, as shares of the step in lambda.
R_OF_ORDER_2 = 1 / 2
R_OF_ORDER_3 = (1 / 3, 2 / 3)


def first_order(x, eps, start, end):
    """
    Take a step of order 1, which is DDIM.

    :param x: Noisy chunk at ``start``, float (B, horizon, action_dim), normalized units.
    :param eps: eps_hat there, shaped like ``x``.
    :param start: Level to start from.
    :param end: Level to go to, not clean.
    :return: Chunk at ``end``, shaped like ``x``.
    """
    step = end.lambda_t - start.lambda_t
    return end.alpha / start.alpha * x - end.sigma * expm1(step) * eps


def second_order(x, eps, eps_inner, ratio, start, end):
    """
    Take a step of order 2 from slopes at the start and at one inner level.

    With ``ratio`` 1/2 it is algorithm 1.

    :param x: Noisy chunk at ``start``.
    :param eps: eps_hat there.
    :param eps_inner: eps_hat at the inner level.
    :param ratio: Where that lies, as a share of the step in lambda.
    :param start: Level to start from.
    :param end: Level to go to, not clean.
    :return: Chunk at ``end``, shaped like ``x``.
    """
    weight = end.sigma * expm1(end.lambda_t - start.lambda_t) / (2 * ratio)
    return first_order(x, eps, start, end) - weight * (eps_inner - eps)


def third_order(denoise, x, eps, eps_inner, interval):
    """
    Take a step of order 3 (algorithm 2) from slopes at the start and at a third of the step.

    :param denoise: Callable ``(x_t, level) -> x0_hat``, called once.
    :param x: Noisy chunk at the start.
    :param eps: eps_hat there.
    :param eps_inner: eps_hat at the first inner level, ``R_OF_ORDER_3[0]``.
    :param interval: Interval to cross; its end is not clean.
    :return: Chunk at the end, shaped like ``x``.
    """
    start, end, step = interval.start, interval.end, interval.step
    r1, r2 = R_OF_ORDER_3
    at = interval.inner(r2)
    bend = at.sigma * r2 / r1 * (expm1(r2 * step) / (r2 * step) - 1)
    x_inner = first_order(x, eps, start, at) - bend * (eps_inner - eps)
    eps_outer = noise_from_clean(x_inner, denoise(x_inner, at), at)
    weight = end.sigma / r2 * (expm1(step) / step - 1)
    return first_order(x, eps, start, end) - weight * (eps_outer - eps)


def inner_noise(denoise, x, eps, interval, ratio):
    """
    Predict the noise at an inner level, reached by a step of order 1.

    :param denoise: Callable ``(x_t, level) -> x0_hat``, called once.
    :param x: Noisy chunk at the start.
    :param eps: eps_hat there.
    :param interval: The whole step.
    :param ratio: Where the inner level lies, as a share of the step in lambda.
    :return: eps_hat there, shaped like ``x``.
    """
    at = interval.inner(ratio)
    x_inner = first_order(x, eps, interval.start, at)
    return noise_from_clean(x_inner, denoise(x_inner, at), at)


def expm1(value):
    """Return ``exp(value) - 1`` of a number or a tensor."""
    return torch.expm1(value) if isinstance(value, torch.Tensor) else math.expm1(value)


@ends_clean
def _step(denoise, x, interval, state, draw, sampler):
    """Take a step of the order that is asked for."""
    del draw, sampler
    start, end = interval.start, interval.end
    eps = noise_from_clean(x, denoise(x, start), start)
    if interval.order == 1:
        return first_order(x, eps, start, end), state
    ratio = R_OF_ORDER_2 if interval.order == 2 else R_OF_ORDER_3[0]
    eps_inner = inner_noise(denoise, x, eps, interval, ratio)
    if interval.order == 2:
        return second_order(x, eps, eps_inner, ratio, start, end), state
    return third_order(denoise, x, eps, eps_inner, interval), state


DPM_SOLVER = Solver(_step, orders=(1, 2, 3), default_order=2,
                    calls=lambda sampler: sampler.order)

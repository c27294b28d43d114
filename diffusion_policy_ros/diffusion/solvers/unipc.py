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
UniPC: a multistep predictor, and a corrector that needs no denoiser call of its own.

Zhao et al. 2023 (arXiv:2302.04867), data prediction with ``B(h) = e^h - 1``: the prediction at
the start of a step first corrects how the chunk came there (UniC, algorithm 1), then predicts the
chunk at the end (UniP, algorithm 2).
"""

from functools import lru_cache
import math
from typing import NamedTuple

from diffusion_policy_ros.diffusion.level import Level
from diffusion_policy_ros.diffusion.solvers.dpm_solver_pp import data_step, Past
from diffusion_policy_ros.diffusion.solvers.solver import ends_clean, Solver
import torch


class Memory(NamedTuple):
    """
    What the solver remembers.

    :ivar x: Corrected chunk at the start of the step before.
    :ivar level: Level there.
    :ivar order: Order with which the step from there was taken.
    :ivar past: Tuple of Past, newest first; the first is at ``level``.
    """

    x: torch.Tensor
    level: Level
    order: int
    past: tuple


@ends_clean
def _step(denoise, x, interval, state, draw, sampler):
    """Correct the chunk at the start, then predict it at the end."""
    del draw, sampler
    start, end = interval.start, interval.end
    x0_hat = denoise(x, start)
    newest, past = Past(x0_hat, start.lambda_t), state.past if state else ()
    if state:
        x = _unified(state.x, state.level, start, past[:state.order], newest)
    past = (newest, *past)[:3]
    order = min(interval.order, len(past))
    return _unified(x, start, end, past[:order]), Memory(x, start, order, past)


def _unified(x, start, end, past, newest=None):
    """
    Take the step of UniP, or of UniC where a prediction at the end is known.

    :param x: Chunk at ``start``.
    :param start: Level to start from.
    :param end: Level to go to, not clean.
    :param past: Tuple of Past, newest first; the first is at ``start``.
    :param newest: Past at ``end``, or None.
    :return: Chunk at ``end``.
    """
    step = end.lambda_t - start.lambda_t
    others = [*past[1:], *([newest] if newest else [])]
    result = data_step(x, past[0].x0_hat, start, end)
    if not others:
        return result
    places = tuple((other.lambda_t - start.lambda_t) / step for other in others)
    weights = _weights(places, -step)
    bend = sum(weight / place * (other.x0_hat - past[0].x0_hat)
               for weight, place, other in zip(weights, places, others))
    return result - end.alpha * math.expm1(-step) * bend


@lru_cache(maxsize=1024)  # every chunk asks for the same ones
def _weights(places, step):
    """Weigh differences so that low powers come out exactly; a single one weighs a half."""
    if len(places) == 1:
        return (0.5,)
    moments, phi = [], math.expm1(step) / step - 1
    for k in range(len(places)):
        moments.append(phi * math.factorial(k + 1) / math.expm1(step))
        phi = phi / step - 1 / math.factorial(k + 2)
    powers = torch.tensor([[place ** k for place in places] for k in range(len(places))],
                          dtype=torch.float64)
    weights = torch.linalg.solve(powers, torch.tensor(moments, dtype=torch.float64))
    return tuple(weights.tolist())


UNIPC = Solver(_step, orders=(1, 2, 3), default_order=2)

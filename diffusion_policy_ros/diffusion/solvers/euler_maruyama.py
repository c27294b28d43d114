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
Euler-Maruyama for the reverse-time SDE, alone and corrected by Langevin steps.

Song et al. 2021 (arXiv:2011.13456), Eq. 6, in ``y = x / alpha`` and ``rho = sigma / alpha``,
where every process is variance exploding and its drift is only the score:
``dy = -score d(rho^2) + sqrt(d(rho^2)) dw``.
"""

import math

from diffusion_policy_ros.diffusion.prediction import noise_from_clean
from diffusion_policy_ros.diffusion.solvers.solver import ends_clean, Solver


def euler_maruyama_step(x, x0_hat, start, end, noise):
    """
    Move a noisy chunk one step along the reverse-time SDE.

    :param x: Noisy chunk at ``start``, float (B, horizon, action_dim), normalized units.
    :param x0_hat: Predicted clean chunk, shaped like ``x``.
    :param start: Level to start from.
    :param end: The less noisy level to go to, not clean.
    :param noise: Standard normal, shaped like ``x``.
    :return: Chunk at ``end``, shaped like ``x``.
    """
    rho, rho_end = start.sigma / start.alpha, end.sigma / end.alpha
    variance = rho ** 2 - rho_end ** 2
    eps = noise_from_clean(x, x0_hat, start)
    return end.alpha * (x / start.alpha - variance / rho * eps + math.sqrt(variance) * noise)


def langevin_step(x, x0_hat, level, noise, snr):
    """
    Let a chunk relax towards the distribution of its own level.

    Algorithm 4 of Song et al. 2021, with step ``2 (snr sigma)^2``: the ratio of the norms of
    noise and score there is sigma in expectation, and a fixed step keeps the chunks of a batch
    independent and the chain an exact Langevin chain.

    :param x: Noisy chunk, float (B, horizon, action_dim), normalized units.
    :param x0_hat: Predicted clean chunk, shaped like ``x``.
    :param level: Level of ``x``, not clean.
    :param noise: Standard normal, shaped like ``x``.
    :param snr: Ratio of the drift's size to the noise's, above 0.
    :return: Chunk at the same level, shaped like ``x``.
    """
    size = 2 * (snr * level.sigma) ** 2
    score = (level.alpha * x0_hat - x) / level.sigma ** 2
    return x + size * score + math.sqrt(2 * size) * noise


@ends_clean
def _step(denoise, x, interval, state, draw, sampler):
    """Take one step."""
    del sampler
    x0_hat = denoise(x, interval.start)
    return euler_maruyama_step(x, x0_hat, interval.start, interval.end, draw()), state


@ends_clean
def _corrected_step(denoise, x, interval, state, draw, sampler):
    """Predict, then correct at the new level."""
    x, state = _step(denoise, x, interval, state, draw, sampler)
    for _ in range(sampler.corrector_steps):
        x = langevin_step(x, denoise(x, interval.end), interval.end, draw(),
                          sampler.corrector_snr)
    return x, state


EULER_MARUYAMA = Solver(_step, is_stochastic=lambda sampler: True)
PREDICTOR_CORRECTOR = Solver(_corrected_step, is_stochastic=lambda sampler: True,
                             calls=lambda sampler: 1 + sampler.corrector_steps)

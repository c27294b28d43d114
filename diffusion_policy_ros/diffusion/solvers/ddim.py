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

"""DDIM, which holds the ancestral sampling of DDPM as its most stochastic case."""

import math

from diffusion_policy_ros.diffusion.solvers.solver import ends_clean, Solver


def ddim_step(x_t, x0_hat, level, next_level, *, eta=0.0, noise=None, unclipped=None):
    """
    Move a noisy chunk one step towards the data.

    Eq. 12 of Song et al. 2021 (arXiv:2010.02502) with the noise scale of Eq. 16; eta 0 is the
    ODE step, eta 1 the ancestral step of DDPM (Ho et al. 2020, arXiv:2006.11239, Eq. 6-7). The
    variance is that of ``q(x_next | x_t, x_0)`` for any alpha and sigma, variance exploding ones
    too. The noise direction is taken from ``x0_hat``, so that a clipped ``x0_hat`` stays
    consistent, unless the direction of the unclipped one is asked for.

    :param x_t: Noisy chunk, float (B, horizon, action_dim), normalized units.
    :param x0_hat: Predicted clean chunk, shaped like ``x_t``.
    :param level: Level of ``x_t``; its sigma is above 0.
    :param next_level: The less noisy level to go to.
    :param eta: Share of fresh noise, in [0, 1].
    :param noise: Standard normal, shaped like ``x_t``; None is the ODE step.
    :param unclipped: Clean chunk to take the noise direction from; ``x0_hat`` when None.
    :return: Chunk at ``next_level``, shaped like ``x_t``.
    """
    fresh = 0.0
    if noise is not None and next_level.sigma > 0:
        ratio = level.alpha / next_level.alpha
        variance = level.sigma ** 2 - (ratio * next_level.sigma) ** 2
        fresh = eta * next_level.sigma / level.sigma * math.sqrt(max(variance, 0.0))
    direction = math.sqrt(max(next_level.sigma ** 2 - fresh ** 2, 0.0)) / level.sigma
    if unclipped is None:
        x = direction * x_t + (next_level.alpha - direction * level.alpha) * x0_hat
    else:
        x = next_level.alpha * x0_hat + direction * (x_t - level.alpha * unclipped)
    return x if fresh == 0.0 else x + fresh * noise


@ends_clean
def _ddim(denoise, x, interval, state, draw, sampler):
    """Take a DDIM step with the sampler's eta."""
    return _step(denoise, x, interval, draw, sampler.eta), state


@ends_clean
def _ddpm(denoise, x, interval, state, draw, sampler):
    """Take an ancestral step."""
    del sampler
    return _step(denoise, x, interval, draw, 1.0), state


@ends_clean
def _ddim_unclipped(denoise, x, interval, state, draw, sampler):
    """Take DDIM's ODE step as diffusers and LeRobot do, where clean chunks are clipped."""
    del draw, sampler
    start, end = interval.start, interval.end
    x0_hat, unclipped = denoise.both(x, start)
    return ddim_step(x, x0_hat, start, end, unclipped=unclipped), state


def _step(denoise, x, interval, draw, eta):
    """Draw noise only where it is used, so that a seed means one sequence."""
    start, end = interval.start, interval.end
    noise = draw() if eta > 0 else None
    return ddim_step(x, denoise(x, start), start, end, eta=eta, noise=noise)


DDIM = Solver(_ddim, is_stochastic=lambda sampler: sampler.eta > 0, clips_lambda=False)
DDIM_UNCLIPPED = Solver(_ddim_unclipped, clips_lambda=False)
DDPM = Solver(_ddpm, is_stochastic=lambda sampler: True, clips_lambda=False)

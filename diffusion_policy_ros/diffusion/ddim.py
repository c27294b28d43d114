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

"""The DDIM step, which holds DDPM as its most stochastic case."""

import math


def ddim_step(x_t, x0_hat, level, next_level, *, eta=0.0, noise=None):
    """
    Move a noisy chunk one step towards the data.

    Eq. 12 of Song et al. 2021 (arXiv:2010.02502) with the noise scale of Eq. 16; eta 0 is the
    ODE step, eta 1 the ancestral step of DDPM (Ho et al. 2020, arXiv:2006.11239, Eq. 6-7). The
    noise direction is taken from ``x0_hat``, so that a clipped ``x0_hat`` stays consistent.

    :param x_t: Noisy chunk, float (B, horizon, action_dim), normalized units.
    :param x0_hat: Predicted clean chunk, shaped like ``x_t``.
    :param level: Level of ``x_t``; its sigma is above 0.
    :param next_level: The less noisy level to go to.
    :param eta: Share of fresh noise, in [0, 1].
    :param noise: Standard normal, shaped like ``x_t``; None is the ODE step.
    :return: Chunk at ``next_level``, shaped like ``x_t``.
    """
    fresh = 0.0
    if noise is not None and next_level.sigma > 0:
        ratio = level.alpha / next_level.alpha
        variance = (next_level.sigma / level.sigma) ** 2 * (1 - ratio ** 2)
        fresh = eta * math.sqrt(variance)
    direction = math.sqrt(max(next_level.sigma ** 2 - fresh ** 2, 0.0)) / level.sigma
    x = direction * x_t + (next_level.alpha - direction * level.alpha) * x0_hat
    return x if fresh == 0.0 else x + fresh * noise

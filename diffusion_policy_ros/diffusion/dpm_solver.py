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

"""The DPM-Solver++ multistep solver for the probability-flow ODE."""

import math
from typing import NamedTuple

import torch


class MultistepState(NamedTuple):
    """
    What a multistep solver remembers of the step before.

    :ivar x0_hat: Clean chunk predicted there.
    :ivar step: Its step in lambda, above 0.
    """

    x0_hat: torch.Tensor
    step: float


def dpm_solver_pp_step(x_t, x0_hat, level, next_level, state=None):
    """
    Move a noisy chunk one step towards the data.

    Algorithm 2 (2M) of Lu et al. 2022 (arXiv:2211.01095), in the data prediction: with
    ``h = lambda_next - lambda`` and ``r = h_before / h``,
    ``x = sigma_next / sigma * x_t - alpha_next * (exp(-h) - 1) * D`` and
    ``D = (1 + 1 / (2 r)) * x0_hat - 1 / (2 r) * x0_hat_before``. Without a state, ``D`` is
    ``x0_hat``: first order, which is DDIM. On clean data the step ends at ``x0_hat`` exactly.

    :param x_t: Noisy chunk, float (B, horizon, action_dim), normalized units.
    :param x0_hat: Predicted clean chunk, shaped like ``x_t``.
    :param level: Level of ``x_t``; its sigma is above 0.
    :param next_level: The less noisy level to go to.
    :param state: MultistepState of the step before, or None.
    :return: (chunk at ``next_level``, state for the next step).
    """
    step = next_level.lambda_t - level.lambda_t
    next_state = MultistepState(x0_hat, step)
    if next_level.sigma == 0:
        return x0_hat, next_state
    weight = -next_level.alpha * math.expm1(-step)
    x = (next_level.sigma / level.sigma) * x_t
    if state is None:
        return x + weight * x0_hat, next_state
    extrapolation = step / (2 * state.step)
    x = x + (weight * (1 + extrapolation)) * x0_hat - (weight * extrapolation) * state.x0_hat
    return x, next_state

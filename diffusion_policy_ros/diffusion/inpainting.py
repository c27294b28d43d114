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
"""Chunks that agree with actions that are promised already: real-time chunking."""

import math

from diffusion_policy_ros.diffusion.prediction import ask_both
import torch


def promise_weights(frozen, end, rows):
    """
    Return how firmly each row of a chunk is promised.

    1 for the rows that will have been executed, then falling smoothly to 0 at the end of what is
    promised: ``c (e^c - 1) / (e - 1)`` with ``c = (end - i) / (end - frozen + 1)`` (Black et al.
    2025, arXiv:2506.07339, Eq. 5). The soft part is what makes the join continuous; with the
    frozen rows alone and few steps the free ones do not follow.

    :param frozen: Rows that will have been executed when the chunk arrives, at least 0.
    :param end: Number of promised rows; if at most ``frozen``, each of them weighs 1.
    :param rows: Rows of the chunk.
    :return: float32 (rows,), from 1 down to 0.
    """
    frozen, end = min(frozen, rows), min(end, rows)
    row = torch.arange(rows, dtype=torch.float64)
    c = ((end - row) / (max(end - frozen, 0) + 1)).clamp(0, 1)
    soft = torch.where(row < end, c * c.expm1() / math.expm1(1), 0.0)
    return torch.where(row < min(frozen, end), 1.0, soft).float()


class Inpainted:
    """
    A denoiser whose predictions agree with known values, as firmly as each is known.

    ``x0_hat' = x0_hat + w (known - x0_hat)`` at every evaluation, of any solver: with w = 1 the
    result is the known value, and the noisy chunk of the next step is consistent with it, because
    solvers take the direction of the noise from ``x0_hat'``. This is the correction of Black et
    al. 2025 (arXiv:2506.07339) with the Jacobian of the denoiser taken as the identity, as in
    He et al. 2023 (arXiv:2311.16424): no gradient is needed, and the coupling of the free rows to
    the known ones is left to the network, which sees them in the next step.
    """

    def __init__(self, denoiser, known, weights):
        """
        Wrap a denoiser.

        :param denoiser: Callable ``(x_t, level) -> x0_hat``.
        :param known: Clean values, float (B, horizon, action_dim), normalized units, finite also
            where nothing is known.
        :param weights: How firmly each is known, in [0, 1], broadcastable to ``known``; 0 where
            nothing is.
        """
        self._denoiser = denoiser
        self._known = known
        self._weights = weights

    def __call__(self, x_t, level):
        """
        Predict.

        :param x_t: Noisy chunk, float (B, horizon, action_dim), normalized units.
        :param level: Level.
        :return: Corrected x0_hat, shaped like ``x_t``.
        """
        return self.both(x_t, level)[0]

    def both(self, x_t, level):
        """
        Predict, and correct what was not clipped alike.

        :param x_t: As for a call.
        :param level: As for a call.
        :return: Corrected x0_hat, and the same of the unclipped one, each shaped like ``x_t``.
        """
        return tuple(torch.lerp(x0_hat, self._known, self._weights)
                     for x0_hat in ask_both(self._denoiser, x_t, level))

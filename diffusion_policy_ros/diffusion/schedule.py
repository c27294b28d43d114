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
The noise process, in the one notation of this package.

``x_t = alpha_t * x_0 + sigma_t * eps`` with ``alpha_t ** 2 + sigma_t ** 2 = 1`` and
``lambda_t = log(alpha_t / sigma_t)``; ``alphas_cumprod[t] = alpha_t ** 2``.
"""

from dataclasses import dataclass
from functools import lru_cache
import math
from typing import NamedTuple

from diffusion_policy_ros.checks import check_choice
from diffusion_policy_ros.choices import BETA_SCHEDULES
from diffusion_policy_ros.errors import ConfigError
import torch

COSINE_OFFSET = 0.008
COSINE_BETA_MAX = 0.999


class Level(NamedTuple):
    """
    One noise level.

    :ivar timestep: Index in the training process; -1 for clean data.
    :ivar alpha: Share of the data, in (0, 1].
    :ivar sigma: Share of the noise, in [0, 1).
    """

    timestep: int
    alpha: float
    sigma: float

    @property
    def lambda_t(self) -> float:
        """Return half the logarithm of the signal-to-noise ratio; infinite for clean data."""
        return math.log(self.alpha / self.sigma) if self.sigma > 0 else math.inf


CLEAN = Level(timestep=-1, alpha=1.0, sigma=0.0)


@dataclass(frozen=True)
class NoiseSchedule:
    """
    The variance-preserving process of training.

    Betas: ``linear`` and ``scaled_linear`` (linear in the root) as in Ho et al. 2020
    (arXiv:2006.11239, section 4) and Rombach et al. 2022; ``squaredcos_cap_v2`` is Eq. 17 of
    Nichol and Dhariwal 2021 (arXiv:2102.09672).

    :ivar num_train_timesteps: Number of noise levels.
    :ivar beta_schedule: One of ``BETA_SCHEDULES``.
    :ivar beta_start: First beta of the linear schedules, in (0, 1).
    :ivar beta_end: Last beta of the linear schedules, in [beta_start, 1).
    """

    num_train_timesteps: int = 100
    beta_schedule: str = 'squaredcos_cap_v2'
    beta_start: float = 0.0001
    beta_end: float = 0.02

    @property
    def betas(self) -> torch.Tensor:
        """Return the betas, float64 (num_train_timesteps,), noisier with the index."""
        return _betas(self)

    @property
    def alphas_cumprod(self) -> torch.Tensor:
        """Return ``alpha_t ** 2``, float64 (num_train_timesteps,), falling."""
        return _alphas_cumprod(self)

    def level(self, timestep) -> Level:
        """
        Return one noise level.

        :param timestep: Index in 0 .. num_train_timesteps - 1.
        """
        alpha_bar = float(self.alphas_cumprod[timestep])
        return Level(timestep, math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar))

    def coefficients(self, t, like):
        """
        Return alpha and sigma of every sample of a batch.

        :param t: int64 (B,), timesteps.
        :param like: Tensor (B, ...) whose dtype and device the result takes.
        :return: Two tensors (B, 1, ..., 1) that broadcast over ``like``.
        """
        alpha, sigma = _tables(self, like.device, like.dtype)
        shape = (-1,) + (1,) * (like.dim() - 1)
        return alpha[t].view(shape), sigma[t].view(shape)

    def add_noise(self, x0, noise, t):
        """
        Return ``x_t = alpha_t * x0 + sigma_t * noise``.

        :param x0: Clean chunk, float (B, horizon, action_dim), normalized units.
        :param noise: Standard normal, shaped like ``x0``.
        :param t: int64 (B,), timesteps.
        :return: Noisy chunk, shaped like ``x0``.
        """
        alpha, sigma = self.coefficients(t, x0)
        return alpha * x0 + sigma * noise


@lru_cache(maxsize=None)
def _betas(schedule):
    """Compute the betas once per schedule."""
    check_choice('beta_schedule', schedule.beta_schedule, BETA_SCHEDULES, ConfigError)
    count, start, end = schedule.num_train_timesteps, schedule.beta_start, schedule.beta_end
    if schedule.beta_schedule == 'linear':
        return torch.linspace(start, end, count, dtype=torch.float64)
    if schedule.beta_schedule == 'scaled_linear':
        return torch.linspace(start ** 0.5, end ** 0.5, count, dtype=torch.float64) ** 2
    time = torch.arange(count + 1, dtype=torch.float64) / count
    angle = (time + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2
    alpha_bar = torch.cos(angle) ** 2
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=COSINE_BETA_MAX)


@lru_cache(maxsize=None)
def _alphas_cumprod(schedule):
    """Compute the cumulated products once per schedule."""
    return torch.cumprod(1 - _betas(schedule), dim=0)


@lru_cache(maxsize=None)
def _tables(schedule, device, dtype):
    """Place alpha and sigma on a device once."""
    alpha_bar = _alphas_cumprod(schedule)
    return (alpha_bar.sqrt().to(device, dtype), (1 - alpha_bar).sqrt().to(device, dtype))

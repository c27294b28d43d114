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

"""Variance-preserving processes: ``alpha_t^2 + sigma_t^2 = 1``."""

from dataclasses import dataclass
from functools import lru_cache
import math

from diffusion_policy_ros.checks import check_choice, is_count, is_number
from diffusion_policy_ros.choices import BETA_SCHEDULES
from diffusion_policy_ros.diffusion.process import Process
from diffusion_policy_ros.errors import ConfigError
import torch

# Below this log(alpha) at the noisiest time float32 knows nothing of the data any more.
LOG_ALPHA_MIN = -50.0
COSINE_OFFSET = 0.008
COSINE_BETA_MAX = 0.999


class VariancePreserving(Process):
    """``dx = f(t) x dt + sqrt(-2 f(t)) dw`` with a ``f(t)`` below 0 that a subclass gives."""

    def diffusion(self, t):
        """Return ``g(t) = sqrt(-2 f(t))``, which keeps a variance of 1."""
        return (-2 * self.drift(t)).sqrt()

    def check_end(self):
        """
        Refuse a process at whose end nothing can be computed.

        :raises ConfigError: if ``log(alpha)`` there is below ``LOG_ALPHA_MIN``.
        """
        log_alpha = float(self.marginal(self.t_max)[0].log())
        if log_alpha < LOG_ALPHA_MIN:
            raise ConfigError(f'{self}: log(alpha) is {log_alpha:.3g} at its end, below '
                              f'{LOG_ALPHA_MIN:g}; take smaller betas')

    def prior_std(self, level) -> float:
        """Return 1: sampling starts from standard normal noise, whatever the level."""
        del level
        return 1.0


@dataclass(frozen=True)
class DiscreteVp(VariancePreserving):
    """
    The process of training: ``num_train_timesteps`` levels, ``alphas_cumprod[t] = alpha_t^2``.

    Betas: ``linear`` and ``scaled_linear`` (linear in the root) as in Ho et al. 2020
    (arXiv:2006.11239, section 4) and Rombach et al. 2022; ``squaredcos_cap_v2`` is Eq. 17 of
    Nichol and Dhariwal 2021 (arXiv:2102.09672). Between whole times ``log(alpha)`` is linear (as
    in the code of Lu et al. 2022, arXiv:2206.00927), down to clean data at time -1.

    :ivar num_train_timesteps: Number of noise levels.
    :ivar beta_schedule: One of ``BETA_SCHEDULES``.
    :ivar beta_start: First beta of the linear schedules, in (0, 1).
    :ivar beta_end: Last beta of the linear schedules, in [beta_start, 1).
    """

    num_train_timesteps: int = 100
    beta_schedule: str = 'squaredcos_cap_v2'
    beta_start: float = 0.0001
    beta_end: float = 0.02

    t_min = 0
    t_clean = -1
    is_discrete = True

    def __post_init__(self):
        """Check every field, naming it in each error."""
        check_choice('beta_schedule', self.beta_schedule, BETA_SCHEDULES, ConfigError)
        if not is_count(self.num_train_timesteps):
            raise ConfigError(f'num_train_timesteps is {self.num_train_timesteps!r}; it must be a '
                              'whole number, at least 1')
        if not (is_number(self.beta_start) and is_number(self.beta_end)
                and 0 < self.beta_start <= self.beta_end < 1):
            raise ConfigError(f'beta_start is {self.beta_start!r} and beta_end {self.beta_end!r}; '
                              'wanted 0 < beta_start <= beta_end < 1')
        self.check_end()

    @classmethod
    def of(cls, config):
        """
        Return the process by which a policy is trained.

        :param config: PolicyConfig.
        """
        return cls(config.num_train_timesteps, config.beta_schedule, config.beta_start,
                   config.beta_end)

    @property
    def t_max(self) -> int:
        """Return the last timestep."""
        return self.num_train_timesteps - 1

    @property
    def betas(self) -> torch.Tensor:
        """Return the betas, float64 (num_train_timesteps,)."""
        return _betas(self)

    @property
    def alphas_cumprod(self) -> torch.Tensor:
        """Return ``alpha_t ** 2``, float64 (num_train_timesteps,), falling."""
        return _log_alphas(self)[1:].mul(2).exp()

    def marginal(self, t):
        """Return alpha and sigma of a time; at -1 the data are clean."""
        log_alphas = _log_alphas(self)
        place = torch.as_tensor(t, dtype=torch.float64, device='cpu') - self.t_clean
        left = place.floor().clamp(0, self.t_max).long()
        start, end = log_alphas[left], log_alphas[left + 1]
        log_alpha = start + (place - left) * (end - start)
        return log_alpha.exp(), (-torch.expm1(2 * log_alpha)).sqrt()

    def coefficients(self, t, like):
        """Look whole times up in tables on the device, which training does at every step."""
        if t.is_floating_point():
            return super().coefficients(t, like)
        shape = (-1,) + (1,) * (like.dim() - 1)
        return tuple(table[t - self.t_clean].view(shape)
                     for table in _tables(self, like.device, like.dtype))

    def drift(self, t):
        """Return ``f(t) = log(1 - beta) / 2`` with the beta of the next whole time."""
        log_alphas = _log_alphas(self)
        place = torch.as_tensor(t, dtype=torch.float64, device='cpu') - self.t_clean
        right = place.ceil().clamp(1, self.num_train_timesteps).long()
        return log_alphas[right] - log_alphas[right - 1]

    def time_at(self, lambda_t):
        """Return the time of a level, by inverting the piecewise linear ``log(alpha)``."""
        log_alphas = _log_alphas(self)
        log_alpha = _log_alpha(lambda_t).cpu()
        # Falling, so that the search runs over the negated values.
        right = torch.searchsorted(-log_alphas, -log_alpha).clamp(1, self.num_train_timesteps)
        start, end = log_alphas[right - 1], log_alphas[right]
        return (right - 1) + (log_alpha - start) / (end - start) + self.t_clean


@dataclass(frozen=True)
class ContinuousVp(VariancePreserving):
    """
    ``dx = -beta(t) x / 2 dt + sqrt(beta(t)) dw`` with a linear ``beta(t)``.

    Eq. 11 and appendix C of Song et al. 2021 (arXiv:2011.13456).

    :ivar beta_min: ``beta(0)``, above 0.
    :ivar beta_max: ``beta(1)``, at least ``beta_min``.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    t_min = 1e-3
    t_max = 1.0
    t_clean = 0.0

    def __post_init__(self):
        """Check both fields."""
        if not (is_number(self.beta_min) and is_number(self.beta_max)
                and 0 < self.beta_min <= self.beta_max):
            raise ConfigError(f'beta_min is {self.beta_min!r} and beta_max {self.beta_max!r}; '
                              'wanted 0 < beta_min <= beta_max')
        self.check_end()

    def beta(self, t):
        """Return the noise rate at a time, float64, shaped like ``t``."""
        t = torch.as_tensor(t, dtype=torch.float64)
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def marginal(self, t):
        """Return alpha and sigma: ``log(alpha) = -(integral of beta) / 2``."""
        t = torch.as_tensor(t, dtype=torch.float64)
        log_alpha = -t * (self.beta_min + t * (self.beta_max - self.beta_min) / 2) / 2
        return log_alpha.exp(), (-torch.expm1(2 * log_alpha)).sqrt()

    def drift(self, t):
        """Return ``f(t) = -beta(t) / 2``."""
        return -self.beta(t) / 2

    def time_at(self, lambda_t):
        """Return the time of a level: the positive root of a quadratic equation."""
        integral = -2 * _log_alpha(lambda_t)
        slope = self.beta_max - self.beta_min
        return 2 * integral / (self.beta_min + (self.beta_min ** 2 + 2 * slope * integral).sqrt())


def _log_alpha(lambda_t):
    """Return ``log(alpha)`` where ``alpha^2 / (1 - alpha^2) = exp(2 lambda)``, float64."""
    lambda_t = torch.as_tensor(lambda_t, dtype=torch.float64)
    return -torch.nn.functional.softplus(-2 * lambda_t) / 2


@lru_cache(maxsize=None)
def _betas(process):
    """Compute the betas once per process."""
    count, start, end = process.num_train_timesteps, process.beta_start, process.beta_end
    if process.beta_schedule == 'linear':
        return torch.linspace(start, end, count, dtype=torch.float64)
    if process.beta_schedule == 'scaled_linear':
        return torch.linspace(start ** 0.5, end ** 0.5, count, dtype=torch.float64) ** 2
    time = torch.arange(count + 1, dtype=torch.float64) / count
    angle = (time + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2
    alpha_bar = torch.cos(angle) ** 2
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=COSINE_BETA_MAX)


@lru_cache(maxsize=None)
def _tables(process, device, dtype):
    """Place alpha and sigma at the times -1, 0 .. t_max on a device once."""
    times = torch.arange(process.t_clean, process.num_train_timesteps)
    return tuple(values.to(device, dtype) for values in process.marginal(times))


@lru_cache(maxsize=None)
def _log_alphas(process):
    """Compute ``log(alpha)`` at the times -1, 0 .. t_max once per process."""
    steps = torch.log1p(-_betas(process)) / 2
    return torch.cat([torch.zeros(1, dtype=torch.float64), steps.cumsum(0)])

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

"""Variance-exploding processes: ``alpha_t = 1`` while ``sigma_t`` grows."""

from dataclasses import dataclass
import math

from diffusion_policy_ros.checks import is_number
from diffusion_policy_ros.diffusion.process import Process
from diffusion_policy_ros.errors import ConfigError
import torch


class VarianceExploding(Process):
    """
    ``dx = sqrt(d sigma^2 / dt) dw`` with a ``sigma(t)`` that a subclass gives, t in [0, 1].

    :ivar sigma_min: ``sigma(0)``, above 0.
    :ivar sigma_max: ``sigma(1)``, above ``sigma_min``.
    """

    t_min = 0.0
    t_max = 1.0
    t_clean = 0.0

    def __post_init__(self):
        """Check both ends."""
        if not (is_number(self.sigma_min) and is_number(self.sigma_max)
                and 0 < self.sigma_min < self.sigma_max):
            raise ConfigError(f'sigma_min is {self.sigma_min!r} and sigma_max {self.sigma_max!r}; '
                              'wanted 0 < sigma_min < sigma_max')

    def sigma(self, t):
        """Return the deviation of the noise at a time, float64, shaped like ``t``."""
        raise NotImplementedError

    def marginal(self, t):
        """Return alpha, which is 1, and sigma."""
        sigma = self.sigma(t)
        return torch.ones_like(sigma), sigma

    def drift(self, t):
        """Return ``f(t) = 0``."""
        return torch.zeros_like(torch.as_tensor(t, dtype=torch.float64))

    def prior_std(self, level) -> float:
        """Return sigma of the level: the data are small beside it."""
        return level.sigma


@dataclass(frozen=True)
class GeometricVe(VarianceExploding):
    """
    ``sigma(t) = sigma_min (sigma_max / sigma_min)^t``, appendix C of Song et al. 2021.

    :ivar sigma_min: ``sigma(0)``, above 0, in units of the data.
    :ivar sigma_max: ``sigma(1)``, above ``sigma_min``.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def sigma(self, t):
        """Return the deviation of the noise at a time."""
        t = torch.as_tensor(t, dtype=torch.float64)
        return self.sigma_min * torch.exp(t * math.log(self.sigma_max / self.sigma_min))

    def diffusion(self, t):
        """Return ``g(t) = sigma(t) sqrt(2 log(sigma_max / sigma_min))``."""
        return self.sigma(t) * math.sqrt(2 * math.log(self.sigma_max / self.sigma_min))

    def time_at(self, lambda_t):
        """Return the time at which ``sigma = exp(-lambda)``."""
        lambda_t = torch.as_tensor(lambda_t, dtype=torch.float64)
        return (-lambda_t - math.log(self.sigma_min)) / math.log(self.sigma_max / self.sigma_min)


@dataclass(frozen=True)
class KarrasVe(VarianceExploding):
    """
    ``sigma(t)^(1/rho)`` linear in t, Eq. 5 of Karras et al. 2022 (arXiv:2206.00364).

    :ivar sigma_min: ``sigma(0)``, above 0, in units of the data.
    :ivar sigma_max: ``sigma(1)``, above ``sigma_min``.
    :ivar rho: Exponent, above 0.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def __post_init__(self):
        """Check every field."""
        super().__post_init__()
        if not is_number(self.rho) or self.rho <= 0:
            raise ConfigError(f'rho is {self.rho!r}; it must be a number above 0')

    def sigma(self, t):
        """Return the deviation of the noise at a time."""
        return self._root(t) ** self.rho

    def diffusion(self, t):
        """Return ``g(t) = sqrt(2 sigma sigma')``."""
        root = self._root(t)
        return (2 * self.rho * self._slope * root ** (2 * self.rho - 1)).sqrt()

    def time_at(self, lambda_t):
        """Return the time at which ``sigma = exp(-lambda)``."""
        lambda_t = torch.as_tensor(lambda_t, dtype=torch.float64)
        return (torch.exp(-lambda_t / self.rho) - self.sigma_min ** (1 / self.rho)) / self._slope

    @property
    def _slope(self):
        """Return how fast the root grows."""
        return self.sigma_max ** (1 / self.rho) - self.sigma_min ** (1 / self.rho)

    def _root(self, t):
        """Return ``sigma(t)^(1/rho)``."""
        t = torch.as_tensor(t, dtype=torch.float64)
        return self.sigma_min ** (1 / self.rho) + t * self._slope

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

"""A noise level, in the one notation of this package: ``x_t = alpha_t * x_0 + sigma_t * eps``."""

import math
from typing import NamedTuple

import torch


class Level(NamedTuple):
    """
    One noise level.

    Where every chunk of a batch is at a level of its own (the adaptive solver), the three fields
    are float tensors (B, 1, 1) instead of numbers.

    :ivar timestep: Time in the process, as the denoiser is told it.
    :ivar alpha: Share of the data, above 0; 1 for variance-exploding processes.
    :ivar sigma: Share of the noise, at least 0.
    """

    timestep: float
    alpha: float
    sigma: float

    @property
    def lambda_t(self) -> float:
        """Return ``log(alpha / sigma)``, half the log signal-to-noise ratio; inf if clean."""
        if isinstance(self.sigma, torch.Tensor):
            return (self.alpha / self.sigma).log()
        return math.log(self.alpha / self.sigma) if self.sigma > 0 else math.inf

    @property
    def is_clean(self) -> bool:
        """Tell whether no noise is left."""
        return not isinstance(self.sigma, torch.Tensor) and self.sigma == 0


CLEAN = Level(timestep=-1, alpha=1.0, sigma=0.0)

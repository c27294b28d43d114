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

"""The one sampling loop, and the choice of solver and noise levels that it runs on."""

from dataclasses import dataclass, replace
from functools import lru_cache

from diffusion_policy_ros.checks import check_choice, is_count
from diffusion_policy_ros.choices import SOLVERS, SPACINGS
from diffusion_policy_ros.diffusion.ddim import ddim_step
from diffusion_policy_ros.diffusion.dpm_solver import dpm_solver_pp_step
from diffusion_policy_ros.diffusion.schedule import CLEAN
from diffusion_policy_ros.errors import ConfigError
import torch

# Exponential integrators take steps in lambda; the last levels of a cosine schedule are so far
# apart there (-7.6 with 100 levels) that one step would decide the chunk. Below this bound the
# data's share is under 0.6 percent, so starting there on pure noise costs nothing.
LAMBDA_MIN = -5.1


@dataclass(frozen=True)
class Sampler:
    """
    How a chunk is drawn from a trained denoiser.

    :ivar solver: ``dpm_solver++``, ``ddim`` or ``ddpm`` (which is ``ddim`` with eta 1).
    :ivar num_inference_steps: Denoiser calls per chunk.
    :ivar order: 1 or 2, of ``dpm_solver++``.
    :ivar spacing: ``trailing`` steps evenly down from the noisiest level; ``linspace`` also
        ends on the least noisy one.
    :ivar eta: Share of fresh noise of ``ddim``, in [0, 1].
    """

    solver: str = 'dpm_solver++'
    num_inference_steps: int = 10
    order: int = 2
    spacing: str = 'trailing'
    eta: float = 0.0

    def __post_init__(self):
        """Check every field, naming it in each error."""
        steps = self.num_inference_steps
        if not is_count(steps):
            raise ConfigError(f'num_inference_steps is {steps!r}; it must be a whole number, at '
                              'least 1')
        for name, choices in (('solver', SOLVERS), ('order', (1, 2)), ('spacing', SPACINGS)):
            check_choice(name, getattr(self, name), choices, ConfigError)
        if not isinstance(self.eta, (int, float)) or not 0 <= self.eta <= 1 \
                or (self.eta > 0 and self.solver != 'ddim'):
            raise ConfigError(f'eta is {self.eta!r} with solver {self.solver!r}; it must be from '
                              '0 to 1, and above 0 only with ddim')

    def changed(self, solver=None, num_inference_steps=None):
        """
        Return this sampler with what a user asked for differently.

        :param solver: Another solver, which then takes no ``eta`` over; None keeps it.
        :param num_inference_steps: Another number of steps; None keeps it.
        :return: The Sampler.
        :raises ConfigError: if a value cannot work.
        """
        changes = {} if solver in (None, self.solver) else {'solver': solver, 'eta': 0.0}
        if num_inference_steps is not None:
            changes['num_inference_steps'] = num_inference_steps
        return replace(self, **changes)

    @property
    def noise_share(self) -> float:
        """Return the eta of the DDIM step that the solver takes."""
        return 1.0 if self.solver == 'ddpm' else self.eta


@lru_cache(maxsize=64)
def inference_levels(schedule, sampler) -> tuple:
    """
    Return the noise levels that a sampler visits, noisiest first, clean data last.

    :param schedule: NoiseSchedule of the training.
    :param sampler: Sampler.
    :return: Tuple of ``num_inference_steps + 1`` Levels.
    :raises ConfigError: if the sampler has more steps than the schedule has levels for it.
    """
    usable = schedule.num_train_timesteps
    if sampler.solver == 'dpm_solver++':
        alpha_bar = schedule.alphas_cumprod
        usable = int((torch.log(alpha_bar / (1 - alpha_bar)) / 2 >= LAMBDA_MIN).sum())
    steps = sampler.num_inference_steps
    if steps > usable:
        raise ConfigError(f'num_inference_steps is {steps}; {sampler.solver} has {usable} noise '
                          f'levels in a schedule of {schedule.num_train_timesteps}, ask for at '
                          'most that many')
    if sampler.spacing == 'trailing':
        timesteps = [round(usable - k * usable / steps) - 1 for k in range(steps)]
    else:
        timesteps = [round((usable - 1) * (1 - k / max(steps - 1, 1))) for k in range(steps)]
    return tuple(schedule.level(t) for t in timesteps) + (CLEAN,)


def draw_noise(shape, *, generator=None, device=None):
    """
    Draw standard normal noise, on the generator's own device so that a seed means one result.

    :param shape: Shape of the result.
    :param generator: torch.Generator, or None for torch's own.
    :param device: Device of the result.
    :return: float32 tensor.
    """
    source = device if generator is None else generator.device
    return torch.randn(shape, generator=generator, device=source).to(device)


def sample_chunk(denoiser, noise, levels, sampler, *, generator=None):
    """
    Run a solver from noise to a clean chunk.

    :param denoiser: Callable ``(x_t, level) -> x0_hat``, already clipped where that is wanted.
    :param noise: Standard normal, float (B, horizon, action_dim).
    :param levels: Levels from ``inference_levels``.
    :param sampler: Sampler.
    :param generator: Source of the fresh noise of the stochastic solvers.
    :return: Clean chunk, shaped like ``noise``.
    """
    x, state, eta = noise, None, sampler.noise_share
    for level, next_level in zip(levels[:-1], levels[1:]):
        x0_hat = denoiser(x, level)
        if sampler.solver == 'dpm_solver++':
            x, state = dpm_solver_pp_step(x, x0_hat, level, next_level, state)
            state = state if sampler.order == 2 else None
        else:
            fresh = None
            if eta > 0:
                fresh = draw_noise(x.shape, generator=generator, device=x.device)
            x = ddim_step(x, x0_hat, level, next_level, eta=eta, noise=fresh)
    return x

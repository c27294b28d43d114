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

"""Step grids: the noise levels that a sampler visits."""

from dataclasses import replace
from functools import lru_cache
import math

from diffusion_policy_ros.diffusion.level import CLEAN
from diffusion_policy_ros.diffusion.sampler import Sampler
from diffusion_policy_ros.diffusion.solvers import load_solver
from diffusion_policy_ros.errors import ConfigError

# Most solvers take steps in lambda or in sigma / alpha; the last levels of a cosine schedule are
# so far apart there (of 100, -4.2 and -7.6) that one step would decide the chunk. At the first
# level above this bound alpha is then 0.016: to start there on pure noise costs next to nothing.
LAMBDA_MIN = -5.1
# Exponent of the grid of Karras et al. 2022 (arXiv:2206.00364), Eq. 5.
KARRAS_RHO = 7.0
# By how much a computed time may miss the one that is meant, relative.
ROUNDING = 1e-9


@lru_cache(maxsize=64)
def inference_levels(process, sampler) -> tuple:
    """
    Return the noise levels that a sampler visits, noisiest first, clean data last.

    Every grid begins at ``start_timestep``, or else at the noisiest level of the process; where
    solver or spacing work in lambda, at the noisiest one of a discrete process that is not below
    ``LAMBDA_MIN``.

    :param process: Process of the training.
    :param sampler: Sampler.
    :return: Tuple of ``num_inference_steps + 1`` Levels; for an adaptive solver, only the first
        and the last noisy one, and clean data.
    :raises ConfigError: if the process has no such levels.
    """
    start = _start(process, sampler)
    if load_solver(sampler.solver).is_adaptive:
        return process.level(start), process.level(process.t_min), CLEAN
    levels = (*_noisy_levels(process, sampler, start), CLEAN)
    if sampler.then and not levels[0].lambda_t < sampler.switch_lambda <= levels[-2].lambda_t:
        raise ConfigError(
            f'switch_lambda is {sampler.switch_lambda:g}, so that only one of {sampler.solver} '
            f'and {sampler.then} would work; it must be above {levels[0].lambda_t:.3g}, at most '
            f'{levels[-2].lambda_t:.3g}')
    return levels


def has_levels(process, sampler) -> bool:
    """
    Tell whether a process has the noise levels that a sampler asks for.

    :param process: Process of the training.
    :param sampler: Sampler.
    """
    try:
        inference_levels(process, sampler)
    except ConfigError:
        return False
    return True


def default_sampler(process):
    """
    Return the default sampler, with fewer steps where a process has too few noise levels for it.

    :param process: Process of the training.
    :return: Sampler with the most steps that are possible, up to the usual ones.
    """
    usual = Sampler()
    fewer = (replace(usual, num_inference_steps=steps)
             for steps in range(usual.num_inference_steps, 0, -1))
    return next((sampler for sampler in fewer if has_levels(process, sampler)), usual)


def _noisy_levels(process, sampler, start):
    """Return the levels before clean data."""
    steps = sampler.num_inference_steps
    if sampler.spacing in IN_TIME:
        usable = start - process.t_min + 1
        if process.is_discrete and steps > usable:
            raise ConfigError(
                f'num_inference_steps is {steps}; {sampler.solver} has {usable:g} noise levels '
                f'in a schedule of {process.num_train_timesteps}, ask for at most that many, or '
                'take the spacing lambda, which has levels between them')
        times = IN_TIME[sampler.spacing](process, start, steps)
        if times[-1] < process.t_min * (1 - ROUNDING):
            raise ConfigError(
                f'num_inference_steps is {steps}; {sampler.spacing} would go down to '
                f'{times[-1]:.3g}, below the least noisy time {process.t_min:g} of the process, '
                'ask for fewer or take the spacing linspace')
        return [process.level(t) for t in times]
    if start == process.t_min and steps > 1:
        raise ConfigError(f'num_inference_steps is {steps}; sampling starts at the least noisy '
                          'level of this schedule, ask for 1 step')
    return IN_BETWEEN[sampler.spacing](process, start, steps)


def _start(process, sampler):
    """Return the time of the first level."""
    start = sampler.start_timestep
    if start is not None:
        if not process.t_min < start <= process.t_max or (process.is_discrete and start % 1):
            raise ConfigError(f'start_timestep is {start:g}; it must be above {process.t_min:g}, '
                              f'at most {process.t_max:g}, and whole where a policy is trained '
                              'at whole timesteps')
        return int(start) if process.is_discrete else start
    clips = sampler.spacing in ('lambda', 'karras') or any(
        load_solver(name).clips_lambda for name in (sampler.solver, sampler.then) if name)
    if not clips or not process.is_discrete:
        return process.t_max
    return next((t for t in range(process.t_max, process.t_min, -1)
                 if process.level(t).lambda_t >= LAMBDA_MIN), process.t_min)


def _trailing(process, start, steps):
    """Divide the way to clean data evenly."""
    clean = process.t_clean
    return [_snap(process, start - clean - k * (start - clean) / steps) + clean
            for k in range(steps)]


def _leading(process, start, steps):
    """Go down by a whole stride, as diffusers does, but from the first level."""
    stride = (start - process.t_clean) / steps
    if process.is_discrete:
        whole = math.floor(stride)
        if start - process.t_clean - steps * whole > whole:
            raise ConfigError(
                f'num_inference_steps is {steps}; leading goes down from {start} by a whole '
                f'stride, {whole}, and would jump to clean data from '
                f'{start - (steps - 1) * whole}; ask for '
                f'{(start - process.t_clean) // (whole + 1)} or take the spacing trailing')
        stride = whole
    return [start - k * stride for k in range(steps)]


def _linspace(process, start, steps):
    """Divide the way to the least noisy level evenly."""
    shares = (k / max(steps - 1, 1) for k in range(steps))
    return [_snap(process, (1 - share) * start + share * process.t_min) for share in shares]


def _snap(process, t):
    """Return the nearest time that a denoiser is trained at."""
    return round(t) if process.is_discrete else t


def _quadratic(process, start, steps):
    """Divide the root of the time evenly (appendix D.2 of arXiv:2010.02502)."""
    return [process.level(process.t_min + (start - process.t_min)
                          * (1 - k / max(steps - 1, 1)) ** 2) for k in range(steps)]


def _even_in_lambda(process, start, steps):
    """Divide lambda evenly (Lu et al. 2022, arXiv:2206.00927)."""
    return _between(process, start, steps, lambda lambda_t: lambda_t, lambda place: place)


def _karras(process, start, steps):
    """Divide ``(sigma / alpha)^(1 / rho)`` evenly."""
    return _between(process, start, steps, lambda lambda_t: math.exp(-lambda_t / KARRAS_RHO),
                    lambda place: -KARRAS_RHO * math.log(place))


def _between(process, start, steps, to_place, to_lambda):
    """Divide a function of lambda evenly; the two ends are levels of the process."""
    first, last = process.level(start), process.level(process.t_min)
    from_place, to = to_place(first.lambda_t), to_place(last.lambda_t)
    inner = [process.level_at(to_lambda(from_place + (to - from_place) * k / (steps - 1)))
             for k in range(1, steps - 1)]
    return [first, *inner, last][:steps]


IN_TIME = {'trailing': _trailing, 'leading': _leading, 'linspace': _linspace}
IN_BETWEEN = {'quadratic': _quadratic, 'lambda': _even_in_lambda, 'karras': _karras}

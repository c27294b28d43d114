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

"""The one sampling loop, from noise to a chunk; any solver, ODE and SDE alike."""

from functools import lru_cache, partial
from typing import NamedTuple

from diffusion_policy_ros.diffusion.grid import inference_levels
from diffusion_policy_ros.diffusion.prediction import ask_both
from diffusion_policy_ros.diffusion.solvers import Interval, load_solver
from diffusion_policy_ros.errors import ConfigError, SamplingError
import torch


# Above this share of the data, noise alone is no place to start from.
LARGEST_ALPHA = 0.5


class Solution(NamedTuple):
    """
    What a sampler came to.

    :ivar x: Chunk at the last level, float (B, horizon, action_dim), normalized units.
    :ivar evaluations: Denoiser calls.
    :ivar error: Of the adaptive solver: largest error of a step relative to its tolerance,
        (B, 1, 1); None otherwise.
    :ivar is_complete: Whether all steps were taken; else ``x`` is the clean chunk that the last
        evaluation predicted before time was up.
    """

    x: torch.Tensor
    evaluations: int
    error: torch.Tensor = None
    is_complete: bool = True


class _Late(Exception):
    """Ends a step from within: there is no time for another evaluation."""


class _Evaluations:
    """
    The denoiser as solvers see it.

    :ivar count: Calls.
    :ivar newest: Clean chunk of the last one.
    """

    def __init__(self, denoiser, is_late):
        """Wrap a denoiser; ``is_late`` as for ``integrate``."""
        self._denoiser, self._is_late = denoiser, is_late
        self.count, self.newest = 0, None

    def __call__(self, x_t, level):
        """Return the clean chunk, or end the step where time is up."""
        return self.both(x_t, level)[0]

    def both(self, x_t, level):
        """Return the clean chunk, and what it was before it was clipped."""
        if self._is_late is not None and self.count and self._is_late():
            raise _Late
        self.count += 1
        self.newest, unclipped = ask_both(self._denoiser, x_t, level)
        return self.newest, unclipped


def draw_noise(shape, *, generator=None, device=None, dtype=torch.float32):
    """
    Draw standard normal noise, on the generator's own device so that a seed means one result.

    :param shape: Shape of the result.
    :param generator: torch.Generator, or None for torch's own.
    :param device: Device of the result.
    :param dtype: Floating type of the result.
    :return: Tensor.
    """
    source = device if generator is None else generator.device
    return torch.randn(shape, generator=generator, device=source, dtype=dtype).to(device)


def sample_chunk(denoiser, noise, process, sampler, *, generator=None):
    """
    Run a sampler from noise to a clean chunk.

    :param denoiser: Callable ``(x_t, level) -> x0_hat``, already clipped where that is wanted;
        see ``prediction.ask_both``.
        For the adaptive solver the level's fields are tensors (B, 1, 1).
    :param noise: Standard normal, float (B, horizon, action_dim).
    :param process: Process of the training.
    :param sampler: Sampler.
    :param generator: Source of the fresh noise of the stochastic solvers.
    :return: Clean chunk, shaped like ``noise``.
    :raises ConfigError: if the process has no levels for the sampler.
    :raises SamplingError: if a value is not finite, or the adaptive solver's budget is spent.
    """
    return solve(denoiser, noise, process, sampler, generator=generator).x


def solve(denoiser, noise, process, sampler, *, generator=None, is_late=None) -> Solution:
    """
    Do what ``sample_chunk`` does, and tell what it cost and how exact it is.

    :param denoiser: As for ``sample_chunk``.
    :param noise: As for ``sample_chunk``.
    :param process: As for ``sample_chunk``.
    :param sampler: As for ``sample_chunk``.
    :param generator: As for ``sample_chunk``.
    :param is_late: As for ``integrate``.
    :return: Solution.
    :raises ConfigError: as ``sample_chunk``.
    :raises SamplingError: as ``sample_chunk``.
    """
    check_start(process, sampler)
    levels = inference_levels(process, sampler)
    start = process.prior_std(levels[0]) * sampler.temperature * noise
    return integrate(denoiser, start, levels, process, sampler, generator=generator,
                     is_late=is_late)


def check_start(process, sampler):
    """
    Refuse to start from noise alone where chunks are visible already.

    :param process: Process of the training.
    :param sampler: Sampler.
    :raises ConfigError: if ``start_timestep`` is such a place, or the process has no levels for
        the sampler.
    """
    level = inference_levels(process, sampler)[0]
    if sampler.start_timestep is not None and process.prior_std(level) == 1 \
            and level.alpha > LARGEST_ALPHA:
        raise ConfigError(
            f'start_timestep is {sampler.start_timestep:g}, where alpha is {level.alpha:.2f}: '
            'noise alone is no chunk of that level. Start above, where alpha is at most '
            f'{LARGEST_ALPHA}, or refine an existing chunk from there')


def refine_chunk(denoiser, chunk, noise, process, sampler, *, generator=None):
    """
    Noise a chunk up to ``sampler.start_timestep`` and run the sampler from there.

    With the plan of a moment ago this is a warm start; with a stochastic solver, a variation of
    the chunk (Meng et al. 2022, arXiv:2108.01073).

    :param denoiser: As for ``sample_chunk``.
    :param chunk: Clean chunk, float (B, horizon, action_dim), normalized units.
    :param noise: Standard normal, shaped like ``chunk``.
    :param process: Process of the training.
    :param sampler: Sampler; its ``start_timestep`` says how much is kept.
    :param generator: As for ``sample_chunk``.
    :return: Clean chunk, shaped like ``chunk``.
    :raises ConfigError: if the process has no levels for the sampler.
    :raises SamplingError: as ``sample_chunk``.
    """
    return refine(denoiser, chunk, noise, process, sampler, generator=generator).x


def refine(denoiser, chunk, noise, process, sampler, *, generator=None, is_late=None) -> Solution:
    """
    Do what ``refine_chunk`` does, and tell what it cost.

    :param denoiser: As for ``refine_chunk``.
    :param chunk: As for ``refine_chunk``.
    :param noise: As for ``refine_chunk``.
    :param process: As for ``refine_chunk``.
    :param sampler: As for ``refine_chunk``.
    :param generator: As for ``refine_chunk``.
    :param is_late: As for ``integrate``.
    :return: Solution.
    :raises ConfigError: as ``refine_chunk``.
    :raises SamplingError: as ``refine_chunk``.
    """
    if sampler.start_timestep is None:
        raise ConfigError('start_timestep is None; refining a chunk needs the timestep up to '
                          'which it is noised')
    levels = inference_levels(process, sampler)
    start = levels[0].alpha * chunk + levels[0].sigma * sampler.temperature * noise
    return integrate(denoiser, start, levels, process, sampler, generator=generator,
                     is_late=is_late)


def integrate(denoiser, x, levels, process, sampler, *, generator=None,
              is_late=None) -> Solution:
    """
    Take a chunk through given noise levels.

    On the last steps to clean data the order of a multistep solver is at most the number of steps
    left, itself included: high orders extrapolate badly over steps that are long in lambda.

    :param denoiser: As for ``sample_chunk``.
    :param x: Chunk at the first level, float (B, horizon, action_dim).
    :param levels: Tuple of Levels to visit, the start first.
    :param process: Process that the levels belong to.
    :param sampler: Sampler; its grid is not looked at.
    :param generator: As for ``sample_chunk``.
    :param is_late: Called before every evaluation but the first; True ends the sampling with the
        clean chunk that the last evaluation predicted. None never ends it.
    :return: Solution.
    :raises SamplingError: as ``sample_chunk``.
    """
    denoise = _Evaluations(denoiser, is_late)
    draw = partial(draw_noise, x.shape, generator=generator, device=x.device, dtype=x.dtype)
    _check_start(x)
    is_complete, state = True, None
    try:
        x, state = _take_steps(denoise, x, levels, process.level_at, sampler, draw)
    except _Late:
        is_complete, x = False, denoise.newest
    _check_finite(x, 'the result')
    return Solution(x, denoise.count, getattr(state, 'error', None), is_complete)


class Unrolled:
    """
    The steps of a sampler as a straight line of operations, which can be recorded as a graph.

    It looks at no value, so that a chunk may come out that is not finite. What the first call
    computes of numbers alone, the later ones, of which one may be recorded, remember.
    """

    def __init__(self, process, sampler):
        """
        Choose the levels.

        :param process: Process of the training.
        :param sampler: Sampler of an ODE with fixed steps.
        :raises ConfigError: if it draws noise on the way or chooses its steps by what it sees, or
            the process has no levels for it.
        """
        if sampler.is_stochastic or load_solver(sampler.solver).is_adaptive:
            why = 'draws noise on the way' if sampler.is_stochastic \
                else 'chooses its steps by what it sees'
            raise ConfigError(f'solver {sampler.solver!r}{_details(sampler)} {why}, which is no '
                              'fixed sequence of operations; take dpm_solver++, or ddim with eta '
                              '0')
        check_start(process, sampler)
        self._sampler, self._levels = sampler, inference_levels(process, sampler)
        self._std = process.prior_std(self._levels[0]) * sampler.temperature
        self._level_at = lru_cache(maxsize=None)(process.level_at)

    def __call__(self, denoiser, noise):
        """
        Do what ``sample_chunk`` does.

        :param denoiser: As for ``sample_chunk``.
        :param noise: As for ``sample_chunk``.
        :return: As ``sample_chunk``.
        """
        return _take_steps(_Evaluations(denoiser, None), self._std * noise, self._levels,
                           self._level_at, self._sampler, None)[0]


def _details(sampler):
    """Return what of a sampler decides with its solver whether it draws noise."""
    return ''.join(f', {name} {value}' for name, value in
                   (('eta', sampler.eta), ('then', sampler.then)) if value)


def _take_steps(denoise, x, levels, level_at, sampler, draw):
    """Step from level to level; return the chunk at the last one and the solver's state."""
    solver, order, state = load_solver(sampler.solver), sampler.order, None
    for left, (start, end) in zip(range(len(levels) - 1, 0, -1), zip(levels, levels[1:])):
        if sampler.then and start.lambda_t >= sampler.switch_lambda:
            if solver is not load_solver(sampler.then):
                solver, state = load_solver(sampler.then), None
                order = solver.default_order
        allowed = min(order, left) if state and levels[-1].is_clean else order
        x, state = solver.step(denoise, x, Interval(start, end, allowed, level_at), state, draw,
                               sampler)
    return x, state


def _check_start(x):
    """Refuse to begin with a coarse type, or with what is not finite."""
    if x.dtype not in (torch.float32, torch.float64):
        raise ConfigError(f'the chunk is {str(x.dtype)[6:]}; solvers need float32 or float64')
    _check_finite(x, 'the start')


def _check_finite(x, what):
    """Refuse to begin with, or hand on, what no robot may follow."""
    if not torch.isfinite(x).all():
        raise SamplingError(f'{what} of sampling is not finite; look for NaN or infinity in the '
                            "observation, the noise and the policy's weights")

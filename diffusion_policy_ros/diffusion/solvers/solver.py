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

"""What a solver is: one pure step, and what the grid must know of it."""

from functools import wraps
from importlib import import_module
from typing import Callable, NamedTuple

from diffusion_policy_ros.checks import check_choice
from diffusion_policy_ros.choices import SOLVERS
from diffusion_policy_ros.diffusion.level import Level
from diffusion_policy_ros.errors import ConfigError


class Interval(NamedTuple):
    """
    The step that a solver shall take.

    :ivar start: Level of the chunk; its sigma is above 0.
    :ivar end: The less noisy level to go to (``invert`` also goes to noisier ones).
    :ivar order: Order to take it with; a solver that lacks its history takes a lower one.
    :ivar level_at: Function from a lambda between the two to the Level there.
    """

    start: Level
    end: Level
    order: int
    level_at: Callable

    @property
    def step(self):
        """Return the step in lambda."""
        return self.end.lambda_t - self.start.lambda_t

    def inner(self, fraction) -> Level:
        """
        Return the level at a fraction of the step in lambda.

        :param fraction: From 0 to 1.
        """
        return self.level_at(self.start.lambda_t + fraction * self.step)


def ends_clean(step):
    """
    Let a solver's step end at the predicted clean chunk where it goes to clean data.

    No expansion holds over that last, in lambda infinite, step; Euler's, which needs no value at
    the end, is exact for the prediction.

    :param step: Step of a ``Solver`` between noisy levels.
    :return: Step of a ``Solver`` to any less noisy level.
    """
    @wraps(step)
    def whole_step(denoise, x, interval, state, draw, sampler):
        if interval.end.is_clean:
            return denoise(x, interval.start), state
        return step(denoise, x, interval, state, draw, sampler)

    return whole_step


class Solver(NamedTuple):
    """
    A way to take a chunk from one noise level to the next.

    ``step(denoise, x, interval, state, draw, sampler) -> (x, state)`` is pure: ``denoise(x,
    level)`` predicts the clean chunk and ``denoise.both`` also what it was before it was clipped,
    ``state`` is what the step before returned (None at the
    start; its ``error``, where it has one, becomes the Solution's), ``draw()`` gives standard
    normal noise like ``x`` (``ddim`` without eta and all ODE solvers never call it), and
    ``sampler`` holds the options. A step to clean data ends at a predicted clean chunk, see
    ``ends_clean``.

    :ivar step: The function.
    :ivar orders: Orders of accuracy to choose from.
    :ivar default_order: Order where none is asked for.
    :ivar calls: Function from the sampler to denoiser calls of a step that does not end clean; an
        adaptive solver has no such number.
    :ivar is_stochastic: Function from the sampler to whether fresh noise is drawn.
    :ivar clips_lambda: Whether a step from the last level of a cosine schedule would be too long.
    :ivar is_adaptive: Whether one step may cross the whole range.
    """

    step: Callable
    orders: tuple = (1,)
    default_order: int = 1
    calls: Callable = lambda sampler: 1
    is_stochastic: Callable = lambda sampler: False
    clips_lambda: bool = True
    is_adaptive: bool = False


def load_solver(name) -> Solver:
    """
    Return a solver by its name.

    :param name: A key of ``choices.SOLVERS``.
    :raises ConfigError: naming all of them, if there is none of that name.
    """
    check_choice('solver', name, tuple(SOLVERS), ConfigError)
    module, attribute = SOLVERS[name].split(':')
    return getattr(import_module(f'{__package__}.{module}'), attribute)

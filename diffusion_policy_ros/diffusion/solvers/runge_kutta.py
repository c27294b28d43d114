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
Classical Runge-Kutta methods for the probability-flow ODE: Euler, Heun and RK4.

In ``y = x / alpha`` and ``rho = sigma / alpha`` the ODE of every process is ``dy / drho =
eps_hat`` (Eq. 4 of Karras et al. 2022, arXiv:2206.00364, which is Eq. 14 of Song et al. 2021,
arXiv:2010.02502): the linear part is exact, and the field stays bounded at low noise.
"""

import math
from typing import NamedTuple

from diffusion_policy_ros.diffusion.prediction import noise_from_clean
from diffusion_policy_ros.diffusion.solvers.solver import ends_clean, Solver


class Tableau(NamedTuple):
    """
    The coefficients of an explicit method (Butcher's tableau).

    :ivar nodes: Where each stage lies, from 0 to 1.
    :ivar stages: For each stage, the weights of the slopes before it.
    :ivar weights: Weights of the slopes in the result.
    """

    nodes: tuple
    stages: tuple
    weights: tuple


EULER_TABLEAU = Tableau((0,), ((),), (1,))
HEUN_TABLEAU = Tableau((0, 1), ((), (1,)), (1 / 2, 1 / 2))
RK4_TABLEAU = Tableau((0, 1 / 2, 1 / 2, 1), ((), (1 / 2,), (0, 1 / 2), (0, 0, 1)),
                      (1 / 6, 1 / 3, 1 / 3, 1 / 6))


def runge_kutta_step(denoise, x, interval, tableau):
    """
    Move a noisy chunk along the probability-flow ODE.

    :param denoise: Callable ``(x_t, level) -> x0_hat``.
    :param x: Noisy chunk, float (B, horizon, action_dim), normalized units.
    :param interval: Interval to cross, in either direction; its end is not clean.
    :param tableau: Tableau of the method.
    :return: Chunk at ``interval.end``, shaped like ``x``.
    """
    start, end = interval.start, interval.end
    y, rho = x / start.alpha, start.sigma / start.alpha
    width = end.sigma / end.alpha - rho
    slopes = []
    for node, weights in zip(tableau.nodes, tableau.stages):
        at = _level(interval, node, rho, width)
        x_stage = at.alpha * (y + width * _sum(weights, slopes))
        slopes.append(noise_from_clean(x_stage, denoise(x_stage, at), at))
    return end.alpha * (y + width * _sum(tableau.weights, slopes))


def _level(interval, node, rho, width):
    """Return the level of a stage; the two ends are known exactly."""
    if node == 0:
        return interval.start
    return interval.end if node == 1 else interval.level_at(-math.log(rho + node * width))


def _sum(weights, slopes):
    """Add up weighted slopes."""
    return sum(weight * slope for weight, slope in zip(weights, slopes) if weight)


def _solver(tableau, order, clips_lambda=True):
    """Wrap a method as a solver."""
    @ends_clean
    def step(denoise, x, interval, state, draw, sampler):
        del draw, sampler
        return runge_kutta_step(denoise, x, interval, tableau), state

    return Solver(step, orders=(order,), default_order=order, clips_lambda=clips_lambda,
                  calls=lambda sampler: len(tableau.nodes))


EULER = _solver(EULER_TABLEAU, 1, clips_lambda=False)
HEUN = _solver(HEUN_TABLEAU, 2)
RK4 = _solver(RK4_TABLEAU, 4)

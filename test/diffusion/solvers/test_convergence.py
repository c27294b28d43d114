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

"""Every ODE solver converges to the exact flow, with the order that it names."""

import math

from diffusion_policy_ros.diffusion import (
    ContinuousVp, DiscreteVp, GeometricVe, integrate, KarrasVe, Sampler)
import pytest
import torch

FIRST_LAMBDA, LAST_LAMBDA = -4.0, 3.0
SOLVERS = [
    ('euler', 1), ('ddim', 1), ('dpm_solver', 1), ('dpm_solver++', 1),
    ('dpm_solver++_singlestep', 1), ('heun', 2), ('dpm_solver', 2), ('dpm_solver++', 2),
    ('dpm_solver++_singlestep', 2), ('dpm_solver', 3), ('dpm_solver++', 3), ('rk4', 4)]
# A multistep solver begins without history, with a step of order 1. Where the denoiser still has
# nothing to tell that costs nothing; in general 3M keeps its order only after a first step whose
# length falls with the square of the others'.
MULTISTEP_3 = ('dpm_solver++', 3)
# By order: the steps of the coarser of two runs, and the largest error of the finer one.
COARSE = {1: (128, 2e-2), 2: (64, 1e-3), 3: (64, 5e-6), 4: (32, 2e-6)}
CASES = [('line_gaussian', DiscreteVp()), ('plane_gaussian', GeometricVe()),
         ('line_mixture', ContinuousVp()), ('line_mixture', KarrasVe())]
EVERY_SOLVER = pytest.mark.parametrize('solver, order', SOLVERS)
EVERY_CASE = pytest.mark.parametrize('data, process', CASES, ids=str, indirect=['data'])


@pytest.fixture
def data(request):
    """Return the data of that name."""
    return request.getfixturevalue(request.param)


def even_levels(process, steps, first=FIRST_LAMBDA, short_start=False):
    """Return levels even in lambda; a short start adds one next to the first."""
    width = (LAST_LAMBDA - first) / steps
    lambdas = [first + width * k for k in range(steps + 1)]
    if short_start:
        lambdas.insert(1, first + width ** 2 / 4)
    return tuple(process.level_at(lambda_t) for lambda_t in lambdas)


def start_points(data, level):
    """Return points spread over the data's distribution at a level, float64 (1, horizon, D)."""
    spread = torch.linspace(-2.5, 2.5, 24, dtype=torch.float64).view(1, -1, len(data.mean))
    deviation = (level.alpha ** 2 * data.covariance.diagonal() + level.sigma ** 2).sqrt()
    return level.alpha * data.mean + deviation * spread


def error_after(data, process, levels, sampler):
    """Return the largest distance of a solver's result from the exact flow."""
    start = start_points(data, levels[0])
    end = integrate(data.denoise, start, levels, process, sampler).x
    return float((end - data.flow(start, levels[0], levels[-1])).abs().max())


@EVERY_SOLVER
@EVERY_CASE
def test_solver_converges_to_the_exact_flow_with_its_order(solver, order, data, process):
    steps, bound = COARSE[order]
    short_start = (solver, order) == MULTISTEP_3
    if short_start:
        steps *= 4
    coarse, fine = (
        error_after(data, process, even_levels(process, count, short_start=short_start),
                    Sampler(solver, order=order)) for count in (steps, 2 * steps))
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.2)
    assert fine < bound


def test_3m_owes_order_3_to_a_short_first_step(line_mixture):
    process, sampler = ContinuousVp(), Sampler('dpm_solver++', order=3)
    rates = {}
    for short_start in (False, True):
        coarse, fine = (
            error_after(line_mixture, process,
                        even_levels(process, count, first=-1.0, short_start=short_start), sampler)
            for count in (128, 256))
        rates[short_start] = math.log2(coarse / fine)
    assert rates == {False: pytest.approx(2, abs=0.1), True: pytest.approx(3, abs=0.1)}


@pytest.mark.parametrize('process', [process for _, process in CASES], ids=str)
def test_all_solvers_of_order_1_are_one_method(process, line_mixture):
    levels = even_levels(process, 7)
    start = start_points(line_mixture, levels[0])
    ends = [integrate(line_mixture.denoise, start, levels, process, Sampler(solver, order=1)).x
            for solver, order in SOLVERS if order == 1]
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=1e-12, atol=1e-12)

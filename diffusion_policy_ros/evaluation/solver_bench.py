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
How far solvers are from the exact answer, and what they cost, on a policy's own denoiser.

Solvers of the ODE are compared with its converged solution from the same noise and the same first
level; solvers of the SDE, which have no such partner, with many converged solutions from other
noise, as a distribution.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from diffusion_policy_ros.diffusion import (
    draw_noise, has_levels, inference_levels, Sampler, solve)
from diffusion_policy_ros.diffusion.solvers import load_solver
from diffusion_policy_ros.evaluation.chunk_timer import ChunkTimer
from diffusion_policy_ros.evaluation.sample_distance import compare_samples
from diffusion_policy_ros.streams import ACTION_KEY
import numpy as np
import torch

# Two runs of different kind whose steps are evenly spread in lambda; the first is the solution,
# how far the second is from it tells how well the solution is known.
FINE_RUNS = (('rk4', 100), ('dpm_solver++', 300))
# What stands for the converged ODE where only its distribution is asked for.
FINE_DRAWS = ('dpm_solver++', 60)
# Tolerances for the adaptive solver; its absolute one is a fifth of the relative one.
TOLERANCES = (0.3, 0.1, 0.03, 0.01)
ABSOLUTE_SHARE = 0.2
# How many windows samples are drawn for.
DRAWN_WINDOWS = 2
IN_MILLI = {'m': 'mm'}


class Spread(NamedTuple):
    """
    Figures of many windows.

    :ivar median: Half of them are below.
    :ivar low: A quarter of them are below.
    :ivar high: Three quarters of them are below.
    """

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class SolverRow:
    """
    What was measured of one sampler; None where a figure has no meaning for it.

    :ivar sampler: The Sampler.
    :ivar evaluations: Denoiser calls really made; of the adaptive solver, in the median window.
    :ivar time_ms: Median time of one chunk, encoding left out, ms.
    :ivar time_ratio: The same relative to DDIM with as many calls, measured in turn.
    :ivar distance: Spread of the RMS distance to the converged solution, normalized units.
    :ivar distance_robot: The same in ``SolverBench.unit``.
    :ivar mean_error: RMS error of the mean, normalized units.
    :ivar std_ratio: Deviation of samples relative to that of the reference.
    :ivar energy: Energy distance to the reference, normalized units.
    """

    sampler: Sampler
    evaluations: int
    time_ms: float
    time_ratio: float
    distance: Spread = None
    distance_robot: Spread = None
    mean_error: float = None
    std_ratio: float = None
    energy: float = None

    @property
    def name(self) -> str:
        """Return the solver and, where there is a choice, its order."""
        return sampler_name(self.sampler)


def sampler_name(sampler) -> str:
    """
    Return the name of a solver and, where there is a choice, its order.

    :param sampler: Sampler.
    """
    orders = load_solver(sampler.solver).orders
    return sampler.solver + (f' {sampler.order}' if len(orders) > 1 else '')


def samplers_to_measure(policy, solvers, budgets, spacings) -> list:
    """
    List a sampler for every solver, order, spacing and budget that fit each other.

    One that would make only one step, or as many as for a smaller budget, is left out, and so is
    one that the policy's noise levels do not allow.

    :param policy: The policy; guidance and temperature are those of its own sampler.
    :param solvers: Names of ``choices.SOLVERS``; the adaptive one has tolerances, not budgets.
    :param budgets: Denoiser calls that a chunk may cost.
    :param spacings: Names of ``choices.SPACINGS``.
    :return: List of different Samplers, the cheap ones first.
    """
    base = replace(policy.sampler, solver='ddim', order=None, eta=0.0, then=None,
                   start_timestep=None)
    found = []
    for budget in sorted(budgets):
        for name in solvers:
            solver = load_solver(name)
            for order in () if solver.is_adaptive else solver.orders:
                first = replace(base, solver=name, order=order)
                steps = (budget - 1) // solver.calls(first) + 1
                found += [replace(first, num_inference_steps=steps, spacing=spacing)
                          for spacing in spacings]
    found = [sampler for sampler in dict.fromkeys(found)
             if sampler.num_inference_steps > 1 and has_levels(policy.process, sampler)]
    adaptive = [name for name in solvers if load_solver(name).is_adaptive]
    return found + [replace(base, solver=name, order=None, num_inference_steps=1,
                            rtol=tolerance, atol=tolerance * ABSOLUTE_SHARE)
                    for name in adaptive for tolerance in TOLERANCES]


class SolverBench:
    """
    Measures samplers on one policy and some observations.

    :ivar floors: First level's timestep -> Spread of the distance between two converged runs,
        normalized units.
    :ivar floors_robot: The same in ``unit``.
    :ivar energy_floor: Energy distance between two sets of converged samples, normalized units;
        None until a solver of the SDE was measured. Likewise ``mean_floor`` and ``std_floor``.
    :ivar unit: Name of the robot unit of the distances.
    """

    def __init__(self, policy, global_cond, *, samples, seed):
        """
        Draw the start noise.

        :param policy: The policy.
        :param global_cond: From ``policy.encode``, one row per window.
        :param samples: Samples per window for the solvers of the SDE.
        :param seed: Seed of all noise.
        """
        self._policy, self._cond, self._samples = policy, global_cond, samples
        self._generator = torch.Generator().manual_seed(seed)
        self._noise = self._draw(len(global_cond))
        self._converged, self._references = {}, []
        self.floors, self.floors_robot = {}, {}
        self.energy_floor = self.mean_floor = self.std_floor = None
        self.unit, self._factor = _robot_unit(policy.contract)

    @torch.inference_mode()
    def measure(self, sampler) -> SolverRow:
        """
        Measure one sampler; the first call also computes what it is compared with.

        :param sampler: Sampler that the policy accepts.
        :return: The SolverRow.
        :raises SamplingError: if a chunk is not finite, or the adaptive solver gave up.
        """
        compare = self._compare_draws if sampler.is_stochastic else self._compare_chunks
        calls, figures = compare(sampler)
        middle = int(np.argsort(calls)[len(calls) // 2])
        timer = ChunkTimer(self._policy, self._cond[middle:middle + 1],
                           self._noise[middle:middle + 1], self._generator)
        return SolverRow(sampler, calls[middle], *timer.measure(sampler, calls[middle]), **figures)

    def _compare_chunks(self, sampler):
        """Return the calls of each window, and distances to the converged solution."""
        if load_solver(sampler.solver).is_adaptive:  # in a batch, all wait for the slowest
            solutions = [self._run(sampler, self._cond[i:i + 1], self._noise[i:i + 1])
                         for i in range(len(self._cond))]
            chunks = torch.cat([solution.x for solution in solutions])
        else:
            solutions = [self._run(sampler, self._cond, self._noise)]
            chunks = solutions[0].x
        converged = self._converge(inference_levels(self._policy.process, sampler)[0].timestep)
        distance, distance_robot = self._spreads(chunks, converged)
        return ([solution.evaluations for solution in solutions],
                {'distance': distance, 'distance_robot': distance_robot})

    def _compare_draws(self, sampler):
        """Return the calls, and figures of the distribution, averaged over windows."""
        if not self._references:
            self._draw_references()
        found = []
        for window, reference in enumerate(self._references):
            solution = self._run(sampler, self._repeated(window), self._draw(self._samples))
            found.append(compare_samples(self._cut(solution.x), reference))
        mean_error, std_ratio, energy = np.mean(found, axis=0).tolist()
        return [solution.evaluations], {'mean_error': mean_error, 'std_ratio': std_ratio,
                                        'energy': energy}

    def _converge(self, timestep):
        """Return the converged chunks from a first level, computed once."""
        if timestep not in self._converged:
            first, second = (self._run(self._fine(run, timestep), self._cond, self._noise).x
                             for run in FINE_RUNS)
            self._converged[timestep] = first
            self.floors[timestep], self.floors_robot[timestep] = self._spreads(second, first)
        return self._converged[timestep]

    def _draw_references(self):
        """Draw two sets of converged samples for some windows; keep one, compare the other."""
        fine, found = self._fine(FINE_DRAWS, self._policy.process.t_max), []
        for window in range(min(DRAWN_WINDOWS, len(self._cond))):
            first, second = (
                self._cut(self._run(fine, self._repeated(window), self._draw(self._samples)).x)
                for _ in range(2))
            self._references.append(first)
            found.append(compare_samples(second, first))
        self.mean_floor, self.std_floor, self.energy_floor = np.mean(found, axis=0).tolist()

    def _fine(self, run, timestep):
        """Return the sampler of a converged run."""
        solver, steps = run
        return replace(self._policy.sampler, solver=solver, order=load_solver(solver).orders[-1],
                       num_inference_steps=steps, spacing='lambda', start_timestep=timestep,
                       eta=0.0, then=None)

    def _run(self, sampler, global_cond, noise):
        """Sample and return the Solution."""
        return solve(self._policy.denoiser(global_cond, sampler), noise, self._policy.process,
                     sampler, generator=self._generator)

    def _draw(self, count):
        """Draw start noise."""
        config = self._policy.config
        return draw_noise((count, config.horizon, config.action_dim), generator=self._generator,
                          device=self._cond.device)

    def _repeated(self, window):
        """Return a window's condition once per sample."""
        return self._cond[window:window + 1].expand(self._samples, -1)

    def _cut(self, chunks):
        """Return the executable rows as float64 (B, entries)."""
        return self._policy.executable(chunks).flatten(1).double()

    def _spreads(self, chunks, converged):
        """Return the RMS distance of executable rows in normalized and in robot units."""
        robot = (self._policy.normalizer.unnormalize(ACTION_KEY, x) for x in (chunks, converged))
        pairs = ((1.0, (chunks, converged)), (self._factor, robot))
        return tuple(_spread(factor * (self._cut(a) - self._cut(b)).square().mean(1).sqrt())
                     for factor, (a, b) in pairs)


def _spread(distances):
    """Summarize the distances of windows."""
    low, median, high = np.percentile(distances.cpu().numpy(), (25, 50, 75)).tolist()
    return Spread(median, low, high)


def _robot_unit(contract):
    """Return the unit for distances of actions, and its size in the contract's."""
    units = {output.unit for output in contract.actions} if contract else {''}
    unit = units.pop() if len(units) == 1 else ''
    return IN_MILLI.get(unit, unit or 'robot units'), 1e3 if unit in IN_MILLI else 1.0

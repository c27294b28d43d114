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

"""The bench of solvers against what can be known beforehand: Gaussian data, exact answers."""

import csv
from types import SimpleNamespace

from diffusion_policy_ros.choices import SOLVERS
from diffusion_policy_ros.control.replan import ReplanSettings
from diffusion_policy_ros.diffusion import DiscreteVp, Sampler
from diffusion_policy_ros.evaluation import solver_bench
from diffusion_policy_ros.evaluation.bench_windows import recorded_windows, simulated_windows
from diffusion_policy_ros.evaluation.rollout import LoopSettings
from diffusion_policy_ros.evaluation.sample_distance import compare_samples
from diffusion_policy_ros.evaluation.solver_bench import samplers_to_measure, SolverBench
from diffusion_policy_ros.evaluation.solver_bench_report import (
    aligned, sorted_rows, tables, write_bench)
from diffusion_policy_ros.policy.planner import PlanOptions
import numpy as np
import pytest
import torch

torch.set_num_threads(1)

MEAN, STD = 0.3, 0.2
OBSERVATION = 'observation.state'


class GaussianPolicy:
    """Knows the exact denoiser of actions N(0.3 + condition, 0.2^2); normalized units are m."""

    def __init__(self, unit='m'):
        self.process, self.sampler = DiscreteVp(), Sampler()
        self.contract = SimpleNamespace(actions=[SimpleNamespace(unit=unit)], robot='dot')
        self.config = SimpleNamespace(horizon=4, action_dim=2, n_obs_steps=2, n_action_steps=2)
        self.normalizer = SimpleNamespace(unnormalize=lambda key, x: 0.5 * x)
        self.device = torch.device('cpu')

    def denoiser(self, global_cond, sampler):
        mean = MEAN + global_cond[:, :, None]

        def denoise(x_t, level):
            gain = level.alpha * STD ** 2 / ((level.alpha * STD) ** 2 + level.sigma ** 2)
            return mean + gain * (x_t - level.alpha * mean)

        return denoise

    def executable(self, chunk):
        return chunk[:, 1:3]


@pytest.fixture(scope='module')
def policy():
    """Return a policy whose ODE and SDE are known."""
    return GaussianPolicy()


@pytest.fixture(scope='module')
def bench(policy):
    """Return a bench on three observations."""
    return SolverBench(policy, torch.tensor([[0.0], [0.1], [-0.2]]), samples=400, seed=1)


@pytest.fixture(scope='module')
def rows(policy, bench):
    """Measure every solver once or more."""
    return [bench.measure(sampler) for sampler in
            samplers_to_measure(policy, tuple(SOLVERS), (5, 20, 30), ('lambda',))]


def test_every_solver_and_order_is_measured_within_its_budget(policy):
    found = samplers_to_measure(policy, tuple(SOLVERS), (5, 20), ('trailing',))
    assert {sampler.solver for sampler in found} == set(SOLVERS)
    assert {s.order for s in found if s.solver == 'dpm_solver++'} == {1, 2, 3}
    assert len(set(found)) == len(found)
    budgeted = [sampler for sampler in found if sampler.solver != 'adaptive']
    assert all(2 <= s.num_inference_steps and s.evaluations <= 20 for s in budgeted)
    assert [s.evaluations for s in budgeted if s.solver == 'heun'] == [5, 19]


def test_budgets_that_no_grid_can_meet_are_left_out(policy):
    assert samplers_to_measure(policy, ['rk4'], (4,), ('trailing',)) == []
    few = GaussianPolicy()
    few.process = DiscreteVp(num_train_timesteps=20)
    found = samplers_to_measure(few, ['ddim'], (10, 50), ('trailing', 'lambda'))
    assert [(s.num_inference_steps, s.spacing) for s in found] == [
        (10, 'trailing'), (10, 'lambda'), (50, 'lambda')]


def test_the_converged_chunks_are_the_exact_solution_of_the_ode(policy, bench):
    level, last = policy.process.level(99), policy.process.level(0)
    found = bench._converge(99)
    mean = MEAN + torch.tensor([0.0, 0.1, -0.2])[:, None, None]
    widths = [np.hypot(at.alpha * STD, at.sigma) for at in (level, last)]
    # Quantiles are carried along the ODE of a Gaussian; the last step takes the mean of the rest.
    x = last.alpha * mean + widths[1] / widths[0] * (bench._noise - level.alpha * mean)
    exact = policy.denoiser(bench._cond, None)(x, last)
    torch.testing.assert_close(found, exact, atol=2e-5, rtol=0)
    assert bench.floors[99].median < 2e-5


def test_distances_are_rms_over_executable_rows_in_both_units(bench):
    chunks = torch.zeros(3, 4, 2)
    chunks[:, 0] = 100.0  # not executable
    chunks[:, 1, 0] = torch.tensor([0.1, 0.2, 0.4])
    normalized, robot = bench._spreads(chunks, torch.zeros(3, 4, 2))
    assert normalized == pytest.approx((0.1, 0.075, 0.15))
    assert robot == pytest.approx((50.0, 37.5, 75.0)) and bench.unit == 'mm'


@pytest.mark.parametrize('unit, shown', [('m', 'mm'), ('rad', 'rad'), ('', 'robot units')])
def test_the_unit_is_the_contracts(unit, shown):
    assert SolverBench(GaussianPolicy(unit), torch.zeros(1, 1), samples=2, seed=0).unit == shown


def test_more_evaluations_and_higher_orders_come_closer(rows):
    by = {(row.name, row.evaluations): row for row in rows}
    assert by['ddim', 30].distance.median < by['ddim', 5].distance.median / 3
    assert by['dpm_solver++ 2', 20].distance.median < by['ddim', 20].distance.median / 2
    adaptive = [row for row in rows if row.name == 'adaptive']
    assert adaptive[-1].evaluations > adaptive[0].evaluations
    assert adaptive[-1].distance.median < adaptive[0].distance.median


def test_every_row_has_the_figures_of_its_kind_and_a_time(rows):
    for row in rows:
        assert row.time_ms > 0 and row.time_ratio > 0
        assert (row.distance is None) == row.sampler.is_stochastic == (row.energy is not None)


def test_an_exact_sde_has_the_distribution_of_its_ode(rows, bench):
    row = next(row for row in rows if (row.name, row.evaluations) == ('sde_dpm_solver++ 2', 30))
    assert row.std_ratio == pytest.approx(1, abs=0.06)
    assert row.mean_error < 0.03 and bench.mean_floor < 0.03
    assert row.energy < 3 * bench.energy_floor


def test_sample_figures_are_those_of_shifted_and_widened_sets():
    draws = torch.randn((2000, 1), generator=torch.Generator().manual_seed(0)).double()
    assert compare_samples(draws, draws) == pytest.approx((0, 1, 0), abs=1e-9)
    mean_error, std_ratio, energy = compare_samples(2 * draws + 1, draws)
    assert (mean_error, std_ratio) == (pytest.approx(1, abs=0.05), pytest.approx(2))
    # E|N(m, s^2)| of the three differences: N(1, 5), N(0, 8) and N(0, 2).
    assert energy == pytest.approx(2 * 1.9583 - 2 * 1.1284 - 1.1284, abs=0.08)


def test_the_same_seed_means_the_same_figures(policy):
    first, second = (SolverBench(policy, torch.zeros(2, 1), samples=8, seed=3).measure(
        Sampler('ddpm', 4)) for _ in range(2))
    assert first.energy == second.energy


def test_tables_are_sorted_by_evaluations_then_distance(rows, bench):
    ode, sde = sorted_rows(rows)
    assert [(r.evaluations, r.distance.median) for r in ode] == sorted(
        (r.evaluations, r.distance.median) for r in ode)
    assert len(ode) + len(sde) == len(rows)
    shown = aligned(*tables(rows, bench)[0]).splitlines()
    assert shown[0] == 'Solvers of the ODE' and 'distance mm' in shown[1]
    assert len(shown) == len(ode) + 2


def test_files_hold_every_row_and_the_facts(rows, bench, tmp_path):
    write_bench(tmp_path, rows, bench, {'model': 'dot'})
    with open(tmp_path / 'solvers.csv', newline='') as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(rows)
    ode = sorted_rows(rows)[0]
    assert float(lines[0]['distance_mm']) == ode[0].distance_robot.median
    assert float(lines[0]['distance_normalized_q25']) == ode[0].distance.low
    text = (tmp_path / 'solvers.md').read_text()
    assert '| model | dot |' in text and 'Floor from level 98' in text
    assert sum(line.startswith('| ') for line in text.splitlines()) >= len(rows) + 3
    assert (tmp_path / 'solvers.png').read_bytes().startswith(b'\x89PNG')


def test_one_kind_alone_makes_one_table_and_a_picture(policy, tmp_path, monkeypatch):
    monkeypatch.setattr(solver_bench, 'FINE_RUNS', (('rk4', 4), ('dpm_solver++', 8)))
    for solver in ('ddim', 'ddpm'):
        bench = SolverBench(policy, torch.zeros(1, 1), samples=4, seed=0)
        rows = [bench.measure(Sampler(solver, 3))]
        write_bench(tmp_path, rows, bench, {})
        assert len(tables(rows, bench)) == 1


def test_recorded_windows_are_evenly_spread_over_the_dataset(monkeypatch, policy):
    arrays = {OBSERVATION: np.arange(9.0, dtype=np.float32)[:, None],
              'action': np.zeros((9, 2), np.float32)}
    monkeypatch.setattr(
        'diffusion_policy_ros.evaluation.bench_windows.build_cache',
        lambda folder, cache: SimpleNamespace(arrays=arrays, episode_ends=np.array([4, 9])))
    found = recorded_windows(policy, 'dataset', 3)
    assert found[OBSERVATION][:, :, 0].tolist() == [[0, 0], [4, 4], [7, 8]]
    assert len(recorded_windows(policy, 'dataset', 50)[OBSERVATION]) == 9


def test_simulated_windows_come_from_several_moments_of_seeded_episodes(monkeypatch, policy):
    made = []

    class Episode:
        """Remembers how long it was driven; the one with seed 8 is solved on the way."""

        def __init__(self, environment, config, seed, as_messages, loop):
            assert config is policy.config
            assert loop == LoopSettings(ReplanSettings(config.n_action_steps))
            self.seed, self.rows, self.success = seed, 0, False
            made.append(self)

        def window(self):
            return {OBSERVATION: np.array([[self.seed, self.rows]])}

    def roll_out(policy, rollouts, *, options, max_steps):
        assert options == PlanOptions(policy.sampler)
        for rollout in rollouts:
            rollout.rows, rollout.success = max_steps, rollout.seed == 8

    module = 'diffusion_policy_ros.evaluation.bench_windows'
    monkeypatch.setattr(f'{module}.Rollout', Episode)
    monkeypatch.setattr(f'{module}.roll_out', roll_out)
    found = simulated_windows(policy, lambda contract: None, 6, 7)[OBSERVATION][:, 0].tolist()
    assert found == [[7, 0], [12, 0], [9, 4], [10, 6], [11, 8]] and len(made) == 6

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
"""Plans follow what is promised, each in the way of its join."""

from dataclasses import replace
from types import SimpleNamespace

from diffusion_policy_ros.choices import JOINS
from diffusion_policy_ros.diffusion import Inpainted, Sampler, solve
from diffusion_policy_ros.policy import planner
from diffusion_policy_ros.policy.action_chunk import Promise
from diffusion_policy_ros.policy.planner import make_plans, PlanOptions
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
import torch

ROWS, ENTRIES, FROZEN = 16, 2, 4
LOW, HIGH = np.array([0.02, 0.05]), np.array([0.51, 0.49])  # of the actions, as conftest has them
ODE, SDE = Sampler('dpm_solver++', 4), Sampler('ddpm', 4)
PROMISE_JOINS = [join for join in JOINS if join != 'shared_noise']
EMPTY = Promise(np.full((ROWS, ENTRIES), np.nan), FROZEN)


def normalized(rows):
    return 2 * (np.asarray(rows) - LOW) / (HIGH - LOW) - 1


def seeded(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def promise_of(seed, end=12, frozen=FROZEN, first_row=0):
    """Promise a walk in robot units up to a row."""
    random = np.random.default_rng(seed)
    rows = LOW + (HIGH - LOW) * random.uniform(0.2, 0.8, ENTRIES) \
        + random.normal(0, 0.01, (ROWS, ENTRIES)).cumsum(axis=0)
    rows[end:] = np.nan
    return Promise(rows, frozen, first_row)


def weights_of(promise):
    """Return how firmly every entry is promised, worked out once more."""
    is_known = ~np.isnan(promise.rows)
    weights = np.zeros((ROWS, ENTRIES))
    if not is_known[promise.frozen:].all(axis=1).any():
        return weights  # nothing is left to follow
    end = np.flatnonzero(is_known.any(axis=1))[-1] + 1
    for row in range(end):
        share = (end - row) / (end - promise.frozen + 1)
        weights[row] = 1 if row < promise.frozen else share * (np.exp(share) - 1) / (np.e - 1)
    return weights * is_known


@pytest.fixture(scope='module')
def cond(policy):
    """Return the conditions of three windows."""
    with torch.inference_mode():
        return torch.randn(3, policy.config.global_cond_dim,
                           generator=torch.Generator().manual_seed(8))


@pytest.fixture
def noises(monkeypatch):
    """Let sampling end at its start noise, and remember that."""
    seen = []

    def keep_noise(denoiser, noise, process, sampler, **_):
        seen.append(noise)
        return SimpleNamespace(x=noise, evaluations=1, is_complete=True)

    monkeypatch.setattr(planner, 'solve', keep_noise)
    return seen


@pytest.mark.parametrize('sampler', [ODE, SDE], ids=lambda sampler: sampler.solver)
def test_a_plan_of_one_candidate_is_what_sample_gives(policy, window, sampler):
    window = {key: value[:1] for key, value in window.items()}
    cond = policy.encode(window)
    plans = make_plans(policy, cond, [promise_of(1)], seeded(5), PlanOptions(sampler))
    wanted = policy.sample(window, sampler=sampler, generator=seeded(5)[0])
    assert torch.equal(plans.chunks, wanted)
    assert (plans.evaluations, plans.is_complete) == (4, True)


@pytest.mark.parametrize('join', JOINS)
def test_plans_have_the_shapes_and_types_that_they_promise(policy, cond, join):
    plans = make_plans(policy, cond, [promise_of(seed) for seed in range(3)], seeded(1, 2, 3),
                       PlanOptions(ODE, join, num_candidates=5))
    assert plans.chunks.shape == (3, ROWS, ENTRIES) and plans.chunks.dtype == torch.float32
    assert plans.candidates.shape == (3, 5, ROWS, ENTRIES)
    assert plans.candidates.dtype == plans.spread.dtype == torch.float32
    assert plans.spread.shape == (3,) and (plans.spread > 0).all()
    for chunk, candidates in zip(plans.chunks, plans.candidates):
        assert any(torch.equal(chunk, candidate) for candidate in candidates)


@pytest.mark.parametrize('join', JOINS)
@pytest.mark.parametrize('count', [1, 3])
def test_a_plan_does_not_depend_on_the_others_of_its_batch(policy, cond, join, count):
    promises = [promise_of(1), promise_of(2, end=16, frozen=1), promise_of(3, end=7, frozen=6)]
    options = PlanOptions(ODE, join, num_candidates=count)
    together = make_plans(policy, cond, promises, seeded(1, 2, 3), options)
    for index in range(3):
        alone = make_plans(policy, cond[index:index + 1], promises[index:index + 1],
                           seeded(index + 1), options)
        for name in ('chunks', 'candidates', 'spread'):
            torch.testing.assert_close(getattr(alone, name)[0], getattr(together, name)[index],
                                       rtol=0, atol=1e-5)


def test_without_a_choice_the_first_candidate_is_followed(policy, cond):
    many = make_plans(policy, cond, [EMPTY] * 3, seeded(1, 2, 3), PlanOptions(ODE, 'none', 4))
    assert torch.equal(many.chunks, many.candidates[:, 0])


@pytest.mark.parametrize('join', PROMISE_JOINS)
def test_without_a_promise_every_join_plans_freely(policy, cond, join):
    free, joined = (make_plans(policy, cond, [EMPTY] * 3, seeded(1, 2, 3),
                               PlanOptions(ODE, name, 2)) for name in ('none', join))
    assert torch.equal(free.chunks, joined.chunks)
    assert free.evaluations == joined.evaluations == 4


@pytest.mark.parametrize('sampler', [ODE, SDE, Sampler('heun', 3), Sampler('adaptive')],
                         ids=lambda sampler: sampler.solver)
def test_rtc_gives_back_the_frozen_rows(policy, cond, sampler):
    promises = [promise_of(seed, frozen=seed + 2) for seed in range(3)]
    plans = make_plans(policy, cond, promises, seeded(1, 2, 3), PlanOptions(sampler, 'rtc', 2))
    for promise, candidates in zip(promises, plans.candidates.numpy()):
        frozen = promise.rows[:promise.frozen]
        assert np.abs(candidates[:, :promise.frozen] - frozen).max() < 1e-5
        assert np.abs(candidates[:, ROWS - 3:] - promise.rows[11]).max() > 0.01


def test_rtc_is_sampling_under_the_weights_of_the_promise_and_ignores_what_is_not_known(
        policy, cond):
    promise = promise_of(1, end=13)
    promise.rows[2] = promise.rows[7, 1] = promise.rows[9] = np.nan
    weights = torch.from_numpy(weights_of(promise)).float()
    known = torch.from_numpy(normalized(np.nan_to_num(promise.rows, nan=7.0))).float()
    noise = torch.randn(1, ROWS, ENTRIES, generator=seeded(4)[0])
    denoiser = Inpainted(policy.denoiser(cond[:1], ODE), known, weights)
    with torch.inference_mode():
        wanted = solve(denoiser, noise, policy.process, ODE).x
    plans = make_plans(policy, cond[:1], [promise], seeded(4), PlanOptions(ODE, 'rtc'))
    np.testing.assert_allclose(normalized(plans.chunks), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize('level, steps, evaluations', [(0.6, 10, 6), (0.99, 10, 10), (0.3, 10, 3),
                                                       (0.05, 10, 1), (0.5, 7, 4), (0.6, 100, 60)])
def test_a_warm_start_takes_its_share_of_the_steps(policy, cond, level, steps, evaluations):
    options = PlanOptions(Sampler('ddim', steps), 'warm_start', warm_start_level=level)
    plans = make_plans(policy, cond, [promise_of(seed) for seed in range(3)], seeded(1, 2, 3),
                       options)
    assert plans.evaluations == evaluations and plans.is_complete
    assert options.warm_sampler(100).start_timestep == pytest.approx(99 * level, abs=0.5)


@pytest.mark.parametrize('solver', ['ddim', 'ddpm', 'dpm_solver++'])
def test_a_warm_start_from_little_noise_is_nearly_the_promise_held_at_its_end(
        policy, cond, solver):
    promises, away = [promise_of(seed) for seed in range(3)], []
    wanted = np.stack([np.where(np.isnan(promise.rows), promise.rows[11], promise.rows)
                       for promise in promises])
    for level in (0.02, 0.3, 0.99):
        options = PlanOptions(Sampler(solver, 10), 'warm_start', 2, warm_start_level=level)
        plans = make_plans(policy, cond, promises, seeded(1, 2, 3), options)
        away.append(np.abs(plans.candidates.numpy() - wanted[:, None]).mean())
    assert away[0] < away[1] < away[2] and away[0] < 0.02


def test_a_warm_start_lets_velocities_end_where_the_promise_ends(make_policy, contract):
    base = replace(contract.actions[0], type='geometry_msgs/msg/TwistStamped',
                   names=('linear.x', 'angular.z'))
    numbers = {'min': [-0.6, -0.6], 'max': [0.6, 0.6], 'mean': [0.2, 0.2], 'std': [0.1, 0.1]}
    policy = make_policy(replace(contract, actions=(base,), limits={}),
                         {'observation.state': numbers, 'action': numbers})
    cond = torch.zeros(1, policy.config.global_cond_dim)
    options = PlanOptions(Sampler('ddim', 10), 'warm_start', warm_start_level=0.02)
    promise = promise_of(1)
    promise.rows[6, 1] = np.nan  # a gap is none
    plan = make_plans(policy, cond, [promise], seeded(1), options).chunks[0].numpy()
    assert np.abs(plan[12:]).mean() < 0.06 and (promise.rows[11] > 0.12).all()
    assert plan[6, 1] == pytest.approx(promise.rows[5, 1], abs=0.1)


def test_a_warm_start_fills_a_gap_with_the_row_before_it(policy, cond):
    options = PlanOptions(Sampler('ddim', 10), 'warm_start', warm_start_level=0.02)
    gap, start = promise_of(1, end=16), promise_of(1, end=16)
    gap.rows[6:9, 1] = np.nan
    start.rows[:2] = np.nan
    plans = [make_plans(policy, cond[:1], [promise], seeded(1), options).chunks[0].numpy()
             for promise in (promise_of(1, end=16), gap, start)]
    filled = plans[1] - plans[0]
    wanted = gap.rows[5, 1] - promise_of(1, end=16).rows[6:9, 1]
    np.testing.assert_allclose(filled[6:9, 1], wanted, atol=0.004)
    np.testing.assert_allclose(plans[2][:2] - plans[0][:2],
                               start.rows[2] - promise_of(1, end=16).rows[:2], atol=0.004)


@pytest.mark.parametrize('first_row, later', [(0, 3), (-7, 5), (-1, 1), (1000, 15)])
def test_a_due_row_starts_from_the_same_noise_in_every_plan(
        policy, cond, noises, first_row, later):
    options = PlanOptions(ODE, 'shared_noise', num_candidates=3)
    generators = seeded(1, 2)
    for row in (first_row, first_row + later):
        torch.randn(5, generator=generators[0])  # only the seed counts
        make_plans(policy, cond[:2], [promise_of(1, first_row=row), promise_of(2, first_row=row)],
                   generators, options)
    before, after = (noise.unflatten(0, (2, 3)) for noise in noises)
    assert torch.equal(before[:, :, later:], after[:, :, :-later])
    assert not (before[:, :, :later] == after[:, :, -later:]).any()
    assert not (before[0] == before[1]).any() and not (before[:, 0] == before[:, 1]).any()


def test_a_plan_begins_with_the_noise_of_its_rows_whatever_the_number_of_candidates(
        policy, cond, noises):
    for count in (1, 4):
        make_plans(policy, cond[:1], [EMPTY], seeded(1), PlanOptions(ODE, 'shared_noise', count))
    assert torch.equal(noises[0][0], noises[1][0])


def test_noise_of_rows_is_standard_normal_and_of_one_row_unlike_that_of_another(
        policy, cond, noises):
    promises = [Promise(EMPTY.rows, FROZEN, ROWS * number) for number in range(-100, 100)]
    make_plans(policy, cond[:1].expand(200, -1), promises, seeded(3) * 200,
               PlanOptions(ODE, 'shared_noise', 4))
    noise = noises[0].unflatten(0, (200, 4)).transpose(1, 2).flatten(0, 1).flatten(1)
    assert noise.shape == (3200, 8) and noise.dtype == torch.float32
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)
    assert float(noise.std()) == pytest.approx(1, abs=0.02)
    columns = torch.corrcoef(noise.T) - torch.eye(8)
    neighbours = torch.corrcoef(torch.stack([noise[1:].flatten(), noise[:-1].flatten()]))[0, 1]
    assert columns.abs().max() < 0.07 and abs(neighbours) < 0.03


@given(seed=st.integers(0, 1000), count=st.integers(1, 8), frozen=st.integers(0, ROWS - 1),
       is_gap=st.lists(st.booleans(), min_size=ROWS, max_size=ROWS))
@settings(max_examples=25, deadline=None)
def test_coherent_follows_the_candidate_that_is_nearest_to_the_promise(
        policy, cond, seed, count, frozen, is_gap):
    promise = promise_of(seed, end=ROWS, frozen=frozen)
    promise.rows[np.array(is_gap), seed % 2] = np.nan
    plans = make_plans(policy, cond[:1], [promise], seeded(seed),
                       PlanOptions(ODE, 'coherent', count))
    candidates = plans.candidates[0].double().numpy()
    known = np.nan_to_num(normalized(promise.rows))
    apart = (weights_of(promise) * (normalized(candidates) - known) ** 2).sum(axis=(1, 2))
    assert torch.equal(plans.chunks[0], plans.candidates[0, apart.argmin()])


def test_coherent_keeps_to_the_old_plan_more_closely_the_more_candidates_there_are(
        policy, cond, noises):
    away = []
    for count in (1, 8, 64):
        plans = make_plans(policy, cond, [promise_of(seed) for seed in range(3)],
                           seeded(1, 2, 3), PlanOptions(ODE, 'coherent', count))
        away.append(sum(
            (weights_of(promise) * (normalized(chunk) - np.nan_to_num(normalized(promise.rows)))
             ** 2).sum() for promise, chunk in zip(map(promise_of, range(3)),
                                                   plans.chunks.numpy())))
    assert away[0] > away[1] > away[2]


@pytest.mark.parametrize('count', [1, 2, 7])
def test_spread_is_the_rms_distance_from_the_mean_in_normalized_units(policy, cond, count):
    plans = make_plans(policy, cond, [EMPTY] * 3, seeded(1, 2, 3), PlanOptions(ODE, 'none', count))
    candidates = normalized(plans.candidates.double().numpy())[:, :, 1:9]  # the executable rows
    for spread, chunks in zip(plans.spread, candidates):
        mean = sum(chunks) / count
        squares = [np.linalg.norm(row - middle) ** 2
                   for chunk in chunks for row, middle in zip(chunk, mean)]
        assert float(spread) == pytest.approx(np.sqrt(np.mean(squares)), abs=1e-5)
    assert (plans.spread == 0).all() == (count == 1)


def test_a_plan_that_is_late_is_what_was_predicted_by_then(policy, cond):
    answers = iter([False, True])
    plans = make_plans(policy, cond, [EMPTY] * 3, seeded(1, 2, 3), PlanOptions(ODE),
                       is_late=lambda: next(answers))
    assert (plans.evaluations, plans.is_complete) == (2, False)
    warm = make_plans(policy, cond, [promise_of(seed) for seed in range(3)], seeded(1, 2, 3),
                      PlanOptions(Sampler('ddim', 10), 'warm_start'), is_late=lambda: True)
    assert (warm.evaluations, warm.is_complete) == (1, False)


@given(seed=st.integers(0, 100), frozen=st.integers(0, ROWS), first_row=st.integers(-100, 10**6),
       join=st.sampled_from(JOINS), count=st.integers(1, 3),
       is_known=st.lists(st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 1)]), min_size=ROWS,
                         max_size=ROWS), reach=st.sampled_from([0.0, 0.5, 100.0]))
@settings(max_examples=60, deadline=None)
def test_whatever_is_promised_the_plan_is_finite(
        policy, cond, seed, frozen, first_row, join, count, is_known, reach):
    rows = np.random.default_rng(seed).uniform(-reach, reach, (ROWS, ENTRIES))
    promise = Promise(np.where(is_known, rows, np.nan), frozen, first_row)
    plans = make_plans(policy, cond[:1], [promise], seeded(seed),
                       PlanOptions(Sampler('ddim', 2), join, count))
    for result in (plans.chunks, plans.candidates, plans.spread):
        assert torch.isfinite(result).all()

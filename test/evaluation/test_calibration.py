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

"""How sure a policy was of its plans, episode by episode, and the limits chosen from that."""

from dataclasses import replace
from types import SimpleNamespace

from diffusion_policy_ros.control.joins import JoinSettings
from diffusion_policy_ros.control.replan import ReplanSettings
from diffusion_policy_ros.diffusion import Sampler
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.evaluation import calibration, rollout as rollout_module
from diffusion_policy_ros.evaluation.calibration import (
    choose_limits, EpisodeScore, measure_recorded, measure_simulated)
from diffusion_policy_ros.evaluation.rollout import LoopSettings
from diffusion_policy_ros.policy.planner import make_plans, PlanOptions
import numpy as np
import pytest

LOOP = LoopSettings(ReplanSettings(4))
OPTIONS = PlanOptions(Sampler('ddim', 2), num_candidates=3)


@pytest.fixture
def unsure(echo):
    """Return a function that makes policies that are less sure the later it is."""
    return lambda **sizes: echo(lambda seen, x_t, level: seen + 0.1 * (seen + 1) * x_t, **sizes)


@pytest.fixture
def planned(monkeypatch):
    """Remember every call for plans: promises and the plans."""
    seen = []

    def remember(policy, global_cond, promises, *args, **how):
        plans = make_plans(policy, global_cond, promises, *args, **how)
        seen.append((promises, plans))
        return plans

    monkeypatch.setattr(rollout_module, 'make_plans', remember)
    return seen


def simulate(policy, counter, goals=(np.inf,), **how):
    """Run one episode for each goal, from seed 7 on."""
    robots = iter(goals)
    return measure_simulated(
        policy, lambda contract: counter(contract, goal=next(robots)),
        range(7, 7 + len(goals)), options=OPTIONS, loop=LOOP, max_steps=10, **how)


def test_every_plan_is_scored_by_how_far_its_candidates_are_apart(unsure, counter, planned):
    score, = simulate(unsure(), counter)
    assert (score.number, score.success, len(score.spreads)) == (7, False, 3)
    for (_, plans), spread in zip(planned, score.spreads):
        rows = plans.candidates[0, :, 1:5].numpy() / 0.5  # what may be executed, normalized
        apart = ((rows - rows.mean(axis=0)) ** 2).sum(axis=-1)
        assert spread == pytest.approx(np.sqrt(apart.mean()), rel=1e-5)
    assert score.spreads[0] < score.spreads[1] < score.spreads[2]


def test_scores_belong_to_their_episode_however_many_run_together(unsure, counter):
    alone = [simulate(unsure(), counter, (np.inf,) * count)[-1] for count in (1, 2, 3)]
    together = simulate(unsure(), counter, (np.inf,) * 3)
    in_turn = simulate(unsure(), counter, (np.inf,) * 3, batch_size=1)
    for first, second, third in zip(alone, together, in_turn):
        assert first.number == second.number == third.number
        assert first.spreads == pytest.approx(second.spreads, rel=1e-6)
        assert first.spreads == pytest.approx(third.spreads, rel=1e-6)


def test_what_was_solved_is_told_from_what_was_not(unsure, counter):
    solved, unsolved = simulate(unsure(), counter, (-1e9, np.inf))
    assert solved.success and not unsolved.success
    assert (len(solved.spreads), len(unsolved.spreads)) == (1, 3)


def test_the_likelihood_is_that_of_the_plan_that_is_followed(unsure, counter, planned,
                                                             monkeypatch):
    asked = []

    def confidence(policy, global_cond, chunk, *, steps, generator):
        asked.append((global_cond, steps))
        return chunk.sum(dim=(1, 2))

    monkeypatch.setattr(calibration, 'confidence', confidence)
    assert simulate(unsure(), counter)[0].log_likelihoods == () and not asked
    planned.clear()
    score, = simulate(unsure(), counter, likelihood_steps=5)
    assert score.log_likelihoods == pytest.approx(
        [float(plans.chunks.sum()) for _, plans in planned])
    assert [(cond.item(), steps) for cond, steps in asked] == [(0, 5), (4, 5), (8, 5)]


@pytest.fixture
def dataset(monkeypatch):
    """Stand in for a dataset of two episodes, of 9 and 6 rows, which show their row numbers."""
    def show(contract=None):
        rows = np.arange(15, dtype=np.float32)
        arrays = {
            'observation.images.camera': np.zeros((15, 4, 4, 3), np.uint8),
            'observation.state': np.stack([rows * 0, rows, rows * 0], axis=1),
            'action': rows[:, None]}
        monkeypatch.setattr(calibration, 'LeRobotReader',
                            lambda folder: SimpleNamespace(contract=contract))
        monkeypatch.setattr(calibration, 'build_cache', lambda folder, cache: SimpleNamespace(
            arrays=arrays, episode_ends=np.array([9, 15])))

    return show


def states(policy):
    """Return the row numbers of each window that a policy saw."""
    return [row for window in policy.windows
            for row in window['observation.state'][:, :, 1].tolist()]


def test_along_a_demonstration_plans_start_from_what_was_demonstrated(unsure, dataset):
    dataset()
    policy = unsure()
    scores = measure_recorded(policy, 'folder', range(2), options=OPTIONS, loop=LOOP)
    assert [(score.number, score.success, len(score.spreads)) for score in scores] == [
        (0, True, 3), (1, True, 2)]
    # Rows 0, 4, 8 of the first episode and 9, 13 of the second, which begins with row 9.
    assert states(policy) == [[0, 0], [9, 9], [3, 4], [12, 13], [7, 8]]
    assert all('action' not in window for window in policy.windows)


def test_only_the_episodes_that_are_named_are_looked_at(unsure, dataset):
    dataset()
    policy, finished = unsure(), []
    scores = measure_recorded(policy, 'folder', range(1, 2), options=OPTIONS, loop=LOOP,
                              progress=finished.append)
    assert [score.number for score in scores] == [1] and finished == [1]
    assert states(policy) == [[9, 9], [12, 13]]
    with pytest.raises(ConfigError, match='has no episode 2; its 2 episodes count from 0'):
        measure_recorded(policy, 'folder', range(3), options=OPTIONS, loop=LOOP)


def test_along_a_demonstration_the_next_plan_is_promised_what_the_last_one_says(
        unsure, dataset, planned):
    dataset()
    options = PlanOptions(OPTIONS.sampler, 'coherent', 3)
    measure_recorded(unsure(horizon=12), 'folder', [0], options=options,
                     loop=LoopSettings(ReplanSettings(4), JoinSettings('coherent')))
    (first, made), (second, _) = planned[:2]
    assert first[0].is_empty and not second[0].is_empty
    # Row 0 of the second chunk was due when row 4 of the first one was.
    np.testing.assert_allclose(second[0].rows[:8], made.chunks[0, 4:].numpy(), rtol=1e-6)
    assert np.isnan(second[0].rows[8:]).all()


def test_a_dataset_of_another_robot_is_refused(unsure, dataset):
    dataset(replace(unsure().contract, rate_hz=15))
    with pytest.raises(ConfigError, match='rate_hz: trained at 10, the dataset has 15'):
        measure_recorded(unsure(), 'folder', range(2), options=OPTIONS, loop=LOOP)


def episodes(spreads, success=True, nats=None):
    """Return episodes whose largest spreads, and smallest likelihoods, are given."""
    nats = nats or [None] * len(spreads)
    return [EpisodeScore(number, success, (spread / 2, spread, spread / 3),
                         () if low is None else (low + 1, low, low + 2))
            for number, (spread, low) in enumerate(zip(spreads, nats))]


def test_the_limit_is_the_order_statistic_of_the_worst_plans_of_successes():
    spreads = np.random.default_rng(0).permutation(np.arange(1, 40)) / 100
    failures = episodes([5.0, 0.38, 0.1], success=False)
    limit, = choose_limits([*episodes(spreads), *failures], 0.05)
    assert limit.parameter == 'max_spread'
    assert 0.38 <= limit.value < 0.3802  # ceil(40 * 0.95) = 38 of 39, rounded up
    assert (limit.held, limit.held_failures) == (1, 1)
    low, high = limit.false_alarms_95
    assert low < 0.05 < high


def test_for_the_likelihood_small_is_bad_and_rounding_lets_more_pass():
    nats = [-float(number) - 0.00004 for number in range(1000, 1039)]
    spread, likelihood = choose_limits(episodes([0.5] * 39, nats=nats), 0.05)
    assert (spread.parameter, spread.value, spread.held) == ('max_spread', 0.5, 0)
    assert likelihood.parameter == 'min_log_likelihood'
    assert likelihood.value == -1038  # from -1037.00004
    assert likelihood.held == 1


def test_too_few_successes_are_refused_however_many_episodes_there_were():
    scores = [*episodes([0.1] * 18), *episodes([0.1] * 50, success=False)]
    with pytest.raises(ConfigError, match='18 episodes are too few .* at least 19'):
        choose_limits(scores, 0.05)


def test_candidates_that_are_all_the_same_give_no_limit():
    with pytest.raises(ConfigError, match='nothing to limit'):
        choose_limits(episodes([0.0] * 30), 0.05)
    limit, = choose_limits(episodes([0.0] * 30, nats=[-1.0] * 30), 0.05)
    assert limit.parameter == 'min_log_likelihood'


def test_asking_for_likelihoods_leaves_the_episodes_as_they_are(save_tiny_policy):
    pytest.importorskip('gym_pusht')
    from diffusion_policy_ros.policy import Policy
    from diffusion_policy_ros.sim.pusht import PushT
    policy = Policy.load(save_tiny_policy())
    how = {'options': PlanOptions(policy.sampler, num_candidates=2), 'loop': LOOP, 'max_steps': 6}
    plain = measure_simulated(policy, PushT, range(2), **how)
    asked = measure_simulated(policy, PushT, range(2), likelihood_steps=2, **how)
    assert [score.spreads for score in plain] == [score.spreads for score in asked]
    assert all(np.isfinite(score.log_likelihoods).all() and len(score.log_likelihoods) == 2
               for score in asked)

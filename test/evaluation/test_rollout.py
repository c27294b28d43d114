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

"""The loop of an episode: when plans start, how late they arrive, and what is executed."""

import math

from diffusion_policy_ros.control.joins import JoinSettings
from diffusion_policy_ros.control.replan import ReplanSettings
from diffusion_policy_ros.diffusion import sample_chunk, Sampler
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.evaluation import rollout as rollout_module
from diffusion_policy_ros.evaluation.evaluate import observation_messages
from diffusion_policy_ros.evaluation.rollout import LoopSettings, roll_out, Rollout
from diffusion_policy_ros.policy.planner import make_plans, PlanOptions
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
import torch

HORIZON = 16
SAMPLER = Sampler('ddim', 2)
MADE_TO_AGREE = ('none', 'warm_start', 'rtc', 'shared_noise', 'coherent')


@pytest.fixture(scope='session')
def clock(echo):
    """Return a function that makes policies whose rows say the step at which they are due."""
    def make(n_obs_steps=2):
        policy = echo(lambda seen, x_t, level: seen + policy.row_numbers() - (n_obs_steps - 1),
                      HORIZON, n_obs_steps, HORIZON - n_obs_steps + 1)
        return policy

    return make


@pytest.fixture(scope='session')
def moody(echo):
    """Return a function that makes policies whose rows depend on everything that they may."""
    def make():
        return echo(lambda seen, x_t, level: torch.tanh(
            x_t + torch.sin(seen) + x_t.flip(1) * level.alpha), HORIZON)

    return make


@pytest.fixture(scope='session')
def drive(counter):
    """Return a function that runs episodes; it gives the robots and the rollouts."""
    def run(policy, replan, max_steps, *, join='none', delay_ms=0.0, seeds=(7,), candidates=1):
        robots = [counter(policy.contract, goal=math.inf) for _ in seeds]
        loop = LoopSettings(replan, JoinSettings(join), delay_ms)
        rollouts = [Rollout(robot, policy.config, seed, observation_messages, loop)
                    for robot, seed in zip(robots, seeds)]
        results = roll_out(policy, rollouts, options=PlanOptions(SAMPLER, join, candidates),
                           max_steps=max_steps)
        assert [result.steps for result in results] == [max_steps] * len(seeds)
        return robots, rollouts

    return run


def values_of(rollout):
    """Return what was commanded at each step, None where nothing was."""
    return [None if command is None else float(command[0]) for command in rollout.commands]


def steps_of(policy):
    """Return the steps that each window shows, in its pictures and its states alike."""
    shown = []
    for window in policy.windows:
        pictures = window['observation.images.camera'][:, :, 0, 0, 0].tolist()
        assert pictures == window['observation.state'][:, :, 1].tolist()
        shown += pictures
    return shown


def last_steps(step, n_obs_steps):
    """Return the steps that a window at one of them must show; the first one is repeated."""
    return [max(step - back, 0) for back in reversed(range(n_obs_steps))]


@pytest.mark.parametrize('execute_horizon', [1, 3, 8])
def test_without_delay_or_join_it_is_a_plain_receding_horizon(
        moody, drive, counter, execute_horizon):
    policy, plain = moody(), moody()
    robot, generator = counter(plain.contract, goal=math.inf), torch.Generator().manual_seed(7)
    robot.reset(7)
    seen = [robot.observation()] * 2
    while robot.steps < 25:
        window = {key: torch.from_numpy(np.stack([shown[key] for shown in seen[-2:]])[None])
                  for key in seen[-1]}
        noise = torch.randn(1, HORIZON, 1, generator=generator)
        chunk = plain.normalizer.unnormalize('action', sample_chunk(
            plain.denoiser(plain.encode(window), SAMPLER), noise, plain.process, SAMPLER))
        for row in chunk[0, 1:1 + execute_horizon].numpy():
            robot.step(row)
            seen.append(robot.observation())
    robots, _ = drive(policy, ReplanSettings(execute_horizon), 25)
    assert robots[0].actions == robot.actions[:25]
    assert len(policy.windows) == len(plain.windows)
    for ours, theirs in zip(policy.windows, plain.windows):
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize('n_obs_steps', [1, 2, 3])
def test_without_delay_only_what_a_window_shows_is_rendered(clock, drive, n_obs_steps):
    policy = clock(n_obs_steps)
    robots, _ = drive(policy, ReplanSettings(6), 19)
    wanted = [last_steps(step, n_obs_steps) for step in (0, 6, 12, 18)]
    assert steps_of(policy) == wanted
    assert robots[0].rendered == sorted({step for window in wanted for step in window})


@given(delay_ms=st.integers(0, 400), gap=st.integers(1, 8), n_obs_steps=st.integers(1, 3),
       trigger=st.sampled_from(['executed', 'low', 'continuous']),
       join=st.sampled_from(['none', 'shared_noise', 'coherent']))
@settings(max_examples=60, deadline=None)
def test_a_plan_starts_on_time_arrives_late_and_is_entered_at_the_row_that_is_due(
        clock, drive, delay_ms, gap, n_obs_steps, trigger, join):
    policy, late = clock(n_obs_steps), math.ceil(delay_ms / 100)
    rows = HORIZON - n_obs_steps + 1
    robots, (rollout,) = drive(policy, ReplanSettings(gap, trigger, rows - gap), 40, join=join,
                               delay_ms=delay_ms)
    gap = 0 if trigger == 'continuous' else gap
    starts = [0, max(late + gap, 1)]  # the first plan is followed from its arrival on
    while starts[-1] < 40:
        starts.append(starts[-1] + max(late, gap, 1))
    assert steps_of(policy) == [last_steps(step, n_obs_steps) for step in starts if step < 40]
    assert rollout.borders == [step + late for step in starts if step + late < 40]
    second = starts[1] + late
    assert values_of(rollout) == [
        None if step < late else pytest.approx(step - late if step < second else step, abs=1e-6)
        for step in range(40)]
    assert robots[0].waits == late
    # While a plan is on its way, nobody knows when the next one starts.
    may_be_seen = {seen for step in starts for seen in (
        *last_steps(step, n_obs_steps), *range(step, step + late + 1))}
    assert len(set(robots[0].rendered)) == len(robots[0].rendered)
    assert set(robots[0].rendered) <= may_be_seen


def test_a_delay_under_which_nothing_would_move_is_refused(clock, drive):
    policy = clock()
    lasts_ms = 100 * (policy.config.horizon - policy.config.n_obs_steps + 1)
    with pytest.raises(ConfigError, match=f'rows last {lasts_ms} ms: nothing would move'):
        drive(policy, ReplanSettings(4), 40, delay_ms=lasts_ms)
    drive(policy, ReplanSettings(4), 40, delay_ms=lasts_ms - 1)


@given(delay_ms=st.integers(0, 400), gap=st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_the_naive_join_executes_what_was_meant_for_the_past(clock, drive, delay_ms, gap):
    late = math.ceil(delay_ms / 100)
    _, (rollout,) = drive(clock(), ReplanSettings(gap), 40, join='naive', delay_ms=delay_ms)
    assert values_of(rollout) == [
        None if step < late else pytest.approx(step - late, abs=1e-6) for step in range(40)]
    assert rollout.borders == [late + k * (late + gap) for k in range(40)
                               if late + k * (late + gap) < 40]


@given(delay_ms=st.integers(1, 400), join=st.sampled_from(['blend', 'ensemble']),
       gap=st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_plans_that_agree_are_executed_as_they_are_however_they_are_mixed(
        clock, drive, delay_ms, join, gap):
    late = math.ceil(delay_ms / 100)
    _, (rollout,) = drive(clock(), ReplanSettings(gap), 40, join=join, delay_ms=delay_ms)
    # The first plan, which says what is executed later than it was meant to be, is over by then.
    settled = late + HORIZON
    assert values_of(rollout)[settled:] == pytest.approx(list(range(settled, 40)), abs=1e-6)


def test_a_robot_that_ran_out_of_rows_waits_and_begins_with_the_first_row(clock, drive):
    robots, (rollout,) = drive(clock(), ReplanSettings(15), 36, delay_ms=300)
    follow = [None] * 3 + list(range(15))
    restart = [None] * 3 + list(range(18, 33))
    assert values_of(rollout) == follow[:18] + restart
    assert rollout.borders == [3, 21] and robots[0].waits == 6


def test_a_plan_that_arrives_while_the_last_row_is_executed_goes_on_from_there(clock, drive):
    # The first plan is followed in steps 3 to 17; the second, of step 15, arrives in step 17.
    _, (rollout,) = drive(clock(), ReplanSettings(12), 24, delay_ms=250)
    assert values_of(rollout) == [None] * 3 + list(range(15)) + list(range(18, 24))
    assert rollout.borders == [3, 18]


@pytest.mark.parametrize('join', MADE_TO_AGREE)
def test_an_episode_is_the_same_alone_and_among_others(moody, drive, join):
    how = {'join': join, 'delay_ms': 200, 'candidates': 3}
    _, (alone,) = drive(moody(), ReplanSettings(5), 30, seeds=(3,), **how)
    _, together = drive(moody(), ReplanSettings(5), 30, seeds=(2, 3, 4), **how)
    assert values_of(alone)[2:] == pytest.approx(values_of(together[1])[2:], abs=1e-6)
    assert values_of(alone)[2:] != pytest.approx(values_of(together[0])[2:], abs=1e-2)
    assert alone.borders == together[1].borders == [2, 9, 14, 19, 24, 29]


@pytest.mark.parametrize('join', [join for join in MADE_TO_AGREE if join != 'none'])
def test_a_join_changes_what_is_executed_after_the_first_plan(moody, drive, join):
    free, joined = (values_of(drive(moody(), ReplanSettings(5), 20, join=name, delay_ms=200,
                                    candidates=3)[1][0]) for name in ('none', join))
    if join != 'shared_noise':
        assert free[:9] == joined[:9]
    assert free[9:] != pytest.approx(joined[9:], abs=1e-3)


@pytest.fixture
def asked(monkeypatch):
    """Remember the promises of every call for plans."""
    seen = []

    def remember(policy, global_cond, promises, *args, **how):
        seen.append(promises)
        return make_plans(policy, global_cond, promises, *args, **how)

    monkeypatch.setattr(rollout_module, 'make_plans', remember)
    return seen


def test_what_is_promised_is_what_was_executed_and_what_the_plan_still_says(clock, drive, asked):
    drive(clock(n_obs_steps=3), ReplanSettings(5), 12, delay_ms=250)
    (first,), (second,) = asked
    assert first.is_empty and (first.frozen, first.first_row) == (2 + 3, -2)
    # The second plan starts at step 3 + 5; its first row was due at step 6, when row 3 was sent.
    assert (second.frozen, second.first_row) == (2 + 3, 6)
    assert second.rows[:, 0].tolist() == pytest.approx(
        [*range(3, 14), *[math.nan] * 5], nan_ok=True)


def test_episodes_that_follow_something_and_those_that_do_not_are_planned_apart(
        clock, counter, asked):
    policy, loop = clock(), LoopSettings(ReplanSettings(4))
    older, newer = (Rollout(counter(policy.contract, goal=math.inf), policy.config, seed,
                            observation_messages, loop) for seed in (1, 2))
    options = PlanOptions(SAMPLER, 'warm_start')
    roll_out(policy, [older], options=options, max_steps=4)
    roll_out(policy, [older, newer], options=options, max_steps=12)
    assert [[promise.is_empty for promise in promises] for promises in asked] == [
        [True], [True], [False], [False, False], [False]]
    assert values_of(older) == values_of(newer) == list(range(12))


def test_a_solved_episode_ends_at_once_and_the_others_go_on(clock, counter):
    policy, loop = clock(), LoopSettings(ReplanSettings(4))
    robots = [counter(policy.contract, goal) for goal in (6, 9)]
    rollouts = [Rollout(robot, policy.config, 0, observation_messages, loop) for robot in robots]
    results = roll_out(policy, rollouts, options=PlanOptions(SAMPLER), max_steps=40)
    assert [(result.success, result.steps) for result in results] == [(True, 7), (True, 10)]
    assert max(robots[0].rendered) <= 6


def test_jitter_delays_each_plan_anew_and_the_same_in_every_run(counter, clock):
    def borders(jitter_ms, seed):
        robot, policy = counter(clock().contract, goal=1e9), clock()
        loop = LoopSettings(ReplanSettings(4), delay_ms=0.0, jitter_ms=jitter_ms)
        rollout = Rollout(robot, policy.config, seed, observation_messages, loop)
        roll_out(policy, [rollout], options=PlanOptions(SAMPLER), max_steps=60)
        return rollout.borders

    assert borders(0.0, 1) == list(range(0, 60, 4))
    late = borders(390.0, 1)
    assert late == borders(390.0, 1) != borders(390.0, 2)
    gaps = np.diff(late)
    assert len(set(gaps)) > 2 and gaps.min() >= 1 and gaps.max() <= 8
    with pytest.raises(ConfigError, match='a delay of 1500 ms'):
        borders(1500.0, 1)


def test_what_is_looked_at_is_kept_from_the_start_to_the_end(counter, clock):
    policy = clock()
    robot = counter(policy.contract, goal=1e9)
    rollout = Rollout(robot, policy.config, 1, observation_messages,
                      LoopSettings(ReplanSettings(4)), lambda seen: seen.steps)
    roll_out(policy, [rollout], options=PlanOptions(SAMPLER), max_steps=5)
    assert rollout.seen == [0, 1, 2, 3, 4, 5]

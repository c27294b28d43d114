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

"""Intervals agree with the exact binomial distribution and with simulation."""

import json
from pathlib import Path

from diffusion_policy_ros.evaluation.intervals import (
    bootstrap_interval, bootstrap_intervals, interval_text, LEAST_EPISODES, mean_interval,
    normal_interval, success_interval)
from hypothesis import given, strategies as st
import numpy as np
import pytest

MODELS = Path(__file__).parents[2] / 'models'


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_interval_holds_the_rate_and_stays_within_bounds(counts):
    successes, episodes = counts
    low, high = success_interval(successes, episodes)
    assert 0 <= low <= successes / episodes <= high <= 1
    assert low < high


def test_known_value():
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3: 81 of 263.
    assert success_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_interval_covers_the_true_rate_in_95_percent_of_trials():
    random = np.random.default_rng(0)
    for rate in (0.1, 0.5, 0.9):
        hits = [low <= rate <= high for low, high in (
            success_interval(int(k), 200) for k in random.binomial(200, rate, 4000))]
        assert np.mean(hits) == pytest.approx(0.95, abs=0.02)


def test_mean_interval_covers_the_true_mean_in_95_percent_of_trials():
    random = np.random.default_rng(1)
    hits = [low <= 0.5 <= high for low, high in (
        mean_interval(values) for values in random.uniform(0, 1, (4000, 100)))]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.02)


@given(st.lists(st.floats(0, 1), min_size=LEAST_EPISODES - 1, max_size=LEAST_EPISODES + 20))
def test_mean_interval_holds_the_mean_and_stays_among_possible_scores(scores):
    low, high = mean_interval([0.0, *scores, 1.0])
    scores = [0.0, *scores, 1.0]
    mean = np.mean(scores)
    assert 0 <= low <= mean + 1e-12 and mean - 1e-12 <= high <= 1


def test_mean_interval_is_cut_only_where_it_leaves_the_possible_scores():
    # Mean 1/25, s = 1/5, half width 1.96 / 5 / 5 = 0.0784.
    assert mean_interval([0] * 24 + [1]) == (0, pytest.approx(0.04 + 0.0784, abs=1e-4))
    assert mean_interval([1] * 24 + [0]) == (pytest.approx(0.96 - 0.0784, abs=1e-4), 1)


@pytest.mark.parametrize('score', [-0.1, 1.1, float('nan')])
def test_impossible_scores_are_refused(score):
    with pytest.raises(ValueError, match='lie in'):
        mean_interval([0.5, score])


@pytest.mark.parametrize('values', [
    [0.25], [0.0, 1.0], [0.2, 1.0] * 9 + [0.4], [0.3] * 500,
    [score + 0.02 - score for score in np.linspace(0.1, 0.9, 40)]])
def test_few_values_and_equal_ones_tell_no_interval(values):
    for interval in (mean_interval, normal_interval, bootstrap_interval):
        assert interval(values) is None
    assert np.isnan(bootstrap_intervals(np.array(values)[:, None])).all()


def test_few_episodes_of_push_t_would_mostly_give_an_interval_without_the_mean(monkeypatch):
    stored = json.loads((MODELS / 'pusht_image' / 'eval.json').read_text('utf-8'))['results']
    scores = [episode['score'] for episode in stored]

    def share_that_hold_it(count):
        random = np.random.default_rng(1)
        found = (bootstrap_interval(random.choice(scores, count), resamples=500)
                 for _ in range(300))
        return np.mean([low <= np.mean(scores) <= high for low, high in filter(None, found)])

    assert share_that_hold_it(50) > 0.85
    monkeypatch.setattr('diffusion_policy_ros.evaluation.intervals.LEAST_EPISODES', 2)
    assert share_that_hold_it(10) < 0.6


def test_intervals_are_written_and_unknown_ones_are_a_dash():
    assert interval_text((0.1, 0.25), 100, 1) == '10.0 to 25.0'
    assert interval_text((-0.1, 0.25), 1, 2, '+') == '-0.10 to +0.25'
    assert interval_text(None, 100, 1) == '-'


@pytest.mark.parametrize('counts', [(1, 0), (-1, 3), (4, 3)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match='not possible'):
        success_interval(*counts)
    with pytest.raises(ValueError, match='no values'):
        mean_interval([])


def test_the_bootstrap_covers_the_mean_of_crowded_scores_in_95_percent_of_trials():
    random, mean = np.random.default_rng(2), 0.9
    hits = [low <= mean <= high for low, high in (
        bootstrap_interval(values, resamples=1000) for values in random.beta(4.5, 0.5, (500, 60)))]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.03)


def test_the_bootstrap_of_many_even_values_is_the_normal_interval():
    values = np.random.default_rng(3).normal(0, 1, 2000)
    half = 1.96 * values.std(ddof=1) / np.sqrt(2000)
    low, high = bootstrap_interval(values)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=2e-3)


def test_the_bootstrap_leans_to_the_long_tail():
    values = np.array([1.0] * 36 + [0.2, 0.4, 0.5, 0.7])
    low, high = bootstrap_interval(values)
    assert values.mean() - low > 1.4 * (high - values.mean())


def test_the_bootstrap_agrees_with_scipy():
    stats = pytest.importorskip('scipy.stats')
    values = np.random.default_rng(4).beta(4.5, 0.5, 60)
    theirs = stats.bootstrap((values,), np.mean, method='BCa').confidence_interval
    assert bootstrap_interval(values) == pytest.approx(tuple(theirs), abs=3e-3)


def test_the_bootstrap_of_columns_is_that_of_each():
    columns = np.random.default_rng(6).random((20, 3))
    columns[:, 1] = 0.5
    found = bootstrap_intervals(columns)
    for column in (0, 2):
        assert tuple(found[column]) == pytest.approx(bootstrap_interval(columns[:, column]))
    assert np.isnan(found[1]).all()


def test_the_bootstrap_repeats_and_knows_its_limits():
    values = np.random.default_rng(5).random(20)
    assert bootstrap_interval(values) == bootstrap_interval(values)
    with pytest.raises(ValueError, match='no values'):
        bootstrap_interval([])

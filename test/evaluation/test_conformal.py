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

"""Thresholds keep what they promise: by simulation, by closed forms, by counting."""

import math

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.evaluation.conformal import (
    conformal_threshold, false_alarm_range, needed_episodes, rounded_up)
from hypothesis import given, strategies as st
import numpy as np
import pytest

SCORES = st.floats(-1e6, 1e6)


@given(st.lists(SCORES, min_size=1, max_size=60), st.integers(1, 99))
def test_the_threshold_is_the_order_statistic_that_the_definition_names(scores, percent):
    rank = -(-(len(scores) + 1) * (100 - percent) // 100)  # ceil((M + 1)(1 - share)), exactly
    if rank > len(scores):
        with pytest.raises(ConfigError, match='too few'):
            conformal_threshold(scores, percent / 100)
    else:
        assert conformal_threshold(scores, percent / 100) == sorted(scores)[rank - 1]


@pytest.mark.parametrize('count, share', [(19, 0.05), (50, 0.1), (83, 0.2)])
def test_the_next_score_exceeds_it_no_more_often_than_allowed(count, share):
    random = np.random.default_rng(0)
    scores = random.lognormal(sigma=2.0, size=(20_000, count + 1))
    # Whatever all scores of one robot have in common does not matter: they are exchangeable.
    scores *= random.lognormal(size=(20_000, 1))
    alarms = np.mean([row[-1] > conformal_threshold(row[:-1], share) for row in scores])
    expected = math.floor((count + 1) * share) / (count + 1)
    assert alarms <= share + 0.005
    assert alarms == pytest.approx(expected, abs=0.007)


def test_scores_that_are_equal_raise_fewer_alarms_never_more():
    scores = np.random.default_rng(1).integers(0, 3, size=(5000, 40))
    assert np.mean([row[-1] > conformal_threshold(row[:-1], 0.1) for row in scores]) <= 0.1


@pytest.mark.parametrize('share, count', [(0.05, 19), (0.1, 9), (0.01, 99), (0.29, 3), (0.5, 1)])
def test_as_many_episodes_are_needed_as_make_a_threshold_possible(share, count):
    assert needed_episodes(share) == count
    conformal_threshold(range(count), share)
    with pytest.raises(ConfigError, match=f'{count - 1} episodes are too few .* least {count}'):
        conformal_threshold(range(count - 1), share)


def test_the_share_that_a_refusal_offers_is_possible():
    with pytest.raises(ConfigError) as refused:
        conformal_threshold(range(15), 0.05)
    offered = float(str(refused.value).rsplit(maxsplit=1)[-1])
    assert conformal_threshold(range(15), offered) == 14
    with pytest.raises(ConfigError, match='measure more episodes$'):
        conformal_threshold([], 0.05)  # no share would do


@pytest.mark.parametrize('share', [0.0, 1.0, -0.1, float('nan')])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ConfigError, match='between 0 and 1'):
        needed_episodes(share)


def test_the_range_is_that_of_the_largest_score_in_closed_form():
    # l = 1: coverage is the largest of M uniform numbers, whose distribution function is p^M.
    low, high = false_alarm_range(19, 0.05)
    assert low == pytest.approx(1 - 0.975 ** (1 / 19), rel=1e-12)
    assert high == pytest.approx(1 - 0.025 ** (1 / 19), rel=1e-12)


@pytest.mark.parametrize('count, share', [(39, 0.05), (100, 0.05), (60, 0.3), (1000, 0.1)])
def test_the_range_is_that_of_sampled_beta_numbers(count, share):
    allowed = math.floor((count + 1) * share)
    drawn = np.random.default_rng(2).beta(allowed, count + 1 - allowed, 400_000)
    assert false_alarm_range(count, share) == pytest.approx(
        np.quantile(drawn, [0.025, 0.975]), abs=0.001)
    assert false_alarm_range(count, share, 0.5) == pytest.approx(
        np.quantile(drawn, [0.25, 0.75]), abs=0.001)


def test_the_true_share_lies_in_the_range_for_95_percent_of_all_calibrations():
    scores = np.random.default_rng(3).uniform(size=(4000, 79))
    low, high = false_alarm_range(79, 0.05)
    hits = [low <= 1 - conformal_threshold(row, 0.05) <= high for row in scores]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.015)


@given(st.floats(-1e9, 1e9).filter(lambda value: abs(value) > 1e-9))
def test_rounding_goes_up_and_by_less_than_a_thousandth(value):
    rounded = rounded_up(value)
    assert value <= rounded <= value + abs(value) * 1.001e-3
    assert float(f'{rounded:.3e}') == rounded

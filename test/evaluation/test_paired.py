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

"""Paired tests agree with enumeration, and call nothing better by chance."""

from itertools import product
import math

from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.paired import compare, mcnemar, sign_permutation
from diffusion_policy_ros.evaluation.rollout import EpisodeResult
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest


def results(scores, seeds=None):
    """Return results; a score of 1 is a success."""
    seeds = range(len(scores)) if seeds is None else seeds
    return [EpisodeResult(seed, float(score), score >= 1, 10)
            for seed, score in zip(seeds, scores)]


@settings(deadline=None)
@given(st.integers(0, 9), st.integers(0, 9))
def test_mcnemar_is_the_share_of_coin_tosses_at_least_as_uneven(first, second):
    count = first + second
    uneven = [abs(2 * sum(tosses) - count) >= abs(first - second)
              for tosses in product((0, 1), repeat=count)]
    assert mcnemar(first, second) == pytest.approx(np.mean(uneven))


def test_mcnemar_known_values():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(0, 6) == pytest.approx(2 / 64)
    assert mcnemar(10, 3) == mcnemar(3, 10) == pytest.approx(
        2 * sum(math.comb(13, k) for k in range(4)) / 2**13)


def test_mcnemar_agrees_with_scipy():
    stats = pytest.importorskip('scipy.stats')
    for first, second in ((3, 10), (40, 61), (0, 5)):
        assert mcnemar(first, second) == pytest.approx(
            stats.binomtest(first, first + second, 0.5).pvalue)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1, 1), max_size=8))
def test_few_differences_are_enumerated(differences):
    wanted = abs(sum(differences))
    sums = [abs(sum(sign * abs(d) for sign, d in zip(signs, differences)))
            for signs in product((1, -1), repeat=len(differences))]
    low, high = (np.mean([s >= wanted + slack for s in sums]) for slack in (1e-9, -1e-9))
    assert low - 1e-12 <= sign_permutation(differences) <= high + 1e-12


def test_drawn_signs_come_close_to_all_signs():
    differences = np.random.default_rng(5).normal(0.3, 1.0, 16)
    signs = np.array(list(product((1, -1), repeat=16)))
    exact = np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-12)
    assert sign_permutation(differences) == pytest.approx(exact, abs=0.01)
    assert sign_permutation(np.ones(100)) == pytest.approx(1 / 20_001)


def test_chance_is_called_a_difference_as_often_as_promised():
    random = np.random.default_rng(6)
    found = [sign_permutation(random.normal(0, 1, 30), permutations=500) < 0.05
             for _ in range(400)]
    assert 0.02 < np.mean(found) < 0.09


def test_what_is_clearly_better_is_called_better_whichever_comes_first():
    good, bad = [1.0] * 40, [1.0] * 10 + [0.5] * 30
    said = compare(('new', 'old'), results(good), results(bad))
    assert said.only == (30, 0) and said.success.difference == pytest.approx(0.75)
    assert said.success.p == pytest.approx(2 / 2**30)
    assert said.sentence().startswith('40 paired episodes: new is better than old; new against '
                                      'old: success +75.0 points (95 % ')
    assert 'mean score +0.375 (95 % +0.300 to +0.438, p below 0.001)' in said.sentence()
    back = compare(('old', 'new'), results(bad), results(good))
    assert 'new is better than old; old against new: success -75.0' in back.sentence()


def test_chance_is_not_called_a_difference():
    random = np.random.default_rng(0)
    first, second = (np.minimum(random.uniform(0.6, 1.2, 30), 1) for _ in range(2))
    said = compare(('a', 'b'), results(first), results(second))
    assert 'the episodes do not tell whether a or b is better' in said.sentence()
    low, high = said.score.difference_95
    assert low < 0 < high


def test_pairs_see_what_independent_samples_do_not():
    hard = np.random.default_rng(1).uniform(0.2, 0.9, 40)
    said = compare(('a', 'b'), results(hard + 0.02), results(hard))
    assert said.score.is_clear and said.score.difference == pytest.approx(0.02)
    assert not said.success.is_clear


def test_an_interval_that_the_episodes_do_not_tell_is_a_dash():
    few = compare(('a', 'b'), results([1, 1, 0.5]), results([1, 0.7, 1]))
    assert few.sentence().endswith('success +0.0 points (95 % -, p 1.000), mean score -0.067 '
                                   '(95 % -, p 1.000)')
    same = compare(('a', 'b'), results([1.0] * 30), results([1.0] * 30))
    assert same.success.difference_95 is None and same.to_dict()['score']['difference_95'] is None


def test_better_at_one_and_worse_at_the_other_is_said():
    said = compare(('a', 'b'), results([1.0] * 20 + [0.0] * 20),
                   results([0.99] * 20 + [0.9] * 20))
    assert 'a and b are each better at one of the two' in said.sentence()


def test_only_common_seeds_are_compared_and_there_must_be_one():
    said = compare(('a', 'b'), results([1, 1, 0.5], (7, 8, 9)), results([0.5, 1], (9, 8)))
    assert said.seeds == (8, 9) and said.score.difference == pytest.approx(0)
    with pytest.raises(DatasetError, match='a and b have no seed in common'):
        compare(('a', 'b'), results([1], (1,)), results([1], (2,)))

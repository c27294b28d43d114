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
"""The budget of evaluations, from costs that are made up."""

from diffusion_policy_ros.control.budget import EvaluationBudget
from hypothesis import given
from hypothesis import strategies as st
import pytest


def test_before_the_first_measurement_everything_fits():
    assert EvaluationBudget().evaluations(0.001) == float('inf')


@given(fixed_s=st.floats(0, 0.1), each_s=st.floats(1e-4, 0.1), budget_s=st.floats(0, 5),
       count=st.integers(1, 100))
def test_as_many_evaluations_as_fit_into_the_time_and_never_none(
        fixed_s, each_s, budget_s, count):
    budget = EvaluationBudget()
    for _ in range(5):
        budget.add(fixed_s, each_s * count, count)
    granted = budget.evaluations(budget_s)
    assert granted >= 1
    assert granted == 1 or fixed_s + granted * each_s <= budget_s + 1e-6
    assert fixed_s + (granted + 1) * each_s > budget_s - 1e-6


def test_the_slow_tenth_decides_and_a_single_hiccup_does_not():
    budget = EvaluationBudget()
    for _ in range(29):
        budget.add(0.0, 0.01, 1)
    budget.add(0.0, 1.0, 1)
    assert budget.each_s == pytest.approx(0.01)
    for _ in range(4):
        budget.add(0.0, 1.0, 1)
    assert budget.each_s > 0.5


def test_old_costs_are_forgotten():
    budget = EvaluationBudget()
    budget.add(9.0, 9.0, 1)
    for _ in range(30):
        budget.add(0.0, 0.01, 1)
    assert budget.evaluations(0.105) == 10

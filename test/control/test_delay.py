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
"""The forecast of the delay: the slowest of the last plans."""

from diffusion_policy_ros.control.delay import DelayForecast
from hypothesis import given, strategies as st
import pytest


@given(st.integers(0, 50), st.lists(st.integers(0, 50), max_size=40))
def test_the_next_plan_is_expected_to_be_as_slow_as_the_slowest_of_the_last_ten(
        expected, measured):
    forecast = DelayForecast(expected)
    assert forecast.rows == expected
    for number, rows in enumerate(measured, start=1):
        forecast.add(rows)
        assert forecast.rows == max(measured[max(number - 10, 0):number])


@pytest.mark.parametrize('expected', [0, 9])
def test_the_first_measurement_replaces_what_was_expected(expected):
    forecast = DelayForecast(expected)
    forecast.add(2)
    assert forecast.rows == 2


def test_a_hiccup_is_forgotten_after_ten_plans():
    forecast = DelayForecast(1)
    forecast.add(30)
    seen = []
    for _ in range(11):
        forecast.add(2)
        seen.append(forecast.rows)
    assert seen == [30] * 9 + [2] * 2

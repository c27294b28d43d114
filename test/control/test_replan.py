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
"""When the next plan is asked for, near the boundary, and settings that are refused."""

from diffusion_policy_ros.choices import REPLAN_TRIGGERS
from diffusion_policy_ros.control.replan import ReplanSettings
from diffusion_policy_ros.errors import ConfigError
from hypothesis import given, strategies as st
import pytest

ROUNDING = st.floats(-0.01, 0.01)  # of due times to whole nanoseconds, in rows


@given(executed=st.integers(0, 40), horizon=st.integers(1, 40), error=ROUNDING)
def test_rounding_of_times_makes_no_plan_early_or_late(executed, horizon, error):
    settings = ReplanSettings(horizon)
    assert settings.is_due(executed + error, 40 - executed - error) == (executed >= horizon)


@given(left=st.integers(-10, 40), low_rows=st.integers(1, 40), error=ROUNDING)
def test_low_asks_as_soon_as_no_more_than_these_rows_are_left(left, low_rows, error):
    settings = ReplanSettings(8, 'low', low_rows)
    assert settings.is_due(40 - left - error, left + error) == (left <= low_rows)


@pytest.mark.parametrize('trigger', REPLAN_TRIGGERS)
def test_once_it_is_time_it_stays_time(trigger):
    settings = ReplanSettings(5, trigger, 3)
    answers = [settings.is_due(executed, 16 - executed) for executed in range(30)]
    assert answers == sorted(answers) and answers[-1]


@pytest.mark.parametrize('settings, complaint', [
    ({'trigger': 'sometimes'}, "replan is 'sometimes'; choose one of: executed, low, continuous"),
    ({'execute_horizon': 0}, 'execute_horizon is 0; it must be a whole number from 1 to 1000'),
    ({'execute_horizon': 1.0}, 'execute_horizon is 1.0'),
    ({'execute_horizon': None}, 'execute_horizon is None'),
    ({'low_rows': 0}, 'low_rows is 0; it must be a whole number'),
    ({'low_rows': 1001}, 'low_rows is 1001')])
def test_settings_that_cannot_be_are_refused_by_name(settings, complaint):
    with pytest.raises(ConfigError, match=complaint):
        ReplanSettings(**{'execute_horizon': 4, **settings})

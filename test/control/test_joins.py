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
"""Settings of the join, and the curve that a blend follows."""

from diffusion_policy_ros.choices import JOINS
from diffusion_policy_ros.control.joins import JoinSettings, smooth_step
from diffusion_policy_ros.errors import ConfigError
from hypothesis import given, strategies as st
import numpy as np
import pytest


@pytest.mark.parametrize('end', [0.0, 1.0])
def test_a_blend_begins_and_ends_without_speed_or_acceleration(end):
    inwards = 1 - 2 * end
    sizes = []
    for h in (1e-2, 1e-3):
        near, far = (smooth_step(end + inwards * h * steps) for steps in (1, 2))
        # One-sided differences of a curve that leaves its end like 10 h^3.
        sizes.append((abs(near - end) / h, abs(far - 2 * near + end) / h ** 2))
    assert smooth_step(end) == end
    assert all(fine == pytest.approx(coarse / factor, rel=0.1) for coarse, fine, factor in zip(
        *sizes, (100, 10)))
    assert sizes[1][0] < 1.1e-5 and sizes[1][1] < 0.07


def test_a_blend_is_steepest_in_its_middle_and_strongest_where_its_jerk_turns():
    u = np.linspace(0, 1, 100_001)
    speed = np.diff(smooth_step(u)) / np.diff(u)
    acceleration = np.diff(speed) / np.diff(u)[1:]
    assert speed.min() > -1e-12 and speed.max() == pytest.approx(15 / 8, abs=1e-6)
    assert np.abs(acceleration).max() == pytest.approx(10 / np.sqrt(3), abs=1e-3)


@given(st.floats(0, 1))
def test_a_blend_is_the_same_forwards_and_backwards(u):
    assert smooth_step(u) + smooth_step(1 - u) == pytest.approx(1, abs=1e-12)
    assert -1e-12 <= smooth_step(u) <= 1 + 1e-12


@pytest.mark.parametrize('name', JOINS)
def test_only_the_naive_join_ignores_the_delay(name):
    assert JoinSettings(name).ignores_delay == (name == 'naive')


@given(ages=st.lists(st.integers(1, 6), min_size=1, max_size=10), decay=st.floats(-1, 1),
       values=st.lists(st.floats(-10, 10), min_size=11, max_size=11))
def test_mixing_plan_after_plan_weighs_every_plan_by_its_age(ages, decay, values):
    join, rate_hz = JoinSettings('ensemble', ensemble_decay=decay), 8.0
    observed_ns = [7 + round(rows * 1e9 / rate_hz) for rows in np.cumsum([0, *ages])]
    mean = values[0]
    for count in range(1, len(observed_ns)):
        plan = _Plan(observed_ns[count])
        share = join.share(plan, observed_ns[:count], 0, rate_hz)
        mean += share * (values[count] - mean)
    weights = np.exp(-decay * np.cumsum([0, *ages]))
    assert mean == pytest.approx(np.average(values[:len(weights)], weights=weights), abs=1e-9)


class _Plan:
    """What ``share`` asks of a plan."""

    def __init__(self, obs_ns):
        self.obs_ns = obs_ns


@pytest.mark.parametrize('settings, complaint', [
    ({'name': 'glue'}, "join is 'glue'; choose one of: none, blend, ensemble"),
    ({'blend_rows': 0}, 'blend_rows is 0; it must be a whole number from 1 to 1000'),
    ({'blend_rows': 1001}, 'blend_rows is 1001'), ({'blend_rows': 2.5}, 'blend_rows is 2.5'),
    ({'blend_rows': True}, 'blend_rows is True'),
    ({'ensemble_decay': 10.5}, 'ensemble_decay is 10.5; it must be a number from -10 to 10'),
    ({'ensemble_decay': float('nan')}, 'ensemble_decay is nan'),
    ({'ensemble_decay': '0'}, "ensemble_decay is '0'")])
def test_settings_that_cannot_be_are_refused_by_name(settings, complaint):
    with pytest.raises(ConfigError, match=complaint):
        JoinSettings(**settings)


@pytest.mark.parametrize('decay', [-10, 10])
def test_the_share_of_a_plan_is_finite_for_every_decay_that_is_allowed(decay):
    plan = type('Plan', (), {'obs_ns': 8_000_000_000})()  # a chunk of 80 rows and more
    assert 0 <= JoinSettings('ensemble', ensemble_decay=decay).share(plan, [0], 0, 10.0) <= 1

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
"""Phases of constant jerk: integrated, cut and bounded as densely sampled polynomials are."""

from diffusion_policy_ros.control.safety.phases import cut, end_of, extremes
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

NUMBER = st.floats(-10, 10).map(lambda value: round(value, 3))
STATES = st.tuples(NUMBER, NUMBER, NUMBER)
PHASES = st.lists(st.tuples(NUMBER, st.floats(0, 3)), max_size=5)


def sampled(state, phases, points=400):
    """Return positions, velocities and accelerations at many times, ``(times, 3)``."""
    rows = [np.array([state])]
    for jerk, duration_s in phases:
        start, times = rows[-1][-1], np.linspace(0, duration_s, points)
        curve = np.polynomial.Polynomial([start[0], start[1], start[2] / 2, jerk / 6])
        rows.append(np.stack([curve(times), curve.deriv()(times), curve.deriv(2)(times)], axis=1))
    return np.concatenate(rows)


@given(STATES, PHASES)
@settings(deadline=None)
def test_extremes_are_those_of_the_densely_sampled_curve(state, phases):
    curve = sampled(state, phases)
    found = np.array(extremes(state, phases))
    wanted = [curve[:, 0].min(), curve[:, 0].max(), *np.abs(curve[:, 1:]).max(axis=0)]
    # Between two samples h apart, a curve exceeds both by h^2 / 8 of its curvature at most.
    spacing = max([duration_s for _, duration_s in phases], default=0) / 399
    over = spacing**2 / 8 * np.array([wanted[3], wanted[3], 10, 0]) + 1e-9
    signs = np.array([-1, 1, 1, 1])
    excess = signs * (found - wanted)
    assert (excess >= -1e-9).all() and (excess <= over).all()


@given(STATES, PHASES, st.floats(0, 16))
@settings(deadline=None)
def test_a_cut_motion_arrives_where_the_whole_one_does(state, phases, time_s):
    before, after = cut(phases, time_s)
    assert end_of(state, phases) == pytest.approx(sampled(state, phases)[-1], abs=1e-6)
    assert end_of(end_of(state, before), after) == pytest.approx(end_of(state, phases), abs=1e-6)
    whole_s = sum(duration_s for _, duration_s in phases)
    assert sum(duration_s for _, duration_s in before) == pytest.approx(min(time_s, whole_s))

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
"""One joint keeps its limits at all times and can always stop, whatever candidates it is given."""

from unittest import mock

from diffusion_policy_ros.control.safety import joint_filter
from diffusion_policy_ros.control.safety.joint_filter import JointFilter, JointLimits
from diffusion_policy_ros.control.safety.planner import Goal, to_position
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

MAGNITUDE = st.floats(-2, 2).map(lambda exponent: 10**exponent)
# Jerks as shares of the limit, times as shares of the period; some are no motion at all.
CANDIDATES = st.lists(st.tuples(
    st.sampled_from([-1.0, 1.0, 0.0]) | st.floats(-1, 1) | st.floats(),
    st.floats(0, 3) | st.floats()), max_size=4)


def sampled(state, phases):
    """Return the densely sampled motion, ``(times, 3)``."""
    rows = [np.array([state])]
    for jerk, duration_s in phases:
        start, times = rows[-1][-1], np.linspace(0, duration_s, 60)
        curve = np.polynomial.Polynomial([start[0], start[1], start[2] / 2, jerk / 6])
        rows.append(np.stack([curve(times), curve.deriv()(times), curve.deriv(2)(times)], axis=1))
    return np.concatenate(rows)


@given(limits=st.tuples(MAGNITUDE, MAGNITUDE, MAGNITUDE, MAGNITUDE), start=st.floats(0, 1),
       period_s=st.floats(0.001, 0.2), persistence=st.integers(1, 30),
       candidates=st.lists(CANDIDATES, max_size=12))
@settings(deadline=None)
def test_no_candidate_takes_it_over_a_limit_in_continuous_time(limits, start, period_s,
                                                               persistence, candidates):
    width, velocity, acceleration, jerk = limits
    joint = JointFilter(JointLimits(0.0, width, velocity, acceleration, jerk), period_s)
    joint.engage((start * width, 0.0, 0.0))
    positions = [start * width]
    for shares in [each for each in candidates for _ in range(persistence)]:
        candidate = [(share * jerk, part * period_s) for share, part in shares]
        before = joint.state
        with mock.patch.object(joint_filter, 'end_of', wraps=joint_filter.end_of) as integrated:
            joint.step([*candidate, (0.0, period_s)] if candidate else ())
        (origin, followed), _ = integrated.call_args  # the last: what was taken
        assert origin == before and sum(time_s for _, time_s in followed) <= period_s * (1 + 1e-9)
        assert all(abs(rate) <= jerk * (1 + 1e-9) for rate, _ in followed)
        motion = sampled(before, followed)
        # Between samples a position may be past its limit by the rounding of one integration.
        assert motion[:, 0].min() >= -1e-8 * width - 1e-15
        assert motion[:, 0].max() <= width * (1 + 1e-8)
        assert (np.abs(motion[:, 1:]).max(axis=0)
                <= np.array([velocity, acceleration]) * (1 + 1e-8)).all()
        assert joint.state == pytest.approx(motion[-1], rel=1e-6, abs=1e-6 * width)
        positions.append(joint.state[0])
    assert 0 <= min(positions) and max(positions) <= width


def test_a_candidate_that_keeps_the_limits_is_followed_exactly():
    joint = JointFilter(JointLimits(-1.0, 1.0, 1.5, 8.0, 60.0), 0.01)
    joint.engage((0.0, 0.0, 0.0))
    assert joint.step([(60.0, 0.004), (-30.0, 0.008)])
    velocity = 60 * .004**2 / 2 + .24 * .006 - 30 * .006**2 / 2
    assert joint.state[1:] == pytest.approx((velocity, .24 - .18))


@pytest.mark.parametrize('period_s', [0.01, 0.1])
@pytest.mark.parametrize('jerk', [60.0, -60.0])
def test_it_goes_as_far_as_a_stop_allows_and_then_stands_at_its_limit(jerk, period_s):
    joint = JointFilter(JointLimits(-1.0, 1.0, 1.5, 8.0, 60.0), period_s)
    joint.engage((0.0, 0.0, 0.0))
    followed = [joint.step([(jerk, period_s)]) for _ in range(int(3 / period_s))]
    assert followed[0] and not followed[-1]
    assert abs(joint.state[0]) == pytest.approx(1, abs=1e-3)
    assert joint.state[1:] == pytest.approx((0, 0), abs=1e-2)


def test_rounding_takes_it_nowhere_beyond_its_limits():
    random = np.random.default_rng(0)
    for high in random.uniform(0.1, 9.0, 40):
        limits = JointLimits(0.0, high, 1.5, 8.0, 60.0)
        joint = JointFilter(limits, 0.05)
        joint.engage((random.uniform(0, high), 0.0, 0.0))
        for _ in range(200):
            joint.step(to_position(joint.state, Goal(high, 1.5), limits))
            assert 0 <= joint.state[0] <= high
        assert joint.state == (pytest.approx(high, abs=1e-12), 0.0, 0.0)


def test_rounding_leaves_no_motion_after_a_long_stop():
    joint = JointFilter(JointLimits(-np.inf, np.inf, 100.0, 10.0, 1.0), 0.001)
    joint.engage((0.0, 73.3, 0.0))
    for _ in range(int((73.3 / 10 + 10 / 1) / 0.001) + 1):
        joint.step(())
    assert joint.state[1:] == (0.0, 0.0)

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
"""The planner's phases are Ruckig's trajectory, and lead to the target."""

from diffusion_policy_ros.control.safety.joint_filter import JointLimits
from diffusion_policy_ros.control.safety.phases import cut, end_of
from diffusion_policy_ros.control.safety.planner import Goal, to_position, to_velocity
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import ruckig

LIMITS = JointLimits(-np.inf, np.inf, 1.5, 8.0, 60.0)
STATES = st.tuples(st.floats(-3, 3), st.floats(-1, 1), st.floats(-5, 5))


def ruckig_trajectory(state, position, velocity, max_velocity):
    """Return the trajectory that Ruckig finds between absolute positions."""
    problem, trajectory = ruckig.InputParameter(1), ruckig.Trajectory(1)
    problem.current_position, problem.current_velocity, problem.current_acceleration = (
        [value] for value in state)
    problem.target_position, problem.target_velocity = [position], [velocity]
    problem.max_velocity, problem.max_acceleration = [max_velocity], [LIMITS.acceleration]
    problem.max_jerk = [LIMITS.jerk]
    ruckig.Ruckig(1).calculate(problem, trajectory)
    return trajectory


@given(STATES, st.floats(-3, 3), st.floats(0.4, 1.5), st.floats(0, 1))
@settings(deadline=None)
def test_a_plan_to_stand_somewhere_is_the_trajectory_of_ruckig(state, position, fastest, share):
    oracle = ruckig_trajectory(state, position, 0.0, fastest)
    phases = to_position(state, Goal(position, 0.0, 9.9, fastest), LIMITS, 0.01)
    for time_s in (share * oracle.duration, oracle.duration, oracle.duration + share):
        wanted = np.ravel(oracle.at_time(time_s))
        assert end_of(state, cut(phases, time_s)[0]) == pytest.approx(wanted, abs=1e-6)
    assert end_of(state, cut(phases, 20.0)[0]) == pytest.approx((position, 0, 0), abs=1e-6)


@given(STATES, st.floats(-3, 3), st.floats(-1, 1), st.floats(-5, 5))
@settings(deadline=None)
def test_a_moving_goal_is_passed_as_it_moves(state, position, velocity, acceleration):
    phases = to_position(state, Goal(position, velocity, acceleration, 1.5), LIMITS, 0.01)
    passed = end_of(state, phases[:-1])
    if velocity:
        assert passed == pytest.approx((position, velocity, acceleration), abs=1e-6)
        assert sum(duration_s for _, duration_s in phases[:-1]) >= 0.01 - 1e-9


def test_a_goal_that_moves_on_evenly_is_not_met_before_its_time():
    phases = to_position((0.0, 0.3, 0.0), Goal(0.3 * 0.01, 0.3, 0.0, 1.5), LIMITS, 0.01)
    assert end_of((0.0, 0.3, 0.0), phases[:-1]) == pytest.approx((0.003, 0.3, 0.0), abs=1e-9)
    assert sum(duration_s for _, duration_s in phases[:-1]) == pytest.approx(0.01)


def test_an_acceleration_that_would_leave_the_velocity_limit_is_not_aimed_at():
    phases = to_position((0.0, 0.0, 0.0), Goal(1.0, 1.4, 7.9, 1.5), LIMITS, 0.01)
    assert end_of((0.0, 0.0, 0.0), phases[:-1]) == pytest.approx(
        (1.0, 1.4, (2 * 60.0 * 0.1) ** .5), abs=1e-6)


@given(STATES, st.floats(-1.5, 1.5))
@settings(deadline=None)
def test_a_plan_to_a_velocity_reaches_it_and_keeps_it(state, velocity):
    phases = to_velocity(state, velocity, LIMITS)
    assert end_of(state, cut(phases, 10.0)[0])[1:] == pytest.approx((velocity, 0), abs=1e-9)


@pytest.mark.parametrize('goal', [
    Goal(np.nan, 0.0, 0.0, 1.0), Goal(np.inf, 0.0, 0.0, 1.0), Goal(1e300, 0.0, 0.0, 1.0),
    Goal(1.0, 0.0, 0.0, np.nan), Goal(1.0, 1e-7, 0.0, 1e-6)])
def test_where_ruckig_finds_no_way_the_plan_is_empty(goal):
    assert to_position((0.0, 0.0, 0.0), goal, LIMITS, 0.01) == []

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

from diffusion_policy_ros.control.safety import planner
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


def ruckig_trajectory(state, position, max_velocity):
    """Return the trajectory that Ruckig finds between absolute positions."""
    problem, trajectory = ruckig.InputParameter(1), ruckig.Trajectory(1)
    problem.current_position, problem.current_velocity, problem.current_acceleration = (
        [value] for value in state)
    problem.target_position = [position]
    problem.max_velocity, problem.max_acceleration = [max_velocity], [LIMITS.acceleration]
    problem.max_jerk = [LIMITS.jerk]
    ruckig.Ruckig(1).calculate(problem, trajectory)
    return trajectory


@given(STATES, st.floats(-3, 3), st.floats(0.4, 1.5), st.floats(0, 1))
@settings(deadline=None)
def test_a_plan_to_stand_somewhere_is_the_trajectory_of_ruckig(state, position, fastest, share):
    oracle = ruckig_trajectory(state, position, fastest)
    phases = to_position(state, Goal(position, fastest), LIMITS)
    for time_s in (share * oracle.duration, oracle.duration, oracle.duration + share):
        wanted = np.ravel(oracle.at_time(time_s))
        assert end_of(state, cut(phases, time_s)[0]) == pytest.approx(wanted, abs=1e-6)
    assert end_of(state, cut(phases, 20.0)[0]) == pytest.approx((position, 0, 0), abs=1e-6)


@given(STATES, st.floats(-1.5, 1.5))
@settings(deadline=None)
def test_a_plan_to_a_velocity_reaches_it_and_keeps_it(state, velocity):
    phases = to_velocity(state, velocity, LIMITS)
    assert end_of(state, cut(phases, 10.0)[0])[1:] == pytest.approx((velocity, 0), abs=1e-9)


@pytest.mark.parametrize('goal', [
    Goal(np.nan, 1.0), Goal(np.inf, 1.0), Goal(1e300, 1.0), Goal(1.0, np.nan)])
def test_where_ruckig_finds_no_way_the_plan_is_empty(goal):
    assert to_position((0.0, 0.0, 0.0), goal, LIMITS) == []


def test_a_result_that_ruckig_cannot_name_is_no_way(monkeypatch):
    class Nameless(ruckig.Ruckig):
        def calculate(self, problem, trajectory):
            raise ValueError('-101 is not a valid Result.')

    monkeypatch.setattr(planner, 'Ruckig', Nameless)
    assert to_position((0.0, 0.0, 0.0), Goal(1.0, 1.0), LIMITS) == []

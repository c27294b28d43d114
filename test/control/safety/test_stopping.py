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
"""The fastest stop: it stops, within its limits, in the time that Ruckig needs as well."""

from diffusion_policy_ros.control.safety.limits import MotionLimits
from diffusion_policy_ros.control.safety.phases import end_of, extremes
from diffusion_policy_ros.control.safety.stopping import fastest_stop, stopping_time
from hypothesis import example, given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import ruckig

MAGNITUDE = st.floats(-2, 3).map(lambda exponent: 10**exponent)
SHARE = st.floats(-1, 1)


def duration(phases):
    """Return how long phases last, s."""
    return sum(duration_s for _, duration_s in phases)


def ruckig_duration(velocity, acceleration, max_acceleration, max_jerk):
    """
    Return the least time to rest that Ruckig finds, s.

    It refuses what lasts over two hours, so that it is asked in units of about the time it takes,
    in which the jerk is 1.
    """
    unit_s = (max_acceleration / max_jerk + abs(velocity) / max_acceleration
              + (abs(velocity) / max_jerk) ** .5)
    velocity, acceleration, max_acceleration = (
        velocity / max_jerk / unit_s**2, acceleration / max_jerk / unit_s,
        max_acceleration / max_jerk / unit_s)
    problem, trajectory = ruckig.InputParameter(1), ruckig.Trajectory(1)
    problem.control_interface = ruckig.ControlInterface.Velocity
    problem.current_velocity, problem.current_acceleration = [velocity], [acceleration]
    problem.max_velocity = [1.0]  # not used where velocity is steered
    problem.max_acceleration, problem.max_jerk = [max_acceleration], [1.0]
    ruckig.Ruckig(1).calculate(problem, trajectory)
    return unit_s * trajectory.duration


@given(MAGNITUDE, SHARE, MAGNITUDE, MAGNITUDE)
@example(1.0, 1.0, 1000.0, 0.01)
@settings(deadline=None)
def test_it_ends_at_rest_within_its_limits_and_none_is_faster(speed, share, most, jerk):
    for velocity in (speed, -speed, 0.0):
        stop = fastest_stop(velocity, share * most, most, jerk)
        _, end_velocity, end_acceleration = end_of((0.0, velocity, share * most), stop)
        assert end_velocity == pytest.approx(0, abs=1e-9 * (speed + most * most / jerk))
        assert end_acceleration == pytest.approx(0, abs=1e-9 * most)
        *_, steepest = extremes((0.0, velocity, share * most), stop)
        assert steepest <= most * (1 + 1e-9)
        assert all(abs(rate) in (0, jerk) and duration_s >= 0 for rate, duration_s in stop)
        assert duration(stop) == pytest.approx(
            ruckig_duration(velocity, share * most, most, jerk), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize('velocity', [0.1, 1.0, 16 / 30, 5.0])
def test_from_steady_motion_its_time_and_distance_are_the_known_ones(velocity):
    most, jerk = 4.0, 30.0
    stop = fastest_stop(velocity, 0.0, most, jerk)
    if velocity <= most**2 / jerk:
        time_s, distance = 2 * (velocity / jerk) ** .5, velocity * (velocity / jerk) ** .5
    else:
        time_s = velocity / most + most / jerk
        distance = velocity**2 / (2 * most) + velocity * most / (2 * jerk)
    assert duration(stop) == pytest.approx(time_s)
    assert end_of((0.0, velocity, 0.0), stop)[0] == pytest.approx(distance)


@given(SHARE, SHARE)
@settings(deadline=None)
def test_its_position_is_that_of_a_step_by_step_integration(velocity, acceleration):
    stop = fastest_stop(velocity, 8 * acceleration, 8.0, 60.0)
    steps = 3000
    times = (np.arange(steps) + .5) * duration(stop) / steps
    ends = np.cumsum([duration_s for _, duration_s in stop])
    jerks = np.array([jerk for jerk, _ in stop])[np.minimum(np.searchsorted(ends, times), 2)]
    period_s = duration(stop) / steps
    accelerations = 8 * acceleration + np.cumsum(jerks) * period_s
    velocities = velocity + np.cumsum(accelerations) * period_s
    positions = np.cumsum(velocities) * period_s
    low, high, _, _ = extremes((0.0, velocity, 8 * acceleration), stop)
    assert positions[-1] == pytest.approx(end_of((0.0, velocity, 8 * acceleration), stop)[0],
                                          abs=2e-3)
    assert min(positions.min(), 0) == pytest.approx(low, abs=2e-3)
    assert max(positions.max(), 0) == pytest.approx(high, abs=2e-3)


@given(MAGNITUDE, MAGNITUDE, MAGNITUDE)
@settings(deadline=None)
def test_the_stated_time_is_the_longest_of_all_states_that_keep_the_velocity(speed, most, jerk):
    limits = MotionLimits(('a',), [-1], [1], [speed], [most], [jerk])
    stated_s = stopping_time(limits)[0]
    longest_s = 0.0
    for acceleration in np.linspace(-most, most, 21):
        # Letting go of the acceleration must not take the velocity over its limit.
        gained = acceleration * abs(acceleration) / (2 * jerk)
        low, high = max(-speed, -speed - gained), min(speed, speed - gained)
        for velocity in np.linspace(low, high, 11) if low <= high else ():
            longest_s = max(longest_s, duration(fastest_stop(velocity, acceleration, most, jerk)))
    assert longest_s <= stated_s * (1 + 1e-9)
    steepest = min(most, 2 * (jerk * speed) ** .5)
    slowest = fastest_stop(speed - steepest**2 / (2 * jerk), steepest, most, jerk)
    assert duration(slowest) == pytest.approx(stated_s)

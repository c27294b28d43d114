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
"""Commands keep all limits whatever comes, stop in the stated time, and get where they should."""

import math
from unittest import mock

from diffusion_policy_ros.control.safety import motion_filter
from diffusion_policy_ros.control.safety.limits import MotionLimits
from diffusion_policy_ros.control.safety.motion_filter import MotionFilter, VelocityFilter
from diffusion_policy_ros.control.safety.stopping import fastest_stop, stopping_time
from diffusion_policy_ros.errors import SafetyError
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import ruckig

ARM = MotionLimits(('a', 'b'), [-1.0, -math.inf], [1.0, math.inf], [1.5, 2.0], [8.0, 5.0],
                   [60.0, 100.0])
MAGNITUDE = st.floats(-2, 2).map(lambda exponent: 10**exponent)
PERIOD = st.floats(-3, -1).map(lambda exponent: 10**exponent)


class Spiteful:
    """An object that fails when it is looked at."""

    def __array__(self, *args, **kwargs):
        """Fail."""
        raise KeyError('no')


GARBAGE = [
    None, 'home', b'', '1.0', [], {}, object(), Spiteful(), 0.3, [[0.1, 0.2]], [0.1], [0.1] * 3,
    [0.1, None], ['0.1', '0.2'], [True, False], [0.1j, 0.2], [[0.1], [0.2, 0.3]], [10**400, 0],
    [math.nan, 0.2], [0.1, math.inf]]
NUMBERS = st.sampled_from([-1, 1, 1e300, -1e300, 5e-324]) | st.floats(-2, 2) | st.floats()
WILD = st.sampled_from(GARBAGE) | st.lists(NUMBERS, min_size=2, max_size=2)
SCALE = st.just(1.0) | st.floats(0, 1) | st.floats() | st.sampled_from(GARBAGE)


@st.composite
def motion_limits(draw):
    """Draw the limits of two joints over orders of magnitude, the second's position unlimited."""
    width, *rest = (np.array([draw(MAGNITUDE), draw(MAGNITUDE)]) for _ in range(4))
    centre = np.array([draw(st.floats(-3, 3)), 0.0])
    unlimited = np.array([0.0, math.inf])
    return MotionLimits(('a', 'b'), centre - width - unlimited, centre + width + unlimited, *rest)


def run(joints, requests):
    """Step through (target, scale, repetitions); return all commands."""
    return [joints.step(target, speed_scale=scale)
            for target, scale, count in requests for _ in range(count)]


REQUESTS = st.lists(st.tuples(WILD, SCALE, st.integers(1, 40)), max_size=12)


@given(motion_limits(), PERIOD, REQUESTS, st.booleans())
@settings(deadline=None)
def test_no_request_takes_a_position_or_its_derivatives_over_a_limit(
        assert_limits_kept, limits, period_s, requests, bounce):
    joints = MotionFilter(limits, period_s)
    start = np.where(np.isfinite(limits.low), limits.low, 0.0)
    joints.engage(start)
    if bounce:  # from one end of everything to the other
        ends = [np.where(np.isfinite(end), end, 0) + sign * limits.velocity
                for end, sign in ((limits.low, -1), (limits.high, 1))]
        requests = [r for target, scale, count in requests for r in (
            (ends[0], 1.0, count), (ends[1], scale, count), (target, scale, count))]
    commands = [start] * 3 + run(joints, requests)
    assert_limits_kept(commands, period_s, limits.low, limits.high, limits.velocity,
                       limits.acceleration, limits.jerk)
    assert (commands[-1] == joints.position).all()


@given(motion_limits(), PERIOD, REQUESTS)
@settings(deadline=None)
def test_without_a_target_it_rests_in_the_stated_time_and_stays(limits, period_s, requests):
    joints = MotionFilter(limits, period_s)
    joints.engage(np.where(np.isfinite(limits.low), limits.low, 0.0))
    run(joints, requests)
    stop_s = stopping_time(limits).max()
    steps = min(math.ceil(stop_s / period_s), 2000)
    run(joints, [(None, 1.0, steps)])
    if steps * period_s >= stop_s:
        assert joints.at_rest and not joints.velocity.any() and not joints.acceleration.any()
        held = joints.position
        assert all((command == held).all() for command in run(joints, [(None, 1.0, 3)]))


@given(st.lists(st.tuples(st.floats(-2, 2), st.integers(1, 60)), max_size=5), st.floats(-1, 1),
       st.floats(-9, 9), st.sampled_from([0.005, 0.01, 0.1]))
@settings(deadline=None)
def test_a_target_is_reached_exactly_and_as_fast_as_can_be(before, first, second, period_s):
    joints = MotionFilter(ARM, period_s)
    joints.engage([0.0, 0.0])
    for target, count in before:
        run(joints, [([target, target], 1.0, count)])
    problem, trajectory = ruckig.InputParameter(2), ruckig.Trajectory(2)
    problem.synchronization = ruckig.Synchronization.No
    problem.current_position = joints.position
    problem.current_velocity, problem.current_acceleration = joints.velocity, joints.acceleration
    problem.target_position = [first, second]
    problem.max_velocity, problem.max_acceleration = ARM.velocity, ARM.acceleration
    problem.max_jerk = ARM.jerk
    ruckig.Ruckig(2).calculate(problem, trajectory)
    commands = run(joints, [([first, second], 1.0,
                             math.ceil(trajectory.duration / period_s) + 3)])
    assert joints.at_rest
    assert commands[-1] == pytest.approx([first, second], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize('rate_hz', [30, 50, 100])
@pytest.mark.parametrize('turns_hz', [0.1, 0.3, 0.7, 1.5])
def test_a_smooth_stream_within_half_the_limits_is_followed_a_stop_behind(rate_hz, turns_hz):
    rate = 2 * math.pi * turns_hz
    size = 0.5 * np.min([ARM.velocity / rate, ARM.acceleration / rate**2, ARM.jerk / rate**3,
                         [1.0, 2.0]], axis=0)
    joints = MotionFilter(ARM, 1 / rate_hz)
    joints.engage(-size)
    phases = rate * np.arange(1, round(3 * rate_hz / turns_hz)) / rate_hz
    wanted = np.outer(-np.cos(phases), size)
    commands = []
    for position in wanted:
        commands.append(joints.step(position))
        assert not joints.intervened.any()
    settled = slice(round(rate_hz / turns_hz), None)  # a sine starts with a jump, to be caught up
    errors = np.abs(commands - wanted)[settled].max(axis=0)
    # The way to a stop from the greatest speed, whose halves mirror each other.
    stops = [fastest_stop(speed, 0.0, *bounds) for speed, *bounds in zip(
        size * rate, ARM.acceleration, ARM.jerk)]
    stop_s = np.array([sum(duration_s for _, duration_s in stop) for stop in stops])
    assert (errors <= size * rate * stop_s / 2).all()


@given(st.floats(0.01, 1), st.floats(-1, 1))
@settings(deadline=None)
def test_a_speed_scale_slows_a_motion_down_to_its_share(scale, target):
    joints = MotionFilter(ARM, 0.01)
    joints.engage([0.0, 0.0])
    positions = run(joints, [([target, target], scale, 200)])
    assert (np.abs(np.diff(positions, axis=0)) / 0.01 <= ARM.velocity * scale + 1e-6).all()
    run(joints, [([target, target], 1.0, 200)])
    assert joints.position == pytest.approx([target, target])


@pytest.mark.parametrize('target', GARBAGE)
def test_what_is_not_a_finite_number_for_each_joint_stops_it(target):
    joints = MotionFilter(ARM, 0.01)
    joints.engage([0.0, 0.0])
    run(joints, [([0.9, 9.0], 1.0, 20), (target, 1.0, 100)])
    assert joints.at_rest and joints.intervened.all()


@pytest.mark.parametrize('scale', [0, -1.0, math.nan, None, 'fast', [1.0]])
def test_without_a_usable_speed_scale_it_stands(scale):
    joints = MotionFilter(ARM, 0.01)
    joints.engage([0.0, 0.0])
    run(joints, [([1.0, 1.0], 1.0, 30), ([1.0, 1.0], scale, 100)])
    assert joints.at_rest and joints.intervened.all()


def test_a_lower_speed_scale_slows_down_what_moves():
    joints = MotionFilter(ARM, 0.01)
    joints.engage([-1.0, 0.0])
    run(joints, [([1.0, 9.0], 1.0, 60)])
    assert joints.velocity == pytest.approx(ARM.velocity)
    run(joints, [([1.0, 9.0], 0.2, 60)])
    assert joints.velocity == pytest.approx(ARM.velocity * 0.2)


def test_it_tells_which_joints_did_not_go_to_their_target():
    joints = MotionFilter(ARM, 0.01)
    joints.engage([0.0, 0.0])
    joints.step([0.5, 5.0])
    assert joints.intervened.tolist() == [False, False]
    joints.step([1.5, 5.0])
    assert joints.intervened.tolist() == [True, False]
    joints.step(None)
    assert joints.intervened.tolist() == [True, True]
    with mock.patch.object(motion_filter, 'to_position', return_value=[]):  # there is no way
        joints.step([0.5, 5.0])
    assert joints.intervened.tolist() == [True, True]


@pytest.mark.parametrize('scale', [0.1, 1.0])
def test_it_tells_while_the_speed_holds_a_joint_back(scale):
    joints = MotionFilter(ARM, 0.01)
    joints.engage([-1.0, 0.0])
    told = []
    while not told or not joints.at_rest:
        joints.step([1.0, 0.0], speed_scale=scale)
        told.append(joints.intervened[0])
        assert told[-1] == (joints.velocity[0] > ARM.velocity[0] * scale * 0.99999)
    assert sum(told) > 0.5 * len(told) and not joints.intervened[1]


def test_a_target_outside_the_limits_is_their_nearest_position():
    joints = MotionFilter(ARM, 0.01)
    joints.engage([0.0, 0.0])
    run(joints, [([7.0, 0.0], 1.0, 300)])
    assert joints.position == pytest.approx([1.0, 0.0]) and joints.at_rest


@pytest.mark.parametrize('measured, message', [
    ([1.01, 0.0], r'joint a is measured at position 1.01, outside its limits \[-1, 1\]'),
    ([0.0, math.nan], 'measured position .*nan.*wanted is a finite number for each of: a, b'),
    ([0.0], 'wanted is a finite number'), (None, 'is None'), (['x', 'y'], 'is .*x')])
def test_it_does_not_engage_where_the_robot_cannot_be(measured, message):
    joints = MotionFilter(ARM, 0.01)
    with pytest.raises(SafetyError, match=message):
        joints.engage(measured)
    assert not joints.engaged
    with pytest.raises(SafetyError, match='engage it first'):
        joints.step([0.0, 0.0])


def test_it_engages_at_rest_and_again_anywhere():
    joints = MotionFilter(ARM, 0.01)
    joints.engage([0.5, 20])
    assert joints.engaged and joints.at_rest and joints.position.tolist() == [0.5, 20]
    joints.step([0.0, 0.0])
    joints.engage([-1.0, 3.0])
    assert joints.step(None).tolist() == [-1.0, 3.0] and joints.at_rest


def test_what_it_returns_can_be_changed_without_harm():
    joints = MotionFilter(ARM, 0.01)
    joints.engage([0.5, 0.0])
    joints.step(None)[:] = 9.0
    joints.position[:] = 9.0
    joints.intervened[:] = False
    assert joints.position.tolist() == [0.5, 0.0] and joints.intervened.all()


@given(motion_limits(), PERIOD, REQUESTS)
@settings(max_examples=50, deadline=None)
def test_velocities_keep_the_limits_of_a_base_one_order_lower(
        assert_limits_kept, limits, period_s, requests):
    base = VelocityFilter(limits, period_s)
    base.engage([0.0, 0.0])
    commands = [np.zeros(2)] * 2
    for target, scale, count in requests:
        commands += [base.step(target, speed_scale=scale) for _ in range(count)]
    assert_limits_kept(commands, period_s, -limits.velocity, limits.velocity,
                       limits.acceleration, limits.jerk)
    steps = min(math.ceil(stopping_time(limits).max() / period_s), 2000)
    stop = [base.step(None) for _ in range(steps)]
    if steps < 2000:
        assert base.at_rest and not any(stop[-1])


def test_a_velocity_is_reached_scaled_and_let_go():
    base = VelocityFilter(ARM, 0.02)
    base.engage([1.5, 0.0])
    assert base.velocity.tolist() == [1.5, 0.0]
    for target, scale, wanted in (([-0.4, 9.0], 1.0, [-0.4, 2.0]), ([1.0, 2.0], 0.5, [0.75, 1.0]),
                                  (None, 1.0, [0.0, 0.0])):
        for _ in range(80):
            command = base.step(target, speed_scale=scale)
        assert command == pytest.approx(wanted)
        assert base.intervened.tolist() == [target is None or w != t
                                            for w, t in zip(wanted, target or wanted)]
    assert base.at_rest
    with pytest.raises(SafetyError, match='joint a is measured at velocity 2, outside'):
        base.engage([2.0, 0.0])


def test_a_velocity_that_a_plan_takes_over_its_limit_by_rounding_is_sent_at_it():
    base = VelocityFilter(ARM, 0.01)
    base.engage(ARM.velocity)
    beyond = [(60.0, 4e-6), (-60.0, 4e-6), (0.0, 1.0)]  # faster by 60 (4e-6)^2
    with mock.patch.object(motion_filter, 'to_velocity', return_value=beyond):
        command = base.step([1.5, 2.0])
    assert (base.velocity > ARM.velocity).all() and not base.intervened.any()
    assert command.tolist() == ARM.velocity.tolist()

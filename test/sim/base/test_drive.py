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

"""The drive against closed forms: arcs, lag and limits."""

from dataclasses import replace
import math

from diffusion_policy_ros.sim.base.drive import (
    follow, LAG_S, MAX_WHEEL_ACCELERATION, MAX_WHEEL_SPEED, Motion, roll, TRACK_M, wheel_targets)
from hypothesis import given, settings, strategies as st
import pytest

SPEEDS = st.floats(-1, 1).map(lambda value: round(value, 6))


def moving(linear, angular, **place):
    """Return a motion whose wheels turn as told already."""
    left, right = (linear + side * angular * TRACK_M / 2 for side in (-1, 1))
    return Motion(**{'x': 0.0, 'y': 0.0, 'yaw': 0.0, **place}, left=left, right=right)


@settings(max_examples=60, deadline=None)
@given(linear=SPEEDS, angular=SPEEDS.filter(lambda value: abs(value) > 1e-3), yaw=st.floats(-3, 3))
def test_steady_wheels_roll_a_circle(linear, angular, yaw):
    motion = moving(linear, angular, yaw=yaw)
    for _ in range(150):
        motion = roll(motion, 0.01)
    radius, turned = linear / angular, yaw + 1.5 * angular
    assert motion.yaw == pytest.approx(turned)
    assert motion.x == pytest.approx(radius * (math.sin(turned) - math.sin(yaw)), abs=1e-9)
    assert motion.y == pytest.approx(-radius * (math.cos(turned) - math.cos(yaw)), abs=1e-9)


def test_equal_wheels_roll_straight_and_opposite_ones_turn_on_the_spot():
    straight = roll(moving(0.5, 0.0, yaw=math.pi / 2), 2.0)
    assert (straight.x, straight.y, straight.yaw) == pytest.approx((0, 1, math.pi / 2))
    turning = roll(moving(0.0, 1.0), 2.0)
    assert (turning.x, turning.y, turning.yaw) == pytest.approx((0, 0, 2))


def test_a_small_step_of_speed_is_followed_by_a_first_order_lag():
    motion = moving(0.5, 0.0)
    most = 0.9 * MAX_WHEEL_ACCELERATION * LAG_S
    targets = wheel_targets(0.5 - most, 0.0)
    for step in range(1, 51):
        motion = follow(motion, targets, 0.01)
        wanted = 0.5 - most * (1 - math.exp(-0.01 * step / LAG_S))
        assert motion.linear == pytest.approx(wanted, abs=1e-12)


def test_a_large_step_of_speed_is_followed_at_the_greatest_acceleration():
    motion = Motion(0.0, 0.0, 0.0)
    for step in range(1, 21):
        motion = follow(motion, wheel_targets(MAX_WHEEL_SPEED, 0.0), 0.01)
        assert motion.linear == pytest.approx(MAX_WHEEL_ACCELERATION * 0.01 * step)


@settings(max_examples=60, deadline=None)
@given(linear=st.floats(-5, 5), angular=st.floats(-20, 20))
def test_no_wheel_is_faster_than_it_can_be(linear, angular):
    motion = Motion(0.0, 0.0, 0.0)
    for _ in range(100):
        before, motion = motion, follow(motion, wheel_targets(linear, angular), 0.01)
        for was, now in ((before.left, motion.left), (before.right, motion.right)):
            assert abs(now) <= MAX_WHEEL_SPEED
            assert abs(now - was) <= MAX_WHEEL_ACCELERATION * 0.01 + 1e-12


@settings(max_examples=30, deadline=None)
@given(turns=st.lists(st.tuples(SPEEDS, SPEEDS), min_size=1, max_size=20))
def test_mirrored_twists_lead_to_mirrored_places(turns):
    one = other = Motion(0.0, 0.0, 0.0)
    for linear, angular in turns:
        one = follow(one, wheel_targets(linear, angular), 0.01)
        other = follow(other, wheel_targets(linear, -angular), 0.01)
    mirrored = replace(other, y=-other.y, yaw=-other.yaw, left=other.right, right=other.left)
    assert (one.x, one.y, one.yaw, one.left, one.right) == pytest.approx(
        (mirrored.x, mirrored.y, mirrored.yaw, mirrored.left, mirrored.right), abs=1e-12)

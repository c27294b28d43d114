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
"""A guard that cannot believe what it is told of the robot, and a stop that is taken back."""

from diffusion_policy_ros.control.safety.measured import REST_S
import numpy as np
import pytest

BASE = """
robot: test
rate_hz: 20
observations:
  - {key: observation.state, topic: odom, type: nav_msgs/msg/Odometry, names: [position.x],
     max_age_ms: 100}
actions:
  - {topic: base, type: geometry_msgs/msg/Twist, names: [linear.x], stamp: receive}
limits:
  linear.x: {velocity: 0.5, acceleration: 1.0, jerk: 10.0}
"""


def away(now_s):
    """Lead all of the arm far away, as fast as it goes."""
    return [1.9, 0.95], [0.5], [0.0]


def held(rows):
    """Return what was sent last, or None."""
    return next((row for row in reversed(rows) if row is not None), None)


def silence_s(world):
    """Return for how long nothing was sent after the first command."""
    was_sent = [row is not None for row in world.sent]
    return was_sent[was_sent.index(True):].count(False) * world.PERIOD_S


@pytest.fixture
def frozen(following):
    """Return a world whose joint states froze while the robot went on."""
    world = following()
    real, world.follows = world.robot.copy(), False
    world.until('STOPPING', away)
    world.until('HOLDING', away)
    real[:2] = held(world.sent)[:2]
    return world, real


def test_joint_states_that_freeze_stop_the_robot_and_say_which(frozen, assert_limits_kept):
    world, real = frozen
    text = world.guard.reason.text
    assert text.startswith('arm: b was sent to') and 'or the joint states are frozen' in text
    assert world.guard.stops == {'tracking': 1}
    far = np.abs(held(world.sent)[:2] - world.robot[:2])
    # Half a second at full speed, and the way to rest.
    assert 0.4 < far.max() < 1.0 + 0.5
    assert_limits_kept(world.sent_in_one_go()[:-1], *world.limits)


def test_a_frozen_measurement_is_never_sent(frozen, assert_limits_kept):
    world, real = frozen
    world.run(2.0, away)
    world.emergency.trip('a test')
    world.run(1.0, away)
    world.emergency.rearm()
    world.run(1.0, away)
    assert world.sent[-1] is None and 'not a bit of the joint states' in world.guard.reason.text
    before = held(world.sent)
    world.robot, world.follows = real, True
    here = list(real[:2]), [real[2]], [0.0]
    world.until('RAMPING', here)
    assert_limits_kept(world.sent_at_all(), *world.limits)
    assert held(world.sent)[:2] == pytest.approx(before[:2])


def test_an_emergency_stop_right_after_a_freeze_does_not_take_the_robot_back(following):
    world = following()
    world.run(0.2, away)
    world.follows = False
    world.run(0.2, away)
    world.emergency.trip('a test')
    world.run(1.0, away)
    assert np.abs(held(world.sent)[:2] - world.robot[:2]).max() > 0.1
    world.emergency.rearm()
    world.run(1.0, away)
    assert world.sent[-1] is None and 'not a bit of the joint states' in world.guard.reason.text


def test_a_robot_that_lags_is_not_frozen(following):
    world = following()
    world.follows = False
    for step in range(300):
        world.run(world.PERIOD_S, away)
        past = world.sent[max(len(world.sent) - 25, 0)]  # a quarter of a second ago
        world.robot[:2] = past[:2]
    assert world.guard.state == 'FOLLOWING' and not world.guard.stops


def test_a_blocked_robot_is_held_where_it_is_after_a_pause(following):
    world, rng = following(), np.random.default_rng(0)
    world.follows = False
    for _ in range(60):  # blocked, and measured by encoders that are never quite silent
        world.robot[:2] += rng.normal(0, 1e-6, 2)
        world.run(world.PERIOD_S, away)
    assert world.guard.state == 'FOLLOWING'
    while len(world.sent) < 400:
        world.robot[:2] += rng.normal(0, 1e-6, 2)
        world.tick()
    assert silence_s(world) >= REST_S
    assert world.sent[-1][:2] == pytest.approx(world.robot[:2], abs=1e-4)


def test_one_joint_that_is_blocked_stops_the_robot_and_is_held_where_it_is(
        following, assert_limits_kept):
    world, rng = following(), np.random.default_rng(0)

    def let_pass(duration_s, command=None):
        """Let time pass; the joint a is blocked, and its encoder is never quite silent."""
        for _ in range(round(duration_s / world.PERIOD_S)):
            world.run(world.PERIOD_S, command)
            world.robot[1] = rng.normal(0, 1e-6)

    while world.guard.state != 'STOPPING':
        let_pass(0.01, lambda now_s: ([0.3 * np.sin(now_s), 0.95], [0.5], [0.0]))
    assert world.guard.reason.source == 'tracking'
    text = world.guard.reason.text
    assert 'a was sent to 0.4' in text and 'it is blocked' in text
    let_pass(2.0)
    assert world.sent[-1][1] == pytest.approx(0.0, abs=1e-4) and silence_s(world) >= REST_S
    assert world.guard.stops == {'tracking': 1}
    let_pass(0.5, ([0.0, 0.3], [0.5], [0.0]))
    assert world.guard.moving  # what is near enough is followed again


def test_a_dry_run_makes_frozen_joint_states_no_more_credible(frozen):
    world, real = frozen
    for obeyed in (False, True):
        world.guard.disengage()
        world.guard.obeyed = obeyed
        world.run(1.0, away)
    assert world.sent[-1] is None and 'not a bit of the joint states' in world.guard.reason.text


def test_after_a_sleep_no_motion_goes_on_whatever_came_meanwhile(following):
    world = following()
    world.run(0.3, away)
    before = len(world.sent)
    world.now_s += 3.0
    world.measure()
    world.command(*away(world.now_s))
    world.tick(pause_s=0.0)
    assert world.guard.state == 'HOLDING' and world.guard.reason.source == 'rest'
    world.run(0.2, away)
    assert world.sent[before:] == [None] * 21
    world.until('RAMPING', lambda now_s: (world.robot[:2], world.robot[2:], [0.0]))


def test_a_robot_that_gets_nothing_need_not_answer(following):
    world = following()
    world.follows, world.guard.obeyed = False, False
    world.run(2.0, away)
    assert world.guard.state == 'FOLLOWING'


def test_after_a_sleep_a_robot_that_may_have_moved_is_sent_nowhere_else(following):
    world = following()
    world.run(0.3, lambda now_s: ([1.9, 0.95], [0.5], [0.0]))
    world.seen, world.follows, before = False, False, len(world.sent)
    world.tick(pause_s=3.0)
    world.seen, world.robot[:2] = True, (-0.5, -0.9)
    world.run(0.2, away)
    last = held(world.sent[:before])[:2]
    assert all(row is None or (row[:2] == last).all() for row in world.sent[before:])
    assert world.sent[before + 1:] == [None] * 20
    world.run(0.5)
    assert world.sent[-1][:2] == pytest.approx([-0.5, -0.9])


@pytest.mark.parametrize('base', [0.0, 0.4])
@pytest.mark.parametrize('source', ['controller', 'twin'])
def test_nothing_is_sent_to_a_controller_that_takes_it_wrongly_or_has_two_masters(
        following, assert_limits_kept, source, base):
    world = following()
    world.run(0.3, ([1.9, 0.95], [0.5], [base]))
    world.guard.block(source, 'somebody objects')
    world.until('HOLDING', away)
    world.run(1.0, away)
    assert world.sent[-1] is None and world.guard.reason == (source, 'somebody objects')
    assert_limits_kept(world.sent_at_all(), *world.limits)
    world.guard.block(source, '')
    world.until('FOLLOWING', lambda now_s: (world.robot[:2], world.robot[2:], [0.0]))


def test_a_base_is_told_to_stand_beside_a_twin_that_may_be_dead_too(make_world):
    world = make_world(BASE)
    world.until('FOLLOWING', ([0.4],))
    world.guard.block('twin', 'another node /command_safety')
    world.until('HOLDING', ([0.4],))
    world.run(0.5, ([0.4],))
    assert world.sent[-1] == [0.0] and world.guard.reason.source == 'twin'


@pytest.mark.parametrize('braking_s', [0.0, 0.05])
def test_a_stop_that_is_armed_again_at_once_is_served_all_the_same(
        following, assert_limits_kept, braking_s):
    world = following()
    world.run(0.4, away)
    world.emergency.trip('a test')
    world.run(braking_s, away)
    world.emergency.rearm()
    world.run(0.02, away)
    assert world.guard.state == 'STOPPING' and world.guard.reason.source == 'rest'
    world.until('RAMPING', lambda now_s: (world.robot[:2], world.robot[2:], [0.0]))
    assert_limits_kept(world.sent_at_all(), *world.limits)
    assert silence_s(world) >= REST_S

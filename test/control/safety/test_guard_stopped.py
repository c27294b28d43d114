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

"""A robot that others stop while it is commanded, and let go again: it is noticed, and stands."""

import numpy as np
import pytest

LIMIT = np.array([2.0, 1.0])  # of the joints b and a, rad/s
OFFSET = 0.02 * LIMIT  # what is tolerated at rest, rad
FASTEST = 3.14  # what the robot's own control does, rad/s


class Robot:
    """
    Lets a world pass with a robot that lags, whose encoders are never silent.

    :ivar is_stopped: Whether it stands, whatever it is sent.
    :ivar apart: How far what was sent was from where it was measured, at each period, ``(n, 2)``.
    :ivar speeds: How fast it moved, the same.
    """

    def __init__(self, world, lag_s=0.1, noise=1e-4):
        self._world, self._lag = world, round(lag_s / world.PERIOD_S)
        self._noise, self._rng = noise, np.random.default_rng(0)
        self.world, world.follows, self.is_stopped = world, False, False
        self._place, self.apart, self.speeds = world.robot[:2].copy(), [], []

    def run(self, duration_s, command=None):
        """Let time pass."""
        world = self._world
        for _ in range(round(duration_s / world.PERIOD_S)):
            world.run(world.PERIOD_S, command)
            rows = [row for row in world.sent if row is not None]
            before = self._place
            if rows and not self.is_stopped:
                way = rows[max(len(rows) - 1 - self._lag, 0)][:2] - before
                most = FASTEST * world.PERIOD_S
                self._place = before + np.clip(way, -most, most)
            self.speeds.append(np.abs(self._place - before) / world.PERIOD_S)
            if rows:
                self.apart.append(np.abs(rows[-1][:2] - self._place))
            world.robot[:2] = self._place + self._rng.normal(0, self._noise, 2)

    def until(self, words, command, limit_s=5.0):
        """Let time pass until the reason holds some words; return how long that took."""
        for step in range(round(limit_s / self._world.PERIOD_S)):
            reason = self._world.guard.reason
            if reason and words in reason.text:
                return step * self._world.PERIOD_S
            self.run(self._world.PERIOD_S, command)
        raise AssertionError(f'{words!r} was not said, but: {self._world.guard.reason}')


@pytest.fixture
def make_robot(make_world):
    """Return a function that makes a robot which follows its commands at a speed scale."""
    def make(scale, **how):
        world = make_world()
        world.guard.speed_scale = scale
        robot = Robot(world, **how)
        robot.run(1.5, to(0.0))
        assert world.guard.state == 'FOLLOWING'
        return robot

    return make


def to(b, a=0.0):
    """Return the commands that lead the arm to a place."""
    return [b, a], [0.5], [0.0]


@pytest.mark.parametrize('scale', [0.1, 0.3, 1.0])
def test_a_robot_that_was_stopped_stands_when_it_is_let_go(make_robot, scale):
    robot = make_robot(scale)
    far = to(0.9)
    robot.run(0.3, far)
    robot.is_stopped = True
    # It lags by half a second at most, and is OFFSET further away soon.
    took_s = robot.until('arm: b was sent to', far)
    assert took_s <= 0.5 + 0.1 + OFFSET[0] / (LIMIT[0] * scale) + 0.1
    robot.until('call ~/rearm', far)
    robot.run(1.0, far)
    assert robot.apart[-1].max() < 1e-3  # it is held where it is measured
    stands = len(robot.speeds)
    robot.is_stopped = False
    robot.run(3.0, far)
    assert np.max(robot.speeds[stands:]) < 0.1 and np.max(robot.apart[stands:]) < 1e-3
    assert robot.world.guard.state == 'HOLDING'


@pytest.mark.parametrize('scale', [0.1, 1.0])
@pytest.mark.parametrize('stopped_s', np.arange(4, 50, 4) / 10)
def test_whenever_it_is_let_go_it_was_not_sent_far_ahead(make_robot, scale, stopped_s):
    robot = make_robot(scale)
    far = to(0.9)
    robot.run(0.3, far)
    robot.is_stopped = True
    robot.run(stopped_s, far)
    # What it may go while it might only lag, and until it has braked; the second time less.
    most = OFFSET[0] + LIMIT[0] * scale * (0.6 + 0.5) if stopped_s < 1.5 else 2.1 * OFFSET[0]
    assert robot.apart[-1][0] <= most
    robot.is_stopped, before = False, len(robot.speeds)
    robot.run(0.5, far)
    moved = np.sum(robot.speeds[before:], axis=0)[0] * robot.world.PERIOD_S
    assert moved <= most + LIMIT[0] * scale * 0.5


def test_after_rearming_it_goes_on_from_where_it_stands_and_keeps_to_its_speed(make_robot):
    robot = make_robot(0.1)
    robot.run(0.3, to(0.9))
    robot.is_stopped = True
    robot.until('call ~/rearm', to(0.9))
    robot.run(1.0, to(0.9))
    robot.is_stopped = False
    robot.run(1.0, to(0.9))
    before = len(robot.speeds)
    robot.world.emergency.rearm()
    robot.run(8.0, to(0.9))
    assert robot.world.robot[0] == pytest.approx(0.9, abs=0.01)
    assert np.max(robot.speeds[before:]) <= 0.1 * LIMIT[0] + 0.02  # its encoders' noise


def test_a_small_step_that_is_not_made_is_noticed_at_a_tenth_of_the_speed(make_robot):
    robot = make_robot(0.1)
    step = to(0.0, 0.05)
    robot.run(0.15, step)
    robot.is_stopped = True
    took_s = robot.until('arm: a was sent to', step)
    assert took_s < 1.5 and robot.apart[-1].max() < 0.05
    robot.run(3.0, step)
    assert robot.apart[-1].max() < 1e-3


@pytest.mark.parametrize('lag_s', [0.05, 0.45])
@pytest.mark.parametrize('scale', [0.1, 1.0])
def test_a_robot_that_lags_and_has_noisy_encoders_is_let_go_on(make_robot, lag_s, scale):
    robot = make_robot(scale, lag_s=lag_s, noise=0.002)
    robot.run(10.0, lambda now_s: to(1.5 * np.sin(2 * now_s), 0.8 * np.sin(5 * now_s)))
    assert not robot.world.guard.stops


def test_one_that_is_held_up_for_a_moment_goes_on_slowly_and_then_at_full_speed(make_robot):
    robot = make_robot(1.0)
    robot.is_stopped = True
    robot.until('arm: b was sent to', to(0.9))
    robot.is_stopped = False
    robot.until('stands still', to(0.4))
    robot.run(1.0, to(0.4))
    assert robot.world.guard.state == 'RAMPING' and robot.world.guard.scale <= 0.04
    robot.run(3.0, to(0.4))
    assert robot.world.guard.state == 'FOLLOWING'
    assert robot.world.robot[0] == pytest.approx(0.4, abs=0.01)
    assert robot.world.guard.stops == {'tracking': 1}


def test_a_held_robot_that_is_a_little_astray_is_held_where_it_is(make_robot):
    robot = make_robot(1.0)
    robot.run(1.0)
    robot.is_stopped = True
    robot._place += [0.0, 0.03]
    robot.run(1.0)
    assert robot.apart[-1].max() < 1e-3
    assert robot.world.sent[-1][1] == pytest.approx(0.03, abs=1e-3)


def test_a_robot_that_is_not_ready_yet_needs_no_rearming(make_world):
    world = make_world()
    world.guard.block('ready', 'not ready')
    world.run(1.0, to(0.0))
    assert world.guard.state == 'HOLDING' and world.guard.reason == ('ready', 'not ready')
    assert world.sent[-1] is not None  # it is held
    world.guard.block('ready', '')
    world.until('FOLLOWING', to(0.0))


@pytest.mark.parametrize('away_s, noise', [(0.0, 1e-7), (2.0, 0.0)])
def test_a_robot_that_is_not_ready_any_more_is_held_where_it_is_until_it_is_rearmed(
        make_robot, assert_limits_kept, away_s, noise):
    # Where nothing changes in the joint states they are no frozen ones: nothing moves it.
    robot = make_robot(1.0, noise=noise)
    world, guard = robot.world, robot.world.guard
    guard.block('ready', '')
    robot.run(0.4, to(0.9))
    guard.block('ready', 'not ready')
    robot.is_stopped = True
    if away_s:
        robot.run(away_s, to(0.9))
        assert guard.reason == ('ready', 'not ready')
        robot._place += [-0.1, 0.0]  # somebody moves it
        robot.run(1.0, to(0.9))
        assert robot.apart[-1].max() < 1e-9
    guard.block('ready', '')
    robot.run(2.0, to(0.9))
    assert guard.state == 'HOLDING' and guard.reason == (
        'rearm', 'not ready; call ~/rearm when it is safe to move')
    robot.is_stopped, stands = False, len(robot.speeds)
    robot.run(1.0, to(0.9))
    assert np.max(robot.speeds[stands:]) < 1e-4
    world.emergency.rearm()
    robot.run(2.0)
    assert guard.reason.source == 'command'  # re-arming alone moves nothing
    robot.run(3.0, to(0.5))
    assert guard.state == 'FOLLOWING' and world.robot[0] == pytest.approx(0.5, abs=1e-6)
    silent = [step for step, row in enumerate(world.sent) if row is None]
    del world.sent[:silent[-1]]
    assert_limits_kept(world.sent_in_one_go(), *world.limits)


def test_rearming_while_the_robot_follows_changes_nothing(make_robot):
    robot = make_robot(1.0)
    robot.run(0.2, to(0.9))
    robot.world.emergency.rearm()
    robot.run(0.2, to(0.9))
    assert robot.world.guard.state == 'FOLLOWING' and not robot.world.guard.stops

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
"""A guard and the robot behind it, period by period."""

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.control.safety.assembly import build_guard
from diffusion_policy_ros.control.safety.command_reader import Command
from diffusion_policy_ros.control.safety.emergency import EmergencyStop
from diffusion_policy_ros.control.safety.tracking import Tolerance
import numpy as np
import pytest

CONTRACT = """
robot: test
rate_hz: 20
observations:
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [a, b, g], max_age_ms: 100}
actions:
  - {topic: arm, type: sensor_msgs/msg/JointState, joints: [b, a]}
  - {topic: gripper, type: std_msgs/msg/Float64MultiArray, names: [g], stamp: receive,
     interpolation: hold}
  - {topic: base, type: geometry_msgs/msg/Twist, names: [linear.x], stamp: receive}
limits:
  a: {position: [-1, 1], velocity: 1.0, acceleration: 4.0, jerk: 40.0}
  b: {position: [-2, 2], velocity: 2.0, acceleration: 10.0, jerk: 200.0}
  g: {position: [0, 1], velocity: 3.0}
  linear.x: {velocity: 0.5, acceleration: 1.0, jerk: 10.0}
"""


class World:
    """
    A guard, and a robot that is measured where it was told to be, in one row ``b, a, g, x``.

    :ivar contract: Its contract.
    :ivar limits: Period and limits, as ``assert_limits_kept`` takes them.
    :ivar sent: What the guard sent at each tick, None where nothing.
    :ivar follows: Whether the robot moves as it is told.
    :ivar seen: Whether it is measured.
    """

    PERIOD_S, WATCHDOG_S, RAMP_IN_S = 0.01, 0.2, 0.5
    TOLERANCE = Tolerance(max_jump_s=0.5, max_lag_s=0.5, max_offset_s=0.02)

    def __init__(self, contract, robot):
        self.contract = contract
        self.emergency = EmergencyStop()
        self.guard, self.measured = build_guard(
            self.contract, self.contract.limits, self.emergency, period_s=self.PERIOD_S,
            watchdog_s=self.WATCHDOG_S, tolerance=self.TOLERANCE, ramp_in_s=self.RAMP_IN_S,
            source='test')
        self.robot = np.array(robot, dtype=float)
        self.now_s, self.sent, self.follows, self.seen = 100.0, [], True, True

    def command(self, *rows, due_s=None):
        """Tell each output a row of values, or None."""
        for channel, row in zip(self.guard.channels, rows):
            if row is not None:
                points = np.array(row, dtype=float).reshape(-1, len(channel.output.names))
                channel.accept(Command(points, due_s), self.now_s, moving=self.guard.moving)

    def measure(self):
        """Show the robot as it is."""
        for stream in self.measured.streams('joint_states'):
            b, a, g = self.robot
            self.guard.measure(stream, [a, b, g], self.now_s)

    def tick(self, pause_s=PERIOD_S):
        """Let one period pass."""
        self.now_s += pause_s
        if self.seen:
            self.measure()
        rows = self.guard.tick(self.now_s)
        self.sent.append(None if rows is None else np.concatenate(rows))
        if rows is not None and self.follows and len(rows) > 1:
            self.robot = np.concatenate(rows[:2])
        return rows

    def run(self, duration_s, command=None):
        """Let time pass, with a command at every fifth tick."""
        for step in range(round(duration_s / self.PERIOD_S)):
            if command is not None and step % 5 == 0:
                self.command(*command(self.now_s) if callable(command) else command)
            self.tick()

    def until(self, state, command=None, limit_s=5.0):
        """Let time pass up to a state; return how long that took."""
        before_s = self.now_s
        while self.guard.state != state:
            assert self.now_s - before_s < limit_s, (self.guard.state, self.guard.reason)
            self.run(self.PERIOD_S, command)
        return self.now_s - before_s

    def sent_in_one_go(self):
        """Return all that was sent, from rest on; nothing may have been left out between."""
        first = next(i for i, row in enumerate(self.sent) if row is not None)
        assert all(row is not None for row in self.sent[first:])
        return _from_rest(self.sent[first:])

    def sent_at_all(self):
        """Return all that was sent, from rest on, pauses left out."""
        return _from_rest([row for row in self.sent if row is not None])


def _from_rest(rows):
    """Return what was sent after a rest, with that."""
    return [rows[0]] * 3 + rows


@pytest.fixture(scope='session')
def make_world(limits_of):
    """Return a function that makes a guard and its robot."""
    def make(contract=CONTRACT, robot=(0.0, 0.0, 0.5)):
        world = World(parse_contract(contract), robot)
        world.limits = world.PERIOD_S, *limits_of(world.contract)
        return world

    return make


@pytest.fixture
def following(make_world):
    """Return a function that makes a world whose robot follows commands."""
    def make():
        world = make_world()
        world.until('FOLLOWING', ([0.0, 0.0], [0.5], [0.0]))
        return world

    return make


@pytest.fixture(scope='session')
def guard_contract():
    """Return the text of the contract of ``make_world``."""
    return CONTRACT

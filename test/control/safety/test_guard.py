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
"""The guard: when a robot holds, follows and stops, and that it keeps its limits throughout."""

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.control.safety.assembly import build_guard
from diffusion_policy_ros.control.safety.command_reader import Command
from diffusion_policy_ros.control.safety.guard import EmergencyStop
from diffusion_policy_ros.errors import SafetyError
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

PERIOD_S, WATCHDOG_S, MAX_JUMP_S, RAMP_IN_S = 0.01, 0.2, 0.5, 0.5
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
BASE_ALONE = CONTRACT.replace(
    CONTRACT[CONTRACT.index('  - {topic: arm'):CONTRACT.index('  - {topic: base')], '').replace(
    CONTRACT[CONTRACT.index('  a: {'):CONTRACT.index('  linear.x')], '')


class World:
    """
    A guard, and a robot that is measured where it was told to be, in one row ``b, a, g, x``.

    :ivar sent: What the guard sent at each tick, None where nothing.
    :ivar follows: Whether the robot moves as it is told.
    :ivar seen: Whether it is measured.
    """

    def __init__(self, contract=CONTRACT, robot=(0.0, 0.0, 0.5)):
        self.contract = parse_contract(contract)
        self.emergency = EmergencyStop()
        self.guard, self.measured = build_guard(
            self.contract, self.contract.limits, self.emergency, period_s=PERIOD_S,
            watchdog_s=WATCHDOG_S, max_jump_s=MAX_JUMP_S, ramp_in_s=RAMP_IN_S, source='test')
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
            self.measured.update(stream, [a, b, g], self.now_s)

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
        for step in range(round(duration_s / PERIOD_S)):
            if command is not None and step % 5 == 0:
                self.command(*command(self.now_s) if callable(command) else command)
            self.tick()

    def until(self, state, command=None, limit_s=5.0):
        """Let time pass up to a state; return how long that took."""
        before_s = self.now_s
        while self.guard.state != state:
            assert self.now_s - before_s < limit_s, (self.guard.state, self.guard.reason)
            self.run(PERIOD_S, command)
        return self.now_s - before_s


HERE = ([0.0, 0.0], [0.5], [0.0])
THERE = ([0.8, 0.4], [0.7], [0.3])


def wave(now_s):
    """Ask for more than the limits allow."""
    return [3 * np.sin(3 * now_s), 2 * np.sin(2 * now_s)], [0.5 + np.sin(now_s)], [np.sin(now_s)]


def following(command=HERE, **options):
    """Return a world whose robot follows commands."""
    world = World(**options)
    world.until('FOLLOWING', command)
    return world


def limits_of(world):
    """Return the limits of all outputs, from the contract and nothing else."""
    table = world.contract.limits
    rows = []
    for name in world.contract.action_names:
        entry = dict(table[name])
        entry.setdefault('acceleration', 5 * entry['velocity'])
        entry.setdefault('jerk', 20 * entry['acceleration'])
        # A velocity's own limits are one derivative down; it has no limit of position.
        rows.append((-entry['velocity'], entry['velocity'], entry['acceleration'], entry['jerk'],
                     np.inf) if name == 'linear.x' else
                    (*entry['position'], entry['velocity'], entry['acceleration'], entry['jerk']))
    return np.array(rows).T


def assert_limits_kept(world, rows):
    """
    Check values and differences of what was sent while it was one motion.

    The k-th difference of samples over the period's k-th power is a mean of the k-th derivative.
    """
    low, high, *rates = limits_of(world)
    rows = np.array([rows[0]] * 3 + list(rows))
    assert (rows >= low).all() and (rows <= high).all()
    for order, limit in enumerate(rates, start=1):
        rate = np.abs(np.diff(rows, order, axis=0)) / PERIOD_S**order
        rounding = 1e-6 + 1e-13 / PERIOD_S**order
        assert (rate <= limit * (1 + 1e-6) + rounding).all(), (order, rate.max(axis=0))


def sent_in_one_go(world):
    """Return all that was sent; nothing may have been left out between."""
    rows = [row for row in world.sent if row is not None]
    first = next(i for i, row in enumerate(world.sent) if row is not None)
    assert len(rows) == len(world.sent) - first
    return rows


def test_nothing_is_sent_before_the_robot_was_seen_at_rest():
    world = World()
    world.seen = False
    world.run(1.0, HERE)
    assert world.guard.state == 'HOLDING' and world.guard.reason.source == 'measured'
    world.seen = True
    world.run(0.2, HERE)
    assert 'stands still' in world.guard.reason.text
    assert all(row is None for row in world.sent)


def test_a_robot_that_moves_is_not_held():
    world = World()
    for _ in range(100):
        world.robot[0] += 0.005
        world.tick()
    assert all(row is None for row in world.sent)


def test_without_commands_the_measured_position_is_held():
    world = World(robot=(0.3, -0.2, 0.9))
    world.run(1.0)
    assert world.sent[-1].tolist() == [0.3, -0.2, 0.9, 0.0]
    assert world.guard.state == 'HOLDING'
    assert world.guard.reason == ('command', 'arm: no command yet')


@pytest.mark.parametrize('g, held', [(-0.02, 0.0), (1.02, 1.0), (0.4, 0.4)])
def test_a_joint_at_its_stop_is_held_at_its_limit(g, held):
    world = World(robot=(0.0, 0.0, g))
    world.run(0.5)
    assert world.sent[-1][2] == held


def test_a_robot_outside_its_limits_is_not_held():
    world = World(robot=(0.0, 1.1, 0.5))
    world.run(1.0, HERE)
    assert all(row is None for row in world.sent)
    assert world.guard.reason.source == 'limits'
    assert 'joint a is measured at position 1.1' in world.guard.reason.text


def test_commands_are_followed_to_where_they_lead():
    world = following()
    world.run(3.0, THERE)
    assert world.guard.state == 'FOLLOWING' and world.guard.reason is None
    assert world.sent[-1] == pytest.approx([0.8, 0.4, 0.7, 0.3], abs=1e-6)
    assert_limits_kept(world, sent_in_one_go(world))


def test_whatever_is_asked_the_limits_are_kept_and_counted():
    world = following()
    world.run(5.0, wave)
    assert world.guard.state == 'FOLLOWING'
    assert_limits_kept(world, sent_in_one_go(world))
    arm = world.guard.channels[0]
    assert 0 < arm.any_intervention < arm.steps
    assert max(arm.interventions) <= arm.any_intervention <= sum(arm.interventions)


def test_speed_ramps_up_at_the_start_of_every_motion():
    world = World()
    world.until('RAMPING', THERE)
    world.run(RAMP_IN_S / 2, THERE)
    assert world.guard.state == 'RAMPING' and 0.4 < world.guard.scale < 0.6
    speed = np.abs(np.diff([row[0] for row in world.sent if row is not None])) / PERIOD_S
    assert speed.max() <= 2.0 * world.guard.scale + 1e-9
    world.run(RAMP_IN_S, THERE)
    assert world.guard.state == 'FOLLOWING' and world.guard.scale == 1.0


@pytest.mark.parametrize('scale', [0.1, 0.5, 1.0])
def test_the_speed_scale_caps_the_speed(scale):
    world = World()
    world.guard.speed_scale = scale
    world.run(4.0, THERE)
    rows = np.array([row for row in world.sent if row is not None])
    speed = np.abs(np.diff(rows[:, 0])).max() / PERIOD_S
    assert speed <= 2.0 * scale * (1 + 1e-9)
    assert speed >= min(2.0 * scale, 1.0) * 0.9


def test_speed_scale_0_stops_and_going_on_is_a_new_motion():
    world = following()
    world.run(0.2, THERE)
    world.guard.speed_scale = 0.0
    assert world.until('HOLDING', THERE) <= world.guard.stopping_s + PERIOD_S
    assert world.guard.reason.source == 'speed_scale'
    world.guard.speed_scale = 1.0
    world.run(PERIOD_S, THERE)
    assert world.guard.state == 'RAMPING'
    assert_limits_kept(world, sent_in_one_go(world))


@pytest.mark.parametrize('deaf', [0, 1, 2])
def test_silence_of_any_output_stops_the_robot_in_time(deaf):
    world = following()
    world.run(0.3, wave)
    rows = [list(row) for row in wave(world.now_s)]
    rows[deaf] = None
    within_s = WATCHDOG_S + world.guard.stopping_s + 2 * PERIOD_S
    assert world.until('HOLDING', rows) <= within_s
    assert world.guard.reason.source == 'command'
    assert world.guard.reason.text.startswith(world.guard.channels[deaf].output.topic)
    assert world.guard.stops == {'command': 1}
    assert world.sent[-1][3] == 0.0  # the base stands
    assert_limits_kept(world, sent_in_one_go(world))


def test_a_refused_command_counts_as_silence_and_is_named():
    world = following()
    for _ in range(60):
        world.guard.channels[0].refuse('names', 'who is c?')
        world.command(None, [0.5], [0.0])
        world.tick()
    assert world.guard.state == 'HOLDING'
    assert world.guard.reason.text.endswith('last refused: who is c?')
    assert world.guard.channels[0].refused == {'names': 60}


def test_motion_resumes_by_itself_when_commands_are_back():
    world = following()
    world.until('HOLDING')
    assert world.until('FOLLOWING', HERE) == pytest.approx(RAMP_IN_S, abs=0.03)
    assert_limits_kept(world, sent_in_one_go(world))


def test_a_first_command_far_from_the_robot_is_not_followed():
    world = World()
    world.run(1.0, ([0.0, 0.6], [0.5], [0.0]))
    assert world.guard.state == 'HOLDING' and world.guard.reason.source == 'jump'
    assert world.guard.reason.text == (
        'arm: the first command has a at 0.6, it is measured at 0; at most 0.5 apart is allowed '
        '(max_jump_s)')
    assert np.ptp([row for row in world.sent if row is not None], axis=0).max() == 0
    world.until('FOLLOWING', ([0.9, 0.49], [0.5], [0.0]))


def test_a_first_command_must_also_be_near_the_held_position():
    world = World()
    world.run(0.5)
    world.follows, world.robot[1] = False, 0.3
    world.run(1.0, ([0.0, 0.6], [0.5], [0.0]))
    assert 'a at 0.6, it is held at 0;' in world.guard.reason.text


def test_a_robot_found_elsewhere_is_held_there_once_it_stands():
    world = World()
    world.run(0.5)
    world.follows = False
    for _ in range(100):  # somebody carries the arm away
        world.robot[1] += 0.008
        world.tick()
    assert world.sent[-1] is None
    assert 'stands still' in world.guard.reason.text
    world.run(0.5)
    assert world.sent[-1][1] == pytest.approx(0.8)


def test_an_unseen_robot_is_braked_and_then_left_alone():
    world = following()
    world.run(0.3, wave)
    world.seen = False
    took_s = world.until('HOLDING', wave)
    assert took_s <= 0.1 + world.guard.stopping_s + 2 * PERIOD_S
    world.run(PERIOD_S, wave)
    assert world.guard.reason.source == 'measured' and world.sent[-1] is None
    assert_limits_kept(world, [row for row in world.sent if row is not None])
    world.seen = True
    world.until('RAMPING', lambda now_s: (world.robot[:2], world.robot[2:], [0.0]))


def test_an_emergency_stop_brakes_is_silent_and_stays_until_it_is_rearmed():
    world = following()
    world.run(0.3, wave)
    world.emergency.button(True)
    world.run(world.guard.stopping_s + 2 * PERIOD_S, wave)
    assert world.guard.state == 'ESTOP' and world.guard.at_rest
    assert_limits_kept(world, [row for row in world.sent if row is not None])
    world.emergency.button(False)
    world.run(1.0, HERE)
    assert world.guard.state == 'ESTOP' and world.sent[-1] is None
    assert 'the e_stop topic' in world.guard.reason.text


def test_rearming_is_refused_while_the_button_is_pressed():
    emergency = EmergencyStop()
    assert emergency.rearm() == ''
    emergency.button(True)
    assert 'release the button' in emergency.rearm() and emergency.reason
    emergency.button(False)
    assert emergency.reason
    assert emergency.rearm() == '' and not emergency.reason
    emergency.button(False)
    assert not emergency.reason


def test_after_rearming_a_robot_that_sagged_is_held_where_it_is():
    world = following()
    world.emergency.trip('a test')
    world.run(0.5, HERE)
    world.robot[:2] = -0.4, -0.3
    world.run(0.5, HERE)
    world.emergency.rearm()
    world.tick()
    assert world.sent[-1][:2].tolist() == [-0.4, -0.3]
    world.until('FOLLOWING', HERE)


def test_objections_stop_the_robot_until_they_are_taken_back():
    world = following()
    world.guard.block('publishers', 'two of them')
    world.until('HOLDING', HERE)
    assert world.guard.reason == ('publishers', 'two of them')
    world.guard.block('publishers', '')
    world.until('FOLLOWING', HERE)


def test_a_stop_that_has_begun_comes_to_its_end():
    world = following()
    world.run(0.3, wave)
    world.guard.block('publishers', 'for one tick')
    world.run(PERIOD_S, wave)
    world.guard.block('publishers', '')
    states = []
    while not states or states[-1] == 'STOPPING':  # with commands that are always near
        world.run(PERIOD_S, (world.sent[-1][:2], world.sent[-1][2:3], [0.0]))
        states.append(world.guard.state)
    assert len(states) > 10 and states[-1] == 'HOLDING'


def test_commands_of_an_earlier_motion_lead_no_later_one():
    world = following()
    world.command([1.9, 0.9], [0.5], [0.0])
    world.until('HOLDING')
    b, a = world.robot[:2]
    assert b < 1.5
    world.command([b + 0.1, a], None, None, due_s=np.array([0.1]))
    assert world.guard.channels[0]._reference.at(world.now_s) == pytest.approx([b + 0.1, a])


def test_a_late_tick_moves_the_robot_by_one_period_only():
    world = following()
    for _ in range(30):
        world.run(0.1, wave)
        world.command(*wave(world.now_s))
        world.tick(pause_s=0.15)
        assert world.guard.state != 'HOLDING'
    assert_limits_kept(world, sent_in_one_go(world))


def test_a_tick_after_a_long_sleep_finds_everything_stale():
    world = following()
    world.run(0.2, wave)
    world.seen = False
    world.tick(pause_s=60.0)
    assert world.guard.state == 'STOPPING' and world.guard.reason.source == 'measured'


def test_a_command_without_a_time_is_reached_when_the_next_one_is_expected():
    world = following()
    world.command([0.0, 0.0], [0.5], [0.0])
    world.run(0.05)
    world.command([0.2, 0.1], [0.6], [0.1])
    arm, gripper, base = world.guard.channels
    at = world.now_s
    assert arm._reference.at(at + 0.025) == pytest.approx([0.1, 0.05])
    assert arm._reference.at(at + 0.1) == pytest.approx([0.2, 0.1])
    assert gripper._reference.at(at) == 0.6 and base._reference.at(at) == 0.1


def test_commands_that_come_in_bunches_are_not_rushed():
    world = following()
    arm = world.guard.channels[0]
    for pause_s, value in ((0.08, 0.0), (0.08, 0.0), (0.001, 0.2)):
        world.now_s += pause_s
        world.command([value, value])
    assert arm._reference.at(world.now_s + 0.04) == pytest.approx([0.1, 0.1])


def test_a_chunk_is_followed_by_its_own_times_while_it_is_repeated():
    world = following()
    rows, due_s = np.array([[0.1, 0.1], [0.3, 0.2], [0.1, 0.0]]), np.array([0.3, 0.8, 1.6])
    begin_s = world.now_s
    while world.now_s < begin_s + 1.5:
        world.command(None, [0.5], [0.0])
        world.guard.channels[0].accept(
            Command(rows, due_s - (world.now_s - begin_s)), world.now_s, moving=True)
        world.tick()
        wanted = [np.interp(world.now_s - begin_s, [0, *due_s], [0, *rows[:, i]])
                  for i in range(2)]
        # It stays behind by no more than the way to a stop from its speed.
        assert world.sent[-1][:2] == pytest.approx(wanted, abs=0.05)
    assert world.guard.state == 'FOLLOWING'


def test_a_base_alone_starts_from_standing_and_brakes_to_standing():
    world = World(BASE_ALONE)
    world.run(1.0, ([0.4],))
    assert world.sent[0].tolist() == [0.0]
    world.run(1.0, ([0.4],))
    assert world.sent[-1] == pytest.approx([0.4])
    assert world.until('HOLDING') <= WATCHDOG_S + world.guard.stopping_s + 2 * PERIOD_S
    assert world.sent[-1].tolist() == [0.0]
    assert_limits_kept(world, sent_in_one_go(world))


@pytest.mark.parametrize('change, words', [
    (('joints: [a, b, g]', 'joints: [a, b]'), 'no stream measures the position of g'),
    (('  - {topic: gripper, type: std_msgs/msg/Float64MultiArray, names: [g], stamp: receive,',
      '  - {topic: gripper, type: geometry_msgs/msg/PoseStamped,'), 'PoseStamped cannot be'),
    (('joints: [b, a]}', 'joints: [b, a], field: effort}'), 'efforts cannot be limited'),
    (('  g: {position: [0, 1], velocity: 3.0}', '  g: {position: [0, 1]}'),
     'joint g has no velocity limit')])
def test_what_cannot_be_guarded_is_refused_with_the_reason(change, words):
    contract = CONTRACT.replace(*change)
    if 'PoseStamped' in words:
        contract = contract.replace('  g: {position: [0, 1], velocity: 3.0}\n', '')
    with pytest.raises(SafetyError, match=words):
        World(contract)


VALUES = st.one_of(st.floats(-1.2, 1.2), st.floats(-1e12, 1e12))
EVENTS = st.one_of(
    st.tuples(st.just('command'), st.lists(VALUES, min_size=4, max_size=4), st.booleans()),
    st.tuples(st.just('some'), st.integers(0, 2), VALUES),
    st.tuples(st.just('follow'), st.floats(0.05, 1.0)),
    st.tuples(st.just('tick'), st.integers(1, 30)),
    st.tuples(st.just('gap'), st.floats(0.02, 2.0)),
    st.tuples(st.just('robot'), st.lists(st.floats(-1.5, 1.5), min_size=3, max_size=3)),
    st.tuples(st.sampled_from(('follows', 'seen', 'button')), st.booleans()),
    st.tuples(st.just('trip')), st.tuples(st.just('rearm')), st.tuples(st.just('refuse')),
    st.tuples(st.just('scale'), st.floats(0.0, 1.0)),
    st.tuples(st.just('block'), st.sampled_from(('', 'crowd'))))


def _happen(world, kind, *values):
    """Let one event happen."""
    if kind == 'command':
        row, timed = values
        world.command(row[:2], None if timed else row[2:3], None if timed else row[3:],
                      due_s=np.array([0.03]) if timed else None)
    elif kind == 'some':
        channel = world.guard.channels[values[0]]
        channel.accept(Command(np.full((1, len(channel.output.names)), values[1])), world.now_s,
                       moving=world.guard.moving)
    elif kind == 'follow':
        world.run(values[0], lambda now_s: (world.robot[:2] + 0.1, world.robot[2:], [0.2]))
    elif kind == 'tick':
        world.run(values[0] * PERIOD_S)
    elif kind == 'gap':
        world.tick(pause_s=values[0])
    elif kind == 'robot':
        world.robot = np.array(values[0])
    elif kind in ('follows', 'seen'):
        setattr(world, kind, values[0])
    elif kind == 'button':
        world.emergency.button(*values)
    elif kind == 'trip':
        world.emergency.trip('a test')
    elif kind == 'rearm':
        world.emergency.rearm()
    elif kind == 'refuse':
        world.guard.channels[0].refuse('value', 'nan')
    elif kind == 'scale':
        world.guard.speed_scale = values[0]
    else:
        world.guard.block('publishers', values[0])


class Recorder(World):
    """Keeps each motion from one engagement to the next, and how long every stop took."""

    def __init__(self):
        super().__init__()
        self.motions, self.braking = [], 0
        self.engagements = []
        for channel in self.guard.channels:
            channel.engage = self._noting(channel.engage)

    def _noting(self, engage):
        """Note each engagement."""
        def noted(measured):
            engage(measured)
            self.engagements.append(True)
        return noted

    def tick(self, pause_s=PERIOD_S):
        """Sort what is sent into motions; no stop may take longer than it should."""
        self.engagements.clear()
        rows = super().tick(pause_s)
        if self.engagements:
            self.motions.append([])
        if rows is not None:
            self.motions[-1].append(np.concatenate(rows))
        is_braking = not self.guard.moving and not self.guard.at_rest
        self.braking = self.braking + 1 if is_braking else 0
        assert self.braking * PERIOD_S <= self.guard.stopping_s + PERIOD_S
        return rows


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENTS, max_size=40))
def test_whatever_happens_the_limits_are_kept_and_every_stop_comes_to_rest(events):
    world = Recorder()
    world.run(1.0, HERE)
    for event in events:
        _happen(world, *event)
    world.emergency.trip('the end')
    world.run(world.guard.stopping_s + 2 * PERIOD_S)
    assert world.guard.at_rest and world.tick() is None
    for motion in filter(None, world.motions):
        assert_limits_kept(world, motion)

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


"""Simulated controllers against plain rules, scipy's splines and an update loop as in a robot."""

from importlib import import_module
from itertools import permutations
from types import SimpleNamespace

from diffusion_policy_ros import message_types as ros
from diffusion_policy_ros.control.commands import build_command, NEEDED_TYPES
from diffusion_policy_ros.control.controller_joints import disagreement
from diffusion_policy_ros.errors import CommandRefused, ConfigError
from diffusion_policy_ros.sim.arm.controllers import (
    ControllerSet, ForwardController, TrajectoryController)
from diffusion_policy_ros.streams import ActionOutput
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

JOINTS = ('a', 'b', 'c')
MS = 1_000_000
SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND + 123_456_789
START = np.array([0.1, -0.2, 0.3])
FIELDS = ('positions', 'velocities', 'accelerations')


def time(time_ns):
    return SimpleNamespace(sec=time_ns // SECOND, nanosec=time_ns % SECOND)


def point(due_ns, positions, velocities=(), accelerations=(), effort=()):
    return SimpleNamespace(positions=positions, velocities=velocities, effort=effort,
                           accelerations=accelerations, time_from_start=time(due_ns))


def trajectory(points, names=JOINTS, stamp_ns=0):
    return SimpleNamespace(header=SimpleNamespace(stamp=time(stamp_ns)), joint_names=list(names),
                           points=[point(*each) for each in points])


def ramp(end, duration_ns=SECOND, **fields):
    return trajectory([(duration_ns, end)], **fields)


def started(**parameters):
    controller = TrajectoryController(JOINTS, 'arm_controller', **parameters)
    controller.activate(NOW, START)
    return controller


def forwarding(joints=JOINTS):
    controller = ForwardController(joints, 'arm_forward_controller')
    controller.activate(NOW, START[:len(joints)])
    return controller


def numbers(*values):
    return SimpleNamespace(data=list(values))


# Forwarded commands.

def test_a_forwarded_command_holds_from_its_arrival_until_the_next_one():
    controller = forwarding()
    np.testing.assert_array_equal(controller.positions(NOW), START)
    controller.accept(numbers(1, 2, 3), NOW + 5)
    for later in (5, 6, SECOND, 100 * SECOND):
        np.testing.assert_array_equal(controller.positions(NOW + later), [1, 2, 3])
    controller.accept(numbers(3, 2, 1), NOW + 200 * SECOND)
    np.testing.assert_array_equal(controller.positions(NOW + 200 * SECOND), [3, 2, 1])


@pytest.mark.parametrize('data', [
    (1, 2, np.nan), (np.inf, 2, 3), (np.nan,) * 3, (np.nan,), (), (1, -1e101, 3), (1e308,) * 3])
def test_a_forwarded_command_without_finite_numbers_is_dropped(data):
    controller = forwarding()
    controller.accept(numbers(1, 2, 3), NOW)
    with pytest.raises(CommandRefused, match='arm_forward_controller .*send 3 numbers'):
        controller.accept(numbers(*data), NOW)
    assert controller.is_active
    np.testing.assert_array_equal(controller.positions(NOW), [1, 2, 3])


@pytest.mark.parametrize('data', [(1,), (1, 2), (1, 2, 3, 4)])
def test_a_forwarded_command_of_another_length_deactivates_the_controller(data):
    controller = forwarding()
    controller.accept(numbers(1, 2, 3), NOW)
    with pytest.raises(CommandRefused, match=f'got {len(data)} numbers, wanted 3.*activate it'):
        controller.accept(numbers(*data), NOW)
    assert not controller.is_active
    with pytest.raises(CommandRefused, match='is not active'):
        controller.accept(numbers(1, 2, 3), NOW)
    np.testing.assert_array_equal(controller.positions(NOW), [1, 2, 3])


def test_activating_again_forgets_the_last_command():
    controller = forwarding()
    controller.accept(numbers(1, 2, 3), NOW)
    controller.activate(NOW, START)
    np.testing.assert_array_equal(controller.positions(NOW), START)


@pytest.mark.parametrize('message', [
    SimpleNamespace(), numbers('x', 1, 2), numbers([1, 2, 3]), numbers(None, None, None),
    SimpleNamespace(data=None), numbers(10 ** 400, 0, 0)])
def test_what_is_no_array_of_numbers_is_refused(message):
    controller = forwarding()
    with pytest.raises(CommandRefused):
        controller.accept(message, NOW)
    assert controller.is_active
    np.testing.assert_array_equal(controller.positions(NOW), START)


def test_a_returned_position_may_be_written_to():
    for controller in (forwarding(), started()):
        controller.positions(NOW)[:] = 99
        np.testing.assert_array_equal(controller.positions(NOW), START)


# Which trajectories are accepted.

GOOD = [(SECOND, [1, 2, 3], [1, 1, 1], [1, 1, 1]), (2 * SECOND, [3, 2, 1], [0, 0, 0], [0, 0, 0])]


def with_point(index=1, **fields):
    message = trajectory(GOOD)
    vars(message.points[index]).update(fields)
    return message


@pytest.mark.parametrize('message', [
    trajectory(GOOD), ramp(START), ramp(START, 0), ramp(START, -SECOND),
    trajectory([(0, START), (1, START)]), with_point(0, velocities=[], accelerations=[]),
    with_point(accelerations=[]), with_point(velocities=[1e-7, -1e-7, 0]),
    with_point(accelerations=[7, 7, 7]), ramp(START, stamp_ns=NOW - SECOND),
    ramp(START, stamp_ns=NOW + 10 ** 6 * SECOND), ramp([1e100, 0, 0])])
def test_a_trajectory_by_the_rules_is_accepted(message):
    started().accept(message, NOW)


@pytest.mark.parametrize(('message', 'said'), [
    (ramp([1, 2], names='ab'), r'joints \(a, b\); name all of \(a, b, c\)'),
    (ramp([1, 2, 3], names='abx'), r'joints \(a, b, x\)'),
    (ramp([1, 2, 3], names='aab'), r'joints \(a, a, b\).*each once'),
    (ramp([1, 2, 3, 4], names='abca'), r'joints \(a, b, c, a\)'),
    (ramp([1, 2, 3, 4], names='abcd'), r'joints \(a, b, c, d\)'),
    (ramp([], names=''), r'joints \(none\)'),
    (trajectory([]), 'without points; send at least one'),
    (trajectory([(5, START), (5, START)]), 'is 5e-09 s at point 1 .* after 5e-09 s at the one'),
    (trajectory([(5, START), (9, START), (4, START)]), 'at point 2 .*let it increase'),
    (with_point(positions=[]), 'point 1 of the trajectory has no positions'),
    (with_point(positions=[1, 2]), 'has 2 positions for 3 joint_names'),
    (with_point(positions=[1, 2, 3, 4]), 'has 4 positions for 3 joint_names'),
    (with_point(velocities=[0, 0]), 'has 2 velocities for 3 joint_names'),
    (with_point(accelerations=[0, 0]), 'has 2 accelerations for 3 joint_names'),
    (with_point(velocities=[]), 'accelerations without velocities; send both'),
    (with_point(effort=[0, 0, 0]), 'efforts, and this controller commands positions'),
    (with_point(velocities=[0, -0.5, 0]), 'ends with the velocity -0.5 of b.*_at_trajectory_end'),
    (with_point(positions=[1, np.nan, 3]), 'nan.*send finite numbers'),
    (with_point(0, velocities=[1, -np.inf, 3]), 'point 0 .*inf.*send finite numbers'),
    (with_point(0, accelerations=[1, 1e101, 3]), 'none beyond 1e\\+100'),
    (ramp(START, stamp_ns=1), 'ended 1699999999.* s ago.*use_sim_time'),
    (ramp(START, stamp_ns=NOW - SECOND - 1), r'ended 0\.000 s ago'),
    (ramp(START, stamp_ns=-SECOND), 'stamp -1000000000 ns'),
    (SimpleNamespace(data=[1, 2, 3]), 'a SimpleNamespace, which has no field "joint_names"'),
    (with_point(time_from_start=3.0), '"time_from_start" is 3.0; it must have .* sec and nanosec'),
    (with_point(positions='abc'), "positions is 'abc'; send a list of numbers")])
def test_a_trajectory_against_a_rule_is_refused_with_the_reason(message, said):
    controller = started()
    controller.accept(ramp([9, 9, 9]), NOW)
    with pytest.raises(CommandRefused, match='arm_controller.*' + said):
        controller.accept(message, NOW)
    np.testing.assert_allclose(controller.positions(NOW + SECOND), [9, 9, 9])


def test_a_trajectory_may_end_moving_where_the_parameter_allows_it():
    controller = started(allow_nonzero_velocity_at_trajectory_end=True)
    controller.accept(with_point(velocities=[0, -0.5, 0], accelerations=[]), NOW)
    np.testing.assert_array_equal(controller.positions(NOW + 9 * SECOND), [3, 2, 1])


@pytest.mark.parametrize('order', list(permutations(range(3))))
def test_joints_may_be_named_in_any_order(order):
    controller, same = started(), started()
    same.accept(trajectory(GOOD), NOW)
    message = trajectory(
        [(due, *(np.array(part)[list(order)] for part in parts)) for due, *parts in GOOD],
        names=[JOINTS[index] for index in order])
    controller.accept(message, NOW)
    for later in range(0, 3 * SECOND, 77 * MS):
        np.testing.assert_array_equal(controller.positions(NOW + later),
                                      same.positions(NOW + later))


# Splines.

def follow(controller, times_ns):
    return np.array([controller.positions(NOW + int(later)) for later in times_ns])


def random_points(rng, kinds):
    """Return times in ns, and positions, velocities and accelerations as far as wanted."""
    times = np.cumsum(rng.integers(1, 2 * SECOND, 5))
    values = rng.normal(size=(kinds, 5, 3))
    values[1:2, -1] = 0
    return times, values


@pytest.mark.parametrize('seed', range(10))
def test_positions_alone_are_joined_by_lines(seed):
    times, (positions,) = random_points(np.random.default_rng(seed), 1)
    controller = started()
    controller.accept(trajectory(zip(times.tolist(), positions)), NOW)
    at = np.linspace(0, times[-1] * 1.1, 200).astype(int)
    wanted = [np.interp(at, [0, *times], [START[joint], *positions[:, joint]])
              for joint in range(3)]
    np.testing.assert_allclose(follow(controller, at), np.transpose(wanted), atol=1e-12)


@pytest.mark.parametrize('seed', range(10))
def test_positions_and_velocities_are_joined_by_cubics(seed):
    interpolate = pytest.importorskip('scipy.interpolate')
    times, values = random_points(np.random.default_rng(seed), 2)
    controller = started()
    controller.accept(trajectory(zip(times.tolist(), *values)), NOW)
    at = np.linspace(0, times[-1] - 1, 200).astype(int)
    spline = interpolate.CubicHermiteSpline(
        np.array([0, *times]) / 1e9, np.vstack([START, values[0]]),
        np.vstack([np.zeros(3), values[1]]))
    np.testing.assert_allclose(follow(controller, at), spline(at / 1e9), atol=1e-9)
    np.testing.assert_array_equal(follow(controller, [times[-1] + 1]), [values[0][-1]])


@pytest.mark.parametrize('seed', range(10))
def test_positions_velocities_and_accelerations_are_joined_by_quintics(seed):
    interpolate = pytest.importorskip('scipy.interpolate')
    times, values = random_points(np.random.default_rng(seed), 3)
    controller = started()
    controller.accept(trajectory(zip(times.tolist(), *values)), NOW)
    at = np.linspace(0, times[-1] - 1, 200).astype(int)
    at_start = [START, np.zeros(3), np.zeros(3)]
    spline = interpolate.BPoly.from_derivatives(
        np.array([0, *times]) / 1e9, [at_start, *np.swapaxes(values, 0, 1)])
    np.testing.assert_allclose(follow(controller, at), spline(at / 1e9), atol=1e-9)
    np.testing.assert_array_equal(follow(controller, [times[-1] + 1]), [values[0][-1]])


def test_a_segment_uses_what_both_of_its_ends_tell():
    controller = started()
    zero = np.zeros(3)
    controller.accept(trajectory([(SECOND, zero), (2 * SECOND, zero + 1, zero, zero),
                                  (3 * SECOND, zero, zero)]), NOW)
    middle = follow(controller, [1.25 * SECOND, 2.25 * SECOND])[:, 0]
    np.testing.assert_allclose(middle, [0.25, 1 - (3 * 0.25 ** 2 - 2 * 0.25 ** 3)])


# Which trajectory is followed, and from where.

def test_from_activation_on_the_position_is_held():
    controller = started()
    for later in (0, 1, SECOND, 10 ** 6 * SECOND):
        np.testing.assert_array_equal(controller.positions(NOW + later), START)


def test_after_the_last_point_it_is_held():
    controller = started()
    controller.accept(trajectory(GOOD), NOW)
    for later in (2, 3, 10 ** 6):
        np.testing.assert_array_equal(controller.positions(NOW + later * SECOND), [3, 2, 1])


def test_a_point_that_is_due_on_arrival_is_a_jump():
    controller = started()
    controller.accept(ramp([5, 5, 5], 0), NOW + 7)
    np.testing.assert_array_equal(follow(controller, [6, 7]), [[5] * 3] * 2)


def test_a_running_trajectory_is_left_where_it_has_come_to():
    controller = started()
    controller.accept(ramp(START + 1), NOW)
    controller.accept(ramp(START), NOW + SECOND // 2)
    np.testing.assert_allclose(follow(controller, [SECOND // 2, SECOND, 1.5 * SECOND]),
                               [START + 0.5, START + 0.25, START])


def test_velocity_is_kept_where_the_next_trajectory_takes_velocities():
    controller = started()
    controller.accept(ramp(START + 1), NOW)
    controller.accept(trajectory([(SECOND, START, np.zeros(3))]), NOW + SECOND // 2)
    before, at, after = follow(controller, [SECOND // 2 - MS, SECOND // 2, SECOND // 2 + MS])
    np.testing.assert_allclose(after - at, 1e-3, atol=1e-5)


def test_one_that_takes_over_at_a_point_goes_on_with_the_velocity_after_it():
    controller = started()
    controller.accept(trajectory([(SECOND, START), (2 * SECOND, START + 1)]), NOW)
    controller.accept(trajectory([(SECOND, START, np.zeros(3))]), NOW + SECOND)
    np.testing.assert_allclose(follow(controller, [SECOND + MS]) - START, 1e-3, atol=1e-5)


@pytest.mark.parametrize(('waits', 'wanted'), [(True, [0.5, 1.0, 1.0, 1.5]),
                                               (False, [0.5, 0.875, 1.25, 1.625])])
def test_one_that_starts_in_the_future_takes_effect_then_or_is_on_its_way_at_once(waits, wanted):
    controller = started(allow_trajectory_replacement=waits)
    controller.accept(ramp(START + 1), NOW)
    controller.positions(NOW + SECOND // 2)
    controller.accept(ramp(START + 2, stamp_ns=NOW + 3 * SECOND // 2), NOW + SECOND // 2)
    np.testing.assert_allclose(
        follow(controller, np.array([0.5, 1, 1.5, 2]) * SECOND) - START[0],
        np.add.outer(wanted, START - START[0]))


def test_one_for_now_drops_one_for_later():
    controller = started()
    controller.accept(ramp([9, 9, 9], stamp_ns=NOW + SECOND), NOW)
    controller.accept(ramp([5, 5, 5]), NOW + 1)
    np.testing.assert_array_equal(controller.positions(NOW + 9 * SECOND), [5, 5, 5])


def test_points_of_the_past_are_skipped():
    controller = started()
    zero = np.zeros(3)
    controller.accept(trajectory([(SECOND, zero + 9), (2 * SECOND, zero), (3 * SECOND, zero + 1)],
                                 stamp_ns=NOW - 2 * SECOND), NOW)
    np.testing.assert_allclose(follow(controller, [0, SECOND / 4, SECOND])[:, 0], [0, 0.25, 1])


def test_a_trajectory_may_begin_at_what_is_measured():
    controller = started(interpolate_from_desired_state=False)
    measured = START - 1, np.zeros(3)
    controller.accept(ramp(START), NOW)
    with pytest.raises(ValueError, match='measured'):
        controller.positions(NOW)
    np.testing.assert_allclose(controller.positions(NOW, measured), START - 1)
    np.testing.assert_allclose(controller.positions(NOW + SECOND // 2), START - 0.5)


def test_a_measured_velocity_is_kept_where_the_trajectory_takes_velocities():
    controller = started(interpolate_from_desired_state=False)
    controller.accept(trajectory([(SECOND, START, np.zeros(3))]), NOW)
    measured = START, np.full(3, 2.0)
    before = controller.positions(NOW, measured)
    np.testing.assert_allclose(controller.positions(NOW + MS) - before, 2e-3, atol=1e-5)


def test_a_deactivated_controller_stays_drops_what_was_to_come_and_refuses():
    controller = started()
    controller.accept(ramp(START + 1), NOW)
    controller.accept(ramp([9, 9, 9], stamp_ns=NOW + 2 * SECOND), NOW)
    half = controller.positions(NOW + SECOND // 2)
    controller.deactivate()
    np.testing.assert_allclose(half, START + 0.5)
    np.testing.assert_array_equal(controller.positions(NOW + 9 * SECOND), half)
    with pytest.raises(CommandRefused, match='arm_controller got a command, but is not active'):
        controller.accept(ramp(START), NOW + SECOND)


def test_the_clock_of_a_controller_goes_back_only_at_activation():
    controller = started()
    controller.accept(ramp(START + 1), NOW)
    later = controller.positions(NOW + SECOND // 2)
    np.testing.assert_array_equal(controller.positions(NOW), later)
    controller.activate(5, START)
    controller.accept(ramp(START + 1), 5)
    np.testing.assert_allclose(controller.positions(5 + SECOND // 4), START + 0.25)


class UpdateLoop:
    """What the real controller does at each update, straight from its description, with scipy."""

    def __init__(self, position, waits):
        self.interpolate = pytest.importorskip('scipy.interpolate')
        self.waits, self.arrived, self.waiting = waits, None, None
        self.points, self.start_ns, self.before = [(0, position)], None, None
        self.last = (NOW, [position, np.zeros(3), np.zeros(3)])

    def update(self, now_ns, period_ns=1):
        if self.arrived:
            start_ns, points = self.arrived
            self.arrived = None
            if self.waits and start_ns > now_ns:
                self.waiting = start_ns, points
            else:
                self.install(now_ns, start_ns, points)
        if self.waiting and self.waiting[0] <= now_ns:
            self.install(now_ns, *self.waiting)
        if self.start_ns is None:
            self.start_ns, self.before = now_ns, self.last
        self.last = now_ns, self.sample(now_ns + period_ns)

    def install(self, now_ns, start_ns, points):
        self.points, self.start_ns, self.before = points, start_ns or now_ns, self.last
        self.waiting = None

    def sample(self, now_ns):
        due = [(self.start_ns + later, [np.array(part) for part in parts])
               for later, *parts in self.points]
        if now_ns >= due[-1][0]:
            missing = 3 - len(due[-1][1])
            return due[-1][1] + [np.zeros(3)] * missing
        if now_ns < due[0][0]:
            first, second = self.before, due[0]
        else:
            first, second = next(pair for pair in zip(due, due[1:])
                                 if pair[0][0] <= now_ns < pair[1][0])
        both = min(len(first[1]), len(second[1]))
        spline = self.interpolate.BPoly.from_derivatives(
            [0, (second[0] - first[0]) / 1e9], [first[1][:both], second[1][:both]])
        at = (now_ns - first[0]) / 1e9
        return [spline(at), spline.derivative()(at),
                spline.derivative(2)(at) if both > 1 else np.zeros(3)]


STEPS = st.integers(1, 400)
VALUES = st.lists(st.floats(-2, 2), min_size=3, max_size=3)


@st.composite
def commands(draw):
    """Draw an arrival, a stamp or none, and points of the same kind; all in ms."""
    kinds, count = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    due, points = draw(st.integers(1, 100)), []
    for index in range(count):
        parts = [draw(VALUES) for _ in range(kinds)]
        if kinds > 1 and index == count - 1:
            parts[1] = [0.0] * 3
        points.append((due * MS, *parts))
        due += draw(STEPS)
    return draw(STEPS), draw(st.none() | st.integers(-500, 500)), points


@settings(max_examples=100, deadline=None)
@given(st.lists(commands(), min_size=1, max_size=5), st.booleans())
def test_whatever_replaces_what_the_motion_is_that_of_the_real_update_loop(drawn, waits):
    controller = started(allow_trajectory_replacement=waits)
    loop, arrivals, now_ns = UpdateLoop(START, waits), {}, NOW
    for wait, stamp, points in drawn:
        now_ns += wait * MS
        # Half a step beside all arrivals: of two at one instant, either may come first.
        arrivals[now_ns] = 0 if stamp is None else now_ns + stamp * MS + MS // 2, points
    starts = {stamp for stamp, _ in arrivals.values() if stamp > NOW}
    events = {*arrivals, *starts, *range(NOW, now_ns + 2 * SECOND, 97 * MS)}
    for now_ns in sorted({tick for event in events for tick in (event - 1, event)} - {NOW - 1}):
        if now_ns in arrivals:
            stamp_ns, points = arrivals[now_ns]
            try:
                controller.accept(trajectory(points, stamp_ns=stamp_ns), now_ns)
                loop.arrived = stamp_ns, points
            except CommandRefused:
                assert stamp_ns and stamp_ns + points[-1][0] < now_ns
        loop.update(now_ns)
        np.testing.assert_allclose(controller.positions(now_ns), loop.sample(now_ns)[0],
                                   rtol=0, atol=2e-5)


@given(st.lists(commands(), min_size=1, max_size=4), st.lists(STEPS, max_size=30))
def test_the_motion_does_not_depend_on_when_it_is_looked_at(drawn, looks):
    watched, alone, now_ns = started(), started(), NOW
    for wait, stamp, points in drawn:
        for look in sorted(look for look in looks if look <= wait):
            watched.positions(now_ns + look * MS)
        now_ns += wait * MS
        stamp_ns = 0 if stamp is None else now_ns + max(stamp, 0) * MS
        for controller in (watched, alone):
            controller.accept(trajectory(points, stamp_ns=stamp_ns), now_ns)
    for later in range(0, 3 * SECOND, 101 * MS):
        np.testing.assert_array_equal(watched.positions(now_ns + later),
                                      alone.positions(now_ns + later))


# Whatever comes.

ANY = st.floats() | st.floats(-3, 3) | st.sampled_from((0.0, 1e100, -1e100, 1e308))
LEGAL = st.floats(-3, 3) | st.floats(-1e100, 1e100)
DUE = st.integers(-2, 1000).map(lambda due: due * MS) | st.integers(-2 ** 61, 2 ** 61)
KEYS = st.sampled_from((*FIELDS, 'effort'))


@st.composite
def messages(draw):
    """Draw a trajectory by the rules, and often break it at one place or more."""
    dues = sorted(draw(st.sets(DUE, min_size=1, max_size=4)))
    rows = st.lists(LEGAL, min_size=3, max_size=3)
    points = [(due, *draw(st.lists(rows, min_size=1, max_size=3))) for due in dues]
    if len(points[-1]) > 2:
        points[-1][2][:] = [draw(st.floats(-1e-7, 1e-7)) for _ in JOINTS]
    stamp_ns = draw(st.just(0) | DUE.map(lambda later: NOW + later))
    message = trajectory(points, draw(st.permutations(JOINTS)), stamp_ns)
    for damage in draw(st.just(()) | st.lists(st.sampled_from(DAMAGES), max_size=2)):
        damage(message, draw)
    return message


def one_value(message, draw):
    for one in message.points[-1:]:
        values = getattr(one, draw(KEYS))
        if values:
            values[draw(st.integers(0, len(values) - 1))] = draw(ANY)


def one_field(message, draw):
    for one in message.points[:1]:
        setattr(one, draw(KEYS), draw(st.lists(LEGAL, max_size=4)))


def some_names(message, draw):
    message.joint_names = draw(st.lists(st.sampled_from('abcd'), max_size=4))


def some_points(message, draw):
    message.points = draw(st.lists(st.sampled_from(message.points or [None]), max_size=3))
    message.points = [one for one in message.points if one]


DAMAGES = (one_value, one_field, some_names, some_points)


def due_ns(one):
    return one.time_from_start.sec * SECOND + one.time_from_start.nanosec


def is_by_the_rules(message, now_ns):
    """Tell it again, in other words."""
    stamp_ns = message.header.stamp.sec * SECOND + message.header.stamp.nanosec
    dues = [due_ns(one) for one in message.points]
    fields = [[getattr(one, name) for name in FIELDS] for one in message.points]
    everything = [value for rows in fields for row in rows for value in row]
    return (sorted(message.joint_names) == sorted(JOINTS) and bool(message.points)
            and stamp_ns >= 0 and all(low < high for low, high in zip(dues, dues[1:]))
            and all(list(map(len, rows)) in ([3, 0, 0], [3, 3, 0], [3, 3, 3]) for rows in fields)
            and not any(list(one.effort) for one in message.points)
            and all(abs(value) <= 1e100 for value in everything)
            and all(abs(value) <= 2 ** -23 for value in fields[-1][1])
            and (stamp_ns == 0 or stamp_ns + dues[-1] >= now_ns))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(messages(), st.integers(0, SECOND)), min_size=1, max_size=6),
       st.booleans(), st.booleans())
def test_whatever_comes_the_motion_is_finite_and_only_what_is_by_the_rules_changes_it(
        arrivals, from_desired, waits):
    parameters = {'interpolate_from_desired_state': from_desired,
                  'allow_trajectory_replacement': waits}
    controller, told_less, now_ns = started(**parameters), started(**parameters), NOW
    measured = START, np.zeros(3)
    for message, wait in arrivals:
        now_ns += wait
        try:
            controller.accept(message, now_ns)
        except CommandRefused:
            assert not is_by_the_rules(message, now_ns)
        else:
            assert is_by_the_rules(message, now_ns)
            told_less.accept(message, now_ns)
        positions = controller.positions(now_ns, measured)
        assert np.isfinite(positions).all()
        np.testing.assert_array_equal(positions, told_less.positions(now_ns, measured))
    for later in (1, MS, 500 * MS, 2 ** 61):
        positions = controller.positions(now_ns + later, measured)
        assert np.isfinite(positions).all()
        np.testing.assert_array_equal(positions, told_less.positions(now_ns + later, measured))


def test_extreme_commands_one_after_another_do_not_overflow():
    controller, now_ns = started(), NOW
    for _ in range(40):
        for due_ns in (2, 2 ** 61):
            controller.accept(trajectory([(due_ns, [1e100, -1e100, 1.0], np.zeros(3))]), now_ns)
            now_ns += due_ns // 2
            assert np.isfinite(controller.positions(now_ns)).all()


@given(st.lists(st.lists(ANY, max_size=5)))
def test_whatever_numbers_are_forwarded_the_command_is_the_last_good_one(commanded):
    controller, wanted = forwarding(), START
    for data in commanded:
        is_good = all(abs(value) <= 1e100 for value in data)
        try:
            controller.accept(numbers(*data), NOW)
            wanted = data
        except CommandRefused:
            assert not is_good or len(data) != 3
        assert controller.is_active == (not is_good or len(data) in (0, 3))
        np.testing.assert_array_equal(controller.positions(NOW), wanted)
        if not controller.is_active:
            controller.activate(NOW, wanted)


# What this package sends.

def message_types(source):
    if source == 'rosbags':
        stores = pytest.importorskip('rosbags.typesys')
        return stores.get_typestore(stores.Stores.ROS2_HUMBLE).types
    pytest.importorskip('rclpy')
    needed = {name for kind in (ros.FLOAT64_ARRAY, ros.JOINT_TRAJECTORY)
              for name in NEEDED_TYPES[kind]}
    return {name: getattr(import_module(f'{name.split("/")[0]}.msg'), name.split('/')[2])
            for name in needed}


def sent(source, kind, rows, names=JOINTS, stamp_ns=NOW, **fields):
    output = ActionOutput('arm_controller/x', kind, names=names, stamp='receive', **fields)
    return build_command(output, rows, message_types(source), stamp_ns=stamp_ns,
                         lead_ns=33 * MS, period_ns=100 * MS)


@pytest.mark.parametrize('source', ['rosbags', 'rclpy'])
@pytest.mark.parametrize('waits', [True, False])
def test_what_our_server_sends_is_followed(source, waits):
    rows = np.random.default_rng(3).normal(size=(8, 3))
    forward, one, chunk = forwarding(), *(started(allow_trajectory_replacement=waits)
                                          for _ in range(2))
    forward.accept(sent(source, ros.FLOAT64_ARRAY, rows[:1]), NOW)
    np.testing.assert_array_equal(forward.positions(NOW), rows[0])
    one.accept(sent(source, ros.JOINT_TRAJECTORY, rows[:1], trajectory='point'), NOW)
    at = np.array([0, 11, 22, 33, 44]) * MS
    share = np.minimum(at / (33 * MS), 1)[:, None]
    np.testing.assert_allclose(follow(one, at), (1 - share) * START + share * rows[0])
    chunk.accept(sent(source, ros.JOINT_TRAJECTORY, rows, trajectory='chunk'), NOW)
    dues = 33 * MS + np.arange(8) * 100 * MS
    np.testing.assert_allclose(follow(chunk, dues), rows)
    np.testing.assert_array_equal(chunk.positions(NOW + 9 * SECOND), rows[-1])


@pytest.mark.parametrize('source', ['rosbags', 'rclpy'])
def test_chunks_sent_at_a_rate_take_over_from_each_other_without_a_jump(source):
    def path(now_ns):
        return np.sin((now_ns - NOW) / 1e9 + np.arange(3))

    controller = TrajectoryController(JOINTS)
    controller.activate(NOW, path(NOW))
    for now_ns in range(NOW, NOW + 2 * SECOND, 33 * MS):
        rows = [path(now_ns + 33 * MS + later * 100 * MS) for later in range(8)]
        controller.accept(sent(source, ros.JOINT_TRAJECTORY, rows, trajectory='chunk',
                               stamp_ns=now_ns), now_ns)
        for later in range(0, 33 * MS, MS):
            np.testing.assert_allclose(controller.positions(now_ns + later),
                                       path(now_ns + later), atol=2e-3)


@given(st.lists(st.sampled_from('abcd'), min_size=1, max_size=4, unique=True),
       st.lists(st.sampled_from('abcd'), min_size=1, max_size=4, unique=True))
def test_the_servers_comparison_of_names_foretells_what_the_controllers_do(names, joints):
    output = ActionOutput('c/joint_trajectory', ros.JOINT_TRAJECTORY, names=tuple(names),
                          stamp='receive')
    controller = TrajectoryController(joints)
    controller.activate(NOW, np.zeros(len(joints)))
    message = ramp([1.0] * len(names), names=names)
    if disagreement(output, '/c', joints):
        with pytest.raises(CommandRefused):
            controller.accept(message, NOW)
    else:
        controller.accept(message, NOW)


# Several controllers of one robot.

def robot(**parameters):
    return ControllerSet(('c', 'a', 'b', 'gripper'), [3, 1, 2, 0], [
        TrajectoryController(JOINTS, 'arm_controller', **parameters),
        ForwardController(JOINTS, 'arm_forward_controller'),
        ForwardController(['gripper'], 'gripper_controller')])


def test_controllers_of_different_joints_command_the_robot_together_by_name():
    both = robot()
    both.switch(NOW, activate=['arm_controller', 'gripper_controller'])
    assert both.active == ['arm_controller', 'gripper_controller']
    np.testing.assert_array_equal(both.positions(NOW), [3, 1, 2, 0])
    both.controllers['arm_controller'].accept(ramp([10, 20, 30]), NOW)
    both.controllers['gripper_controller'].accept(numbers(7), NOW)
    np.testing.assert_array_equal(both.positions(NOW + 2 * SECOND), [30, 10, 20, 7])


def test_joints_without_an_active_controller_stay():
    both = robot()
    np.testing.assert_array_equal(both.positions(NOW), [3, 1, 2, 0])
    both.switch(NOW, activate=['arm_forward_controller'])
    both.controllers['arm_forward_controller'].accept(numbers(5, 6, 7), NOW)
    np.testing.assert_array_equal(both.positions(NOW), [7, 5, 6, 0])
    both.switch(NOW, deactivate=['arm_forward_controller'])
    np.testing.assert_array_equal(both.positions(NOW + SECOND), [7, 5, 6, 0])


@pytest.mark.parametrize(('switch', 'said'), [
    ({'activate': ['arm_forward_controller', 'gripper_controller']},
     'arm_forward_controller cannot be activated, for arm_controller has the joint a; '
     'deactivate arm_controller in the same switch'),
    ({'activate': ['arm_controller']}, 'arm_controller cannot be activated, for it is active'),
    ({'activate': ['hand']}, 'no controller hand; there are arm_controller, arm_forward'),
    ({'deactivate': ['gripper_controller']}, 'cannot be deactivated.*active are: arm_contr')])
def test_a_switch_that_cannot_be_made_as_a_whole_changes_nothing(switch, said):
    one = robot()
    one.switch(NOW, activate=['arm_controller'])
    with pytest.raises(CommandRefused, match=said):
        one.switch(NOW, **switch)
    assert one.active == ['arm_controller']


def test_two_controllers_of_one_joint_are_not_activated_together():
    with pytest.raises(CommandRefused, match='has the joint a'):
        robot().switch(NOW, activate=['arm_controller', 'arm_forward_controller'])


def test_one_controller_takes_over_from_the_other_where_it_is():
    both = robot()
    both.switch(NOW, activate=['arm_controller'])
    both.controllers['arm_controller'].accept(ramp([2, 3, 4]), NOW)
    half = both.positions(NOW + SECOND // 2)
    both.switch(NOW + SECOND // 2, activate=['arm_forward_controller'],
                deactivate=['arm_controller'])
    np.testing.assert_allclose(half, [3.5, 1.5, 2.5, 0])
    np.testing.assert_array_equal(both.positions(NOW + SECOND), half)


def test_a_controller_that_failed_leaves_its_joints_to_the_other():
    both = robot()
    both.switch(NOW, activate=['arm_forward_controller'])
    with pytest.raises(CommandRefused):
        both.controllers['arm_forward_controller'].accept(numbers(1), NOW)
    assert both.active == []
    both.switch(NOW, activate=['arm_controller'])
    np.testing.assert_array_equal(both.positions(NOW + SECOND), [3, 1, 2, 0])


def test_each_controller_gets_what_is_measured_of_its_own_joints():
    both = robot(interpolate_from_desired_state=False)
    both.switch(NOW, activate=['arm_controller'])
    both.controllers['arm_controller'].accept(ramp([0, 0, 0]), NOW)
    measured = np.array([30.0, 10, 20, 99]), np.zeros(4)
    np.testing.assert_allclose(both.positions(NOW, measured), [30, 10, 20, 0])


def test_after_a_reset_the_active_controllers_hold_the_new_positions():
    both = robot()
    both.switch(NOW, activate=['arm_controller'])
    both.controllers['arm_controller'].accept(ramp([9, 9, 9]), NOW)
    both.positions(NOW + SECOND)
    both.reset(0, [6, 5, 4, 3])
    assert both.active == ['arm_controller']
    np.testing.assert_array_equal(both.positions(5 * SECOND), [6, 5, 4, 3])


@given(st.lists(st.tuples(st.sets(st.integers(0, 2)), st.sets(st.integers(0, 2)))))
def test_no_joint_ever_has_two_controllers_and_no_switch_moves_the_robot(switches):
    some = robot()
    names = list(some.controllers)
    before = some.positions(NOW)
    for activate, deactivate in switches:
        try:
            some.switch(NOW, activate=[names[index] for index in activate],
                        deactivate=[names[index] for index in deactivate])
        except CommandRefused:
            pass
        commanded = [joint for name in some.active for joint in some.controllers[name].joints]
        assert len(set(commanded)) == len(commanded)
        np.testing.assert_array_equal(some.positions(NOW), before)


@pytest.mark.parametrize('wrong', [
    lambda: ForwardController([]), lambda: TrajectoryController('aa'),
    lambda: forwarding().activate(NOW, [1, 2]), lambda: started().activate(NOW, [1, np.nan, 3]),
    lambda: ControllerSet('ab', [0, 0], [ForwardController('abc')]),
    lambda: ControllerSet('abc', [0] * 3, [ForwardController('a'), ForwardController('b')])])
def test_controllers_that_cannot_work_are_refused_when_made(wrong):
    with pytest.raises(ConfigError):
        wrong()

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
"""Command messages: what is followed, what is refused and for which cause."""

from types import SimpleNamespace

from diffusion_policy_ros.control.safety.command_reader import CommandReader, CommandRefused
from diffusion_policy_ros.streams import ActionOutput
import numpy as np
import pytest

T0 = 1_700_000_000_000_000_000
JOINTS = ('a', 'b')
TYPES = {
    'state': 'sensor_msgs/msg/JointState', 'trajectory': 'trajectory_msgs/msg/JointTrajectory',
    'array': 'std_msgs/msg/Float64MultiArray', 'twist': 'geometry_msgs/msg/Twist',
    'stamped': 'geometry_msgs/msg/TwistStamped'}


def _reader(kind, names=JOINTS, **options):
    return CommandReader(ActionOutput('arm', TYPES[kind], names=names, stamp='receive', **options),
                         max_age_s=0.2)


def _time(ns):
    return SimpleNamespace(sec=ns // 10**9, nanosec=ns % 10**9)


def _state(names=JOINTS, position=(1.0, 2.0), **fields):
    return SimpleNamespace(name=list(names), position=position, **fields)


def _trajectory(times_s, rows, names=JOINTS, start_ns=0):
    points = [SimpleNamespace(positions=row, time_from_start=_time(round(t * 1e9)))
              for t, row in zip(times_s, rows)]
    return SimpleNamespace(joint_names=list(names), points=points,
                           header=SimpleNamespace(stamp=_time(start_ns)))


def _array(*data):
    return SimpleNamespace(data=list(data))


def _twist(**components):
    vector = {part: SimpleNamespace(**{axis: components.get(f'{part}_{axis}', 0.0)
                                       for axis in 'xyz'}) for part in ('linear', 'angular')}
    return SimpleNamespace(**vector)


def _cause(reader, message, stamp_ns=T0, now_ns=T0):
    with pytest.raises(CommandRefused) as refusal:
        reader.read(message, stamp_ns, now_ns)
    return refusal.value.cause


def test_joints_are_found_by_name_in_any_order_and_in_full_precision():
    third = 1 / 3
    command = _reader('state').read(_state(('b', 'a'), (third, 7.0)), T0, T0)
    assert command.points.tolist() == [[7.0, third]] and command.due_s is None


def test_the_field_of_the_contract_is_read():
    reader = _reader('state', field='velocity')
    assert reader.read(_state(velocity=(3.0, 4.0)), T0, T0).points.tolist() == [[3.0, 4.0]]


def test_an_array_is_read_in_the_order_of_the_contract():
    assert _reader('array').read(_array(3.0, 4.0), T0, T0).points.tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize('kind', ['twist', 'stamped'])
def test_the_named_components_of_a_twist_are_read(kind):
    message = _twist(linear_x=0.5, angular_z=-1.0, linear_y=9.0)
    if kind == 'stamped':
        message = SimpleNamespace(twist=message)
    reader = _reader(kind, names=('angular.z', 'linear.x'))
    assert reader.read(message, T0, T0).points.tolist() == [[-1.0, 0.5]]


def test_points_of_a_trajectory_are_due_after_their_start():
    rows = [(1.0, 10.0), (2.0, 20.0)]
    command = _reader('trajectory').read(_trajectory((0.1, 0.3), rows, ('b', 'a')), T0, T0)
    assert command.points.tolist() == [[10.0, 1.0], [20.0, 2.0]]
    assert command.due_s == pytest.approx([0.1, 0.3])
    late = _trajectory((0.1, 0.3), rows, start_ns=T0 - 200_000_000)
    assert _reader('trajectory').read(late, T0, T0).due_s == pytest.approx([-0.1, 0.1])


@pytest.mark.parametrize('names', [('a',), ('a', 'c'), ('a', 'a'), ('a', 'b', 'c'), ()])
def test_joints_missing_unknown_or_named_twice_are_refused(names):
    message = _state(names, [0.0] * len(names))
    assert _cause(_reader('state'), message) == 'names'
    assert _cause(_reader('trajectory'), _trajectory([0.1], [(0.0, 0.0)], names)) == 'names'


@pytest.mark.parametrize('kind, message', [
    ('state', _state(position=(1.0,))), ('state', _state(position=())),
    ('array', _array(1.0)), ('array', _array(1.0, 2.0, 3.0)), ('array', _array()),
    ('trajectory', _trajectory([], [])), ('trajectory', _trajectory([0.1], [(1.0,)])),
    ('trajectory', _trajectory([0.1, 0.2], [(1.0, 2.0), ()])),
    ('trajectory', _trajectory(range(1, 1002), [(1.0, 2.0)] * 1001))])
def test_a_wrong_number_of_values_is_refused(kind, message):
    assert _cause(_reader(kind), message) == 'size'


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf'), 1e300, -2e12])
def test_values_that_no_robot_can_take_are_refused(value):
    assert _cause(_reader('state'), _state(position=(0.0, value))) == 'value'
    assert _cause(_reader('array'), _array(value, 0.0)) == 'value'
    assert _cause(_reader('trajectory'), _trajectory([1], [(value, 0.0)])) == 'value'
    assert _cause(_reader('twist', names=('linear.x',)), _twist(linear_x=value)) == 'value'


@pytest.mark.parametrize('times_s, start_ns', [
    ((0.2, 0.1), 0), ((0.1, 0.1), 0), ((-0.1, 0.1), 0), ((0.1, 0.2), T0 - 300_000_000),
    ((0.1, 0.2), T0 + 1_100_000_000), ((0.1, 0.2), 5)])
def test_trajectories_whose_times_make_no_sense_now_are_refused(times_s, start_ns):
    message = _trajectory(times_s, [(0.0, 0.0)] * 2, start_ns=start_ns)
    assert _cause(_reader('trajectory'), message) == 'times'


def test_a_stamp_that_is_too_old_is_refused():
    reader = _reader('state')
    assert reader.read(_state(), T0 - 200_000_000, T0)
    assert _cause(reader, _state(), T0 - 201_000_000) == 'stamp'


def test_a_command_that_a_newer_one_has_overtaken_is_refused():
    reader = _reader('state')
    assert reader.read(_state(), T0, T0)
    assert reader.read(_state(), T0, T0)
    assert _cause(reader, _state(), T0 - 1) == 'stamp'
    assert _cause(reader, _state(position=()), T0 + 10) == 'size'
    assert reader.read(_state(), T0 + 5, T0 + 10)  # what was refused has overtaken nothing


def test_after_the_clock_was_set_back_its_earlier_stamps_are_accepted():
    reader = _reader('state')
    assert reader.read(_state(), T0, T0)
    assert reader.read(_state(), T0 - 10**12, T0 - 10**12).points.shape == (1, 2)


def test_a_refusal_names_the_topic_what_was_got_and_what_was_wanted():
    with pytest.raises(CommandRefused, match=r"topic arm: .*'elbow'.*once of: a, b"):
        _reader('state').read(_state(('elbow', 'a'), (0.0, 0.0)), T0, T0)


def test_numbers_keep_every_bit():
    values = np.random.default_rng(0).normal(size=2)
    assert (_reader('array').read(_array(*values), T0, T0).points[0] == values).all()

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

"""Command messages, in rosbags' and rclpy's classes, against fields written down by hand."""

from functools import lru_cache
from importlib import import_module

from diffusion_policy_ros import message_types as ros
from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.control.commands import (
    build_command, ENCODERS, NEEDED_TYPES, split_action)
from diffusion_policy_ros.errors import ChunkError
from diffusion_policy_ros.observation.decode import decode
from diffusion_policy_ros.streams import ActionOutput
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

PERIOD_NS = 66_666_667
LEAD_NS = 20_000_000
STAMP_NS = 1_700_000_000_123_456_789
OUTPUTS = {
    ros.JOINT_STATE: ('a', 'b', 'c'), ros.JOINT_TRAJECTORY: ('a', 'b', 'c'),
    ros.FLOAT64_ARRAY: ('a', 'b', 'c'), ros.POSE_STAMPED: ros.POSITION + ros.ROT6D,
    ros.TWIST: ros.TWIST_COMPONENTS, ros.TWIST_STAMPED: ros.TWIST_COMPONENTS}


def output(kind, names=None, **fields):
    return ActionOutput('arm/command', kind, names=tuple(names or OUTPUTS[kind]),
                        stamp='receive', **fields)


def rclpy_types():
    names = {name for needed in NEEDED_TYPES.values() for name in needed}
    try:
        return {name: getattr(import_module(name.split('/')[0] + '.msg'), name.split('/')[2])
                for name in names}
    except ImportError:
        return None


@lru_cache
def rosbags_store():
    try:
        from rosbags.typesys import get_typestore, Stores
    except ImportError:
        return None
    return get_typestore(Stores.ROS2_HUMBLE)


@pytest.fixture(scope='module', params=['rosbags', 'rclpy'])
def types(request):
    if request.param == 'rclpy':
        return rclpy_types() or pytest.skip('ROS messages are not installed')
    store = rosbags_store() or pytest.skip('rosbags is not installed')
    return store.types


def build(kind, rows, types, names=None, **fields):
    needed = {name: types[name] for name in NEEDED_TYPES[kind]}
    return build_command(output(kind, names, **fields), rows, needed, stamp_ns=STAMP_NS,
                         lead_ns=LEAD_NS, period_ns=PERIOD_NS)


def stamp_ns(message):
    return message.header.stamp.sec * 10 ** 9 + message.header.stamp.nanosec


def rotation_columns(angles):
    """Return the first two columns of Rz(c) Ry(b) Rx(a), from elementary rotations."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        turn, (i, j) = np.eye(3), [(1, 2), (2, 0), (0, 1)][axis]
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[j, i], turn[i, j] = np.sin(angle), -np.sin(angle)
        matrix = turn @ matrix
    return matrix[:, :2].T.ravel()


NUMBERS = st.lists(st.floats(-1e6, 1e6, width=32), min_size=6, max_size=6)
ANGLES = st.lists(st.floats(-np.pi, np.pi), min_size=3, max_size=3)


def test_every_action_type_has_an_encoder_and_its_classes():
    assert set(ENCODERS) == set(NEEDED_TYPES) == set(ros.ACTION_TYPES)


@pytest.mark.parametrize('kind', ros.ACTION_TYPES)
@given(numbers=NUMBERS, angles=ANGLES)
@settings(max_examples=60, deadline=None)
def test_decoding_a_command_gives_its_values(types, kind, numbers, angles):
    names = OUTPUTS[kind]
    values = np.array(numbers[:len(names)])
    if kind == ros.POSE_STAMPED:
        values = np.concatenate([numbers[:3], rotation_columns(angles)])
    got = decode(build(kind, values[None], types), output(kind))
    np.testing.assert_allclose(got, values, rtol=1e-6, atol=1e-6)


@given(angles=ANGLES, scale=st.floats(0.1, 10.0), tilt=st.floats(-5.0, 5.0))
@settings(max_examples=60, deadline=None)
def test_rotation_columns_of_a_network_become_the_rotation_they_span(angles, scale, tilt):
    types = (rosbags_store() or pytest.skip('rosbags is not installed')).types
    first, second = rotation_columns(angles).reshape(2, 3)
    raw = np.concatenate([[0, 0, 0], scale * first, second + tilt * first])
    got = decode(build(ros.POSE_STAMPED, raw[None], types), output(ros.POSE_STAMPED))
    np.testing.assert_allclose(got[3:], np.concatenate([first, second]), atol=1e-5)


def test_message_survives_serialization(types):
    store, rclpy_classes = rosbags_store(), rclpy_types()
    for kind in ros.ACTION_TYPES:
        message = build(kind, np.full((1, len(OUTPUTS[kind])), 0.25) + np.arange(
            len(OUTPUTS[kind])), types)
        if types is store.types:
            back = store.deserialize_cdr(store.serialize_cdr(message, kind), kind)
        else:
            serialization = pytest.importorskip('rclpy.serialization')
            back = serialization.deserialize_message(
                serialization.serialize_message(message), rclpy_classes[kind])
        np.testing.assert_array_equal(decode(back, output(kind)), decode(message, output(kind)))


def test_quaternion_is_sent_with_unit_length(types):
    message = build(ros.POSE_STAMPED, [[0, 0, 3.0, 4.0]], types, names=ros.QUATERNION,
                    rotation='quaternion', frame_id='base')
    orientation = message.pose.orientation
    assert (orientation.x, orientation.y) == (0.0, 0.0)
    assert (orientation.z, orientation.w) == (pytest.approx(0.6), pytest.approx(0.8))
    assert (message.header.frame_id, stamp_ns(message)) == ('base', STAMP_NS)


def test_components_left_out_are_zero_and_rotation_none(types):
    pose = build(ros.POSE_STAMPED, [[5.0]], types, names=['position.y']).pose
    assert [pose.position.x, pose.position.y, pose.position.z] == [0.0, 5.0, 0.0]
    assert [getattr(pose.orientation, axis) for axis in 'xyzw'] == [0.0, 0.0, 0.0, 1.0]
    twist = build(ros.TWIST_STAMPED, [[2.0, 1.0]], types, names=['angular.z', 'linear.x']).twist
    assert [twist.linear.x, twist.linear.y, twist.angular.z] == [1.0, 0.0, 2.0]


@pytest.mark.parametrize('field', ['position', 'velocity', 'effort'])
def test_joint_state_fills_one_field_and_says_when_it_is_due(types, field):
    message = build(ros.JOINT_STATE, [[1.0, 2.0, 3.0]], types, field=field)
    assert {name: list(getattr(message, name)) for name in ('position', 'velocity', 'effort')} == {
        name: [1.0, 2.0, 3.0] if name == field else []
        for name in ('position', 'velocity', 'effort')}
    assert list(message.name) == ['a', 'b', 'c']
    assert stamp_ns(message) == STAMP_NS


def test_trajectory_starts_on_arrival_and_its_times_increase(types):
    rows = np.arange(48.0).reshape(16, 3)
    message = build(ros.JOINT_TRAJECTORY, rows, types, trajectory='chunk')
    assert stamp_ns(message) == 0
    assert list(message.joint_names) == ['a', 'b', 'c']
    due = [p.time_from_start.sec * 10 ** 9 + p.time_from_start.nanosec for p in message.points]
    assert due == [LEAD_NS + PERIOD_NS * k for k in range(16)]
    np.testing.assert_array_equal([list(p.positions) for p in message.points], rows)
    assert [len(p.velocities) + len(p.accelerations) + len(p.effort)
            for p in message.points] == [0] * 16


def test_trajectory_carries_the_field_of_the_contract(types):
    point, = build(ros.JOINT_TRAJECTORY, [[1.0, 2.0, 3.0]], types, field='velocity').points
    assert (list(point.positions), list(point.velocities)) == ([], [1.0, 2.0, 3.0])


def test_array_has_an_empty_layout(types):
    message = build(ros.FLOAT64_ARRAY, [[1.0, 2.0, 3.0]], types)
    assert (list(message.layout.dim), message.layout.data_offset) == ([], 0)


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('kind', ros.ACTION_TYPES)
def test_commands_that_are_not_finite_are_refused(types, kind, bad):
    row = np.zeros(len(OUTPUTS[kind]))
    row[1] = bad
    with pytest.raises(ChunkError, match=rf'arm/command: {OUTPUTS[kind][1]} of row 0 is -?\w+; '
                                         'only finite commands'):
        build(kind, row[None], types)


def test_one_row_types_refuse_a_chunk(types):
    with pytest.raises(ChunkError, match='JointState carries one row, got 2; send one message'):
        build(ros.JOINT_STATE, np.zeros((2, 3)), types)


@pytest.mark.parametrize('rows', [np.zeros((1, 2)), np.zeros(3), np.zeros((0, 3))])
def test_rows_of_another_shape_are_refused(types, rows):
    with pytest.raises(ChunkError, match=r'the command has shape .* wanted \(rows, 3\): a, b, c'):
        build(ros.JOINT_STATE, rows, types)


@pytest.mark.parametrize('columns', [[0] * 6, [1, 0, 0, 2, 0, 0]])
def test_columns_that_span_no_rotation_are_refused(types, columns):
    with pytest.raises(ChunkError, match='commanded rotation cannot be used: .*no direction'):
        build(ros.POSE_STAMPED, [[0, 0, 0] + columns], types)


def test_action_is_cut_in_the_order_of_the_contract():
    contract = parse_contract("""
        robot: test
        rate_hz: 10
        observations:
          - {key: observation.state, topic: s, type: sensor_msgs/msg/JointState, joints: [a],
             max_age_ms: 100}
        actions:
          - {topic: arm, type: sensor_msgs/msg/JointState, joints: [a, b]}
          - {topic: gripper, type: std_msgs/msg/Float64MultiArray, names: [g], stamp: receive}
        """)
    chunk = np.arange(12.0).reshape(4, 3)
    (arm, arm_rows), (gripper, gripper_rows) = split_action(contract, chunk)
    assert (arm.topic, gripper.topic) == ('arm', 'gripper')
    np.testing.assert_array_equal(arm_rows, chunk[:, :2])
    np.testing.assert_array_equal(gripper_rows, chunk[:, 2:])
    assert [columns.tolist() for _, columns in split_action(contract, [1, 2, 3])] == [[1, 2], [3]]
    for wrong in (np.zeros((4, 2)), np.float64(1)):
        with pytest.raises(ChunkError, match='do not fit the contract, which commands 3 entries'):
            split_action(contract, wrong)

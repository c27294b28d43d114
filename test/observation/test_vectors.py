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

"""Vector messages against numbers written down by hand, in both families of message classes."""

from array import array
from types import SimpleNamespace as Fields

from diffusion_policy_ros import message_types as ros
from diffusion_policy_ros.errors import DecodeError
from diffusion_policy_ros.observation.decode import decode, DECODERS
from diffusion_policy_ros.streams import ActionOutput, ObservationStream
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

JOINTS = ('shoulder', 'elbow', 'wrist')
HALF = 0.5 ** 0.5


def stream(kind, names, **fields):
    return ObservationStream(key='observation.state', topic='state', type=kind, max_age_ms=100.0,
                             names=tuple(names), stamp='receive', **fields)


def joint_state(names=JOINTS, position=(0.1, 0.2, 0.3), velocity=(), effort=()):
    return Fields(name=list(names), position=array('d', position), velocity=array('d', velocity),
                  effort=array('d', effort))


def xyz(x, y, z):
    return Fields(x=x, y=y, z=z)


def pose(position, x, y, z, w):
    return Fields(position=xyz(*position), orientation=Fields(x=x, y=y, z=z, w=w))


def test_every_type_of_the_contract_has_a_decoder():
    assert set(DECODERS) == set(ros.OBSERVATION_TYPES + ros.ACTION_TYPES)


@given(order=st.permutations(JOINTS + ('finger', 'thumb')),
       wanted=st.permutations(JOINTS).flatmap(
           lambda names: st.integers(1, 3).map(lambda count: names[:count])))
@settings(max_examples=50, deadline=None)
def test_joints_are_found_in_any_order(order, wanted):
    angle = {'shoulder': 0.1, 'elbow': -0.2, 'wrist': 0.3, 'finger': 9.0, 'thumb': 8.0}
    message = joint_state(order, [angle[name] for name in order])
    got = decode(message, stream(ros.JOINT_STATE, wanted))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, np.array([angle[name] for name in wanted], np.float32))


@pytest.mark.parametrize('field', ['position', 'velocity', 'effort'])
def test_the_field_of_the_contract_is_read(field):
    message = joint_state(JOINTS, [1, 2, 3], [4, 5, 6], [7, 8, 9])
    got = decode(message, stream(ros.JOINT_STATE, ['elbow'], field=field))
    assert got.tolist() == [{'position': 2, 'velocity': 5, 'effort': 8}[field]]


def test_missing_joints_are_named_with_those_there():
    with pytest.raises(DecodeError, match='topic state: no joint hip, knee in the message, which '
                                          'has: shoulder, elbow, wrist'):
        decode(joint_state(), stream(ros.JOINT_STATE, ['elbow', 'hip', 'knee']))


def test_nameless_joint_state_is_refused():
    with pytest.raises(DecodeError, match='no joint elbow in the message, which has: none'):
        decode(joint_state((), ()), stream(ros.JOINT_STATE, ['elbow']))


def test_joint_named_twice_is_refused():
    message = joint_state(('elbow', 'elbow'), (1, 2))
    with pytest.raises(DecodeError, match='names a joint twice: elbow, elbow'):
        decode(message, stream(ros.JOINT_STATE, ['elbow']))


@pytest.mark.parametrize('field,values', [('velocity', ()), ('position', (0.1, 0.2)),
                                          ('position', (0.1,) * 4)])
def test_field_of_another_length_is_refused(field, values):
    message = joint_state(**{field: values})
    with pytest.raises(DecodeError, match=f'{field} holds {len(values)} numbers for 3 joints'):
        decode(message, stream(ros.JOINT_STATE, ['elbow'], field=field))


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), float('-inf'), 1e39])
def test_numbers_that_are_not_finite_are_refused(bad):
    message = joint_state(position=(0.1, bad, 0.3))
    with pytest.raises(DecodeError, match='topic state: elbow is (nan|inf|-inf); only finite'):
        decode(message, stream(ros.JOINT_STATE, ['shoulder', 'elbow']))


def test_not_a_number_in_an_unused_joint_does_no_harm():
    message = joint_state(position=(0.1, float('nan'), 0.3))
    assert decode(message, stream(ros.JOINT_STATE, ['wrist'])).tolist() == [np.float32(0.3)]


def test_trajectory_gives_its_first_point():
    points = [Fields(positions=[1.0, 2.0], velocities=[], effort=[5.0, 6.0]),
              Fields(positions=[3.0, 4.0], velocities=[], effort=[])]
    message = Fields(joint_names=['a', 'b'], points=points)
    output = ActionOutput('command', ros.JOINT_TRAJECTORY, names=('b', 'a'), stamp='receive')
    assert decode(message, output).tolist() == [2.0, 1.0]
    effort = stream(ros.JOINT_TRAJECTORY, ['a'], field='effort')
    assert decode(message, effort).tolist() == [5.0]
    with pytest.raises(DecodeError, match='velocities holds 0 numbers for 2 joints'):
        decode(message, stream(ros.JOINT_TRAJECTORY, ['a'], field='velocity'))


def test_trajectory_without_points_is_refused():
    with pytest.raises(DecodeError, match='topic state: the trajectory has no points'):
        decode(Fields(joint_names=['a'], points=[]), stream(ros.JOINT_TRAJECTORY, ['a']))


@pytest.mark.parametrize('kind', [ros.FLOAT32_ARRAY, ros.FLOAT64_ARRAY])
def test_array_needs_one_number_for_each_name(kind):
    message = Fields(data=array('f', [1, 2]))
    assert decode(message, stream(kind, ['a', 'b'])).tolist() == [1, 2]
    with pytest.raises(DecodeError, match='holds 2 numbers, the contract names 3: a, b, c'):
        decode(message, stream(kind, ['a', 'b', 'c']))


def test_quarter_turn_about_z_as_matrix_columns():
    message = Fields(pose=pose((1, 2, 3), 0.0, 0.0, HALF, HALF))
    got = decode(message, stream(ros.POSE_STAMPED, ros.POSITION + ros.ROT6D))
    np.testing.assert_allclose(got, [1, 2, 3, 0, 1, 0, -1, 0, 0], atol=1e-6)


def test_pose_components_come_in_the_order_of_the_contract():
    message = Fields(pose=pose((1, 2, 3), 0.0, 0.0, 0.0, 1.0))
    names = ['rotation.yy', 'position.z', 'position.x']
    assert decode(message, stream(ros.POSE_STAMPED, names)).tolist() == [1, 3, 1]


@pytest.mark.parametrize('scale', [1.0, -1.0, 3.0])
def test_quaternion_is_unit_and_has_one_sign(scale):
    message = Fields(pose=pose((0, 0, 0), 0.6 * scale, 0.0, 0.0, 0.8 * scale))
    got = decode(message, stream(ros.POSE_STAMPED, ros.QUATERNION, rotation='quaternion'))
    np.testing.assert_allclose(got, [0.6, 0, 0, 0.8], rtol=1e-6)


def test_orientation_that_is_no_rotation_is_refused_only_where_read():
    message = Fields(pose=pose((1, 2, 3), 0.0, 0.0, 0.0, 0.0))
    assert decode(message, stream(ros.POSE_STAMPED, ros.POSITION)).tolist() == [1, 2, 3]
    with pytest.raises(DecodeError, match='orientation is .*no rotation; the publisher must fill'):
        decode(message, stream(ros.POSE_STAMPED, ros.ROT6D))
    message.pose.orientation.y = float('nan')
    with pytest.raises(DecodeError, match='orientation.y is nan'):
        decode(message, stream(ros.POSE_STAMPED, ros.ROT6D))


def test_twists_and_odometry_share_their_components():
    twist = Fields(linear=xyz(1, 2, 3), angular=xyz(4, 5, 6))
    names = ['angular.z', 'linear.x']
    assert decode(twist, stream(ros.TWIST, names)).tolist() == [6, 1]
    assert decode(Fields(twist=twist), stream(ros.TWIST_STAMPED, names)).tolist() == [6, 1]
    odometry = Fields(pose=Fields(pose=pose((7, 8, 9), 0, 0, 0, 1)), twist=Fields(twist=twist))
    got = decode(odometry, stream(ros.ODOMETRY, ['position.y', 'linear.y', 'rotation.xx']))
    assert got.tolist() == [8, 2, 1]


def test_message_of_another_type_is_refused():
    with pytest.raises(DecodeError, match='a SimpleNamespace message does not fit the type '
                                          'sensor_msgs/msg/JointState of the contract'):
        decode(Fields(data=[1.0]), stream(ros.JOINT_STATE, ['a']))

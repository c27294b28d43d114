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

"""Messages that carry numbers, read as the float32 vector that the contract names."""

from diffusion_policy_ros.errors import DecodeError
from diffusion_policy_ros.message_types import QUATERNION, ROT6D, TRAJECTORY_FIELDS
from diffusion_policy_ros.rotations import quaternion_to_rot6d, unit_quaternion
import numpy as np

AXES = ('x', 'y', 'z')
LONGEST_LIST = 1000  # characters


def decode_joint_state(message, stream):
    """
    Read the contract's joints from a JointState that may list them in any order.

    :param message: A ``sensor_msgs/msg/JointState`` of any message class.
    :param stream: ObservationStream or ActionOutput; ``names`` and ``field`` say what to read.
    :return: float32 ``(D,)`` in the contract's order and the message's unit (rad, m, ...).
    :raises DecodeError: for missing joints, an empty or short field, or a number not finite.
    """
    return _pick_joints(stream, message.name, stream.field, getattr(message, stream.field))


def decode_joint_trajectory(message, stream):
    """
    Read the contract's joints from the first point of a JointTrajectory.

    :param message: A ``trajectory_msgs/msg/JointTrajectory`` of any message class.
    :param stream: ObservationStream or ActionOutput; ``names`` and ``field`` say what to read.
    :return: float32 ``(D,)`` in the contract's order and the message's unit (rad, m, ...).
    :raises DecodeError: as ``decode_joint_state``, and for a trajectory without points.
    """
    if not message.points:
        raise DecodeError(f'topic {stream.topic}: the trajectory has no points; at least one is '
                          'needed')
    field = TRAJECTORY_FIELDS[stream.field]
    return _pick_joints(stream, message.joint_names, field, getattr(message.points[0], field))


def decode_multi_array(message, stream):
    """
    Read a Float32MultiArray or Float64MultiArray, whose entries only the contract names.

    :param message: The message; its layout is not read.
    :param stream: ObservationStream or ActionOutput with one name per number.
    :return: float32 ``(D,)``.
    :raises DecodeError: for another number of entries, or a number not finite.
    """
    if len(message.data) != len(stream.names):
        raise DecodeError(f'topic {stream.topic}: the array holds {len(message.data)} numbers, '
                          f'the contract names {len(stream.names)}: {_listed(stream.names)}')
    return _finite(stream, message.data)


def decode_pose_stamped(message, stream):
    """
    Read position (m) and rotation (no unit) of a PoseStamped.

    :param message: A ``geometry_msgs/msg/PoseStamped`` of any message class.
    :param stream: ObservationStream or ActionOutput; ``names`` picks the components.
    :return: float32 ``(D,)``.
    :raises DecodeError: for a quaternion of length zero, or a number not finite.
    """
    found = _pose_components(message.pose, stream)
    return _finite(stream, [found[name] for name in stream.names])


def decode_twist(message, stream):
    """
    Read linear (m/s) and angular (rad/s) velocity of a Twist.

    :param message: A ``geometry_msgs/msg/Twist`` of any message class.
    :param stream: ObservationStream or ActionOutput; ``names`` picks the components.
    :return: float32 ``(D,)``.
    :raises DecodeError: for a number not finite.
    """
    found = _twist_components(message)
    return _finite(stream, [found[name] for name in stream.names])


def decode_twist_stamped(message, stream):
    """Read a TwistStamped as ``decode_twist`` reads its twist."""
    return decode_twist(message.twist, stream)


def decode_odometry(message, stream):
    """
    Read pose (m) and velocity (m/s, rad/s) of an Odometry message; covariances are not read.

    :param message: A ``nav_msgs/msg/Odometry`` of any message class.
    :param stream: ObservationStream; ``names`` picks the components.
    :return: float32 ``(D,)``.
    :raises DecodeError: for a quaternion of length zero, or a number not finite.
    """
    found = _pose_components(message.pose.pose, stream)
    found.update(_twist_components(message.twist.twist))
    return _finite(stream, [found[name] for name in stream.names])


def _pick_joints(stream, joints, field, values):
    """Read the contract's joints out of parallel lists of names and numbers."""
    index = {name: i for i, name in enumerate(joints)}
    missing = [name for name in stream.names if name not in index]
    if missing:
        raise DecodeError(f'topic {stream.topic}: no joint {_listed(missing)} in the message, '
                          f'which has: {_listed(joints)}; write the joints in the contract as '
                          'the driver names them')
    if len(index) != len(joints):
        raise DecodeError(f'topic {stream.topic}: the message names a joint twice: '
                          f'{_listed(joints)}')
    if len(values) != len(joints):
        raise DecodeError(f'topic {stream.topic}: {field} holds {len(values)} numbers for '
                          f'{len(joints)} joints; choose a field that the driver fills')
    return _finite(stream, [values[index[name]] for name in stream.names])


def _pose_components(pose, stream):
    """Return the components of a pose by name; rotations only where the contract wants them."""
    found = {f'position.{axis}': getattr(pose.position, axis) for axis in AXES}
    if not set(stream.names).isdisjoint(QUATERNION + ROT6D):
        raw = [getattr(pose.orientation, axis) for axis in AXES + ('w',)]
        _refuse_not_finite(stream, QUATERNION, raw)
        try:
            unit = unit_quaternion(raw)
        except ValueError as error:
            raise DecodeError(f'topic {stream.topic}: the orientation is {raw}, no rotation; the '
                              'publisher must fill it (w=1 for none)') from error
        found.update(zip(QUATERNION, unit))
        found.update(zip(ROT6D, quaternion_to_rot6d(unit)))
    return found


def _twist_components(twist):
    """Return the components of a twist by name."""
    return {f'{part}.{axis}': getattr(getattr(twist, part), axis)
            for part in ('linear', 'angular') for axis in AXES}


def _finite(stream, values):
    """Return the numbers as float32, refusing NaN and anything beyond float32."""
    with np.errstate(over='ignore'):
        vector = np.array(values, dtype=np.float32)  # (D,)
    _refuse_not_finite(stream, stream.names, vector)
    return vector


def _refuse_not_finite(stream, names, values):
    """Name the first entry that is not a finite number."""
    finite = np.isfinite(values)
    if not finite.all():
        first = int(np.argmin(finite))
        raise DecodeError(f'topic {stream.topic}: {names[first]} is {float(values[first])}; only '
                          'finite numbers can be used')


def _listed(names):
    """Write names for a message, without filling a log with a broken driver's."""
    listed = ', '.join(names) if len(names) else 'none'
    return listed if len(listed) <= LONGEST_LIST else f'{listed[:LONGEST_LIST]}... ({len(names)})'

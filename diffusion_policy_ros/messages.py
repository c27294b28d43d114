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


"""
Build ROS messages from arrays, in the classes of rclpy and of rosbags alike.

``types`` maps full ROS names to message classes, at least those that the message contains.
"""

from array import array
from dataclasses import is_dataclass
import math
from types import SimpleNamespace

from diffusion_policy_ros import message_types as ros
from diffusion_policy_ros.rotations import rot6d_to_quaternion, unit_quaternion
import numpy as np

HEADER, TIME = 'std_msgs/msg/Header', 'builtin_interfaces/msg/Time'
DURATION = 'builtin_interfaces/msg/Duration'
TRAJECTORY_POINT = 'trajectory_msgs/msg/JointTrajectoryPoint'
LAYOUT = 'std_msgs/msg/MultiArrayLayout'
POSE, POINT = 'geometry_msgs/msg/Pose', 'geometry_msgs/msg/Point'
ORIENTATION, VECTOR3 = 'geometry_msgs/msg/Quaternion', 'geometry_msgs/msg/Vector3'
POSE_COVARIANCE, TWIST_COVARIANCE = (
    'geometry_msgs/msg/PoseWithCovariance', 'geometry_msgs/msg/TwistWithCovariance')
# What the pixels of an image are, by its encoding.
PIXELS = {'rgb8': np.dtype('<u1'), 'mono8': np.dtype('<u1'), '16UC1': np.dtype('<u2'),
          '32FC1': np.dtype('<f4')}


class _PlainTypes(dict):
    """Message classes for a process without ROS: every type is a plain namespace."""

    def __missing__(self, _name):
        return SimpleNamespace


PLAIN_TYPES = _PlainTypes()


def header(types, stamp_ns, frame_id=''):
    """
    Fill a header.

    :param types: ROS type name to message class.
    :param stamp_ns: Time, ns.
    :param frame_id: Name of the coordinate frame.
    """
    return types[HEADER](stamp=_seconds(types[TIME], stamp_ns), frame_id=frame_id)


def image(types, picture, stamp_ns, frame_id='', encoding='rgb8'):
    """
    Wrap a picture.

    :param types: ROS type name to message class.
    :param picture: ``(H, W, C)``, RGB, grey or depth.
    :param stamp_ns: When it was taken, ns.
    :param frame_id: Name of the camera's frame.
    :param encoding: A key of ``PIXELS``.
    :return: sensor_msgs/Image.
    """
    cls, (height, width, channels) = types[ros.IMAGE], picture.shape
    pixels = np.ascontiguousarray(picture, PIXELS[encoding])
    return cls(header=header(types, stamp_ns, frame_id), height=height, width=width,
               encoding=encoding, is_bigendian=0, step=width * channels * pixels.itemsize,
               data=_sequence(cls, pixels.reshape(-1).view(np.uint8), 'B'))


def compressed_image(types, data, format, stamp_ns):
    """
    Wrap a compressed picture.

    :param types: ROS type name to message class.
    :param data: The compressed bytes, uint8 ``(N,)``.
    :param format: How it is compressed, such as ``png``.
    :param stamp_ns: When it was taken, ns.
    :return: sensor_msgs/CompressedImage.
    """
    cls = types[ros.COMPRESSED_IMAGE]
    return cls(header=header(types, stamp_ns), format=format,
               data=_sequence(cls, data, 'B'))


def joint_state(types, names, values, stamp_ns, *, field='position', frame_id=''):
    """
    Fill one field of a JointState.

    :param types: ROS type name to message class.
    :param names: Joint names.
    :param values: One number per joint.
    :param stamp_ns: When they hold, ns.
    :param field: ``position``, ``velocity`` or ``effort``.
    :param frame_id: Name of the frame.
    :return: sensor_msgs/JointState.
    """
    cls = types[ros.JOINT_STATE]
    return cls(header=header(types, stamp_ns, frame_id), name=list(names),
               **_one_field(cls, ('position', 'velocity', 'effort'), field, values))


def joint_trajectory(types, names, rows, due_ns, stamp_ns, *, field='position', frame_id=''):
    """
    Fill one field of a JointTrajectory's points.

    :param types: ROS type name to message class.
    :param names: Joint names.
    :param rows: One point per row, ``(K, len(names))``.
    :param due_ns: When each point is due after the start, ns.
    :param stamp_ns: The start, ns; 0 for the arrival.
    :param field: ``position``, ``velocity`` or ``effort``.
    :param frame_id: Name of the frame.
    :return: trajectory_msgs/JointTrajectory.
    """
    cls, filled = types[TRAJECTORY_POINT], ros.TRAJECTORY_FIELDS[field]
    fields = ('positions', 'velocities', 'accelerations', 'effort')
    points = [cls(time_from_start=_seconds(types[DURATION], due),
                  **_one_field(cls, fields, filled, row)) for row, due in zip(rows, due_ns)]
    return types[ros.JOINT_TRAJECTORY](
        header=header(types, stamp_ns, frame_id), joint_names=list(names), points=points)


def multi_array(types, kind, values):
    """
    Fill an array with an empty layout, as ros2_control's forwarding controllers want it.

    :param types: ROS type name to message class.
    :param kind: ``message_types.FLOAT32_ARRAY`` or ``FLOAT64_ARRAY``.
    :param values: Numbers.
    :return: Message of that type.
    """
    cls = types[kind]
    code = 'f' if kind == ros.FLOAT32_ARRAY else 'd'
    return cls(layout=types[LAYOUT](dim=[], data_offset=0), data=_sequence(cls, values, code))


def pose_stamped(types, position, quaternion, stamp_ns, frame_id=''):
    """
    Fill a pose.

    :param types: ROS type name to message class.
    :param position: x, y, z in m.
    :param quaternion: x, y, z, w.
    :param stamp_ns: When it holds, ns.
    :param frame_id: Name of the frame.
    :return: geometry_msgs/PoseStamped.
    """
    pose = types[POSE](position=types[POINT](**_components('xyz', position)),
                       orientation=types[ORIENTATION](**_components('xyzw', quaternion)))
    return types[ros.POSE_STAMPED](header=header(types, stamp_ns, frame_id), pose=pose)


def named_pose_stamped(types, names, values, stamp_ns, frame_id=''):
    """
    Fill a pose from its components, whichever way they write the rotation.

    :param types: ROS type name to message class.
    :param names: Names of ``message_types``; a position not named is 0, a rotation the identity.
    :param values: One finite number per name, in m or without unit; the rotation need not be of
        length one.
    :param stamp_ns: When it holds, ns.
    :param frame_id: Name of the frame.
    :return: geometry_msgs/PoseStamped.
    :raises ValueError: if the entries make no rotation.
    """
    found = {name: float(value) for name, value in zip(names, values)}
    position = [found.pop(name, 0.0) for name in ros.POSITION]
    quaternion = (0.0, 0.0, 0.0, 1.0)
    if set(found) == set(ros.ROT6D):
        quaternion = rot6d_to_quaternion([found[name] for name in ros.ROT6D])
    elif set(found) == set(ros.QUATERNION):
        quaternion = unit_quaternion([found[name] for name in ros.QUATERNION])
    elif found:
        raise ValueError(f'{", ".join(found)} are not all entries of a rotation')
    return pose_stamped(types, position, quaternion, stamp_ns, frame_id)


def planar_pose_stamped(types, x, y, yaw, stamp_ns, frame_id=''):
    """
    Lay a planar pose into the plane z = 0.

    :param types: ROS type name to message class.
    :param x: Position in m.
    :param y: Position in m.
    :param yaw: Rotation about z in rad.
    :param stamp_ns: When it holds, ns.
    :param frame_id: Name of the frame.
    :return: geometry_msgs/PoseStamped.
    """
    turn = (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))
    return pose_stamped(types, (x, y, 0.0), turn, stamp_ns, frame_id)


def twist(types, linear, angular):
    """
    Fill a twist.

    :param types: ROS type name to message class.
    :param linear: x, y, z in m/s.
    :param angular: x, y, z in rad/s.
    :return: geometry_msgs/Twist.
    """
    return types[ros.TWIST](linear=types[VECTOR3](**_components('xyz', linear)),
                            angular=types[VECTOR3](**_components('xyz', angular)))


def odometry(types, pose, velocity, stamp_ns, frame_id='', child_frame_id=''):
    """
    Join pose and twist; covariances are unknown, which is written as 0.

    :param types: ROS type name to message class.
    :param pose: geometry_msgs/Pose, in ``frame_id``.
    :param velocity: geometry_msgs/Twist, in ``child_frame_id``.
    :param stamp_ns: When they hold, ns.
    :param frame_id: Name of the frame that the robot moves in.
    :param child_frame_id: Name of the robot's frame.
    :return: nav_msgs/Odometry.
    """
    unknown = np.zeros(36)
    return types[ros.ODOMETRY](
        header=header(types, stamp_ns, frame_id), child_frame_id=child_frame_id,
        pose=types[POSE_COVARIANCE](pose=pose, covariance=unknown),
        twist=types[TWIST_COVARIANCE](twist=velocity, covariance=unknown))


def laser_scan(types, ranges, stamp_ns, *, range_min, range_max, angle_min=0.0,
               angle_increment=0.0, frame_id=''):
    """
    Fill the ranges of a lidar.

    :param types: ROS type name to message class.
    :param ranges: Distances in m, from the beam at ``angle_min`` on.
    :param stamp_ns: When they hold, ns.
    :param range_min: Shortest distance that the lidar measures, m.
    :param range_max: Longest one, m.
    :param angle_min: Angle of the first beam, rad, counted from x towards y.
    :param angle_increment: Angle from beam to beam, rad; 0 where nobody knows.
    :param frame_id: Name of the lidar's frame.
    :return: sensor_msgs/LaserScan.
    """
    cls = types[ros.LASER_SCAN]
    return cls(header=header(types, stamp_ns, frame_id), angle_min=float(angle_min),
               angle_max=float(angle_min + angle_increment * max(len(ranges) - 1, 0)),
               angle_increment=float(angle_increment), time_increment=0.0, scan_time=0.0,
               range_min=float(range_min), range_max=float(range_max),
               ranges=_sequence(cls, ranges, 'f'), intensities=_sequence(cls, (), 'f'))


def nanoseconds(time) -> int:
    """
    Join the two parts of a time or duration message.

    :param time: The message.
    :return: ns.
    """
    return time.sec * 1_000_000_000 + time.nanosec


def _seconds(cls, time_ns):
    """Split a time or duration."""
    sec, nanosec = divmod(int(time_ns), 1_000_000_000)
    return cls(sec=sec, nanosec=nanosec)


def _components(names, values):
    """Name the components of a vector, as plain floats, which rclpy insists on."""
    return {name: float(value) for name, value in zip(names, values)}


def _one_field(cls, fields, filled, values):
    """Return all fields, empty but one."""
    return {name: _sequence(cls, values if name == filled else (), 'd') for name in fields}


def _sequence(cls, values, code):
    """
    Return numbers in the kind of sequence that a message class takes.

    rosbags' classes are dataclasses and need numpy arrays; rclpy's store an ``array.array``, and
    take half a second to check a picture that is anything else.
    """
    values = np.ascontiguousarray(values, dtype=code)
    return values if is_dataclass(cls) else array(code, values.tobytes())

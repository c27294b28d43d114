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

"""What an imitated robot shows: a message for every kind of stream that a contract can name."""

from array import array
import math

import cv2
from diffusion_policy_ros import message_types as ros
from diffusion_policy_ros import messages
import numpy as np

# So many pictures are made beforehand and shown in turn, so that showing one costs next to
# nothing. Their pattern moves by 16 grey levels a time, so that the last one leads to the first.
PICTURES = 16
SHIFT = 256 // PICTURES
SWING, SWING_HZ = 0.1, 0.2
UPRIGHT = (0.0, 0.0, 0.0, 1.0)


def shown_size(stream, size) -> tuple:
    """
    Return the size of the pictures that a camera shows.

    :param stream: ``ObservationStream`` of the camera.
    :param size: (width, height) in px that is wanted.
    :return: The same, or the size that the stream demands exactly.
    """
    spec = stream.image
    return (spec.width, spec.height) if spec.resize == 'exact' else size


def picture_maker(stream, size, types):
    """
    Prepare the pictures of a camera.

    :param stream: ``ObservationStream`` of the camera.
    :param size: (width, height) in px, as for ``shown_size``.
    :param types: ROS type name to message class of rclpy.
    :return: Function of (number of the message, its stamp in ns) that returns the message; what
        it returned before may change then. Neighbouring pictures differ.
    """
    width, height = shown_size(stream, size)
    spec = stream.image
    wrap = _compressed if stream.type == ros.COMPRESSED_IMAGE else _raw
    ring = [wrap(types, _pattern(spec.encoding, height, width, number), spec.encoding)
            for number in range(PICTURES)]

    def make(number, stamp_ns):
        message = ring[number % PICTURES]
        message.header = messages.header(types, stamp_ns, 'camera_optical_frame')
        return message

    return make


def vector_maker(streams, types):
    """
    Prepare the messages of a topic that carries numbers.

    :param streams: All ``ObservationStream`` that read the topic; the message has every entry
        that one of them names, in all fields.
    :param types: ROS type name to message class of rclpy.
    :return: Function of (number of the message, its stamp in ns) that returns the message; the
        entries swing slowly, rotations rest.
    """
    kind = streams[0].type
    names = list(dict.fromkeys(name for stream in streams for name in stream.names))

    def make(number, stamp_ns):
        del number
        angle = 2 * math.pi * SWING_HZ * stamp_ns / 1e9
        values = [SWING * math.sin(angle + entry) for entry in range(max(len(names), 6))]
        return BUILDERS[kind](types, kind, names, values, stamp_ns)

    return make


def _pattern(encoding, height, width, number):
    """Return a picture (H, W) or (H, W, 3) of diagonal stripes."""
    ramp = np.add.outer(np.arange(height), np.arange(width)) + SHIFT * number
    if encoding == 'rgb8':
        return np.stack([ramp, ramp // 2, -ramp], axis=-1).astype(np.uint8)
    levels = ramp % 256
    return {'mono8': levels.astype(np.uint8), '16UC1': (500 + levels).astype(np.uint16),
            '32FC1': (0.5 + levels / 1000).astype(np.float32)}[encoding]


def _raw(types, picture, encoding):
    """Wrap a picture as an Image without header."""
    return types[ros.IMAGE](
        height=picture.shape[0], width=picture.shape[1], encoding=encoding,
        step=picture[0].nbytes, data=array('B', picture.tobytes()))


def _compressed(types, picture, encoding):
    """Wrap a picture as a CompressedImage without header: JPEG, or PNG for depth in mm."""
    if encoding in ('16UC1', '32FC1'):
        in_mm = picture if encoding == '16UC1' else (1000 * picture).astype(np.uint16)
        suffix, pixels = 'png', in_mm
    else:
        suffix, pixels = 'jpeg', picture[..., ::-1] if picture.ndim == 3 else picture
    _, data = cv2.imencode(f'.{suffix}', pixels)
    return types[ros.COMPRESSED_IMAGE](format=suffix, data=array('B', data.tobytes()))


def _joint_state(types, kind, names, values, stamp_ns):
    """Fill all fields alike."""
    values = array('d', values[:len(names)])
    return types[kind](header=messages.header(types, stamp_ns), name=names, position=values,
                       velocity=values, effort=values)


def _joint_trajectory(types, kind, names, values, stamp_ns):
    """Fill all fields of one point alike."""
    values = array('d', values[:len(names)])
    point = types[messages.TRAJECTORY_POINT](
        **dict.fromkeys(ros.TRAJECTORY_FIELDS.values(), values))
    return types[kind](header=messages.header(types, stamp_ns), joint_names=names,
                       points=[point])


def _multi_array(types, kind, names, values, stamp_ns):
    """Send the bare numbers."""
    del stamp_ns
    return messages.multi_array(types, kind, values[:len(names)])


def _pose(types, kind, names, values, stamp_ns):
    """Move, and stay upright."""
    del kind, names
    return messages.pose_stamped(types, values[:3], UPRIGHT, stamp_ns)


def _twist(types, kind, names, values, stamp_ns):
    """Move and turn."""
    del kind, names, stamp_ns
    return messages.twist(types, values[:3], values[3:6])


def _twist_stamped(types, kind, names, values, stamp_ns):
    """Move and turn, with a header."""
    return types[kind](header=messages.header(types, stamp_ns),
                       twist=_twist(types, kind, names, values, stamp_ns))


def _odometry(types, kind, names, values, stamp_ns):
    """Move and turn, with a pose."""
    message = types[kind](header=messages.header(types, stamp_ns))
    message.pose.pose = _pose(types, kind, names, values, stamp_ns).pose
    message.twist.twist = _twist(types, kind, names, values, stamp_ns)
    return message


def _laser_scan(types, kind, names, values, stamp_ns):
    """Swing about one metre."""
    del kind
    return messages.laser_scan(types, [1.0 + value for value in values[:len(names)]], stamp_ns,
                               range_min=0.1, range_max=10.0)


BUILDERS = {
    ros.JOINT_STATE: _joint_state,
    ros.JOINT_TRAJECTORY: _joint_trajectory,
    ros.FLOAT32_ARRAY: _multi_array,
    ros.FLOAT64_ARRAY: _multi_array,
    ros.POSE_STAMPED: _pose,
    ros.TWIST: _twist,
    ros.TWIST_STAMPED: _twist_stamped,
    ros.ODOMETRY: _odometry,
    ros.LASER_SCAN: _laser_scan}

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

"""Build ROS messages from arrays, for importing datasets that never were messages."""

import math

from diffusion_policy_ros.errors import BagError
from diffusion_policy_ros.message_types import (
    FLOAT32_ARRAY, FLOAT64_ARRAY, IMAGE, JOINT_STATE, POSE_STAMPED)
import numpy as np


def build_message(stream, values, stamp_ns, types):
    """
    Build the message that shows some values on a stream.

    :param stream: An ``ObservationStream`` or ``ActionOutput`` of the contract.
    :param values: Image uint8 ``(height, width, 3)``; vectors float ``(entries,)`` in the
        stream's unit and order; planar poses ``(x, y, yaw)`` in m and rad.
    :param stamp_ns: Time for the message's header, ns.
    :param types: ``{ROS type name: class}``, of rosbags' typestore.
    :return: The message.
    :raises BagError: if no builder exists for the stream's type.
    """
    if stream.type not in BUILDERS:
        raise BagError(f'topic {stream.topic!r}: cannot import arrays as {stream.type}; possible: '
                       f'{", ".join(BUILDERS)}')
    return BUILDERS[stream.type](stream, values, stamp_ns, types)


def _header(stamp_ns, types):
    """Stamp a header."""
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    stamp = types['builtin_interfaces/msg/Time'](sec=seconds, nanosec=nanoseconds)
    return types['std_msgs/msg/Header'](stamp=stamp, frame_id='')


def _image(stream, values, stamp_ns, types):
    """Wrap an rgb8 picture."""
    height, width, channels = values.shape
    return types[IMAGE](
        header=_header(stamp_ns, types), height=height, width=width, encoding='rgb8',
        is_bigendian=0, step=width * channels, data=np.ascontiguousarray(values).reshape(-1))


def _joint_state(stream, values, stamp_ns, types):
    """Fill the one field of a JointState that the stream reads."""
    arrays = {name: np.zeros(0) for name in ('position', 'velocity', 'effort')}
    arrays[stream.field] = np.ascontiguousarray(values, dtype=np.float64)
    return types[JOINT_STATE](
        header=_header(stamp_ns, types), name=list(stream.names), **arrays)


def _multi_array(stream, values, stamp_ns, types):
    """Fill a Float32MultiArray or Float64MultiArray with an empty layout."""
    layout = types['std_msgs/msg/MultiArrayLayout'](dim=[], data_offset=0)
    dtype = np.float32 if stream.type == FLOAT32_ARRAY else np.float64
    return types[stream.type](layout=layout, data=np.ascontiguousarray(values, dtype=dtype))


def _planar_pose(stream, values, stamp_ns, types):
    """Lay a planar pose (x, y, yaw) into the plane z = 0."""
    x, y, yaw = (float(value) for value in values)
    pose = types['geometry_msgs/msg/Pose'](
        position=types['geometry_msgs/msg/Point'](x=x, y=y, z=0.0),
        orientation=types['geometry_msgs/msg/Quaternion'](
            x=0.0, y=0.0, z=math.sin(yaw / 2), w=math.cos(yaw / 2)))
    return types[POSE_STAMPED](header=_header(stamp_ns, types), pose=pose)


BUILDERS = {
    IMAGE: _image, JOINT_STATE: _joint_state, FLOAT32_ARRAY: _multi_array,
    FLOAT64_ARRAY: _multi_array, POSE_STAMPED: _planar_pose}

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

from diffusion_policy_ros import messages
from diffusion_policy_ros.errors import BagError
from diffusion_policy_ros.message_types import (
    FLOAT32_ARRAY, FLOAT64_ARRAY, IMAGE, JOINT_STATE, POSE_STAMPED)


def build_message(stream, values, stamp_ns, types):
    """
    Build the message that shows some values on a stream.

    :param stream: An ``ObservationStream`` or ``ActionOutput`` of the contract.
    :param values: Image uint8 ``(height, width, 3)``; vectors float ``(entries,)`` in the
        stream's unit and order; planar poses ``(x, y, yaw)`` in m and rad.
    :param stamp_ns: Time for the message's header, ns.
    :param types: ``{ROS type name: class}``.
    :return: The message.
    :raises BagError: if no builder exists for the stream's type.
    """
    if stream.type not in BUILDERS:
        raise BagError(f'topic {stream.topic!r}: cannot import arrays as {stream.type}; possible: '
                       f'{", ".join(BUILDERS)}')
    return BUILDERS[stream.type](stream, values, stamp_ns, types)


def _image(stream, values, stamp_ns, types):
    """Wrap an rgb8 picture."""
    return messages.image(types, values, stamp_ns)


def _joint_state(stream, values, stamp_ns, types):
    """Fill the one field of a JointState that the stream reads."""
    return messages.joint_state(types, stream.names, values, stamp_ns, field=stream.field)


def _multi_array(stream, values, stamp_ns, types):
    """Fill a Float32MultiArray or Float64MultiArray."""
    return messages.multi_array(types, stream.type, values)


def _planar_pose(stream, values, stamp_ns, types):
    """Lay a planar pose (x, y, yaw) into the plane z = 0."""
    return messages.planar_pose_stamped(types, *values, stamp_ns)


BUILDERS = {
    IMAGE: _image, JOINT_STATE: _joint_state, FLOAT32_ARRAY: _multi_array,
    FLOAT64_ARRAY: _multi_array, POSE_STAMPED: _planar_pose}

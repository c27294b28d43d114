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

"""Build ROS messages from arrays, for imported datasets and simulations without ROS."""

from diffusion_policy_ros import messages
from diffusion_policy_ros.errors import BagError
from diffusion_policy_ros.message_types import (
    FLOAT32_ARRAY, FLOAT64_ARRAY, IMAGE, JOINT_STATE, POSE_STAMPED)


def build_message(stream, values, stamp_ns, types):
    """
    Build the message that shows some values on a stream.

    :param stream: An ``ObservationStream`` or ``ActionOutput`` of the contract.
    :param values: Image uint8 ``(height, width, 3)``; vectors float ``(entries,)`` in the
        stream's unit and order.
    :param stamp_ns: Time for the message's header, ns.
    :param types: ``{ROS type name: class}``.
    :return: The message.
    :raises BagError: if no builder exists for the stream's type, the number of entries differs
        or they make no rotation.
    """
    if stream.type not in BUILDERS:
        raise BagError(f'topic {stream.topic!r}: cannot make {stream.type} of arrays; possible: '
                       f'{", ".join(BUILDERS)}')
    if stream.type != IMAGE and len(values) != len(stream.names):
        raise BagError(f'topic {stream.topic!r}: got {len(values)} values, wanted '
                       f'{len(stream.names)}: {", ".join(stream.names)}')
    return BUILDERS[stream.type](stream, values, stamp_ns, types)


def build_planar_pose(stream, values, stamp_ns, types):
    """
    Build the pose that lies in the plane z = 0; otherwise as ``build_message``.

    :param stream: A stream of poses.
    :param values: x and y in m, rotation about z in rad.
    :param stamp_ns: Time for the message's header, ns.
    :param types: ``{ROS type name: class}``.
    :return: The message.
    :raises BagError: if the stream carries no poses, or there are not three values.
    """
    if stream.type != POSE_STAMPED or len(values) != 3:
        raise BagError(f'topic {stream.topic!r}: cannot make {stream.type} of {len(values)} '
                       f'values; a planar pose is a {POSE_STAMPED} of x, y and yaw')
    return messages.planar_pose_stamped(types, *values, stamp_ns)


def _image(stream, values, stamp_ns, types):
    """Wrap an rgb8 picture."""
    return messages.image(types, values, stamp_ns)


def _joint_state(stream, values, stamp_ns, types):
    """Fill the one field of a JointState that the stream reads."""
    return messages.joint_state(types, stream.names, values, stamp_ns, field=stream.field)


def _multi_array(stream, values, stamp_ns, types):
    """Fill a Float32MultiArray or Float64MultiArray."""
    return messages.multi_array(types, stream.type, values)


def _pose(stream, values, stamp_ns, types):
    """Turn the components that the stream names into a pose."""
    try:
        return messages.named_pose_stamped(types, stream.names, values, stamp_ns)
    except ValueError as error:
        raise BagError(f'topic {stream.topic!r}: cannot make a pose: {error}') from error


BUILDERS = {
    IMAGE: _image, JOINT_STATE: _joint_state, FLOAT32_ARRAY: _multi_array,
    FLOAT64_ARRAY: _multi_array, POSE_STAMPED: _pose}

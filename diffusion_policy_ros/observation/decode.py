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

"""From one message to one array: the registry of decoders, by message type."""

from diffusion_policy_ros import message_types as types
from diffusion_policy_ros.errors import DecodeError
from diffusion_policy_ros.observation import images, scans, vectors
import numpy as np

DECODERS = {
    types.IMAGE: images.decode_image,
    types.COMPRESSED_IMAGE: images.decode_compressed_image,
    types.JOINT_STATE: vectors.decode_joint_state,
    types.JOINT_TRAJECTORY: vectors.decode_joint_trajectory,
    types.FLOAT32_ARRAY: vectors.decode_multi_array,
    types.FLOAT64_ARRAY: vectors.decode_multi_array,
    types.POSE_STAMPED: vectors.decode_pose_stamped,
    types.TWIST: vectors.decode_twist,
    types.TWIST_STAMPED: vectors.decode_twist_stamped,
    types.ODOMETRY: vectors.decode_odometry,
    types.LASER_SCAN: scans.decode_laser_scan,
}


def decode(message, stream) -> np.ndarray:
    """
    Turn a message into the array that its stream promises.

    Only the message's fields are read, so that any class with the fields of the ROS type works.

    :param message: Message of the ROS type ``stream.type``.
    :param stream: ObservationStream or ActionOutput.
    :return: Image ``stream.shape`` (H, W, C) in uint8, uint16 (mm) or float32 (m), or vector
        float32 ``(D,)``. It may share the message's memory: copy before changing either.
    :raises DecodeError: naming the topic, what was got, what was wanted and the remedy.
    """
    try:
        return DECODERS[stream.type](message, stream)
    except AttributeError as error:
        raise DecodeError(f'topic {stream.topic}: a {type(message).__name__} message does not '
                          f'fit the type {stream.type} of the contract: {error}') from error

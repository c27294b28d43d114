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

"""What an imitated robot shows is what the contract's decoders understand."""

import numpy as np
import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros import message_types as ros  # noqa: E402,I100
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES  # noqa: E402
from diffusion_policy_ros.observation.decode import decode  # noqa: E402
from diffusion_policy_ros.sim.imitation import (  # noqa: E402
    picture_maker, PICTURES, shown_size, vector_maker)
from diffusion_policy_ros.streams import ImageSpec, ObservationStream  # noqa: E402

STAMP_NS = 1_700_000_000_123_456_789
SIZE = (64, 48)


def _camera(encoding='rgb8', resize='stretch', message_type=ros.IMAGE):
    return ObservationStream('observation.images.camera', 'camera', message_type, 100.0,
                             image=ImageSpec(24, 32, encoding, resize))


def _vector(message_type, names=(), **changes):
    stamp = 'receive' if message_type in (*ros.HEADERLESS_TYPES, ros.JOINT_TRAJECTORY) \
        else 'header'
    rotation = changes.get('rotation', 'rot6d')
    return ObservationStream('observation.state', 'state', message_type, 100.0, stamp=stamp,
                             names=names or ros.component_names(message_type, rotation),
                             **changes)


@pytest.mark.parametrize('encoding', ['rgb8', 'mono8', '16UC1', '32FC1'])
@pytest.mark.parametrize('message_type', ros.IMAGE_TYPES)
def test_pictures_of_every_encoding_can_be_read_and_neighbours_differ(encoding, message_type):
    stream = _camera(encoding, message_type=message_type)
    make = picture_maker(stream, SIZE, MESSAGE_CLASSES)
    pictures = [decode(make(number, STAMP_NS), stream).copy() for number in range(PICTURES + 1)]
    assert all(picture.shape == (24, 32, stream.image.channels) for picture in pictures)
    for one, next_one in zip(pictures, pictures[1:]):
        assert np.mean(one != next_one) > 0.5
    np.testing.assert_array_equal(pictures[0], pictures[PICTURES])


def test_an_exact_camera_gets_its_own_size_and_another_one_the_wanted_size():
    assert shown_size(_camera(resize='exact'), SIZE) == (32, 24)
    message = picture_maker(_camera(resize='exact'), SIZE, MESSAGE_CLASSES)(0, STAMP_NS)
    assert (message.width, message.height, message.step) == (32, 24, 96)
    message = picture_maker(_camera(resize='pad'), SIZE, MESSAGE_CLASSES)(0, STAMP_NS)
    assert (message.width, message.height, len(message.data)) == (64, 48, 64 * 48 * 3)


def test_a_picture_that_is_shown_again_has_the_stamp_of_that_time():
    make = picture_maker(_camera(), SIZE, MESSAGE_CLASSES)
    for number in (0, PICTURES):
        stamp = make(number, STAMP_NS + number).header.stamp
        assert stamp.sec * 10**9 + stamp.nanosec == STAMP_NS + number


@pytest.mark.parametrize('stream', [
    _vector(ros.JOINT_STATE, ('a', 'b'), field='effort'),
    _vector(ros.JOINT_TRAJECTORY, ('a', 'b', 'c'), field='velocity'),
    _vector(ros.FLOAT32_ARRAY, tuple('abcdefgh')), _vector(ros.FLOAT64_ARRAY, ('a',)),
    _vector(ros.POSE_STAMPED), _vector(ros.POSE_STAMPED, rotation='quaternion'),
    _vector(ros.TWIST), _vector(ros.TWIST_STAMPED, ('linear.x', 'angular.z')),
    _vector(ros.ODOMETRY), _vector(ros.LASER_SCAN, tuple('abcdefgh'))],
    ids=lambda stream: f'{stream.type} {stream.rotation}')
def test_numbers_of_every_type_can_be_read_and_move(stream):
    make = vector_maker([stream], MESSAGE_CLASSES)
    values = [decode(make(0, STAMP_NS + second * 10**9), stream) for second in range(2)]
    assert values[0].shape == (len(stream.names),)
    assert np.isfinite(values).all() and (values[0] != values[1]).any()
    if stream.stamp == 'header':
        stamp = make(0, STAMP_NS).header.stamp
        assert stamp.sec * 10**9 + stamp.nanosec == STAMP_NS


def test_every_type_that_a_contract_may_observe_is_imitated():
    from diffusion_policy_ros.sim.imitation import BUILDERS
    assert {*BUILDERS, *ros.IMAGE_TYPES} == set(ros.OBSERVATION_TYPES)


def test_one_message_serves_all_streams_of_its_topic():
    arm = _vector(ros.JOINT_STATE, ('a', 'b'))
    gripper = _vector(ros.JOINT_STATE, ('g', 'a'), field='velocity')
    message = vector_maker([arm, gripper], MESSAGE_CLASSES)(0, STAMP_NS)
    assert list(message.name) == ['a', 'b', 'g']
    assert decode(message, gripper)[1] == decode(message, arm)[0]

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

"""Values become messages that the package's own decoders read back."""

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.topic_messages import build_topic, observed_parts
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.message_types import (
    COMPRESSED_IMAGE, FLOAT32_ARRAY, FLOAT64_ARRAY, IMAGE, JOINT_STATE, JOINT_TRAJECTORY,
    LASER_SCAN, ODOMETRY, POSE_STAMPED, TWIST, TWIST_STAMPED, UNDATED_TYPES)
from diffusion_policy_ros.messages import nanoseconds
from diffusion_policy_ros.observation.decode import decode
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from rosbags.typesys import get_typestore, Stores

STAMP_NS = 1_700_000_000_123_456_789
STORE = get_typestore(Stores.LATEST)
ROT6D = [0.0, 1.0, 0.0, -1.0, 0.0, 0.0]  # a quarter turn about z


def classes(kind):
    """Return message classes of rosbags or of rclpy."""
    if kind == 'rosbags':
        return STORE.types
    pytest.importorskip('rclpy')
    from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
    return MESSAGE_CLASSES


def stream(text):
    """Return the stream of a contract that observes one thing."""
    contract = parse_contract(f"""
robot: small
rate_hz: 10
observations:
  - {{topic: seen, max_age_ms: 100, {text}}}
actions:
  - {{topic: told, type: sensor_msgs/msg/JointState, joints: [a]}}
""")
    return contract.observations[0]


@pytest.mark.parametrize('kind', ['rosbags', 'rclpy'])
@pytest.mark.parametrize('text, type_name, values', [
    ('key: observation.state, joints: [a, b]', JOINT_STATE, [0.1, -2.5]),
    ('key: observation.state, joints: [a, b], field: velocity', JOINT_STATE, [0.1, -2.5]),
    ('key: observation.state, joints: [a, b]', JOINT_TRAJECTORY, [0.1, -2.5]),
    ('key: observation.state, names: [a, b]', FLOAT32_ARRAY, [0.1, -2.5]),
    ('key: observation.state, names: [a, b]', FLOAT64_ARRAY, [0.1, -2.5]),
    ('key: observation.state', POSE_STAMPED, [1.0, 2.0, 3.0, *ROT6D]),
    ('key: observation.state, rotation: quaternion', POSE_STAMPED, [1, 2, 3, 0.6, 0, 0, 0.8]),
    ('key: observation.state, names: [position.x, position.y]', POSE_STAMPED, [1.5, -2.0]),
    ('key: observation.state', TWIST, [1, 2, 3, 4, 5, 6]),
    ('key: observation.state, names: [linear.x, angular.z]', TWIST_STAMPED, [0.5, -0.25]),
    ('key: observation.state', ODOMETRY, [1, 2, 3, *ROT6D, 4, 5, 6, 7, 8, 9]),
    ('key: observation.state, names: [a, b, c]', LASER_SCAN, [0.25, 12.0, 3.3]),
    ('key: observation.state, names: [a, b]', LASER_SCAN, [0.0, 0.0])])
def test_vectors_are_read_back_as_they_were(kind, text, type_name, values):
    stamp = ', stamp: receive' if type_name in UNDATED_TYPES else ''
    entry = stream(f'{text}, type: {type_name}{stamp}')
    message = build_topic([(entry, np.array(values, np.float32))], classes(kind), STAMP_NS)
    np.testing.assert_allclose(decode(message, entry), np.array(values, np.float32), atol=1e-6)
    if type_name == JOINT_STATE:
        np.testing.assert_array_equal(decode(message, entry), np.array(values, np.float32))
    if type_name not in UNDATED_TYPES:
        assert nanoseconds(message.header.stamp) == STAMP_NS
    if kind == 'rosbags':
        STORE.serialize_cdr(message, type_name)


@pytest.mark.parametrize('kind', ['rosbags', 'rclpy'])
@pytest.mark.parametrize('type_name, encoding, dtype', [
    (IMAGE, 'rgb8', np.uint8), (IMAGE, 'mono8', np.uint8), (IMAGE, '16UC1', np.uint16),
    (IMAGE, '32FC1', np.float32), (COMPRESSED_IMAGE, 'rgb8', np.uint8),
    (COMPRESSED_IMAGE, 'mono8', np.uint8)])
def test_pictures_are_read_back_bit_for_bit(kind, type_name, encoding, dtype):
    entry = stream(f'key: observation.images.c, type: {type_name}, '
                   f'image: {{height: 5, width: 7, encoding: {encoding}}}')
    picture = np.random.default_rng(0).integers(0, 255, entry.shape).astype(dtype)
    message = build_topic([(entry, picture)], classes(kind), STAMP_NS)
    np.testing.assert_array_equal(decode(message, entry), picture)
    assert nanoseconds(message.header.stamp) == STAMP_NS
    if kind == 'rosbags':
        STORE.serialize_cdr(message, type_name)


def test_two_fields_of_one_topic_make_one_message():
    position = stream(f'key: observation.state, type: {JOINT_STATE}, joints: [a, b]')
    speed = stream(f'key: observation.speed, type: {JOINT_STATE}, joints: [b, a], '
                   'field: velocity')
    message = build_topic([(position, np.array([1, 2])), (speed, np.array([20, 10]))],
                          STORE.types, STAMP_NS)
    np.testing.assert_array_equal(decode(message, position), [1, 2])
    np.testing.assert_array_equal(decode(message, speed), [20, 10])


def test_what_is_not_in_the_dataset_is_not_invented():
    position = stream(f'key: observation.state, type: {JOINT_STATE}, joints: [a, b]')
    speed = stream(f'key: observation.speed, type: {JOINT_STATE}, joints: [a], field: velocity')
    with pytest.raises(DatasetError, match='topic seen: .* velocity of b is not in the dataset'):
        build_topic([(position, np.array([1, 2])), (speed, np.array([20]))], STORE.types, 0)
    with pytest.raises(DatasetError, match='2 entries of the contract read it'):
        array = stream(f'key: observation.state, type: {FLOAT64_ARRAY}, names: [a], '
                       'stamp: receive')
        build_topic([(array, np.array([1]))] * 2, STORE.types, 0)


@pytest.mark.parametrize('type_name', [JOINT_STATE, FLOAT32_ARRAY, FLOAT64_ARRAY, LASER_SCAN])
@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3))
def test_numbers_survive_the_wire(type_name, values):
    entry = stream(f'key: observation.state, type: {type_name}, stamp: receive, '
                   + ('joints' if type_name == JOINT_STATE else 'names') + ': [a, b, c]')
    data = STORE.serialize_cdr(build_topic([(entry, np.array(values))], STORE.types, 1), type_name)
    assert np.array_equal(decode(STORE.deserialize_cdr(data, type_name), entry),
                          np.float32(values))


def test_a_picture_with_gaps_in_memory_survives_the_wire():
    entry = stream(f'key: observation.images.c, type: {IMAGE}, image: {{height: 4, width: 6}}')
    picture = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)[::2]
    data = STORE.serialize_cdr(build_topic([(entry, picture)], STORE.types, 1), IMAGE)
    assert np.array_equal(decode(STORE.deserialize_cdr(data, IMAGE), entry), picture)


@pytest.mark.parametrize('text, values, said', [
    (f'type: {JOINT_STATE}, joints: [a, b, c]', [1.0], 'got 1 values, wanted 3: a, b, c'),
    (f'type: {FLOAT64_ARRAY}, names: [a], stamp: receive', [1.0, 2.0],
     'got 2 values, wanted 1: a'),
    (f'type: {POSE_STAMPED}', np.zeros(9), 'has no direction'),
    (f'type: {POSE_STAMPED}, names: [position.x, rotation.xx, rotation.yx]', np.ones(3),
     'rotation.xx, rotation.yx are not all entries of a rot')])
def test_values_that_make_no_message_are_refused(text, values, said):
    entry = stream(f'key: observation.state, {text}')
    with pytest.raises(DatasetError, match=f'topic seen: no .* shows these values: .*{said}'):
        build_topic([(entry, values)], STORE.types, 1)


@pytest.mark.parametrize('text', [
    f'type: {JOINT_STATE}, joints: [a]', f'type: {TWIST}, names: [linear.x], stamp: receive'])
def test_two_entries_that_contradict_each_other_are_refused(text):
    """No message shows both, and none of them is left out."""
    one, other = (stream(f'key: observation.{name}, {text}') for name in ('state', 'copy'))
    same = build_topic([(one, np.array([1.5])), (other, np.array([1.5]))], STORE.types, 1)
    assert decode(same, other) == [1.5]
    with pytest.raises(DatasetError, match='shows (a|linear.x) as 1.5, another one as 2'):
        build_topic([(one, np.array([1.5])), (other, np.array([2.0]))], STORE.types, 1)


def test_a_row_is_shared_among_the_topics_that_show_it():
    contract = parse_contract("""
robot: small
rate_hz: 10
observations:
  - {key: observation.state, topic: arm, type: sensor_msgs/msg/JointState, joints: [a, b],
     max_age_ms: 300}
  - {key: observation.state, topic: hand, type: sensor_msgs/msg/JointState, joints: [g],
     max_age_ms: 300}
  - {key: observation.speed, topic: arm, type: sensor_msgs/msg/JointState, joints: [a, b],
     field: velocity, max_age_ms: 300}
actions:
  - {topic: told, type: sensor_msgs/msg/JointState, joints: [a]}
""")
    parts = observed_parts(contract, {'observation.state': [1, 2, 3], 'observation.speed': [4, 5]})
    assert {topic: [(entry.field, values) for entry, values in found]
            for topic, found in parts.items()} == {
        'arm': [('position', [1, 2]), ('velocity', [4, 5])], 'hand': [('position', [3])]}

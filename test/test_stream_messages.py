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

"""Imported arrays decode back to themselves, for every type that can be imported."""

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.errors import BagError
from diffusion_policy_ros.message_types import IMAGE, JOINT_STATE, POSE_STAMPED, TWIST
from diffusion_policy_ros.observation.decode import decode
from diffusion_policy_ros.stream_messages import build_message, build_planar_pose, BUILDERS
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from rosbags.typesys import get_typestore, Stores

TYPESTORE = get_typestore(Stores.LATEST)
VECTORS = [kind for kind in BUILDERS if kind not in (IMAGE, POSE_STAMPED)]


def stream_of(kind, entry=None):
    """Make an observation stream of a type."""
    known = {IMAGE: 'image: {height: 4, width: 6}', POSE_STAMPED: 'rotation: rot6d',
             TWIST: 'names: [linear.x]'}
    entry = entry or known.get(kind, 'names: [a, b, c]')
    key = 'observation.images.x' if kind == IMAGE else 'observation.state'
    return parse_contract(f"""
robot: r
rate_hz: 10
observations:
  - {{key: {key}, topic: x, type: {kind}, {entry}, stamp: receive, max_age_ms: 100}}
actions:
  - {{topic: y, type: std_msgs/msg/Float64MultiArray, names: [a], stamp: receive}}
""").observations[0]


def through_cdr(stream, values, build=build_message):
    """Build, serialize, deserialize and decode."""
    message = build(stream, values, 1_500_000_001, TYPESTORE.types)
    data = TYPESTORE.serialize_cdr(message, stream.type)
    return decode(TYPESTORE.deserialize_cdr(data, stream.type), stream)


@pytest.mark.parametrize('kind', VECTORS)
@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3))
def test_vectors_come_back(kind, values):
    """Float32 values survive every vector type."""
    assert np.array_equal(through_cdr(stream_of(kind), np.array(values)), np.float32(values))


def test_pictures_come_back():
    """Also when the array is a view with gaps."""
    picture = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)[::2]
    assert np.array_equal(through_cdr(stream_of(IMAGE), picture), picture)


@given(st.floats(-10, 10))
def test_planar_poses_come_back_as_rotations_about_z(yaw):
    """The first two columns of Rz(yaw)."""
    found = through_cdr(stream_of(POSE_STAMPED), (1.0, 2.0, yaw), build_planar_pose)
    c, s = np.cos(yaw), np.sin(yaw)
    assert np.allclose(found, [1, 2, 0, c, s, 0, -s, c, 0], atol=1e-6)
    named = through_cdr(stream_of(POSE_STAMPED), found)
    assert np.allclose(named, found, atol=1e-6)


@pytest.mark.parametrize('names, values', [
    ('[position.y, position.x]', [1.0, 2.0]),
    ('[orientation.w, orientation.x, orientation.y, orientation.z, position.z]',
     [0.5, 0.5, -0.5, 0.5, 3.0])])
def test_poses_come_back_by_the_names_of_their_components(names, values):
    stream = stream_of(POSE_STAMPED, f'rotation: quaternion, names: {names}')
    assert np.allclose(through_cdr(stream, values), values, atol=1e-6)


@pytest.mark.parametrize('kind, build, values, said', [
    (JOINT_STATE, build_message, [1.0], "'x': got 1 values, wanted 3: a, b, c"),
    (POSE_STAMPED, build_message, np.zeros(9), 'cannot make a pose: .* has no direction'),
    (POSE_STAMPED, build_planar_pose, [1.0, 2.0], 'of 2 values; a planar pose is'),
    (JOINT_STATE, build_planar_pose, [1.0, 2.0, 3.0], 'cannot make sensor_msgs/msg/JointState')])
def test_values_that_make_no_message_are_refused(kind, build, values, said):
    with pytest.raises(BagError, match=said):
        build(stream_of(kind), values, 1, TYPESTORE.types)


def test_a_pose_of_which_only_half_a_rotation_is_named_is_refused():
    stream = stream_of(POSE_STAMPED, 'names: [position.x, rotation.xx, rotation.yx]')
    with pytest.raises(BagError, match='rotation.xx, rotation.yx are not all entries of a rot'):
        build_message(stream, np.ones(3), 1, TYPESTORE.types)


def test_types_without_a_builder_are_refused():
    """Naming those that have one."""
    with pytest.raises(BagError, match='cannot make geometry_msgs/msg/Twist of arrays'):
        build_message(stream_of(TWIST), np.zeros(1), 1, TYPESTORE.types)

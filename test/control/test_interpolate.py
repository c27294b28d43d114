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
"""Commands between rows: on straight lines, on the sphere, or held."""

from diffusion_policy_ros.control.interpolate import interpolate
from diffusion_policy_ros.errors import ChunkError
from diffusion_policy_ros.rotations import quaternion_to_rot6d
from diffusion_policy_ros.streams import ActionOutput
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

JOINTS = ActionOutput(topic='a', type='sensor_msgs/msg/JointState', names=('p', 'q'))
GRIPPER = ActionOutput(topic='g', type='sensor_msgs/msg/JointState', names=('p', 'q'),
                       interpolation='hold')
POSITION = ('position.x', 'position.y', 'position.z')
QUATERNION = ('orientation.x', 'orientation.y', 'orientation.z', 'orientation.w')
ROT6D = tuple(f'rotation.{a}{b}' for b in 'xy' for a in 'xyz')
POSE = ActionOutput(topic='pose', type='geometry_msgs/msg/PoseStamped', names=POSITION + ROT6D)
QUATERNION_POSE = ActionOutput(topic='pose', type='geometry_msgs/msg/PoseStamped',
                               names=QUATERNION + POSITION, rotation='quaternion')


def _about(axis, angle):
    """Return the quaternion of a turn about an axis."""
    axis = np.asarray(axis, float) / np.linalg.norm(axis)
    return np.append(axis * np.sin(angle / 2), np.cos(angle / 2))


@given(st.lists(st.floats(-10, 10), min_size=4, max_size=4), st.floats(0, 0.999))
def test_joints_move_on_straight_lines(values, fraction):
    before, after = np.array(values[:2]), np.array(values[2:])
    wanted = [np.interp(fraction, [0, 1], [before[i], after[i]]) for i in range(2)]
    assert np.allclose(interpolate(JOINTS, before, after, fraction), wanted, atol=1e-12)


def test_a_held_output_repeats_the_earlier_row():
    assert interpolate(GRIPPER, [0.0, 1.0], [1.0, 0.0], 0.99).tolist() == [0.0, 1.0]


@given(axis=st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda a: np.linalg.norm(a) > 0.1),
       start=st.floats(-3, 3), turn=st.floats(-3, 3) | st.floats(-1e-3, 1e-3),
       fraction=st.floats(0, 0.999))
def test_a_rotation_turns_about_its_axis_at_constant_speed(axis, start, turn, fraction):
    ends = [_about(axis, start), _about(axis, start + turn)]
    wanted = quaternion_to_rot6d(_about(axis, start + fraction * turn))
    before, after = (np.append([0, 0, 0], quaternion_to_rot6d(q)) for q in ends)
    assert np.allclose(interpolate(POSE, before, after, fraction)[3:], wanted, atol=2e-8)
    before, after = (np.append(q, [0, 0, 0]) for q in ends)
    turned = interpolate(QUATERNION_POSE, before, after, fraction)[:4]
    assert np.allclose(quaternion_to_rot6d(turned / np.linalg.norm(turned)), wanted, atol=2e-8)


def test_the_position_of_a_pose_still_moves_on_a_line():
    before = np.append([0.0, 0.0, 1.0], quaternion_to_rot6d(_about([0, 0, 1], 0.0)))
    after = np.append([1.0, 2.0, 1.0], quaternion_to_rot6d(_about([0, 0, 1], 2.0)))
    assert interpolate(POSE, before, after, 0.25)[:3].tolist() == [0.25, 0.5, 1.0]


def test_a_row_that_names_no_rotation_is_refused():
    good = np.append([0, 0, 0], quaternion_to_rot6d(_about([0, 0, 1], 0.0)))
    with pytest.raises(ChunkError, match='topic pose: a planned rotation'):
        interpolate(POSE, good, np.zeros(9), 0.5)

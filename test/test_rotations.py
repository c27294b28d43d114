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

"""Rotations against matrices built from elementary turns."""

from diffusion_policy_ros.rotations import (
    quaternion_to_rot6d, rot6d_to_quaternion, unit_quaternion)
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

ANGLES = st.floats(-np.pi, np.pi)
AXES = st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda axis: np.linalg.norm(axis) > 1e-3)


def rodrigues(axis, angle):
    """Return the rotation matrix about an axis (Rodrigues' formula)."""
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def quaternion(axis, angle):
    unit = np.array(axis) / np.linalg.norm(axis)
    return np.append(np.sin(angle / 2) * unit, np.cos(angle / 2))


@given(axis=AXES, angle=ANGLES)
@settings(max_examples=200, deadline=None)
def test_columns_are_those_of_the_matrix(axis, angle):
    wanted = rodrigues(axis, angle)[:, :2].T.ravel()
    np.testing.assert_allclose(quaternion_to_rot6d(quaternion(axis, angle)), wanted, atol=1e-12)


@given(axis=AXES, angle=ANGLES)
@settings(max_examples=200, deadline=None)
def test_quaternion_of_the_columns_is_the_quaternion_up_to_its_sign(axis, angle):
    got = rot6d_to_quaternion(rodrigues(axis, angle)[:, :2].T.ravel())
    assert got[3] >= 0
    assert abs(got @ quaternion(axis, angle)) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize('axis', [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -1, 1)])
def test_half_turns_lose_no_precision(axis):
    wanted = quaternion(axis, np.pi)
    got = rot6d_to_quaternion(rodrigues(axis, np.pi)[:, :2].T.ravel())
    np.testing.assert_allclose(np.abs(got), np.abs(wanted), atol=1e-12)


def test_what_has_no_direction_is_no_rotation():
    for columns in ([0] * 6, [1, 0, 0, 0, 0, 0], [0, 2, 0, 0, -3, 0]):
        with pytest.raises(ValueError, match='has no direction'):
            rot6d_to_quaternion(columns)
    for raw in ([0, 0, 0, 0], [1e-12, 0, 0, 0], [1.7e308] * 4):
        with pytest.raises(ValueError, match='has no direction'):
            unit_quaternion(raw)


def test_a_quaternion_may_be_long():
    np.testing.assert_allclose(unit_quaternion([0, 0, 3e200, -4e200]), [0, 0, -0.6, 0.8])

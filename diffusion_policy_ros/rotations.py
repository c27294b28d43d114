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

"""Rotations as the first two columns of their matrix, and as quaternions in ROS order."""

import math

import numpy as np


def quaternion_to_rot6d(quaternion):
    """
    Write a rotation as the first two columns of its matrix.

    Zhou et al. 2019 (arXiv:1812.07035), section 4.2: unlike a quaternion this has neither a sign
    to choose nor a jump, so that a network can learn it.

    :param quaternion: Unit quaternion x, y, z, w, float64 ``(4,)``.
    :return: First column, then second column, float64 ``(6,)``, entries in [-1, 1].
    """
    x, y, z, w = quaternion
    return np.array([
        1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w),
        2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)])


def rot6d_to_quaternion(columns):
    """
    Return the unit quaternion of the rotation nearest to two columns that need not be orthonormal.

    The columns go through Gram-Schmidt (equation 15 of arXiv:1812.07035). The 4x4 matrix below is
    ``4 q q^T``, so that each of its rows is a multiple of q; the one with the largest diagonal
    entry is the best conditioned.

    :param columns: First column, then second column, any finite numbers ``(6,)``.
    :return: Unit quaternion x, y, z, w with w >= 0, float64 ``(4,)``.
    :raises ValueError: where the columns are zero or parallel and so name no rotation.
    """
    first, second = np.asarray(columns, dtype=np.float64).reshape(2, 3)
    a = _unit(first)
    b = _unit(second - a * (a @ second))
    c = np.cross(a, b)
    trace = a[0] + b[1] + c[2]
    outer = np.array([
        [1 - trace + 2 * a[0], b[0] + a[1], c[0] + a[2], b[2] - c[1]],
        [b[0] + a[1], 1 - trace + 2 * b[1], c[1] + b[2], c[0] - a[2]],
        [c[0] + a[2], c[1] + b[2], 1 - trace + 2 * c[2], a[1] - b[0]],
        [b[2] - c[1], c[0] - a[2], a[1] - b[0], 1 + trace]])
    return unit_quaternion(outer[np.argmax(np.diag(outer))])


def unit_quaternion(quaternion):
    """
    Scale a quaternion to length one, with w >= 0: q and -q are the same rotation.

    :param quaternion: x, y, z, w, any finite numbers ``(4,)``.
    :return: Unit quaternion, float64 ``(4,)``.
    :raises ValueError: where all entries are zero, or too large for their length to be a number.
    """
    unit = _unit(np.asarray(quaternion, dtype=np.float64))
    return -unit if unit[3] < 0 else unit


def _unit(vector):
    """Scale a vector to length one."""
    length = math.hypot(*vector)
    if not 1e-9 < length < math.inf:
        raise ValueError(f'{vector.tolist()} has no direction, or no finite length')
    return vector / length

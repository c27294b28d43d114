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
"""Commands between two rows of a chunk: straight lines, great circles, or the earlier row."""

from diffusion_policy_ros.errors import ChunkError
from diffusion_policy_ros.message_types import POSE_STAMPED, QUATERNION, ROT6D
from diffusion_policy_ros.rotations import (
    quaternion_to_rot6d, rot6d_to_quaternion, unit_quaternion)
import numpy as np

# Below this angle, rad, the sphere is as good as flat, and its sine too small to divide by.
PARALLEL = 1e-4


def interpolate(output, before, after, fraction):
    """
    Return the command between two rows, by the rule of its output.

    Entries move on straight lines; a complete rotation (six or four components of a pose) turns
    about one fixed axis at a constant speed (Shoemake 1985); ``hold`` repeats the earlier row.

    :param output: ``ActionOutput`` that carries the entries.
    :param before: Row that is due, float64 ``(D,)``, robot units.
    :param after: The row after it, same shape.
    :param fraction: How far on the way to ``after``, in [0, 1), no unit.
    :return: Float64 ``(D,)``.
    :raises ChunkError: if a row's rotation entries name no rotation.
    """
    before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
    if output.interpolation == 'hold' or fraction == 0:
        return before.copy()
    command = before + fraction * (after - before)
    columns = _rotation_columns(output)
    if columns:
        turn = _turn_quaternion if len(columns) == 4 else _turn_rot6d
        try:
            command[columns] = turn(before[columns], after[columns], fraction)
        except ValueError as error:
            raise ChunkError(f'topic {output.topic}: a planned rotation cannot be used: '
                             f'{error}') from error
    return command


def _rotation_columns(output):
    """Return where a pose output keeps its rotation, empty unless all of it is commanded."""
    wanted = ROT6D if output.rotation == 'rot6d' else QUATERNION
    if output.type != POSE_STAMPED or not set(wanted) <= set(output.names):
        return []
    return [output.names.index(name) for name in wanted]


def _turn_quaternion(before, after, fraction):
    """
    Interpolate two quaternions on the sphere, the short way round.

    ``slerp(p, q, f) = (sin((1 - f) w) p + sin(f w) q) / sin(w)`` with ``cos(w) = p . q``.
    """
    before, after = unit_quaternion(before), unit_quaternion(after)
    cosine = before @ after
    if cosine < 0:
        after, cosine = -after, -cosine
    angle = np.arccos(min(cosine, 1.0))
    if angle < PARALLEL:
        return unit_quaternion(before + fraction * (after - before))
    return (np.sin((1 - fraction) * angle) * before
            + np.sin(fraction * angle) * after) / np.sin(angle)


def _turn_rot6d(before, after, fraction):
    """Interpolate two rotations that are given as the first two columns of their matrices."""
    return quaternion_to_rot6d(_turn_quaternion(
        rot6d_to_quaternion(before), rot6d_to_quaternion(after), fraction))

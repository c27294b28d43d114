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

"""Where a robot's links are for given joint positions: forward kinematics of a URDF."""

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.urdf import MOVABLE, ROTATING
import numpy as np


class Chain:
    """
    The joints from the root of a robot to one of its links.

    :ivar base_link: Name of the root, in whose frame poses are given.
    :ivar joint_names: Joints whose positions move the link, from the root on, each once; where a
        joint mimics another, the one that leads.
    """

    def __init__(self, urdf, tip_link):
        """
        Find the way from the root to a link.

        :param urdf: ``Urdf`` of the robot.
        :param tip_link: Name of the link.
        :raises ConfigError: for an unknown link, and where a joint on the way, being floating or
            planar, has no single position.
        """
        self.base_link = urdf.root
        self._steps = [
            (joint, _origin(joint), None if joint.type == 'fixed' else _leader(urdf, joint))
            for joint in _joints_above(urdf, tip_link)]
        self.joint_names = tuple(dict.fromkeys(leader[0] for *_, leader in self._steps if leader))

    def poses(self, positions):
        """
        Return the pose of the link in the frame of the root.

        The product of the joints' origins and motions, as https://wiki.ros.org/urdf/XML/joint
        defines them. Limits are not looked at.

        :param positions: One row per pose, rad or m, float ``(N, len(joint_names))``.
        :return: Homogeneous transforms, float64 ``(N, 4, 4)``.
        :raises ValueError: if there is not one column per joint.
        """
        positions = np.asarray(positions, dtype=np.float64)
        columns = dict(zip(self.joint_names, positions.T, strict=True))  # each (N,)
        poses = np.tile(np.eye(4), (len(positions), 1, 1))  # (N, 4, 4)
        for joint, origin, leader in self._steps:
            poses = poses @ origin
            if leader:
                name, multiplier, offset = leader
                poses = poses @ _motions(joint, multiplier * columns[name] + offset)
        return poses


def rotations_about(axis, angles):
    """
    Return rotation matrices by Rodrigues' formula: ``I + sin(a) K + (1 - cos(a)) K^2``.

    :param axis: Unit vector ``(3,)``; ``K x`` is its cross product with x.
    :param angles: Rad, right-handed, finite, float64 ``(N,)``.
    :return: Float64 ``(N, 3, 3)``.
    """
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angles = angles[:, None, None]
    return np.eye(3) + np.sin(angles) * cross + (1 - np.cos(angles)) * (cross @ cross)


def _joints_above(urdf, link):
    """Return the joints from the root down to a link."""
    if link not in urdf.links:
        raise ConfigError(f'the robot description has no link {shown(link)}; it has: '
                          f'{", ".join(urdf.links)}')
    carriers = {joint.child: joint for joint in urdf.joints.values()}
    joints = []
    while link in carriers:
        joints.append(carriers[link])
        link = carriers[link].parent
    return joints[::-1]


def _leader(urdf, joint):
    """Return whose position moves a joint, and by which factor and offset."""
    multiplier, offset = 1.0, 0.0
    while joint.mimic is not None:
        offset += multiplier * joint.mimic.offset
        multiplier *= joint.mimic.multiplier
        joint = urdf.joints[joint.mimic.joint]
    if joint.type not in MOVABLE:
        raise ConfigError(f'joint {shown(joint.name)} of the robot description is {joint.type}; '
                          f'one position moves only a joint that is {", ".join(MOVABLE)}')
    return joint.name, multiplier, offset


def _origin(joint):
    """Return where a joint's child is at position 0, float64 (4, 4)."""
    origin = np.eye(4)
    origin[:3, 3] = joint.xyz
    for axis, angle in zip(np.eye(3), joint.rpy):  # about axes that stay: the last one leftmost
        origin[:3, :3] = rotations_about(axis, np.array([angle]))[0] @ origin[:3, :3]
    return origin


def _motions(joint, positions):
    """Return how the child moves from there, float64 (N, 4, 4)."""
    motions = np.tile(np.eye(4), (len(positions), 1, 1))
    if joint.type in ROTATING:
        motions[:, :3, :3] = rotations_about(joint.axis, positions)
    else:
        motions[:, :3, 3] = positions[:, None] * joint.axis
    return motions

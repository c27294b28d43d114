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

"""Where a plan leads in space: from rows of actions to points, by what the contract commands."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from diffusion_policy_ros import message_types as ros
from diffusion_policy_ros.control.kinematics import Chain
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.urdf import POSITION_UNITS
import numpy as np

# Of a mobile base (REP-105), and of whatever names no frame of its own.
BASE_FRAME = 'base_link'
PLANAR = ('linear.x', 'linear.y', 'angular.z')
COORDINATES = ('_x', '_y', '_z')
ARM_WIDTH_M, BASE_WIDTH_M = 0.005, 0.03


@dataclass(frozen=True)
class PlanPath:
    """
    A way to see the plans of a robot.

    :ivar frame_id: Frame that the points are in.
    :ivar offset_ns: What the output that is seen adds to the due times of the rows, ns.
    :ivar width_m: How thick a line suits the robot, m.
    :ivar points: Function of a plan, float64 ``(rows, action_dim)`` in robot units, that returns
        where the robot shall be when each row is due, float64 ``(rows, 3)``, m.
    """

    frame_id: str
    offset_ns: int
    width_m: float
    points: Callable


def choose_plan_path(contract, *, urdf=None, tip_link=''):
    """
    Find a way to see the plans of a robot.

    With a tip link, it is what is seen, moved by the joints of a robot description. Without, it
    is the first output that can be seen: a pose has a position; a twist drives a base over the
    plane; joints in m that are called ``<point>_x``, ``_y`` or ``_z`` are coordinates.

    :param contract: ``RobotContract``.
    :param urdf: ``Urdf`` of the robot, None while there is none.
    :param tip_link: The link to watch, empty for none.
    :return: ``(path, reason)``: a ``PlanPath`` and an empty text; or None and, in one sentence,
        why nothing can be seen.
    """
    if tip_link:
        ways = [partial(_tip, contract, urdf, tip_link)]
    else:
        starts = np.cumsum([0, *(len(output.names) for output in contract.actions)])
        ways = [partial(RULES[output.type], output, start, contract.rate_hz)
                for output, start in zip(contract.actions, starts)]
    reasons = []
    for way in ways:
        try:
            return way(), ''
        except ConfigError as error:
            reasons.append(str(error))
    return None, '; '.join(reasons)


def planar_way(twists, period_s):
    """
    Return where a base is at the beginning of each of a series of constant twists.

    Each is a motion along an arc, the exponential map of SE(2): the chord has the length of the
    arc times ``sin(h) / h`` and its direction is turned by h, half the angle of the arc.

    :param twists: Forward, leftward and turning speed, m/s, m/s, rad/s, float64 ``(rows, 3)``.
    :param period_s: How long each one holds, s.
    :return: Float64 ``(rows, 3)``, m, in the frame of the base at the beginning; z is 0.
    """
    turns = twists[:, 2] * period_s
    middle = np.cumsum(turns) - turns / 2  # heading halfway through each arc, rad
    chords = period_s * np.sinc(turns / (2 * np.pi))  # np.sinc(x) is sin(pi x) / (pi x)
    x, y = twists[:, 0] * chords, twists[:, 1] * chords
    steps = np.stack([x * np.cos(middle) - y * np.sin(middle),
                      x * np.sin(middle) + y * np.cos(middle), np.zeros(len(twists))], axis=1)
    return np.cumsum(steps, axis=0) - steps


def _tip(contract, urdf, tip_link):
    """Follow a link through the joints that carry it."""
    if urdf is None:
        raise ConfigError(f'no robot_description has come yet, which tells where {tip_link} is')
    chain = Chain(urdf, tip_link)
    joints = {name: (column, output) for column, (name, output) in enumerate(
        (name, output) for output in contract.actions for name in output.names)}
    for name in chain.joint_names:
        output = joints[name][1] if name in joints else None
        if output is None or output.field != 'position' or output.unit not in POSITION_UNITS:
            raise ConfigError(f'the position of the joint {name}, which moves {tip_link}, is not '
                              'commanded in rad or m')
    if not chain.joint_names:
        raise ConfigError(f'no joint moves {tip_link}')
    columns = [joints[name][0] for name in chain.joint_names]
    return PlanPath(chain.base_link, joints[chain.joint_names[0]][1].offset_ns, ARM_WIDTH_M,
                    lambda rows: chain.poses(rows[:, columns])[:, :3, 3])


def _pose(output, column, rate_hz):
    """Take the position."""
    if not set(output.names) & set(ros.POSITION):
        raise ConfigError(f'topic {output.topic}: the pose has no position')
    return PlanPath(output.frame_id or BASE_FRAME, output.offset_ns,
                    ARM_WIDTH_M, partial(_entries, output.names, column, ros.POSITION))


def _twist(output, column, rate_hz):
    """Drive a base over the plane."""
    others = [name for name in output.names if name not in PLANAR]
    if others:
        raise ConfigError(f'topic {output.topic}: {others[0]} is no motion of a base in the plane '
                          f'({", ".join(PLANAR)})')
    return PlanPath(
        output.frame_id or BASE_FRAME, output.offset_ns, BASE_WIDTH_M, lambda rows: planar_way(
            _entries(output.names, column, PLANAR, rows), 1 / rate_hz))


def _coordinates(output, column, rate_hz):
    """Take joints that are the coordinates of one point."""
    points = {name[:-2] for name in output.names if name.endswith(COORDINATES)}
    if output.field != 'position' or output.unit != 'm' or len(points) != 1:
        raise ConfigError(f'topic {output.topic}: where joints lead is told by a '
                          'robot_description and a tip link')
    point, = points
    wanted = [point + axis for axis in COORDINATES]
    return PlanPath(output.frame_id or BASE_FRAME, output.offset_ns, ARM_WIDTH_M,
                    partial(_entries, output.names, column, wanted))


def _entries(names, column, wanted, rows):
    """Return named entries of an output that begins at a column; 0 for what it has not."""
    zeros = np.zeros(len(rows))
    return np.stack([rows[:, column + names.index(name)] if name in names else zeros
                     for name in wanted], axis=1)


RULES = {
    ros.POSE_STAMPED: _pose,
    ros.TWIST: _twist,
    ros.TWIST_STAMPED: _twist,
    ros.JOINT_STATE: _coordinates,
    ros.JOINT_TRAJECTORY: _coordinates,
    ros.FLOAT64_ARRAY: _coordinates}

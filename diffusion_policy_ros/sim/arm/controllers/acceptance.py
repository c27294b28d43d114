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

"""
Which trajectories the joint_trajectory_controller takes.

The rules are those of ros2_controllers 4 (Jazzy) to 6 with their defaults, and three more, for
what is accepted there and ends badly: numbers that are not finite reach the hardware, a joint that
is named twice leaves another one undefined, and accelerations without velocities command 0 to all
joints.
"""

from diffusion_policy_ros.errors import CommandRefused
from diffusion_policy_ros.sim.arm.controllers.fields import field, LARGEST, numbers, time_ns
from diffusion_policy_ros.sim.arm.controllers.splines import Point
import numpy as np

# Below this, a velocity at the end is at rest.
REST = float(np.finfo(np.float32).eps)


def read_trajectory(message, joints, name, now_ns, may_end_moving=False):
    """
    Check a trajectory and read it.

    :param message: trajectory_msgs/JointTrajectory, or any object with its fields.
    :param joints: Names of the controller's joints.
    :param name: Name of the controller, for error messages.
    :param now_ns: When it arrived, ns.
    :param may_end_moving: Whether the last point may have a velocity other than 0.
    :return: Its start and its points: ns, the arrival where the stamp is 0; and a list of
        ``Point`` with the joints in the order of ``joints``, at the times when they are due.
    :raises CommandRefused: saying which rule it breaks and what to do.
    """
    order = _order(list(field(message, 'joint_names', name)), joints, name)
    stamp_ns = time_ns(field(message, 'header', name), 'stamp', name)
    if stamp_ns < 0:
        raise CommandRefused(f'{name} got a trajectory with the stamp {stamp_ns} ns; stamp it '
                             'with the time at which it starts, or 0 for "on arrival"')
    start_ns = stamp_ns or now_ns
    points = [_point(point, index, order, start_ns, f'{name}: point {index} of the trajectory')
              for index, point in enumerate(field(message, 'points', name))]
    if not points:
        raise CommandRefused(f'{name} got a trajectory without points; send at least one')
    _check_times(points, start_ns, name)
    _check_end(points[-1], joints, name, may_end_moving)
    if stamp_ns and points[-1].time_ns < now_ns:
        raise CommandRefused(
            f'{name} got a trajectory that ended {(now_ns - points[-1].time_ns) / 1e9:.3f} s ago; '
            'it must end in the future: stamp it by the clock that the controller has '
            '(use_sim_time on both sides or none), or 0 for "start on arrival"')
    return start_ns, points


def _order(names, joints, name):
    """Return for each joint of the controller where the message has it."""
    unknown = [one for one in names if one not in joints]
    missing = [one for one in joints if one not in names]
    if unknown or missing or len(names) != len(joints):
        got = ', '.join(map(str, names)) or 'none'
        raise CommandRefused(f'{name} got a trajectory for the joints ({got}); name all of '
                             f'({", ".join(joints)}), each once and in any order, and no other')
    return [names.index(one) for one in joints]


def _point(message, index, order, start_ns, where):
    """Read one point, in the order of the controller's joints."""
    values = {key: _in_order(numbers(field(message, key, where), f'{where}: {key}'), order,
                             f'{where} has', key)
              for key in ('positions', 'velocities', 'accelerations')}
    if values['positions'] is None:
        raise CommandRefused(f'{where} has no positions; send one for each joint')
    if values['velocities'] is None and values['accelerations'] is not None:
        raise CommandRefused(f'{where} has accelerations without velocities; send both or none')
    if len(numbers(field(message, 'effort', where), f'{where}: effort')):
        raise CommandRefused(f'{where} has efforts, and this controller commands positions; '
                             'leave "effort" empty')
    return Point(start_ns + time_ns(message, 'time_from_start', where), *values.values())


def _in_order(values, order, where, key):
    """Bring one field of a point into the controller's order; None for an empty one."""
    if not len(values):
        return None
    if len(values) != len(order):
        raise CommandRefused(f'{where} {len(values)} {key} for {len(order)} joint_names; send one '
                             'for each')
    if not (np.abs(values) <= LARGEST).all():
        raise CommandRefused(f'{where} the {key} {values.tolist()}; send finite numbers, none '
                             f'beyond {LARGEST:g}')
    return values[order]


def _check_times(points, start_ns, name):
    """Let every point be due after the one before it."""
    for index in range(1, len(points)):
        before, after = (point.time_ns - start_ns for point in points[index - 1:index + 1])
        if after <= before:
            raise CommandRefused(
                f'{name}: time_from_start is {after / 1e9} s at point {index} of the trajectory '
                f'after {before / 1e9} s at the one before; let it increase from point to point')


def _check_end(last, joints, name, may_end_moving):
    """Let a trajectory end at rest, unless it is allowed not to."""
    if may_end_moving or last.velocity is None:
        return
    fastest = int(np.argmax(np.abs(last.velocity)))
    if abs(last.velocity[fastest]) > REST:
        raise CommandRefused(
            f'{name} got a trajectory that ends with the velocity {last.velocity[fastest]} of '
            f'{joints[fastest]}, wanted 0; let it end at rest, or set the parameter '
            'allow_nonzero_velocity_at_trajectory_end of the controller to true')

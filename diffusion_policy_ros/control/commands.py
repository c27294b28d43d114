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

"""From rows of an action chunk to command messages: the registry of encoders, by type."""

from array import array
from dataclasses import is_dataclass

from diffusion_policy_ros import message_types as ros
from diffusion_policy_ros.errors import ChunkError
from diffusion_policy_ros.rotations import rot6d_to_quaternion, unit_quaternion
import numpy as np

HEADER, TIME = 'std_msgs/msg/Header', 'builtin_interfaces/msg/Time'
DURATION = 'builtin_interfaces/msg/Duration'
TRAJECTORY_POINT = 'trajectory_msgs/msg/JointTrajectoryPoint'
LAYOUT = 'std_msgs/msg/MultiArrayLayout'
POSE, POINT = 'geometry_msgs/msg/Pose', 'geometry_msgs/msg/Point'
ORIENTATION, VECTOR3 = 'geometry_msgs/msg/Quaternion', 'geometry_msgs/msg/Vector3'

# Command type -> all the message classes that building one needs.
NEEDED_TYPES = {
    ros.JOINT_STATE: (ros.JOINT_STATE, HEADER, TIME),
    ros.JOINT_TRAJECTORY: (ros.JOINT_TRAJECTORY, TRAJECTORY_POINT, DURATION, HEADER, TIME),
    ros.FLOAT64_ARRAY: (ros.FLOAT64_ARRAY, LAYOUT),
    ros.POSE_STAMPED: (ros.POSE_STAMPED, POSE, POINT, ORIENTATION, HEADER, TIME),
    ros.TWIST: (ros.TWIST, VECTOR3),
    ros.TWIST_STAMPED: (ros.TWIST_STAMPED, ros.TWIST, VECTOR3, HEADER, TIME)}


def build_command(output, rows, types, *, stamp_ns, period_ns):
    """
    Fill one command message.

    :param output: ActionOutput that the message goes to.
    :param rows: Values in the contract's units, any float ``(K, len(output.names))``. K may
        exceed 1 only for a JointTrajectory, one point each.
    :param types: ROS type name to message class, rclpy's or rosbags', for at least
        ``NEEDED_TYPES[output.type]``.
    :param stamp_ns: When the first row is due, ns; stamps every header but a JointTrajectory's,
        whose stamp 0 means that it starts on arrival.
    :param period_ns: Time between rows, ns, above 0. Point k of a JointTrajectory is due
        ``(k + 1) * period_ns`` after the start.
    :return: Message of the class ``types[output.type]``.
    :raises ChunkError: for rows of another shape, not finite, or that name no rotation.
    """
    rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != len(output.names) or not len(rows):
        raise ChunkError(f'topic {output.topic}: the command has shape {rows.shape}, wanted '
                         f'(rows, {len(output.names)}): {", ".join(output.names)}')
    if len(rows) > 1 and output.type != ros.JOINT_TRAJECTORY:
        raise ChunkError(f'topic {output.topic}: {output.type} carries one row, got {len(rows)}; '
                         'send one message for each row as it falls due')
    finite = np.isfinite(rows)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise ChunkError(f'topic {output.topic}: {output.names[column]} of row {row} is '
                         f'{rows[row, column]}; only finite commands are sent')
    return ENCODERS[output.type](output, rows, types, stamp_ns, period_ns)


def split_action(contract, actions):
    """
    Cut action vectors into the columns of each output.

    :param contract: RobotContract.
    :param actions: Action vectors, any float ``(..., D)`` with D entries as
        ``contract.action_names``.
    :return: List of ``(output, columns)`` in the order of the contract; columns are views
        ``(..., len(output.names))``.
    :raises ChunkError: for vectors of another length.
    """
    actions = np.asarray(actions)
    names = contract.action_names
    if actions.ndim < 1 or actions.shape[-1] != len(names):
        raise ChunkError(f'actions of shape {actions.shape} do not fit the contract, which '
                         f'commands {len(names)} entries: {", ".join(names)}')
    ends = np.cumsum([len(output.names) for output in contract.actions])
    return [(output, actions[..., end - len(output.names):end])
            for output, end in zip(contract.actions, ends)]


def _joint_state(output, rows, types, stamp_ns, period_ns):
    """Fill only the field that the contract names."""
    cls = types[ros.JOINT_STATE]
    fields = {name: _doubles(cls, rows[0] if name == output.field else [])
              for name in ('position', 'velocity', 'effort')}
    return cls(header=_header(output, types, stamp_ns), name=list(output.names), **fields)


def _joint_trajectory(output, rows, types, stamp_ns, period_ns):
    """One point per row, due one period after another, started on arrival."""
    points = [_trajectory_point(output, row, types, (k + 1) * period_ns)
              for k, row in enumerate(rows)]
    return types[ros.JOINT_TRAJECTORY](
        header=_header(output, types, 0), joint_names=list(output.names), points=points)


def _trajectory_point(output, row, types, due_ns):
    """Fill only the field that the contract names."""
    cls = types[TRAJECTORY_POINT]
    filled = ros.TRAJECTORY_FIELDS[output.field]
    fields = {name: _doubles(cls, row if name == filled else [])
              for name in ('positions', 'velocities', 'accelerations', 'effort')}
    sec, nanosec = divmod(int(due_ns), 1_000_000_000)
    return cls(time_from_start=types[DURATION](sec=sec, nanosec=nanosec), **fields)


def _multi_array(output, rows, types, stamp_ns, period_ns):
    """Leave the layout empty, as ros2_control's forwarding controllers want it."""
    cls = types[ros.FLOAT64_ARRAY]
    return cls(layout=types[LAYOUT](dim=[], data_offset=0), data=_doubles(cls, rows[0]))


def _pose_stamped(output, rows, types, stamp_ns, period_ns):
    """Turn the rotation, however the contract writes it, into a unit quaternion."""
    values = dict(zip(output.names, rows[0].tolist()))
    position = {axis: values.get(f'position.{axis}', 0.0) for axis in 'xyz'}
    orientation = dict(zip('xyzw', _quaternion(output, values)))
    pose = types[POSE](position=types[POINT](**position),
                       orientation=types[ORIENTATION](**orientation))
    return types[ros.POSE_STAMPED](header=_header(output, types, stamp_ns), pose=pose)


def _quaternion(output, values):
    """Return x, y, z, w; without rotation entries the identity."""
    names = ros.ROT6D if output.rotation == 'rot6d' else ros.QUATERNION
    if names[0] not in values:
        return [0.0, 0.0, 0.0, 1.0]
    convert = rot6d_to_quaternion if output.rotation == 'rot6d' else unit_quaternion
    try:
        return convert([values[name] for name in names]).tolist()
    except ValueError as error:
        raise ChunkError(f'topic {output.topic}: the commanded rotation cannot be used: '
                         f'{error}') from error


def _twist(output, rows, types, stamp_ns, period_ns):
    """Leave the components that the contract does not name at 0."""
    values = dict(zip(output.names, rows[0].tolist()))
    parts = {part: types[VECTOR3](**{axis: values.get(f'{part}.{axis}', 0.0) for axis in 'xyz'})
             for part in ('linear', 'angular')}
    return types[ros.TWIST](**parts)


def _twist_stamped(output, rows, types, stamp_ns, period_ns):
    """Add the header that says when the twist is due."""
    return types[ros.TWIST_STAMPED](
        header=_header(output, types, stamp_ns),
        twist=_twist(output, rows, types, stamp_ns, period_ns))


def _header(output, types, stamp_ns):
    """Fill a header with the output's frame."""
    sec, nanosec = divmod(int(stamp_ns), 1_000_000_000)
    return types[HEADER](stamp=types[TIME](sec=sec, nanosec=nanosec), frame_id=output.frame_id)


def _doubles(cls, values):
    """Return a float64 sequence of the kind that a class takes: rosbags' are dataclasses."""
    return np.array(values, dtype=np.float64) if is_dataclass(cls) else array('d', values)


ENCODERS = {
    ros.JOINT_STATE: _joint_state,
    ros.JOINT_TRAJECTORY: _joint_trajectory,
    ros.FLOAT64_ARRAY: _multi_array,
    ros.POSE_STAMPED: _pose_stamped,
    ros.TWIST: _twist,
    ros.TWIST_STAMPED: _twist_stamped}

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

from diffusion_policy_ros import message_types as ros
from diffusion_policy_ros import messages
from diffusion_policy_ros.errors import ChunkError
import numpy as np

_STAMP = (messages.HEADER, messages.TIME)
# Command type -> all the message classes that building one needs.
NEEDED_TYPES = {
    ros.JOINT_STATE: (ros.JOINT_STATE, *_STAMP),
    ros.JOINT_TRAJECTORY: (
        ros.JOINT_TRAJECTORY, messages.TRAJECTORY_POINT, messages.DURATION, *_STAMP),
    ros.FLOAT64_ARRAY: (ros.FLOAT64_ARRAY, messages.LAYOUT),
    ros.POSE_STAMPED: (
        ros.POSE_STAMPED, messages.POSE, messages.POINT, messages.ORIENTATION, *_STAMP),
    ros.TWIST: (ros.TWIST, messages.VECTOR3),
    ros.TWIST_STAMPED: (ros.TWIST_STAMPED, ros.TWIST, messages.VECTOR3, *_STAMP)}


def build_command(output, rows, types, *, stamp_ns, lead_ns, period_ns):
    """
    Fill one command message.

    :param output: ActionOutput that the message goes to.
    :param rows: Values in the contract's units, any float ``(K, len(output.names))``. K may
        exceed 1 only for a JointTrajectory, one point each.
    :param types: ROS type name to message class, rclpy's or rosbags', for at least
        ``NEEDED_TYPES[output.type]``.
    :param stamp_ns: When the first row is due, ns; stamps every header but a JointTrajectory's,
        whose stamp 0 means that it starts on arrival.
    :param lead_ns: Point k of a JointTrajectory is due ``lead_ns + k * period_ns`` after the
        start, ns; above 0, for a controller needs time to get to the first one.
    :param period_ns: Time between rows, ns, above 0.
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
    due_ns = [lead_ns + k * period_ns for k in range(len(rows))]
    return ENCODERS[output.type](output, rows, types, stamp_ns, due_ns)


def build_commands(contract, horizon, types, *, now_ns, lead_ns):
    """
    Build the messages that are due, one per output of the contract.

    :param contract: RobotContract.
    :param horizon: RecedingHorizon to ask.
    :param types: As for ``build_command``, for all outputs.
    :param now_ns: The time they are due, ns; stamps the messages.
    :param lead_ns: As for ``build_command``: the time to the next command, ns.
    :return: List in the order of the contract; None when nothing is due.
    :raises ChunkError: as ``build_command``.
    """
    wants_all = any(_takes_chunks(output) for output in contract.actions)
    rows = horizon.upcoming(now_ns) if wants_all else horizon.command(now_ns)
    if rows is None:
        return None
    rows = rows.reshape(-1, len(contract.action_names))
    return [build_command(output, columns if _takes_chunks(output) else columns[:1], types,
                          stamp_ns=now_ns, lead_ns=lead_ns, period_ns=contract.period_ns)
            for output, columns in split_action(contract, rows)]


def _takes_chunks(output):
    """Tell whether an output takes the rest of the plan with its times."""
    return output.type == ros.JOINT_TRAJECTORY and output.trajectory == 'chunk'


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


def _joint_state(output, rows, types, stamp_ns, due_ns):
    """Fill only the field that the contract names."""
    return messages.joint_state(types, output.names, rows[0], stamp_ns, field=output.field,
                                frame_id=output.frame_id)


def _joint_trajectory(output, rows, types, stamp_ns, due_ns):
    """One point per row, one after another, started on arrival."""
    return messages.joint_trajectory(types, output.names, rows, due_ns, 0, field=output.field,
                                     frame_id=output.frame_id)


def _multi_array(output, rows, types, stamp_ns, due_ns):
    """Send the bare numbers."""
    return messages.multi_array(types, output.type, rows[0])


def _pose_stamped(output, rows, types, stamp_ns, due_ns):
    """Turn the rotation, however the contract writes it, into a unit quaternion."""
    try:
        return messages.named_pose_stamped(types, output.names, rows[0], stamp_ns,
                                           output.frame_id)
    except ValueError as error:
        raise ChunkError(f'topic {output.topic}: the commanded rotation cannot be used: '
                         f'{error}') from error


def _twist(output, rows, types, stamp_ns, due_ns):
    """Leave the components that the contract does not name at 0."""
    values = dict(zip(output.names, rows[0].tolist()))
    return messages.twist(types, _vector(values, 'linear'), _vector(values, 'angular'))


def _twist_stamped(output, rows, types, stamp_ns, due_ns):
    """Add the header that says when the twist is due."""
    return types[ros.TWIST_STAMPED](
        header=messages.header(types, stamp_ns, output.frame_id),
        twist=_twist(output, rows, types, stamp_ns, due_ns))


def _vector(values, part):
    """Return x, y and z of a part of a twist, 0 where the contract names none."""
    return [values.get(f'{part}.{axis}', 0.0) for axis in 'xyz']


ENCODERS = {
    ros.JOINT_STATE: _joint_state,
    ros.JOINT_TRAJECTORY: _joint_trajectory,
    ros.FLOAT64_ARRAY: _multi_array,
    ros.POSE_STAMPED: _pose_stamped,
    ros.TWIST: _twist,
    ros.TWIST_STAMPED: _twist_stamped}

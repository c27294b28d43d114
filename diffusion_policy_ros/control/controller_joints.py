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

"""Whether a controller of ros2_control takes a command as the contract means it."""

from diffusion_policy_ros import message_types as ros

# Command type -> the last part of a controller's topic, and the parameters that say how it reads
# what comes there.
COMMAND_TOPICS = {ros.FLOAT64_ARRAY: 'commands', ros.JOINT_TRAJECTORY: 'joint_trajectory'}
PARAMETERS = {ros.FLOAT64_ARRAY: ('joints', 'interface_name'),
              ros.JOINT_TRAJECTORY: ('joints', 'allow_partial_joints_goal')}
FIELDS = ('position', 'velocity', 'effort')


def controller_of(output, topic) -> str:
    """
    Return the full name of the controller's node that a command is for.

    :param output: ActionOutput.
    :param topic: Its topic as the node publishes it: full, after remapping.
    :return: Such as ``/arm_controller``; empty where the topic is not the one that a controller
        for this type listens to.
    """
    node, _, last = topic.rpartition('/')
    return node if last == COMMAND_TOPICS.get(output.type) else ''


def disagreement(output, controller, joints, interface_name='', allows_partial=False) -> str:
    """
    Compare a controller's parameters with an output.

    :param output: ActionOutput of one of the types in ``PARAMETERS``.
    :param controller: Name of the controller, for the sentence.
    :param joints: Its parameter ``joints``: list of names in its order.
    :param interface_name: Its parameter of that name, for a Float64MultiArray.
    :param allows_partial: Its ``allow_partial_joints_goal``, for a JointTrajectory.
    :return: One sentence with both sides and the remedy; empty when they agree.
    """
    if output.type == ros.JOINT_TRAJECTORY:
        return _trajectory_disagreement(output, controller, joints, allows_partial)
    return (_order_disagreement(output, controller, joints)
            or _field_disagreement(output, controller, interface_name))


def _order_disagreement(output, controller, joints):
    """Compare joints and their order, for the numbers carry no names."""
    wanted, found = ', '.join(output.names), ', '.join(joints)
    if sorted(output.names) != sorted(joints):
        return (f'{controller} commands the joints ({found}), the contract sends ({wanted}) to '
                f'{output.topic}; name the same joints, by the same names, in both')
    if list(output.names) != list(joints):
        return (f'{controller} takes its joints in the order ({found}), the contract sends them '
                f'to {output.topic} in the order ({wanted}), so that values would reach the '
                f'wrong joints; give the controller "joints: [{wanted}]" and load it again')
    return ''


def _field_disagreement(output, controller, interface_name):
    """Let no position be taken for a velocity; other interfaces a contract cannot name."""
    if interface_name not in FIELDS or interface_name == output.field:
        return ''
    return (f'{controller} commands the interface "{interface_name}", the contract sends '
            f'"field: {output.field}" to {output.topic}; use a controller of that interface, or '
            f'write "field: {interface_name}" in the contract if that is what the numbers are')


def _trajectory_disagreement(output, controller, joints, allows_partial):
    """Compare the sets: joints are named, but a trajectory with wrong ones is rejected whole."""
    unknown = [name for name in output.names if name not in joints]
    if unknown:
        return (f'{controller} has no joint "{unknown[0]}", which the contract sends to '
                f'{output.topic}; it has: {", ".join(joints)}; use its names in the contract')
    missing = [name for name in joints if name not in output.names]
    if missing and not allows_partial:
        return (f'{controller} rejects trajectories without all of its joints, and the contract '
                f'sends no "{missing[0]}" to {output.topic}; command that joint too, or set the '
                'parameter allow_partial_joints_goal of the controller to true')
    return ''

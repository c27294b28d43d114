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
"""The messages that a running policy sends: commands, the whole plan, and its latency."""

from array import array

from diffusion_policy_ros.control.commands import build_command, split_action
from diffusion_policy_ros.message_types import JOINT_TRAJECTORY
from diffusion_policy_ros.messages import joint_trajectory
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from std_msgs.msg import Float64MultiArray, MultiArrayDimension, MultiArrayLayout
from trajectory_msgs.msg import JointTrajectory


class CommandPublisher:
    """Publishes one message per action output of the contract, and what people want to see."""

    def __init__(self, node, contract, command_rate_hz):
        """
        Create the publishers, inactive until the lifecycle node is.

        :param node: The lifecycle node.
        :param contract: ``RobotContract``.
        :param command_rate_hz: Commands per second.
        """
        self._contract = contract
        self._command_period_ns = round(1e9 / command_rate_hz)
        self._sends_chunks = any(_is_chunk(output) for output in contract.actions)
        self._publishers = [
            node.create_lifecycle_publisher(MESSAGE_CLASSES[output.type], output.topic,
                                            qos.COMMANDS) for output in contract.actions]
        self._chunk = node.create_lifecycle_publisher(JointTrajectory, '~/chunk', qos.EVENTS)
        self._latency = node.create_lifecycle_publisher(
            Float64MultiArray, '~/latency', qos.EVENTS)
        self._node = node

    def destroy(self):
        """Destroy the publishers."""
        for publisher in self._publishers + [self._chunk, self._latency]:
            self._node.destroy_lifecycle_publisher(publisher)

    def send(self, horizon, now_ns) -> bool:
        """
        Publish the command that is due.

        :param horizon: ``RecedingHorizon`` to ask.
        :param now_ns: The time it is due, ns; stamps the messages.
        :return: False when nothing is due and nothing was sent.
        :raises ChunkError: if the command cannot be sent to a robot; then nothing was.
        """
        rows = horizon.upcoming(now_ns) if self._sends_chunks else horizon.command(now_ns)
        if rows is None:
            return False
        rows = rows.reshape(-1, len(self._contract.action_names))
        messages = [self._message(output, columns, now_ns)
                    for output, columns in split_action(self._contract, rows)]
        for publisher, message in zip(self._publishers, messages):
            publisher.publish(message)
        return True

    def show_plan(self, chunk, latency):
        """
        Publish the whole timed plan, and where the time went.

        :param chunk: ``TimedChunk`` over all action entries.
        :param latency: ``Latency`` of the plan.
        """
        self._chunk.publish(_plan_message(chunk, self._contract.action_names))
        self._latency.publish(_latency_message(latency.named()))

    def _message(self, output, rows, now_ns):
        """Build the message of one output."""
        return build_command(
            output, rows if _is_chunk(output) else rows[:1], MESSAGE_CLASSES, stamp_ns=now_ns,
            lead_ns=self._command_period_ns, period_ns=self._contract.period_ns)


def _is_chunk(output):
    """Tell whether an output takes the rest of the plan with its times."""
    return output.type == JOINT_TRAJECTORY and output.trajectory == 'chunk'


def _plan_message(chunk, names):
    """Write a plan as a trajectory: the stamp is when row 0 is due."""
    start_ns = chunk.due_ns(0)
    due_ns = [chunk.due_ns(row) - start_ns for row in range(chunk.rows)]
    return joint_trajectory(MESSAGE_CLASSES, names, chunk.actions, due_ns, start_ns)


def _latency_message(named):
    """Write the parts in order; the label of the one dimension names them."""
    layout = MultiArrayLayout(dim=[MultiArrayDimension(
        label=','.join(named), size=len(named), stride=len(named))])
    return Float64MultiArray(layout=layout, data=array('d', named.values()))

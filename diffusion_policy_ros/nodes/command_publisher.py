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
"""The commands that a running policy sends, in the messages of the contract."""

from diffusion_policy_ros.control.commands import build_command, split_action
from diffusion_policy_ros.message_types import JOINT_TRAJECTORY
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES


class CommandPublisher:
    """Publishes one message per action output of the contract."""

    def __init__(self, node, contract, *, prefix):
        """
        Create the publishers, inactive until the lifecycle node is.

        :param node: The lifecycle node.
        :param contract: ``RobotContract``.
        :param prefix: What comes before the contract's topics, such as ``policy`` where the node
            ``command_safety`` is to pass commands on; empty for nothing.
        """
        self._contract = contract
        self._sends_chunks = any(_is_chunk(output) for output in contract.actions)
        self._publishers = [
            node.create_lifecycle_publisher(
                MESSAGE_CLASSES[output.type], '/'.join(filter(None, (prefix, output.topic))),
                qos.COMMANDS) for output in contract.actions]
        self._node = node

    def destroy(self):
        """Destroy the publishers."""
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)

    def send(self, horizon, now_ns, period_ns) -> bool:
        """
        Publish the command that is due.

        :param horizon: ``RecedingHorizon`` to ask.
        :param now_ns: The time it is due, ns; stamps the messages.
        :param period_ns: Time to the next command, ns, in which a trajectory gets to its point.
        :return: False when nothing is due and nothing was sent.
        :raises ChunkError: if the command cannot be sent to a robot; then nothing was.
        """
        rows = horizon.upcoming(now_ns) if self._sends_chunks else horizon.command(now_ns)
        if rows is None:
            return False
        rows = rows.reshape(-1, len(self._contract.action_names))
        messages = [self._message(output, columns, now_ns, period_ns)
                    for output, columns in split_action(self._contract, rows)]
        for publisher, message in zip(self._publishers, messages):
            publisher.publish(message)
        return True

    def _message(self, output, rows, now_ns, lead_ns):
        """Build the message of one output."""
        return build_command(
            output, rows if _is_chunk(output) else rows[:1], MESSAGE_CLASSES, stamp_ns=now_ns,
            lead_ns=lead_ns, period_ns=self._contract.period_ns)


def _is_chunk(output):
    """Tell whether an output takes the rest of the plan with its times."""
    return output.type == JOINT_TRAJECTORY and output.trajectory == 'chunk'

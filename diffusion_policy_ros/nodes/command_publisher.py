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

from diffusion_policy_ros.control.commands import build_commands
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
        self._publishers = [
            node.create_lifecycle_publisher(
                MESSAGE_CLASSES[output.type], '/'.join(filter(None, (prefix, output.topic))),
                qos.COMMANDS) for output in contract.actions]
        self._node = node

    @property
    def topics(self) -> list:
        """Return the full topic of each output of the contract."""
        return [publisher.topic_name for publisher in self._publishers]

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
        messages = build_commands(self._contract, horizon, MESSAGE_CLASSES, now_ns=now_ns,
                                  lead_ns=period_ns)
        if messages is None:
            return False
        for publisher, message in zip(self._publishers, messages):
            publisher.publish(message)
        return True

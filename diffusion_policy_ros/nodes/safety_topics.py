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

"""The topics of ``command_safety``: commands in, joints in, commands out."""

from functools import partial

from diffusion_policy_ros.control.commands import build_command
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.message_types import JOINT_STATE
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from diffusion_policy_ros.nodes.topic_watch import publisher_names, several, wrong_type
from rclpy.duration import Duration
from rclpy.qos_overriding_options import QoSOverridingOptions

# Whoever has not acknowledged a command by then is dead.
ACKNOWLEDGED_S = 0.5


class SafetyTopics:
    """Subscribes to what a contract's outputs are told, and publishes what they may do."""

    def __init__(self, node, contract, prefix, *, on_command, on_joints):
        """
        Create the publishers, inactive until the lifecycle node is, and the subscriptions.

        :param node: The lifecycle node.
        :param contract: ``RobotContract``.
        :param prefix: Commands for <topic> are taken from <prefix>/<topic>.
        :param on_command: Called with the number of an output and a message for it.
        :param on_joints: Called with a topic of joint states and a message.
        :raises ConfigError: if what is heard would come from where commands go to.
        """
        self._node, self._contract, self._types = node, contract, {}
        # First, because a prefix may be no name, and publishers made before would stay.
        self._inputs = [
            self._subscribe(output.type, f'{prefix}/{output.topic}', partial(on_command, number))
            for number, output in enumerate(contract.actions)]
        self._outputs = [
            node.create_lifecycle_publisher(MESSAGE_CLASSES[output.type], output.topic,
                                            qos.COMMANDS) for output in contract.actions]
        measuring = {s.topic for s in contract.observations if s.type == JOINT_STATE}
        self._others = [self._subscribe(JOINT_STATE, topic, partial(on_joints, topic))
                        for topic in sorted(measuring)]
        heard = {each.topic_name for each in self._inputs + self._others}
        for name in [target.topic_name for target in self._outputs]:
            if name in heard:
                self.destroy()
                raise ConfigError(f'{name} would be heard and commanded; correct '
                                  'input_prefix, the remapping, or the topics of the contract')

    def wait_for_description(self, on_description):
        """
        Subscribe to the robot's description.

        :param on_description: Called with the text of each URDF.
        """
        self._others.append(self._subscribe(
            'std_msgs/msg/String', 'robot_description',
            lambda message: on_description(message.data), qos.STATUS))

    def publish(self, rows, stamp_ns, period_ns):
        """
        Send every output what it shall do.

        :param rows: What to send to each output, float64 ``(n,)`` each.
        :param stamp_ns: The time on the ROS clock, ns.
        :param period_ns: The commands are to be reached so long after the time, ns.
        """
        messages = [
            build_command(output, row[None], MESSAGE_CLASSES, stamp_ns=stamp_ns,
                          lead_ns=period_ns, period_ns=period_ns)
            for output, row in zip(self._contract.actions, rows)]
        for publisher, message in zip(self._outputs, messages):
            publisher.publish(message)

    def objection(self) -> str:
        """Say that a topic carries another type, or that commands of several nodes would mix."""
        for topic, publishers in self._publishers(self._inputs + self._others):
            wrong = wrong_type(topic, publishers, self._types[topic])
            if wrong:
                return f'{wrong}; correct the contract, or remap the topic'
        # The node listens to the button itself, in every lifecycle state.
        button = self._node.resolve_topic_name('e_stop')
        wrong = wrong_type(button, self._node.get_publishers_info_by_topic(button),
                           'std_msgs/msg/Bool', said_by=self._node.get_name())
        if wrong:
            return f'{wrong}; correct the button, or remap the topic'
        for topic, publishers in self._publishers(self._inputs):
            if len(publishers) > 1:
                return f'{several(topic, publishers)}; only one may command'
        return ''

    def twin(self) -> str:
        """Say that a second node of this one's full name commands the same controllers."""
        own = self._node.get_fully_qualified_name()
        shared = [topic for topic, publishers in self._publishers(self._outputs)
                  if publisher_names(publishers).count(own) > 1]
        return (f'another node {own} publishes {", ".join(shared)}; end one of the two, a robot '
                'has one safety node') if shared else ''

    def bypass(self) -> str:
        """Say that somebody else commands a controller, past this node."""
        return '; '.join(several(topic, publishers) for topic, publishers
                         in self._publishers(self._outputs) if len(publishers) > 1)

    def destroy(self):
        """Let the last command arrive, then destroy all publishers and subscriptions."""
        for publisher in self._outputs:
            publisher.wait_for_all_acked(Duration(seconds=ACKNOWLEDGED_S))
        for subscription in self._inputs + self._others:
            self._node.destroy_subscription(subscription)
        for publisher in self._outputs:
            self._node.destroy_lifecycle_publisher(publisher)

    def _subscribe(self, type_name, topic, callback, profile=qos.VECTORS):
        """Subscribe; the quality of service may be overridden by parameters."""
        subscription = self._node.create_subscription(
            MESSAGE_CLASSES[type_name], topic, callback, profile,
            qos_overriding_options=QoSOverridingOptions.with_default_policies())
        self._types[subscription.topic_name] = type_name
        return subscription

    def _publishers(self, entities):
        """Return the full name of each entity's topic, and who publishes on it."""
        return [(entity.topic_name, self._node.get_publishers_info_by_topic(entity.topic_name))
                for entity in entities]

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

"""A topic by which a robot says that it does what it is sent."""

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.nodes.topic_watch import several, wrong_type
from rclpy.exceptions import InvalidTopicNameException
from rclpy.qos import QoSProfile
from rclpy.validate_topic_name import validate_topic_name
from std_msgs.msg import Bool

TYPE = 'std_msgs/msg/Bool'


class ReadyTopic:
    """
    Knows the last word of a robot's driver, latched or not, for as long as that is there.

    Drivers say it when it changes, so that silence is no fault. A word of somebody who is gone, or
    one of two, is none.

    :ivar objection: Why the robot is not ready, in a sentence; empty while it is.
    """

    def __init__(self, node, topic, on_word):
        """
        Prepare; ``look`` listens.

        :param node: The node that listens.
        :param topic: Name of the topic.
        :param on_word: Called without arguments after each message.
        :raises ConfigError: for what can be no topic's name.
        """
        self._node, self._on_word = node, on_word
        try:
            validate_topic_name(topic)
        except InvalidTopicNameException as error:
            raise ConfigError(f'ready_topic is {topic!r}, which can be no name of a topic: '
                              f'{" ".join(str(error).split())}') from error
        self._topic = node.resolve_topic_name(topic)
        self._subscription, self._publishers, self._word = None, [], None
        self.objection = self._judge()

    def look(self) -> str:
        """
        Look who speaks; listen anew, and forget the last word, where others do than before.

        :return: The objection.
        """
        def gids(publishers):
            return sorted(tuple(publisher.endpoint_gid) for publisher in publishers)

        found = self._node.get_publishers_info_by_topic(self._topic)
        if gids(found) != gids(self._publishers):
            self._publishers, self._word = found, None
            self._listen()
        self.objection = self._judge()
        return self.objection

    def destroy(self):
        """Destroy the subscription."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _listen(self):
        """
        Subscribe as the one publisher offers, where there is one of the right type.

        Only a latched subscription hears what a latched publisher said before, and only one that
        is not hears a publisher that is not.
        """
        self.destroy()
        if [publisher.topic_type for publisher in self._publishers] == [TYPE]:
            offered = self._publishers[0].qos_profile
            self._subscription = self._node.create_subscription(
                Bool, self._topic, self._on_message,
                QoSProfile(depth=1, reliability=offered.reliability,
                           durability=offered.durability))

    def _on_message(self, message):
        """Take over a word."""
        self._word = message.data
        self.objection = self._judge()
        self._on_word()

    def _judge(self):
        """Return the objection as things are."""
        if not self._publishers:
            return (f'nobody publishes {self._topic} (ready_topic): start the driver of the '
                    'robot, or correct the name')
        wrong = wrong_type(self._topic, self._publishers, TYPE,
                           said_by=self._node.get_name())
        if wrong:
            return f'{wrong}; correct ready_topic'
        if len(self._publishers) > 1:
            return f'{several(self._topic, self._publishers)}; only one may say that it is ready'
        if self._word is None:
            return f'{self._topic} has said nothing yet: is the robot ready?'
        return '' if self._word else f'{self._topic} says that the robot is not ready'

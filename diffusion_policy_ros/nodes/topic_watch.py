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

"""Who else is on a robot's topics: what subscriptions cannot tell."""

AS_AGREED = 'as the contract says'


class TopicWatch:
    """
    Looks at the publishers on a policy's topics.

    A message of another type is never delivered, and messages of two publishers cannot be told
    apart, so that neither shows in what arrives.
    """

    def __init__(self, node, contract):
        """
        Prepare; nobody is looked for yet.

        :param node: A node that publishes every output of the contract itself.
        :param contract: ``RobotContract``.
        """
        entries = (*contract.policy_observations, *contract.actions)
        self._types = {node.resolve_topic_name(entry.topic): entry.type for entry in entries}
        self._node = node
        self._told = set()

    def look(self) -> str:
        """Return what is wrong now, else ``AS_AGREED``; log what was not wrong before."""
        complaints = [text for text in map(self._complaint, self._types) if text]
        for text in complaints:
            if text not in self._told:
                self._node.get_logger().warning(text)
        self._told.update(complaints)
        return '; '.join(complaints) or AS_AGREED

    def _complaint(self, topic):
        """Say what is wrong with a topic's publishers; an empty text when nothing is."""
        publishers = self._node.get_publishers_info_by_topic(topic)
        wrong = wrong_type(topic, publishers, self._types[topic])
        if wrong:
            return f'{wrong}; correct the contract, or remap the topic'
        if len(publishers) > 1:
            return (f'{several(topic, publishers)}; their messages mix unless only one of them '
                    'is active')
        return ''


def wrong_type(topic, publishers, wanted, *, said_by='the contract') -> str:
    """
    Say that a topic carries another type, an empty text when it does not.

    :param topic: Full name of the topic.
    :param publishers: What ROS knows about its publishers.
    :param wanted: The type that it should be.
    :param said_by: Who says so.
    """
    others = sorted({publisher.topic_type for publisher in publishers} - {wanted})
    return f'{topic} carries {others[0]}, {said_by} says {wanted}' if others else ''


def publisher_names(publishers) -> tuple:
    """
    Return the full names of the nodes that publish, one for each publisher.

    :param publishers: What ROS knows about a topic's publishers.
    """
    return tuple(sorted(f'{p.node_namespace.rstrip("/")}/{p.node_name}' for p in publishers))


def several(topic, publishers) -> str:
    """
    Say that a topic has several publishers, and which.

    :param topic: Full name of the topic.
    :param publishers: What ROS knows about its publishers.
    """
    return shared([topic], publisher_names(publishers))


def shared(topics, names) -> str:
    """
    Say that topics have the same several publishers, and which.

    :param topics: Full names of the topics.
    :param names: What ``publisher_names`` returned.
    """
    verb = 'has' if len(topics) == 1 else 'have'
    return f'{", ".join(topics)} {verb} {len(names)} publishers: {", ".join(names)}'

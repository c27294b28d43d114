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

"""Who sends and who takes the commands of a contract's outputs on a live robot."""

from diffusion_policy_ros.evaluation.live.near_names import near_topics, remedy_for
from diffusion_policy_ros.finding import Finding
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.topic_watch import publisher_names, several, wrong_type
from rclpy.qos import qos_check_compatible, QoSCompatibility, QoSProfile

# Nodes that subscribe to whatever is there and move nothing; this one's own name is added.
ONLOOKERS = ('recorder', 'rosbag2_recorder', 'demo_observer', 'eval_observer', 'bench_observer',
             'rviz', 'rviz2', 'foxglove_bridge', 'rosbridge_websocket', 'rqt_gui_py_node',
             '_ros2cli')
INFINITE_NS = 2**62
NO_LISTENER = ('nobody listens: commands go nowhere', 'start its controller (ros2 control '
               'list_controllers shows what is active), or correct the topic in the contract')
PAST_SAFETY = ('policy_server commands it directly, past command_safety',
               'start it with command_prefix: policy, as policy.launch.py does')


def output_findings(node, output) -> list:
    """
    Return what is wrong with the sides of a command topic; one line that says OK if nothing is.

    :param node: The node that looks, and never publishes.
    :param output: ``ActionOutput``.
    """
    topic = node.resolve_topic_name(output.topic)
    senders = node.get_publishers_info_by_topic(topic)
    takers = listeners(node, topic)
    found = []
    if not takers:
        near = near_topics(topic, output.type, _listened_topics(node))
        found = [(NO_LISTENER[0], remedy_for(output.topic, near) or NO_LISTENER[1], 'ERROR')]
    wrong = wrong_type(topic, takers, output.type)
    if wrong:
        found.append((f'its listener: {wrong}', 'correct the contract, or the controller',
                      'ERROR'))
    obeying = publisher_names(one for one in takers if one.topic_type == output.type)
    if len(obeying) > 1:
        found.append((f'has {len(obeying)} takers: {", ".join(obeying)}',
                      'each of them may move something: end all but one, or give each robot a '
                      'namespace or a ROS domain', 'WARN'))
    if len(senders) > 1:
        found.append((several(topic, senders).removeprefix(f'{topic} '),
                      'end all of them but one', 'WARN'))
    names = publisher_names(senders)
    if any(name.endswith('/policy_server') for name in names):
        found.append((*PAST_SAFETY, 'WARN'))
    found += [(text, 'give both sides the same reliability and durability', 'ERROR')
              for text in _deaf_pairs(senders, takers)]
    if found:
        return [Finding(level, topic, value, remedy) for value, remedy, level in found]
    return [Finding('OK', topic, f'taken by {", ".join(publisher_names(takers))}; sent by '
                    f'{", ".join(names) or "nobody yet"}')]


def listeners(node, topic) -> list:
    """
    Return what ROS knows about the subscriptions by which a command may move something.

    :param node: The node that looks, which is left out.
    :param topic: Full name of the topic.
    """
    return [one for one in node.get_subscriptions_info_by_topic(topic)
            if not one.node_name.startswith((node.get_name(), *ONLOOKERS))]


def _listened_topics(node):
    """Return the topics that somebody else listens to, with their types."""
    return {name: types for name, types in node.get_topic_names_and_types()
            if listeners(node, name)}


def _deaf_pairs(senders, takers):
    """Return a sentence for each listener that will not hear a sender, or the nodes to come."""
    offers = [('command_safety and policy_server offer', qos.COMMANDS),
              *((f'{name} offers', sender.qos_profile)
                for sender in senders for name in publisher_names([sender]))]
    found = []
    for taker in takers:
        for who, offered in offers:
            compatibility, reason = qos_check_compatible(_plain(offered),
                                                         _plain(taker.qos_profile))
            if compatibility == QoSCompatibility.ERROR:
                words = reason.replace('ERROR: ', ' ').strip('; ')
                found.append(f'{publisher_names([taker])[0]} asks for more than {who}, and hears '
                             f'nothing: {words}')
    return found


def _plain(profile):
    """Return a profile with what does not limit left out: the graph tells it as infinite."""
    times = {name: getattr(profile, name) for name in ('deadline', 'liveliness_lease_duration')}
    return QoSProfile(
        depth=1, reliability=profile.reliability, durability=profile.durability,
        liveliness=profile.liveliness,
        **{name: value for name, value in times.items() if 0 < value.nanoseconds < INFINITE_NS})

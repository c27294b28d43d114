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

"""Strangers on a policy's topics are named once in the log, and as long as they are there."""

from pathlib import Path
from types import SimpleNamespace

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.nodes.topic_watch import AS_AGREED, TopicWatch
import pytest

CONTRACT = Path(__file__).parents[2] / 'config/robots/pusht.yaml'
IMAGE, JOINTS = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/JointState'


class Node:
    """Stands in for a node of the namespace ``/arm``: knows publishers, keeps what it logs."""

    def __init__(self):
        self.publishers, self.logs = {}, []

    def publish(self, topic, message_type, name):
        self.publishers.setdefault(topic, []).append(SimpleNamespace(
            topic_type=message_type, node_name=name, node_namespace='/'))

    def resolve_topic_name(self, topic):
        return f'/arm/{topic}'

    def get_publishers_info_by_topic(self, topic):
        return self.publishers.get(topic, [])

    def get_logger(self):
        return SimpleNamespace(warning=self.logs.append)


@pytest.fixture
def node():
    node = Node()
    node.publish('/arm/camera/image_raw', IMAGE, 'camera')
    node.publish('/arm/joint_states', JOINTS, 'driver')
    node.publish('/arm/joint_commands', JOINTS, 'policy_server')
    return node


@pytest.fixture
def watch(node):
    return TopicWatch(node, load_contract(CONTRACT))


def test_one_publisher_of_the_right_type_on_every_topic_is_as_agreed(node, watch):
    assert watch.look() == AS_AGREED and not node.logs


def test_silence_is_not_its_business(watch, node):
    node.publishers.clear()
    assert watch.look() == AS_AGREED


def test_another_type_is_named(node, watch):
    node.publishers['/arm/joint_states'].clear()
    node.publish('/arm/joint_states', 'std_msgs/msg/String', 'driver')
    assert watch.look().startswith('/arm/joint_states carries std_msgs/msg/String, the contract '
                                   'says sensor_msgs/msg/JointState')


@pytest.mark.parametrize('topic', ['/arm/joint_states', '/arm/joint_commands'])
def test_a_second_publisher_is_named_for_inputs_and_for_commands(node, watch, topic):
    node.publish(topic, JOINTS, 'stranger')
    assert f'{topic} has 2 publishers' in watch.look() and '/stranger' in watch.look()


def test_a_stranger_is_logged_once_and_told_until_it_goes(node, watch):
    node.publish('/arm/joint_states', JOINTS, 'stranger')
    told = [watch.look() for _ in range(3)]
    assert len(set(told)) == 1 and node.logs == told[:1]
    node.publishers['/arm/joint_states'].pop()
    assert watch.look() == AS_AGREED

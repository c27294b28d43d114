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

"""One recorded topic: which of its messages could not become data, without a middleware."""

from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.contract import parse_contract  # noqa: E402,I100
from diffusion_policy_ros.nodes.recorded_stream import recorded_streams  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

CONTRACT = parse_contract("""
robot: test
rate_hz: 10
observations:
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [a], stamp: receive, max_age_ms: 100}
  - {key: observation.speed, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [a], field: velocity, stamp: receive, max_age_ms: 100}
actions:
  - {topic: command, type: sensor_msgs/msg/JointState, joints: [a], label: next_state}
""")


class Node:
    """Stands in for a node: messages are handed to the subscriptions, the clock is set."""

    def __init__(self):
        self.now_ns, self.send = 5, {}

    def create_subscription(self, kind, topic, callback, profile, *, raw, event_callbacks):
        """Remember whom to call."""
        assert raw
        self.send[topic] = lambda message: callback(serialize_message(message))

    def resolve_topic_name(self, topic):
        return f'/{topic}'

    def get_publishers_info_by_topic(self, topic):
        return []

    def get_clock(self):
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=self.now_ns))


@pytest.fixture
def node():
    return Node()


@pytest.fixture
def heard():
    return []


@pytest.fixture
def streams(node, heard):
    found = recorded_streams(node, CONTRACT, lambda *arguments: heard.append(arguments))
    return {stream.topic: stream for stream in found}


def test_each_topic_is_subscribed_once_and_messages_carry_their_arrival(node, streams, heard):
    assert set(streams) == set(node.send) == {'joint_states', 'command'}
    message = JointState(name=['a'])
    node.send['joint_states'](message)
    assert heard == [(streams['joint_states'], serialize_message(message), 5)]


def test_every_entry_that_reads_a_topic_judges_its_newest_message(node, streams):
    stream = streams['joint_states']
    assert stream.misfit() == ''
    node.send['joint_states'](JointState(name=['a'], position=[1.0]))
    assert 'velocity' in stream.misfit()
    node.send['joint_states'](JointState(name=['a'], position=[1.0], velocity=[0.0]))
    assert stream.misfit() == ''


def test_commands_that_no_row_is_made_from_are_not_judged(node, streams):
    node.send['command'](JointState(name=['z']))
    assert streams['command'].misfit() == ''


def test_messages_from_before_the_first_clock_are_not_judged(node, streams):
    node.now_ns = 0
    node.send['joint_states'](JointState(name=['z']))
    assert streams['joint_states'].misfit() == ''

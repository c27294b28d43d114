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

from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.contract import parse_contract  # noqa: E402,I100
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.recorded_stream import doubts, recorded_streams  # noqa: E402
from diffusion_policy_ros.nodes.recorder_episode import obstacles_to_start  # noqa: E402
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
        self.now_ns, self.send, self.publishers, self.is_simulated = 5, {}, [], False
        self.send_bytes, self.profiles = {}, {}

    def create_subscription(self, kind, topic, callback, profile, *, raw, event_callbacks):
        """Remember whom to call."""
        assert raw
        self.profiles[topic] = profile
        self.send_bytes[topic] = lambda data, received_ns=0: callback(
            data, {'received_timestamp': received_ns})
        self.send[topic] = lambda message, received_ns=0: self.send_bytes[topic](
            serialize_message(message), received_ns)

    def resolve_topic_name(self, topic):
        return f'/{topic}'

    def get_publishers_info_by_topic(self, topic):
        return self.publishers

    def destroy_subscription(self, subscription):
        pass

    def get_clock(self):
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=self.now_ns),
                               ros_time_is_active=self.is_simulated)


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


@pytest.mark.parametrize('received_ns, is_simulated, dated_ns', [
    (400, False, 400), (0, False, 1000), (1500, False, 1000), (400, True, 1000)])
def test_messages_are_dated_by_the_middleware_where_it_knows_the_clock(
        node, streams, heard, received_ns, is_simulated, dated_ns):
    node.now_ns, node.is_simulated = 1000, is_simulated
    node.send['joint_states'](JointState(name=['a']), received_ns)
    assert heard[-1][2] == dated_ns


def test_where_rclpy_does_not_say_when_a_message_was_received_it_is_dated_when_taken(
        node, heard, monkeypatch):
    monkeypatch.setattr('diffusion_policy_ros.nodes.arrival.TELLS_ARRIVAL', False)
    monkeypatch.setattr(node, 'create_subscription', lambda kind, topic, callback, profile, **_:
                        node.send.update({topic: callback}))
    recorded_streams(node, CONTRACT, lambda *arguments: heard.append(arguments))
    node.send['joint_states'](b'')  # ROS 2 Humble passes nothing else
    assert heard[-1][2] == 5


def test_another_quality_of_service_is_taken_up_and_told_once(node, streams):
    stream = streams['joint_states']
    assert not stream.adapt()
    node.publishers = [_publisher('driver')]
    assert stream.adapt() and not stream.adapt()


@pytest.mark.parametrize('offered, wanted', [
    ([qos.EVENTS], qos.EVENTS), ([qos.IMAGES], qos.IMAGES), ([qos.EVENTS, qos.IMAGES], qos.IMAGES),
    ([qos.STATUS], qos.STATUS), ([qos.STATUS, qos.EVENTS], qos.EVENTS), ([], qos.IMAGES)])
def test_a_subscription_asks_for_what_every_publisher_offers(node, streams, offered, wanted):
    node.publishers = [_publisher('driver')]
    streams['joint_states'].adapt()
    node.publishers = [_publisher('driver', profile) for profile in offered]
    streams['joint_states'].adapt()
    profile = node.profiles['joint_states']
    assert (profile.reliability, profile.durability) == (wanted.reliability, wanted.durability)


@pytest.mark.parametrize('first, later, is_deaf', [
    (qos.EVENTS, qos.IMAGES, True), (qos.STATUS, qos.EVENTS, True),
    (qos.IMAGES, qos.EVENTS, False), (qos.EVENTS, qos.STATUS, False)])
def test_a_subscription_is_deaf_to_who_offers_less(node, streams, first, later, is_deaf):
    node.publishers = [_publisher('driver', first)]
    streams['joint_states'].adapt()
    assert not streams['joint_states'].is_deaf()
    node.publishers = [_publisher('driver', later)]
    assert streams['joint_states'].is_deaf() == is_deaf


def test_publishers_that_changed_just_now_let_no_episode_begin_before_they_are_heard(
        node, streams, tmp_path):
    for topic in streams:
        node.send[topic](JointState(name=['a'], position=[1.0], velocity=[0.0]))
    node.publishers = [_publisher('driver')]
    said = obstacles_to_start(streams.values(), tmp_path, 5)
    assert said == [f'{", ".join(streams)} were just subscribed to anew, for the publishers have '
                    'changed; start again']
    assert obstacles_to_start(streams.values(), tmp_path, 5) == []


def test_several_publishers_are_a_doubt_and_no_obstacle(node, streams):
    command = streams['command']
    node.publishers = [_publisher('policy_server')]
    assert doubts([command]) == [] and command.problem() == ''
    node.publishers.append(_publisher('teleop'))
    assert doubts([command]) == ['/command has 2 publishers: /policy_server, /teleop; their '
                                 'messages are recorded as one stream']
    assert command.problem() == ''


def test_topics_of_the_same_publishers_are_told_of_together(node, streams):
    node.publishers = [_publisher('one_robot'), _publisher('another')]
    assert doubts(streams.values()) == [
        f'/{", /".join(streams)} have 2 publishers: /another, /one_robot; their messages are '
        'recorded as one stream']


def test_a_topic_that_was_subscribed_to_anew_is_not_said_to_be_silent(node, streams, tmp_path):
    node.publishers = [_publisher('driver')]
    anew, = obstacles_to_start([streams['joint_states']], tmp_path, 5)
    assert anew == ('joint_states was just subscribed to anew, for the publishers have changed; '
                    'start again')
    silent, = obstacles_to_start([streams['joint_states']], tmp_path, 5)
    assert 'nothing has arrived yet' in silent


def _publisher(name, profile=qos.EVENTS):
    """Return what ROS knows about a publisher."""
    return SimpleNamespace(
        node_name=name, node_namespace='/', topic_type='sensor_msgs/msg/JointState',
        qos_profile=profile)


@pytest.mark.parametrize('counts, alarms', [((5, 20), 1), ((0, 20), 0), ((0, 0), 0)])
def test_the_strictest_of_two_readings_holds(node, counts, alarms):
    first, second = (replace(entry, frozen_after=count)
                     for entry, count in zip(CONTRACT.observations, counts))
    contract = replace(CONTRACT, observations=(first, second))
    streams = recorded_streams(node, contract, lambda *arguments: None)
    quality, = (stream.quality for stream in streams if stream.topic == 'joint_states')
    quality.begin(node.now_ns)
    for _ in range(10):
        node.now_ns += 1_000_000
        node.send['joint_states'](JointState(name=['a']))
    assert quality.counts().get('frozen', 0) == alarms


def test_every_entry_that_reads_a_topic_judges_its_newest_message(node, streams):
    stream = streams['joint_states']
    assert stream.misfit() == ''
    node.send['joint_states'](JointState(name=['a'], position=[1.0]))
    assert 'velocity' in stream.misfit()
    node.send['joint_states'](JointState(name=['a'], position=[1.0], velocity=[0.0]))
    assert stream.misfit() == ''


def test_a_fault_that_was_heard_long_ago_may_be_mended(node, streams, monkeypatch):
    stream = streams['joint_states']
    node.send['joint_states'](JointState(name=['z']))
    assert 'heard' not in stream.misfit()
    monkeypatch.setattr(stream, 'age_s', lambda: 12.4)
    assert stream.misfit().endswith(' (heard 12 s ago; send another)')


def test_bytes_that_are_no_message_are_a_misfit(node, streams):
    node.send_bytes['joint_states'](b'\x00\x01\x00\x00' + b'\xff' * 40)
    assert streams['joint_states'].misfit().startswith(
        'topic joint_states: a message is no sensor_msgs/msg/JointState of this machine')


def test_commands_that_no_row_is_made_from_are_not_judged(node, streams):
    node.send['command'](JointState(name=['z']))
    assert streams['command'].misfit() == ''


def test_messages_from_before_the_first_clock_are_not_judged(node, streams):
    node.now_ns = 0
    node.send['joint_states'](JointState(name=['z']))
    assert streams['joint_states'].misfit() == ''

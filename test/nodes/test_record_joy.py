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


"""A joystick's buttons record: once per press, and only those that were given a meaning."""

import shutil
from types import SimpleNamespace

import pytest

rclpy = pytest.importorskip('rclpy')
from diffusion_policy_ros.nodes import qos  # noqa: E402,I100
from diffusion_policy_ros.nodes.recorder import Recorder  # noqa: E402
from diffusion_policy_ros.nodes.recorder_joy import JoyButtons  # noqa: E402
from diffusion_policy_ros.nodes.recorder_parameters import BUTTONS  # noqa: E402
from hypothesis import given, strategies as st  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import JointState, Joy  # noqa: E402

DOMAIN_ID = 24
CONTRACT = """
robot: test
rate_hz: 10
observations:
  - {key: observation.state, topic: joints, type: sensor_msgs/msg/JointState, joints: [a],
     stamp: receive, max_age_ms: 300}
actions:
  - {topic: joints, type: sensor_msgs/msg/JointState, joints: [a], label: next_state}
"""
SETTINGS = {'joy_start_stop': 0, 'joy_success': 1, 'joy_fail': 2, 'joy_discard': 3,
            'joy_discard_last': 4}


class Node:
    """Stands in for a node."""

    def __init__(self):
        self.warned = []

    def create_subscription(self, kind, topic, callback, profile):
        """Keep whom to call."""
        self.send = lambda buttons: callback(Joy(buttons=buttons))

    def resolve_topic_name(self, topic):
        return f'/{topic}'

    def get_logger(self):
        return SimpleNamespace(warning=lambda text, **_: self.warned.append(text))


@pytest.fixture
def recorder(peer, tmp_path):
    """Start a recorder and what it records."""
    path = tmp_path / 'contract.yaml'
    path.write_text(CONTRACT)
    joints = peer.node.create_publisher(JointState, 'joints', qos.EVENTS)
    peer.node.create_timer(0.02, lambda: joints.publish(JointState(name=['a'], position=[1.0])))
    node = peer.start(Recorder, contract=str(path), output=str(tmp_path / 'bags'), **SETTINGS)
    peer.until(lambda: node.start().success, 'joints')
    assert node.discard().success
    shutil.rmtree(tmp_path / 'bags')  # as if there had been none
    return node


@pytest.fixture
def joy(peer, recorder):
    """Return a function that shows which buttons are held, as often as a joystick does."""
    publisher = peer.node.create_publisher(Joy, 'joy', qos.EVENTS)
    peer.until(lambda: publisher.get_subscription_count() == 1, 'a listener')
    heard = []
    subscription, = (s for s in recorder.subscriptions if s.topic_name == '/joy')
    on_joy = subscription.callback

    def hold(*numbers, count=5):
        """Send so many messages, each when the one before was heard."""
        for _ in range(count):
            before = len(heard)
            publisher.publish(Joy(buttons=[int(k in numbers) for k in range(6)]))
            peer.until(lambda: len(heard) > before, 'the buttons')

    subscription.callback = lambda message: (heard.append(message), on_joy(message))
    return hold


def test_buttons_start_and_end_episodes(recorder, joy, tmp_path):
    bags = tmp_path / 'bags'
    joy()
    joy(0)
    assert recorder.is_recording
    joy(0, count=20)
    assert recorder.is_recording  # held is not pressed again
    joy()
    joy(0)
    assert not recorder.is_recording and (bags / 'episode_000000' / 'metadata.yaml').exists()
    for button, outcome in ((1, 'success'), (2, 'failure')):
        joy()
        joy(0)
        joy(0, button)
        assert not recorder.is_recording
        assert f'outcome: {outcome}' in (
            bags / f'episode_{button:06d}' / 'metadata.yaml').read_text()
    joy(4)
    assert (bags / 'discarded' / 'episode_000002').exists()
    joy()
    joy(0)
    joy(3)
    assert not recorder.is_recording and not (bags / 'episode_000003').exists()
    assert (bags / 'discarded' / 'episode_000003').exists()


def test_a_button_that_is_held_when_the_recorder_starts_is_no_press(recorder, joy):
    joy(0)
    assert not recorder.is_recording
    joy()
    joy(0)
    assert recorder.is_recording


def test_buttons_may_change_while_it_runs_and_none_twice(recorder, joy):
    joy()
    refused, = recorder.set_parameters([Parameter('joy_fail', value=1)])
    assert not refused.successful
    assert refused.reason == 'joy_success and joy_fail are the same button; give each its own'
    assert recorder.set_parameters([Parameter('joy_start_stop', value=5)])[0].successful
    joy(0)
    assert not recorder.is_recording
    joy(5)
    assert recorder.is_recording


def test_a_button_that_the_joystick_does_not_have_is_told():
    node = Node()
    JoyButtons(node, {**SETTINGS, 'joy_fail': 9}, lambda name: None)
    node.send([0] * 6)
    assert node.warned == ['joy_fail is button 9, but /joy has 6 buttons, numbered from 0; set '
                           'joy_fail to one of them, or to -1']


@given(st.lists(st.lists(st.integers(0, 1), min_size=4, max_size=7), max_size=40),
       st.permutations([0, 1, 2, 3, -1]))
def test_each_press_counts_once_whatever_the_messages_are(messages, numbers):
    node, settings, pressed = Node(), dict(zip(BUTTONS, numbers)), []
    JoyButtons(node, settings, pressed.append)
    for message in messages:
        node.send(message)
    expected = [name for before, now in zip(messages, messages[1:]) for name in BUTTONS
                if settings[name] >= 0 and (before[settings[name]], now[settings[name]]) == (0, 1)]
    assert pressed == expected

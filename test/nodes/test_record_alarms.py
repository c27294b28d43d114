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


"""Alarms of the recorder, raised by a real publisher that misbehaves."""

from collections import namedtuple
import os
import subprocess
import sys

import pytest

rclpy = pytest.importorskip('rclpy')
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402,I100
from diffusion_policy_ros.data.bags.bag_reader import open_bag  # noqa: E402
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag  # noqa: E402
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.recorder import Recorder  # noqa: E402
from diffusion_policy_ros.nodes.subscription_events import (  # noqa: E402
    UnsupportedEventTypeError)
from sensor_msgs.msg import Image, JointState  # noqa: E402

DOMAIN_ID = 22
PERIOD_S = 0.02

CONTRACT = """
robot: test
rate_hz: 10
observations:
  - {key: observation.images.cam, topic: cam, type: sensor_msgs/msg/Image,
     image: {height: 12, width: 16}, max_age_ms: 300}
  - {key: observation.state, topic: joints, type: sensor_msgs/msg/JointState, joints: [a, b],
     max_age_ms: 300}
actions:
  - {topic: cmd, type: sensor_msgs/msg/JointState, joints: [a, b], max_age_ms: 300}
"""

# Publishes pictures that do not fit into the default shared memory, faster than they are read.
FLOOD = """
import array, time
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('flood')
publisher = node.create_publisher(Image, 'cam', qos_profile_sensor_data)
message = Image(height=500, width=600, encoding='rgb8', step=1800)
message.data = array.array('B', bytes(900_000))
message.header.stamp.sec = 1
while True:
    publisher.publish(message)
    time.sleep(0.003)
"""


class Robot:
    """
    Publishes a camera and joints at 50 Hz; how the camera misbehaves can be set.

    :ivar is_silent: Whether none is sent.
    :ivar is_frozen: Whether all pictures are the same.
    :ivar age_s: How far its stamps are in the past.
    """

    def __init__(self, peer):
        self._node, self._count = peer.node, 0
        self._cam = peer.node.create_publisher(Image, 'cam', qos.EVENTS)
        self._joints = peer.node.create_publisher(JointState, 'joints', qos.EVENTS)
        self._cmd = peer.node.create_publisher(JointState, 'cmd', qos.EVENTS)
        self.is_silent, self.is_frozen, self.age_s = False, False, 0
        peer.node.create_timer(PERIOD_S, self._publish)

    def _publish(self):
        """Send what is due."""
        now_s = self._node.get_clock().now().nanoseconds / 1e9
        joints = JointState(name=['a', 'b'], position=[0.1, 0.2])
        _stamp(joints, now_s)
        self._joints.publish(joints)
        self._cmd.publish(joints)
        if self.is_silent:
            return
        self._count += not self.is_frozen
        picture = Image(height=12, width=16, encoding='rgb8', step=48,
                        data=self._count.to_bytes(4, 'little') * 144)
        _stamp(picture, now_s - self.age_s)
        self._cam.publish(picture)


def _stamp(message, stamp_s):
    """Write a header's time."""
    message.header.stamp.sec = int(stamp_s)
    message.header.stamp.nanosec = int(stamp_s % 1 * 1e9)


@pytest.fixture
def robot(peer):
    return Robot(peer)


@pytest.fixture
def path(tmp_path):
    """Write the contract."""
    file = tmp_path / 'contract.yaml'
    file.write_text(CONTRACT)
    return file


class Recording:
    """A recorder that is recording, and what it says."""

    def __init__(self, peer, path, **parameters):
        self.peer, self.bags = peer, path.parent / 'bags'
        self.status = peer.hear(DiagnosticStatus, 'recorder/status', qos.STATUS)
        peer.start(Recorder, contract=str(path), output=str(self.bags), **parameters)
        self.start()

    def start(self):
        """Begin an episode."""
        self.peer.until(lambda: self.peer.ask('recorder/start')[0], 'the start')

    def facts(self):
        return {pair.key: pair.value for pair in self.status[-1].values} if self.status else {}

    def until_told(self, words):
        """Wait for an alarm in the status."""
        self.peer.until(lambda: words in self.facts().get('alarms', ''),
                        lambda: f'after {self.facts()}, the alarm {words!r}', 20.0)

    def diagnosis(self):
        """Return the facts of the camera in /diagnostics."""
        reports = self.peer.hear(DiagnosticArray, '/diagnostics', qos.EVENTS)
        self.peer.until(lambda: reports, 'diagnostics')
        entry, = (e for e in reports[-1].status if e.name == 'recorder: cam')
        return {pair.key: pair.value for pair in entry.values}

    def stored(self, name='episode_000000'):
        """Stop, and return the alarms in the bag."""
        success, message = self.peer.ask('recorder/stop')
        assert success, message
        with open_bag(self.bags / name) as bag:
            return bag.custom_data['alarms'].splitlines()


def test_a_camera_that_misbehaves_raises_alarms_and_the_bag_holds_them(peer, path, robot):
    """Each kind of alarm: ``test_stream_quality.py``."""
    recording = Recording(peer, path, discard_on='disk')  # others do not move the episode
    said = {'frozen': '30 or more equal messages in a row', 'age': 'older than 300 ms on arrival',
            'gap': 'silent for more than 300 ms', 'clock_skew': 'stamped after the arrival'}
    robot.is_frozen = True
    recording.until_told(said['frozen'])
    assert any('frozen on /cam: ' in text.message for text in recording.status)
    robot.is_frozen, robot.age_s = False, 0.5
    recording.until_told(said['age'])
    robot.age_s = -0.5
    recording.until_told(said['clock_skew'])
    robot.is_silent = True
    recording.until_told(said['gap'])
    told = recording.diagnosis()
    assert all(int(told[f'alarm.{name}']) > 0 for name in said)
    stored = recording.stored()
    for name, words in said.items():
        assert sum(line.startswith(f'{name} on /cam: ') and words in line
                   for line in stored) == 1, name


def test_pictures_that_the_middleware_loses_raise_the_alarm(peer, path, robot):
    robot.is_silent = True
    path.write_text(CONTRACT.replace('height: 12, width: 16', 'height: 500, width: 600'))
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID)}
    environment.pop('FASTDDS_DEFAULT_PROFILES_FILE', None)
    flood = subprocess.Popen([sys.executable, '-c', FLOOD], env=environment)
    try:
        Recording(peer, path).until_told('dropped on /cam: the middleware lost ')
    finally:
        flood.kill()
        flood.wait()


def test_a_middleware_that_does_not_say_what_it_lost_is_no_obstacle(
        peer, path, robot, monkeypatch):
    original = Recorder.create_subscription

    def refuse(node, *arguments, event_callbacks=None, **options):
        if event_callbacks is not None and event_callbacks.message_lost:
            raise UnsupportedEventTypeError('not here')
        return original(node, *arguments, event_callbacks=event_callbacks, **options)

    monkeypatch.setattr(Recorder, 'create_subscription', refuse)
    Recording(peer, path).stored()


def test_a_disk_that_is_full_soon_and_behind_raises_the_alarm(peer, path, robot, monkeypatch):
    monkeypatch.setattr(EpisodeBag, 'late_s', 3.2)
    recording = Recording(peer, path)
    peer.until(lambda: recording.facts().get('disk_minutes_left', 'unknown') != 'unknown',
               'how long it lasts')
    assert float(recording.facts()['disk_minutes_left']) > 0
    usage = namedtuple('usage', ['total', 'used', 'free'])(10**9, 0, 99 * 10**6)
    monkeypatch.setattr('shutil.disk_usage', lambda place: usage)
    behind = 'is up to 3.2 s behind the recording; a power loss costs as much'
    recording.until_told('disk: 99 MB free')
    recording.until_told(behind)
    assert recording.facts()['disk_free_mb'] == '99'
    stored = recording.stored()
    assert any(line.startswith('disk: 99 MB free') for line in stored)
    assert any(line.startswith('disk: the disk of ') and line.endswith(behind) for line in stored)


def test_an_alarm_that_nobody_wants_moves_the_episode_and_says_so_loudly(peer, path, robot):
    recording = Recording(peer, path, discard_on='gap, frozen')
    robot.is_frozen = True
    recording.until_told('frozen on /cam')
    success, message = peer.ask('recorder/success')
    place = recording.bags / 'discarded' / 'episode_000000'
    assert success and message.startswith('episode 0 was DISCARDED for the alarm ')
    assert f'frozen and lies in {place}; ' in message and '; frozen on /cam: ' in message
    peer.until(lambda: recording.status[-1].level == DiagnosticStatus.ERROR, 'the loud status')
    assert 'DISCARDED' in recording.status[-1].message
    with open_bag(place) as bag:
        assert 'frozen on /cam' in bag.custom_data['alarms']
    assert not (recording.bags / 'episode_000000').exists()
    robot.is_frozen = False
    recording.start()
    peer.until(lambda: int(recording.facts()['messages']) > 30, 'commands')
    assert not any('frozen' in line for line in recording.stored('episode_000001'))

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


"""Every alarm of the recorder, raised by a real publisher that misbehaves."""

from collections import namedtuple
import os
from pathlib import Path
import subprocess
import sys
import time

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
ROOT = Path(__file__).parents[2]
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
message = Image(height=12, width=16, encoding='rgb8', step=48)
message.data = array.array('B', bytes(900_000))
message.header.stamp.sec = 1
while True:
    publisher.publish(message)
    time.sleep(0.003)
"""


class Robot:
    """
    Publishes a camera and joints at 50 Hz; how the camera misbehaves can be set.

    :ivar every: Only every so many periods is a picture sent.
    :ivar is_silent: Whether none is sent.
    :ivar is_frozen: Whether all pictures are the same.
    :ivar age_s: How far its stamps are in the past.
    :ivar skip: How many stamps are left out before the next picture.
    """

    def __init__(self, peer):
        self._node, self._count, self._ticks = peer.node, 0, 0
        self._cam = peer.node.create_publisher(Image, 'cam', qos.EVENTS)
        self._joints = peer.node.create_publisher(JointState, 'joints', qos.EVENTS)
        self._cmd = peer.node.create_publisher(JointState, 'cmd', qos.EVENTS)
        self.every, self.is_silent, self.is_frozen, self.age_s, self.skip = 1, False, False, 0, 0
        self._stamp_s = 0.0
        peer.node.create_timer(PERIOD_S, self._publish)

    def _publish(self):
        """Send what is due; stamps are a grid, whatever the timer does."""
        self._ticks += 1
        now_s = self._node.get_clock().now().nanoseconds / 1e9
        joints = JointState(name=['a', 'b'], position=[0.1, 0.2])
        _stamp(joints, now_s)
        self._joints.publish(joints)
        self._cmd.publish(joints)
        if self.is_silent or self._ticks % self.every:
            return
        if abs(now_s - self._stamp_s) > 0.2:
            self._stamp_s = now_s
        self._stamp_s += PERIOD_S * self.every + self.skip * PERIOD_S
        self.skip = 0
        self._count += not self.is_frozen
        picture = Image(height=12, width=16, encoding='rgb8', step=48,
                        data=self._count.to_bytes(4, 'little') * 144)
        _stamp(picture, self._stamp_s - 0.02 - self.age_s)
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
        self.node = peer.start(Recorder, contract=str(path), output=str(self.bags), **parameters)
        stream, = (s for s in self.node._streams if s.topic == 'cam')
        peer.until(lambda: len(stream.quality._stamps._delays) >= 4, 'what is usual')
        peer.until(lambda: peer.ask('recorder/start')[0], 'the start')

    def facts(self):
        return {pair.key: pair.value for pair in self.status[-1].values} if self.status else {}

    def until_alarm(self, name, words=''):
        """Wait for an alarm in the status and in the diagnostics of the camera."""
        self.peer.until(lambda: words in self.facts().get('alarms', '')
                        and int(self.facts().get(f'alarm.{name}', 0)) > 0,
                        lambda: f'after {self.facts()}, the alarm {name} {words!r}', 20.0)
        assert any(f'{name} on /cam: ' in text.message for text in self.status)
        told = self.diagnosis()
        assert int(told[f'alarm.{name}']) > 0

    def diagnosis(self):
        """Return the facts of the camera in /diagnostics."""
        reports = self.peer.hear(DiagnosticArray, '/diagnostics', qos.EVENTS)
        self.peer.until(lambda: reports, 'diagnostics')
        entry, = (e for e in reports[-1].status if e.name == 'recorder: cam')
        return {pair.key: pair.value for pair in entry.values}

    def stored(self):
        """Stop, and return the alarms in the bag."""
        success, message = self.peer.ask('recorder/stop')
        assert success, message
        with open_bag(self.bags / 'episode_000000') as bag:
            return bag.custom_data['alarms'].splitlines()


def test_a_healthy_robot_raises_no_alarm_but_of_this_machines_own_delays(peer, path, robot):
    recording = Recording(peer, path)
    end_s = time.monotonic() + 2.5
    peer.until(lambda: time.monotonic() > end_s, 'some time')
    stored = recording.stored()
    # A machine that is busy with other tests may hold up the robot, or the disk.
    assert {line.split(' ')[0] for line in stored} <= {
        'gap', 'dropped', 'rate', 'clock_skew', 'disk:'}


@pytest.mark.parametrize('name, words, change', [
    ('rate', 'Hz below the', {'every': 3}),
    ('gap', 'silent for more than 300 ms', {'is_silent': True}),
    ('frozen', '30 or more equal messages in a row', {'is_frozen': True}),
    ('age', 'older than 300 ms on arrival', {'age_s': 0.5}),
    ('clock_skew', 'stamped after the arrival', {'age_s': -0.5}),
    ('clock_skew', 'arrival minus header stamp moved by +', {'age_s': 0.15}),
    ('dropped', 'the header stamps skip', {'skip': 4})])
def test_a_camera_that_misbehaves_raises_its_alarm_and_the_bag_holds_it(
        peer, path, robot, name, words, change):
    recording = Recording(peer, path)
    assert words not in recording.facts()['alarms']
    for what, value in change.items():
        setattr(robot, what, value)
    recording.until_alarm(name, words)
    assert sum(line.startswith(f'{name} on /cam: ') and words in line
               for line in recording.stored()) == 1


def test_pictures_that_the_middleware_loses_raise_the_alarm(peer, path, tmp_path):
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID)}
    environment.pop('FASTDDS_DEFAULT_PROFILES_FILE', None)
    flood = subprocess.Popen([sys.executable, '-c', FLOOD], env=environment)
    try:
        node = peer.start(Recorder, contract=str(path), output=str(tmp_path / 'bags'))
        stream, = (s for s in node._streams if s.topic == 'cam')
        stream.quality.begin(peer.node.get_clock().now().nanoseconds)
        peer.until(lambda: any('the middleware lost' in text
                               for text in stream.quality.sentences()), 'the loss')
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


def test_a_disk_that_will_be_full_raises_the_alarm(peer, path, robot, monkeypatch):
    recording = Recording(peer, path)
    usage = namedtuple('usage', ['total', 'used', 'free'])(10**9, 0, 99 * 10**6)
    monkeypatch.setattr('shutil.disk_usage', lambda place: usage)
    peer.until(lambda: 'disk: 99 MB free' in recording.facts().get('alarms', ''), 'the alarm')
    assert recording.facts()['disk_free_mb'] == '99'
    assert any(line.startswith('disk: 99 MB free') for line in recording.stored())


def test_a_disk_that_does_not_keep_up_raises_the_alarm(peer, path, robot, monkeypatch):
    monkeypatch.setattr(EpisodeBag, 'late_s', 3.2)
    recording = Recording(peer, path)
    words = 'is up to 3.2 s behind the recording; a power loss costs as much'
    peer.until(lambda: words in recording.facts().get('alarms', ''), 'the alarm')
    assert any(line.startswith('disk: the disk of ') and line.endswith(words)
               for line in recording.stored())


def test_how_long_the_disk_lasts_is_told(peer, path, robot):
    recording = Recording(peer, path)
    peer.until(lambda: recording.facts().get('disk_minutes_left', 'unknown') != 'unknown',
               'the minutes')
    assert float(recording.facts()['disk_minutes_left']) > 0


def test_an_alarm_that_nobody_wants_moves_the_episode_and_says_so_loudly(peer, path, robot):
    recording = Recording(peer, path, discard_on='gap, frozen')
    robot.is_frozen = True
    recording.until_alarm('frozen')
    success, message = peer.ask('recorder/success')
    place = recording.bags / 'discarded' / 'episode_000000'
    assert success and message.startswith(
        f'episode 0 was DISCARDED for the alarm frozen and lies in {place}; frozen on /cam')
    peer.until(lambda: recording.status[-1].level == DiagnosticStatus.ERROR, 'the loud status')
    assert 'DISCARDED' in recording.status[-1].message
    with open_bag(place) as bag:
        assert 'frozen on /cam' in bag.custom_data['alarms']
    assert not (recording.bags / 'episode_000000').exists()


def test_other_alarms_do_not_move_the_episode(peer, path, robot):
    recording = Recording(peer, path, discard_on='age')
    robot.is_frozen = True
    recording.until_alarm('frozen')
    assert any('frozen' in line for line in recording.stored())


def test_alarms_of_one_episode_are_not_those_of_the_next(peer, path, robot):
    recording = Recording(peer, path)
    robot.is_frozen = True
    recording.until_alarm('frozen')
    recording.stored()
    robot.is_frozen = False
    peer.until(lambda: peer.ask('recorder/start')[0], 'the start')
    peer.ask('recorder/stop')
    with open_bag(recording.bags / 'episode_000001') as bag:
        assert 'frozen' not in bag.custom_data['alarms']

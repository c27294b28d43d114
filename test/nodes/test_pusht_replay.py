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

"""Replayed rows come in one rhythm, a lead before their stamps, and make a clean recording."""

import struct
from unittest.mock import Mock

from diffusion_policy_ros.data.recorded import MOST_LEAD_NS
from diffusion_policy_ros.data.recording.stream_facts import QualityLimits, StreamFacts
from diffusion_policy_ros.data.recording.stream_quality import StreamQuality
import numpy as np
import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.nodes import recorder_client  # noqa: E402,I100
from diffusion_policy_ros.nodes.pusht_replay import (  # noqa: E402
    DONE, MOST_REPEATS, PAUSE_ROWS, PLAYING, Replay, SILENT, WAITING)
from diffusion_policy_ros.sim.pusht import PushT  # noqa: E402

STEP_NS, ROW_NS = 10_000_000, 100_000_000
NOON_NS = 1_795_000_000_000_000_000
START = np.array([0.1, 0.1, 0.3, 0.3, 0.0])
ACTIONS = np.linspace([0.1, 0.1], [0.2, 0.3], 12)


class Robot:
    """
    A replay of some demonstrations, each step of which is 10 ms.

    :ivar shown: (phase, instant of the step, stamp) of each picture.
    :ivar late_ns: How long after its instant a step is made.
    :ivar commands: The ``JointState`` that were commanded.
    """

    def __init__(self, count=1, record=False):
        self.node, topics = Mock(), Mock()
        recordings = Mock(rate_hz=10.0, demonstration=lambda number: (START, ACTIONS))
        self.replay = Replay(self.node, PushT(), topics, Mock(), recordings, range(count),
                             steps_per_s=100, record=record)
        self._pictures, self.shown, self.instant_ns = topics.show_camera, [], NOON_NS
        self.late_ns = 0

    def step(self):
        """Make a step."""
        before = self._pictures.call_count
        self.node.get_clock().now().nanoseconds = self.instant_ns + self.late_ns
        self.replay.begin_step(self.instant_ns)
        self.shown += [(self.replay.phase, self.instant_ns, call.args[0])
                       for call in self._pictures.call_args_list[before:]]
        self.instant_ns += STEP_NS

    def play(self):
        """Make all steps; there are not many."""
        for _ in range(100_000):
            if self.replay.phase == DONE:
                return
            self.step()
        raise AssertionError(f'the replay never ended: {self.replay.phase}')

    @property
    def commands(self):
        return [call.args[0] for call in self.node.create_publisher().publish.call_args_list]


class Recorder:
    """
    A recorder that judges what it hears of a robot with a camera.

    :ivar said: Its alarms, of all episodes.
    :ivar refusals: How often it still refuses to start.
    """

    def __init__(self, node):
        del node
        facts = StreamFacts('/camera', max_age_ms=250, rate_hz=10, is_image=True,
                            is_needed_each_row=True)
        self._quality, self.said, self.asked, self.refusals = StreamQuality(facts), [], [], 0
        self._quality.limits, self.now_ns = QualityLimits(), NOON_NS

    def ask(self, verb, on_answer):
        """Start or stop."""
        self.asked.append(verb)
        if verb == 'start' and self.refusals:
            self.refusals -= 1
            on_answer(False, 'not yet')
            return
        if verb == 'start':
            self._quality.begin(self.now_ns, self.now_ns - 400_000_000)  # with a pre-roll
        else:
            self._quality.end(self.now_ns)
            self.said += self._quality.sentences()
        on_answer(True, '')

    def hear(self, shown, now_ns):
        """Take the pictures of a step in, and look twice a second."""
        self.now_ns = now_ns + 1_000_000
        for number, (_, _, stamp_ns) in enumerate(shown):
            head = struct.pack('<iII', stamp_ns // 10**9, stamp_ns % 10**9, 0)
            self._quality.add(self.now_ns, b'\0\1\0\0' + head + struct.pack('<Q', now_ns + number))
        if now_ns % 500_000_000 == 0:
            self._quality.watch(self.now_ns)


def test_rows_are_stamped_a_lead_after_the_instants_of_their_steps():
    """A simulation that catches up runs steps in a burst; their instants are even."""
    robot = Robot()
    robot.play()
    assert {stamp_ns - instant_ns for _, instant_ns, stamp_ns in robot.shown} == {MOST_LEAD_NS}
    played = [stamp_ns for phase, _, stamp_ns in robot.shown if phase == PLAYING]
    assert [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec
            for m in robot.commands] == played
    np.testing.assert_allclose([m.position for m in robot.commands], ACTIONS)


def test_observations_come_at_the_rate_of_the_rows_before_them_and_never_between():
    robot = Robot(count=2)
    robot.play()
    assert [phase for phase, _, _ in robot.shown] == 2 * (
        PAUSE_ROWS * [WAITING] + len(ACTIONS) * [PLAYING])
    steps = np.diff([stamp_ns for _, _, stamp_ns in robot.shown])
    wanted = np.full(len(robot.shown) - 1, ROW_NS)
    wanted[PAUSE_ROWS + len(ACTIONS) - 1] = 2 * ROW_NS  # silent while the recorder stops
    np.testing.assert_array_equal(steps, wanted)


def test_a_recorder_finds_nothing_wrong_with_a_replay(monkeypatch):
    recorders = []
    monkeypatch.setattr(recorder_client, 'RecorderClient',
                        lambda node: recorders.append(Recorder(node)) or recorders[-1])
    robot = Robot(count=3, record=True)
    recorder, = recorders
    recorder.refusals = 2
    while robot.replay.phase != DONE:
        before = len(robot.shown)
        robot.step()
        recorder.hear(robot.shown[before:], robot.instant_ns - STEP_NS)
    assert recorder.asked == ['start', 'start', *3 * ['start', 'stop']]
    assert recorder.said == []


def test_a_recorder_that_takes_long_to_stop_is_asked_once(monkeypatch):
    asked = take_questions(monkeypatch)
    robot = Robot(record=True)
    while not asked:
        robot.step()
    asked[-1][1](True, '')
    while len(asked) < 2:
        robot.step()
    for _ in range(500):
        robot.step()
    assert robot.replay.phase == SILENT and [verb for verb, _ in asked] == ['start', 'stop']
    asked[-1][1](True, '')
    robot.play()


def test_a_demonstration_with_a_late_row_is_discarded_and_played_anew(monkeypatch):
    asked = take_questions(monkeypatch, answer=True)
    robot = Robot(count=2, record=True)
    while len(robot.commands) < 7:
        robot.step()
    robot.late_ns = MOST_LEAD_NS  # in time to the last nanosecond
    while len(robot.commands) < 8:
        robot.step()
    robot.late_ns += 1
    while robot.replay.phase == PLAYING:
        robot.step()
    robot.late_ns = 0
    robot.play()
    assert [verb for verb, _ in asked] == ['start', 'discard', *2 * ['start', 'stop']]
    assert len(robot.commands) == 9 + 2 * len(ACTIONS)
    np.testing.assert_allclose([m.position for m in robot.commands[9:]], [*ACTIONS, *ACTIONS])
    warning, = robot.node.get_logger().warning.call_args.args
    assert warning.startswith('row 8 of demonstration 0 came 0 ms late')


def test_a_computer_that_is_always_late_gets_the_demonstration_kept_in_the_end(monkeypatch):
    asked = take_questions(monkeypatch, answer=True)
    robot = Robot(count=2, record=True)
    robot.late_ns = 2 * MOST_LEAD_NS
    robot.play()
    assert 'kept as it is' in robot.node.get_logger().warning.call_args.args[0]
    once = [*MOST_REPEATS * ['start', 'discard'], 'start', 'stop']
    assert [verb for verb, _ in asked] == 2 * once
    assert len(robot.commands) == 2 * (MOST_REPEATS + len(ACTIONS))


def test_time_lost_while_the_last_row_is_drawn_makes_it_late(monkeypatch):
    asked = take_questions(monkeypatch, answer=True)
    robot = Robot(record=True)
    while len(robot.commands) < len(ACTIONS) - 1:
        robot.step()

    def stand_still(stamp_ns):
        robot.node.get_clock().now().nanoseconds = stamp_ns + 1

    robot._pictures.side_effect = stand_still
    while robot.replay.phase == PLAYING:
        robot.step()
    robot._pictures.side_effect = None
    robot.play()
    assert [verb for verb, _ in asked] == ['start', 'discard', 'start', 'stop']


def test_without_a_recorder_a_late_row_is_played():
    robot = Robot()
    robot.late_ns = 2 * MOST_LEAD_NS
    robot.play()
    assert len(robot.commands) == len(ACTIONS)


def take_questions(monkeypatch, answer=False):
    """Put a recorder there that agrees at once, or never answers; return what it is asked."""
    asked = []

    def ask(verb, on_answer):
        asked.append((verb, on_answer))
        if answer:
            on_answer(True, '')

    monkeypatch.setattr(recorder_client, 'RecorderClient', lambda node: Mock(ask=ask))
    return asked


def test_the_end_of_a_replay_is_told_with_what_to_do():
    robot = Robot(count=2)
    assert str(robot.replay) == 'demonstrations to replay: 2, all topics at 10 Hz'
    robot.play()
    assert robot.node.get_logger().info.call_args.args == (
        'all demonstrations were played (2); Ctrl-C ends the program, until then the robot is '
        'live',)

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

"""Replay human Push-T demonstrations on the simulated robot, row by row and to the nanosecond."""

from diffusion_policy_ros.data.recorded import MOST_LEAD_NS
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.pusht_topics import COMMAND_TOPIC, joint_message
from diffusion_policy_ros.nodes.recorder_client import RecorderTurn
from sensor_msgs.msg import JointState

# For how many rows the robot stands at the start before a demonstration, and between two
# questions to a recorder that does not agree.
PAUSE_ROWS = 5
# How often a demonstration is recorded anew because a row of it came too late.
MOST_REPEATS = 4
WAITING, PLAYING, SILENT, DONE = 'waiting', 'playing', 'silent', 'done'


class Replay:
    """
    Plays demonstrations one after another, if wanted with the recorder around each.

    ``waiting``: the robot stands at the recorded start, and publishes the observations of it as
    often as rows will come, until the recorder has started. ``playing``: at every row the
    observations and the recorded action are published with one and the same stamp,
    ``t_0 + round(k * 1e9 / rate)``, and nothing between rows. ``silent``: nothing is published
    until the recorder has stopped. ``done``: all were played; the robot is live.

    A computer that is busy elsewhere may come to a row when its stamp has passed already: the
    converter would find it too old at its tick. Where a recorder is wanted, it then discards the
    episode, and the demonstration is played anew, ``MOST_REPEATS`` times at most.

    :ivar phase: One of the four words.
    """

    def __init__(self, node, sim, topics, episodes, recordings, numbers, *, steps_per_s,
                 record):
        """
        Prepare the first demonstration.

        :param node: The node that publishes.
        :param sim: The ``PushT`` that moves.
        :param topics: Its ``PushTTopics``.
        :param episodes: The ``SimEpisodes`` that tells which demonstration it is.
        :param recordings: The ``Recordings``.
        :param numbers: Which demonstrations to play, in order.
        :param steps_per_s: Physics steps per second.
        :param record: Whether to start and stop the recorder around each.
        """
        self._node = node
        self._sim = sim
        self._topics, self._episodes = topics, episodes
        self._recordings = recordings
        self._demonstrations = [(n, *recordings.demonstration(n)) for n in numbers]
        self._played = self._steps = self._repeats = 0
        self._steps_per_row = round(steps_per_s / recordings.rate_hz)
        self._commands = node.create_publisher(JointState, COMMAND_TOPIC, qos.COMMANDS)
        self._record, self._recorder = record, RecorderTurn(node, record)
        self._prepare()

    def __str__(self):
        """Say what is replayed."""
        return (f'demonstrations to replay: {len(self._demonstrations)}, all topics at '
                f'{self._recordings.rate_hz:g} Hz')

    @property
    def target(self):
        """Return where the finger shall be, (x, y) in m."""
        return self._target

    def begin_step(self, instant_ns):
        """
        Do what the replay does at a physics step, before the world moves.

        :param instant_ns: ROS time at which the step is due, ns. A step that runs late is caught
            up with, so rows keep their lead only when they are timed by this, not by the clock.
        """
        if self._steps % self._steps_per_row == 0:
            self._begin_row(instant_ns)
        self._steps += 1

    def _begin_row(self, instant_ns):
        """Do what is due at a row of whatever phase: all phases have their rows in one rhythm."""
        answer = self._recorder.take()
        if answer is not None:
            self._take_answer(*answer, instant_ns)
        if self.phase == PLAYING and self._row == len(self._actions):
            self._end('stop')  # the time of the last row is over
        elif self.phase == PLAYING:
            self._play_row()
        elif self.phase == WAITING:
            self._show(instant_ns + MOST_LEAD_NS)
        self._row += 1
        if self._row == PAUSE_ROWS and self.phase in (WAITING, SILENT):
            self._recorder.ask('start' if self.phase == WAITING else self._end_verb)

    def _prepare(self):
        """Put the next demonstration's start on the table and stand there."""
        _, self._start, self._actions = self._demonstrations[self._played]
        self._sim.reset(state=self._start)
        self._target = tuple(self._start[:2])
        self._enter(WAITING)

    def _enter(self, phase):
        """Change the phase and tell it."""
        self.phase = phase
        self._row = 0
        self._recorder.take()  # what was answered in another phase does not count
        number = self._demonstrations[min(self._played, len(self._demonstrations) - 1)][0]
        self._episodes.show(number=self._played, seed=None, demonstration=number, phase=phase)

    def _take_answer(self, success, message, instant_ns):
        """Go on when the recorder agreed; otherwise say why not and pause before asking again."""
        if not success:
            self._row = 0
            self._node.get_logger().warning(
                f'the recorder cannot follow the replay: {message}', throttle_duration_sec=5.0)
        elif self.phase == WAITING:
            # A finger that leans on the block may have moved it while the robot stood there.
            self._sim.reset(state=self._start)
            self._first_ns = instant_ns + MOST_LEAD_NS
            self._enter(PLAYING)
        elif self._end_verb == 'discard':
            self._prepare()
        else:
            self._advance()

    def _end(self, verb):
        """Let the recorder end the episode, and be silent until it has."""
        self._enter(SILENT)
        self._end_verb = verb
        self._row = PAUSE_ROWS - 1  # ask at once

    def _play_row(self):
        """Publish a row: what is seen before its action, and the action."""
        stamp_ns = self._first_ns + round(self._row * 1e9 / self._recordings.rate_hz)
        self._target = tuple(self._actions[self._row])
        self._show(stamp_ns)
        self._commands.publish(joint_message(self._target, stamp_ns))
        late_ns = self._node.get_clock().now().nanoseconds - stamp_ns
        if self._record and late_ns > 0:
            self._take_late(late_ns)

    def _take_late(self, late_ns):
        """Take back what was recorded of a demonstration, to play it anew, unless in vain."""
        number = self._demonstrations[self._played][0]
        late = (f'row {self._row} of demonstration {number} came {late_ns / 1e6:.0f} ms late, for '
                'this computer was busy; ')
        if self._repeats == MOST_REPEATS:
            self._node.get_logger().warning(
                f'{late}it is kept as it is, after {MOST_REPEATS} others: the converter may leave '
                'rows out', throttle_duration_sec=5.0)
            return
        self._repeats += 1
        self._node.get_logger().warning(
            f'{late}what was recorded of it is discarded and it is played anew '
            f'({self._repeats} of at most {MOST_REPEATS} times)')
        self._end('discard')

    def _show(self, stamp_ns):
        """Publish the observations."""
        self._topics.show_camera(stamp_ns)
        self._topics.show_joints(stamp_ns)
        self._topics.show_coverage()

    def _advance(self):
        """Go to the next demonstration, or end."""
        self._node.get_logger().info(
            f'demonstration {self._demonstrations[self._played][0]} played: '
            f'{len(self._actions)} rows, maximum coverage {self._sim.max_coverage:.3f}')
        self._played, self._repeats = self._played + 1, 0
        if self._played < len(self._demonstrations):
            self._prepare()
        else:
            self._enter(DONE)
            self._node.get_logger().info(
                f'all demonstrations were played ({self._played}); Ctrl-C ends the program, until '
                'then the robot is live')

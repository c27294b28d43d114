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

"""A person at the simulated arm: the expert demonstrates over the topics, episode by episode."""

from diffusion_policy_ros.control.commands import build_command, split_action
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from diffusion_policy_ros.nodes.recorder_client import RecorderTurn
from diffusion_policy_ros.sim.arm.expert import ArmExpert

# For how many rows the robot rests before a demonstration and after it, and between two
# questions to a recorder that does not agree.
PAUSE_ROWS = 5
WAITING, PLAYING, RESTING, DONE = 'waiting', 'playing', 'resting', 'done'


class Demonstrator:
    """
    Publishes what the expert does as commands, if wanted with the recorder around each episode.

    The robot obeys each command at the instant of its stamp, not when DDS brings it back, so that
    what is recorded is what it did however busy the machine is.

    ``waiting``: the robot rests at its start until the recorder has started. ``playing``: one
    row of commands per period of the contract. ``resting``: the recorder is told whether the
    task was solved. ``done``: all episodes were shown; the robot is live.

    :ivar phase: One of the four words.
    :ivar robot: The ``SimulatedRobot``; with ``task``, ``contract`` and ``success`` what an
        expert looks at.
    """

    def __init__(self, node, robot, task, contract, episode, *, episodes, record, start_episode):
        """
        Wait for the first episode, which has begun.

        :param node: The node that publishes.
        :param robot: The ``SimulatedRobot``.
        :param task: Its task.
        :param contract: The robot's contract: how often, and on which topics.
        :param episode: The ``Episode``.
        :param episodes: How many to show.
        :param record: Whether to start and stop the recorder around each.
        :param start_episode: Called without arguments to begin the next one; returns its seed.
        """
        self.robot, self.task, self.contract = robot, task, contract
        self._node, self._episode, self._wanted = node, episode, episodes
        self._start_episode = start_episode
        self._publishers = {
            output.topic: node.create_publisher(MESSAGE_CLASSES[output.type], output.topic,
                                                qos.COMMANDS) for output in contract.actions}
        self._recorder = RecorderTurn(node, record)
        self._expert, self._solved = ArmExpert(), 0
        self._shown = 0
        self._begin()

    @property
    def success(self) -> bool:
        """Tell whether the task has been solved since the last reset."""
        return self._episode.success

    def on_row(self, now_ns):
        """
        Do what is due at a row.

        :param now_ns: The time, ns; stamps the commands.
        """
        answer = self._recorder.take()
        if answer is not None:
            self._take_answer(*answer)
        if self.phase == PLAYING:
            self._play(now_ns)
        self._rows += 1
        if self._rows == PAUSE_ROWS and self.phase in (WAITING, RESTING):
            self._recorder.ask(self._verb())

    def _begin(self):
        """Start the next episode, and wait there."""
        seed = self._start_episode()
        self._expert.reset(seed, self)
        self._enter(WAITING)

    def _enter(self, phase):
        """Change the phase."""
        self.phase, self._rows = phase, 0
        self._recorder.take()  # what was answered in another phase does not count

    def _play(self, now_ns):
        """Command the next row, or end the demonstration."""
        try:
            action = self._expert.act(self)
        except ConfigError as error:
            self._node.get_logger().warning(f'demonstration given up: {error}')
            action = None
        if action is None:
            self._enter(RESTING)
            return
        for output, row in split_action(self.contract, action):
            command = build_command(
                output, row[None], MESSAGE_CLASSES, stamp_ns=now_ns,
                lead_ns=self.contract.period_ns, period_ns=self.contract.period_ns)
            self._publishers[output.topic].publish(command)
            self.robot.command(output.topic, command)

    def _verb(self):
        """Return what the recorder is to do now."""
        return 'start' if self.phase == WAITING else 'success' if self.success else 'fail'

    def _take_answer(self, agreed, message):
        """Go on when the recorder agreed; otherwise say why not and pause before asking again."""
        if not agreed:
            self._rows = 0
            self._node.get_logger().warning(
                f'the recorder cannot follow the demonstration: {message}',
                throttle_duration_sec=5.0)
        elif self.phase == WAITING:
            self._enter(PLAYING)
        else:
            self._advance()

    def _advance(self):
        """Go to the next episode, or end."""
        self._shown += 1
        self._solved += self.success
        self._node.get_logger().info(
            f'demonstration {self._shown} of {self._wanted}: '
            f'{"solved" if self.success else "not solved"}')
        if self._shown < self._wanted:
            self._begin()
        else:
            self._enter(DONE)
            self._node.get_logger().info(
                f'{self._solved} of {self._shown} demonstrations solved the task; Ctrl-C ends '
                'the program, until then the robot is live')

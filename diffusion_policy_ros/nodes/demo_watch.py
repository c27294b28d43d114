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

"""Listen to a Push-T robot and its policy, and keep what an episode's record needs."""

import json
import math
import time

from diffusion_policy_ros.evaluation.demo_record import EpisodeRecord
from diffusion_policy_ros.messages import nanoseconds
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from diffusion_policy_ros.observation.decode import decode
from diffusion_policy_ros.sim.pusht import CAMERA_KEY
from diffusion_policy_ros.streams import ENVIRONMENT_KEY, STATE_KEY
import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Float64MultiArray, String
from trajectory_msgs.msg import JointTrajectory

LATENCY = 'total_ms'
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class DemoWatch:
    """
    The subscriptions of an observer that looks only now and then.

    Streams for pictures keep their newest message only, so that the middleware drops the others
    before Python sees them. Commands are timed by the middleware, not when Python looks.

    :ivar episode: What the simulation said last about its episode.
    """

    def __init__(self, node, contract):
        """
        Subscribe.

        :param node: The ``Conductor`` that listens.
        :param contract: ``RobotContract`` of the Push-T robot.
        """
        self.episode = {}
        self._node = node
        self._newest = {}
        self._since_ns = 0
        self._robot_s = self._command_s = time.monotonic()
        self._clear()
        for key in (CAMERA_KEY, STATE_KEY, ENVIRONMENT_KEY):
            stream = contract.streams_of(key)[0]
            node.listen(MESSAGE_CLASSES[stream.type], stream.topic, self._keeper(stream), NEWEST)
        output = contract.actions[0]
        node.listen(MESSAGE_CLASSES[output.type], output.topic, self._on_command)
        node.listen(Float64MultiArray, 'pusht_sim/coverage', self._on_coverage)
        node.listen(String, 'pusht_sim/episode', self._on_episode, qos.STATUS)
        node.listen(JointTrajectory, 'policy_server/chunk', self._on_plan)
        node.listen(Float64MultiArray, 'policy_server/latency', self._on_latency)

    @property
    def has_seen_robot(self) -> bool:
        """Tell whether every stream of the robot has been heard."""
        return len(self._newest) == 3

    @property
    def start_ns(self):
        """Return when the episode's first command arrived in ns, None before that."""
        return self._commands[0][0] if self._commands else None

    def silence_s(self, now_s) -> dict:
        """
        Return for how long nothing has come of what should come all the time.

        :param now_s: Present time of ``time.monotonic``, s.
        :return: Seconds by what is missing; commands are missed from ``begin`` on.
        """
        return {'no picture and no joint state of pusht_sim': now_s - self._robot_s,
                'no command of policy_server': now_s - self._command_s}

    @property
    def max_coverage(self) -> float:
        """Return the largest coverage told since the episode's first command, in [0, 1]."""
        since = [row[2] for row in self._coverages if row[0] >= (self.start_ns or math.inf)]
        return max(since, default=0.0)

    def begin(self, now_ns):
        """
        Forget the last episode's measurements; commands of before do not count any more.

        :param now_ns: The time, ns.
        """
        self._clear()
        self._since_ns = now_ns
        self._command_s = time.monotonic()

    def keep_picture(self, now_ns):
        """
        Keep the robot's newest picture and pose for the video.

        :param now_ns: The time, ns.
        """
        if self.has_seen_robot:
            block = self._newest[ENVIRONMENT_KEY]
            angle = math.atan2(block[4], block[3])
            pose = (*self._newest[STATE_KEY], block[0], block[1], angle)
            self._frames.append((now_ns, self._newest[CAMERA_KEY], pose))

    def record(self, number, end_ns) -> EpisodeRecord:
        """
        Return what was measured from the first command on.

        :param number: Number of the episode.
        :param end_ns: When the episode ended, or the present; what came later is left out, ns.
        """
        start_ns = self.start_ns or end_ns

        def within(rows):
            return [row for row in rows if start_ns <= row[0] <= end_ns]

        commands, coverages = within(self._commands), within(self._coverages)
        latencies, frames = within(self._latencies), within(self._frames)
        # The plan that the first command comes from was there before it.
        plans = [plan for plan in self._plans if plan[0] <= end_ns]
        return EpisodeRecord(
            number=number, seed=self.episode.get('seed') or 0, end_ns=end_ns,
            received_ns=_column(commands, 0), sent_ns=_column(commands, 1),
            coverage_ns=_column(coverages, 0),
            coverage=np.array([row[1:] for row in coverages]).reshape(-1, 2),
            latency_ns=_column(latencies, 0), latency_ms=_column(latencies, 1, np.float64),
            plan_ns=_column(plans, 0), plan_due_ns=_column(plans, 1),
            plans=_column(plans, 2, np.float64), frame_ns=_column(frames, 0),
            pictures=_column(frames, 1, np.uint8), poses=_column(frames, 2, np.float64),
            notes=np.array([text for stamp_ns, text in within(self._node.notes)], dtype=str))

    def _clear(self):
        """Start with empty hands."""
        self._commands, self._coverages, self._latencies = [], [], []
        self._plans, self._frames = [], []

    def _keeper(self, stream):
        """Return what keeps the newest value of a stream."""
        def keep(message, info):
            del info
            self._robot_s = time.monotonic()
            self._newest[stream.key] = decode(message, stream)

        return keep

    def _on_command(self, message, info):
        """Note when a command arrived and when it was sent."""
        del message
        self._command_s = time.monotonic()
        if info['received_timestamp'] >= self._since_ns:
            self._commands.append((info['received_timestamp'], info['source_timestamp']))

    def _on_coverage(self, message, info):
        """Note coverage now and maximum."""
        self._coverages.append((info['received_timestamp'], *message.data))

    def _on_latency(self, message, info):
        """Note the latency of a plan."""
        named = dict(zip(message.layout.dim[0].label.split(','), message.data))
        self._latencies.append((info['received_timestamp'], named[LATENCY]))

    def _on_plan(self, message, info):
        """Note a plan's rows and when they are due."""
        start_ns = nanoseconds(message.header.stamp)
        due_ns = [start_ns + nanoseconds(p.time_from_start) for p in message.points]
        rows = [point.positions for point in message.points]
        self._plans.append((info['received_timestamp'], due_ns, rows))

    def _on_episode(self, message, info):
        """Note which episode is on the table."""
        del info
        self.episode = json.loads(message.data)


def _column(rows, index, dtype=np.int64):
    """Return one entry of all rows as an array."""
    return np.array([row[index] for row in rows], dtype=dtype)

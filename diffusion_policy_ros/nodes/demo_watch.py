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

"""Listen to a simulated robot and its policy, and keep what an episode's record needs."""

from dataclasses import replace
import json
import math
import time

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.evaluation.demo_record import EpisodeRecord
from diffusion_policy_ros.evaluation.live_simulations import LIVE
from diffusion_policy_ros.messages import nanoseconds
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from diffusion_policy_ros.observation.decode import decode
from diffusion_policy_ros.share import share_path
import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
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
    :ivar behind_ns: How far the robot's clock is behind the system's, ns; 0 where it is that one.
    """

    def __init__(self, node, sim, contract, *, is_guarded):
        """
        Subscribe.

        :param node: The ``Conductor`` that listens.
        :param sim: Name of the simulation, a key of ``LIVE``; its own contract says what is seen.
        :param contract: ``RobotContract`` that is commanded.
        :param is_guarded: Whether commands come before the first plan too, as from
            ``command_safety``; the episode begins with the plan all the same.
        """
        self.episode, self.behind_ns, self._is_guarded = {}, 0, is_guarded
        self._node, self._sim, self._live = node, sim, LIVE[sim]
        self._newest = {}
        self._since_ns = 0
        self._robot_s = self._command_s = time.monotonic()
        self._clear()
        self._streams = load_contract(
            share_path('config', 'robots', self._live.contract)).observations
        for stream in self._streams:
            node.listen(MESSAGE_CLASSES[stream.type], stream.topic, self._keeper(stream), NEWEST)
        output = contract.actions[0]
        node.listen(MESSAGE_CLASSES[output.type], output.topic, self._on_command)
        name = self._live.node
        node.listen(Float64MultiArray, f'{name}/{self._live.score}', self._on_score)
        node.listen(String, f'{name}/episode', self._on_episode, qos.STATUS)
        if self._live.has_clock:
            node.listen(Clock, '/clock', self._on_clock, NEWEST)
        node.listen(JointTrajectory, 'policy_server/chunk', self._on_plan)
        node.listen(Float64MultiArray, 'policy_server/latency', self._on_latency)

    @property
    def has_seen_robot(self) -> bool:
        """Tell whether every stream of the robot has been heard."""
        return len(self._newest) == len(self._streams)

    @property
    def start_ns(self):
        """Return when the episode's first command of the policy arrived, ns; None before that."""
        since_ns = 0
        if self._is_guarded:
            since_ns = self._plans[0][0] if self._plans else math.inf
        return next((row[0] for row in self._commands if row[0] >= since_ns), None)

    def silence_s(self, now_s) -> dict:
        """
        Return for how long nothing has come of what should come all the time.

        :param now_s: Present time of ``time.monotonic``, s.
        :return: Seconds by what is missing; commands are missed from ``begin`` on.
        """
        return {f'no picture and no joint state of {self._live.node}': now_s - self._robot_s,
                'no command of policy_server': now_s - self._command_s}

    @property
    def solved(self) -> bool:
        """Tell whether the task was solved since the episode's first command."""
        since = [row[2] for row in self._scores if row[0] >= (self.start_ns or math.inf)]
        return max(since, default=0.0) >= self._live.goal

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
        Keep the robot's newest pictures and what its other streams show for the video.

        :param now_ns: The time, ns.
        """
        if self.has_seen_robot:
            seen = [(stream.is_image, self._newest[stream.topic]) for stream in self._streams]
            self._frames.append((
                now_ns, [value for is_image, value in seen if is_image],
                np.concatenate([value for is_image, value in seen if not is_image])))

    def record(self, number, end_ns) -> EpisodeRecord:
        """
        Return what was measured from the first command on.

        :param number: Number of the episode.
        :param end_ns: When the episode ended, or the present; what came later is left out, ns.
        """
        start_ns = self.start_ns or end_ns

        def within(rows):
            return [row for row in rows if start_ns <= row[0] <= end_ns]

        commands, scores = within(self._commands), within(self._scores)
        latencies, frames = within(self._latencies), within(self._frames)
        # The plan that the first command comes from was there before it.
        plans = [plan for plan in self._plans if plan[0] <= end_ns]
        return EpisodeRecord(
            sim=self._sim, number=number, seed=self.episode.get('seed') or 0, end_ns=end_ns,
            received_ns=_column(commands, 0), sent_ns=_column(commands, 1),
            score_ns=_column(scores, 0),
            score=np.array([row[1:] for row in scores]).reshape(-1, 2),
            latency_ns=_column(latencies, 0), latency_ms=_column(latencies, 1, np.float64),
            plan_ns=_column(plans, 0), plan_due_ns=_column(plans, 1),
            plans=_column(plans, 2, np.float64), frame_ns=_column(frames, 0),
            pictures=_column(frames, 1, np.uint8), states=_column(frames, 2, np.float64),
            notes=np.array([text for stamp_ns, text in within(self._node.notes)], dtype=str))

    def _clear(self):
        """Start with empty hands."""
        self._commands, self._scores, self._latencies = [], [], []
        self._plans, self._frames = [], []

    def _keeper(self, stream):
        """Return what keeps the newest value of a stream."""
        def keep(message, info):
            del info
            self._robot_s = time.monotonic()
            self._newest[stream.topic] = decode(message, _as_taken(message, stream))

        return keep

    def _on_command(self, message, info):
        """Note when a command arrived and when it was sent."""
        del message
        self._command_s = time.monotonic()
        if info['received_timestamp'] >= self._since_ns:
            self._commands.append((info['received_timestamp'], info['source_timestamp']))

    def _on_score(self, message, info):
        """Note the score now and the best one."""
        self._scores.append((info['received_timestamp'], *message.data))

    def _on_latency(self, message, info):
        """Note the latency of a plan."""
        named = dict(zip(message.layout.dim[0].label.split(','), message.data))
        self._latencies.append((info['received_timestamp'], named[LATENCY]))

    def _on_plan(self, message, info):
        """Note a plan's rows and when they are due."""
        start_ns = nanoseconds(message.header.stamp)
        due_ns = [start_ns + self.behind_ns + nanoseconds(p.time_from_start)
                  for p in message.points]
        rows = [point.positions for point in message.points]
        self._plans.append((info['received_timestamp'], due_ns, rows))

    def _on_clock(self, message, info):
        """Note what time it is for the robot."""
        self.behind_ns = info['received_timestamp'] - nanoseconds(message.clock)

    def _on_episode(self, message, info):
        """Note which episode it is."""
        del info
        self.episode = json.loads(message.data)


def _as_taken(message, stream):
    """Return the stream with pictures as large as the camera takes them, not as policies do."""
    if not stream.is_image:
        return stream
    return replace(stream, image=replace(stream.image, height=message.height, width=message.width))


def _column(rows, index, dtype=np.int64):
    """Return one entry of all rows as an array."""
    return np.array([row[index] for row in rows], dtype=dtype)

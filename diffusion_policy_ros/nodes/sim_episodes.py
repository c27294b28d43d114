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
"""Which episode of a simulated robot it is, from which seed, and how it goes, told on topics."""

import json
import time

from diffusion_policy_ros import messages
from diffusion_policy_ros.message_types import FLOAT64_ARRAY
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from diffusion_policy_ros.parameter_spec import ParameterSpec
from std_msgs.msg import Bool, Float64MultiArray, String

SEED = ParameterSpec('seed', 0, 'Seed of the next episode; each reset adds one', 0, 2**31 - 1)


class SimEpisodes:
    """
    Counts episodes and their seeds, and tells them on the latched topic ``~/episode`` as JSON.

    :ivar number: Which episode it is, from 0; -1 before the first.
    :ivar seed: What it was drawn from; None before the first.
    """

    def __init__(self, node, settings):
        """
        Wait for the first episode.

        :param node: The node that publishes.
        :param settings: Its ``Parameters``, with ``SEED`` among them.
        """
        self.number, self.seed = -1, None
        self._settings, self._base_seed, self._shown_ns = settings, None, 0
        self._publisher = node.create_publisher(String, '~/episode', qos.STATUS)

    def __str__(self):
        """Name the episode."""
        return f'episode {self.number}, seed {self.seed}'

    def begin(self) -> int:
        """Count one more; return its seed: the parameter when that was set anew, else the next."""
        base_seed = self._settings['seed']
        self.seed = base_seed if base_seed != self._base_seed else self.seed + 1
        self._base_seed = base_seed
        self.number += 1
        return self.seed

    def show(self, **facts):
        """
        Publish which episode it is, once the robot is at its start.

        :param facts: What else there is to say, or to say instead of ``number`` and ``seed``.
        """
        self._shown_ns = time.time_ns()
        facts = {'number': self.number, 'seed': self.seed, **facts}
        self._publisher.publish(String(data=json.dumps(facts)))

    def is_late(self, received_ns) -> bool:
        """
        Tell whether a command came before the episode, and waited while the robot was put back.

        :param received_ns: As of ``arrival.dated``; of a command whose time nobody tells, nobody
            knows, and it counts.
        """
        return 0 < received_ns < self._shown_ns


class SimScore:
    """Tells what a moment is worth on ``~/score``, and on the latched ``~/success`` if solved."""

    def __init__(self, node):
        """
        Create the publishers.

        :param node: The node that publishes.
        """
        self._score = node.create_publisher(Float64MultiArray, '~/score', qos.EVENTS)
        self._success = node.create_publisher(Bool, '~/success', qos.STATUS)

    def show(self, now, best):
        """
        Publish scores.

        :param now: What the present moment is worth, in [0, 1].
        :param best: The most of the episode, in [0, 1].
        """
        self._score.publish(messages.multi_array(MESSAGE_CLASSES, FLOAT64_ARRAY, (now, best)))

    def show_success(self, is_solved):
        """
        Publish, latched, whether the task has been solved.

        :param is_solved: Whether it has been since the last reset.
        """
        self._success.publish(Bool(data=is_solved))

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

"""When the rows of a plan are due in what goes out."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.contract import parse_contract  # noqa: E402,I100
from diffusion_policy_ros.nodes.command_publisher import CommandPublisher  # noqa: E402

T0 = 1_700_000_000_000_000_000
TEXT = """
robot: r
rate_hz: 10
observations:
  - {key: observation.state, topic: s, type: sensor_msgs/msg/JointState, joints: [a],
     max_age_ms: 100}
actions:
  - {topic: arm, type: trajectory_msgs/msg/JointTrajectory, joints: [a], stamp: receive,
     trajectory: MODE}
"""


class Node:
    """Keeps what would be published."""

    def __init__(self):
        self.sent = {}

    def create_lifecycle_publisher(self, message_type, topic, profile):
        self.sent[topic] = []
        return SimpleNamespace(publish=self.sent[topic].append)


class Horizon:
    """Gives rows 0, 1, 2 ... from now on."""

    def command(self, now_ns):
        return np.zeros(1)

    def upcoming(self, now_ns):
        return np.arange(4.0)[:, None]


def _due_ns(points):
    return [p.time_from_start.sec * 10**9 + p.time_from_start.nanosec for p in points]


@pytest.mark.parametrize('mode, due_ms', [('point', [50]), ('chunk', [50, 150, 250, 350])])
def test_the_row_due_now_is_reached_one_command_period_later(mode, due_ms):
    node = Node()
    publisher = CommandPublisher(node, parse_contract(TEXT.replace('MODE', mode)), prefix='')
    assert publisher.send(Horizon(), T0, 50_000_000)
    message, = node.sent['arm']
    assert [due / 1e6 for due in _due_ns(message.points)] == due_ms
    assert [list(point.positions) for point in message.points] \
        == [[float(k)] for k in range(len(due_ms))]


def test_a_prefix_comes_before_the_topics_of_the_contract():
    node = Node()
    CommandPublisher(node, parse_contract(TEXT.replace('MODE', 'point')), prefix='policy')
    assert list(node.sent) == ['policy/arm']

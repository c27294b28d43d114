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

"""Replayed rows keep their lead over the clock of the steps, however late a step runs."""

from unittest.mock import Mock

import numpy as np
import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.nodes.pusht_replay import (  # noqa: E402,I100
    DONE, LEAD_NS, PAUSE_S, Replay)
from diffusion_policy_ros.sim.pusht import PushT  # noqa: E402

STEP_NS = 10_000_000
NOON_NS = 1_795_000_000_000_000_000
START = np.array([0.1, 0.1, 0.3, 0.3, 0.0])
ACTIONS = np.linspace([0.1, 0.1], [0.2, 0.3], 12)


def test_rows_are_stamped_a_lead_after_the_instants_of_their_steps():
    """A simulation that catches up runs steps in a burst; their instants are even."""
    node, topics = Mock(), Mock()
    recordings = Mock(rate_hz=10.0, demonstration=lambda number: (START, ACTIONS))
    replay = Replay(node, PushT(), topics, recordings, [0], steps_per_s=100, record=False)
    due_ns, instant_ns = [], NOON_NS
    while replay.phase != DONE:
        rows_before = topics.show_camera.call_count
        replay.begin_step(instant_ns)
        due_ns += [instant_ns] * (topics.show_camera.call_count - rows_before)
        instant_ns += STEP_NS
    stamps = [call.args[0] for call in topics.show_camera.call_args_list]
    np.testing.assert_array_equal(np.subtract(stamps, due_ns), LEAD_NS)
    commands = [call.args[0] for call in node.create_publisher().publish.call_args_list]
    assert [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in commands] == stamps
    np.testing.assert_allclose([m.position for m in commands], ACTIONS)
    duration_s = (instant_ns - NOON_NS) / 1e9
    assert duration_s == pytest.approx(2 * PAUSE_S + len(ACTIONS) / 10, abs=0.05)

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
"""What is kept of an episode: from the policy's first command on, by the clock that stamps."""

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.share import share_path
import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros import messages  # noqa: E402,I100
from diffusion_policy_ros.message_types import FLOAT64_ARRAY  # noqa: E402
from diffusion_policy_ros.nodes.demo_watch import DemoWatch  # noqa: E402
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402

S = 10**9
JOINTS = ['shoulder_pan', 'gripper']
COMMANDS = 'arm_forward_controller/commands'


class Ear:
    """Stands for the node: keeps what would be called when a message comes."""

    def __init__(self):
        self.handlers, self.notes = {}, []

    def listen(self, message_type, topic, handle, profile=None):
        self.handlers[topic] = handle

    def hear(self, topic, message, arrived_ns):
        self.handlers[topic](message, {'received_timestamp': arrived_ns,
                                       'source_timestamp': arrived_ns})


def array(*values):
    """Return an array message."""
    return messages.multi_array(MESSAGE_CLASSES, FLOAT64_ARRAY, values)


@pytest.fixture
def ear():
    """Return what hears."""
    return Ear()


def watch(ear, *, is_guarded):
    """Return a watch on the arm whose episode begins at 100 s."""
    contract = load_contract(share_path('config', 'robots', 'arm_pick_place.yaml'))
    found = DemoWatch(ear, 'arm_pick_place', contract, is_guarded=is_guarded)
    found.begin(100 * S)
    return found


def test_what_command_safety_sends_before_the_first_plan_begins_no_episode(ear):
    guarded = watch(ear, is_guarded=True)
    ear.hear(COMMANDS, array(0.0), 101 * S)
    assert guarded.start_ns is None
    ear.hear('policy_server/chunk', messages.joint_trajectory(
        MESSAGE_CLASSES, JOINTS, [[0.1, 0.2]], [0], 0), 102 * S)
    assert guarded.start_ns is None
    ear.hear(COMMANDS, array(0.1), 103 * S)
    assert guarded.start_ns == 103 * S
    assert guarded.record(0, 110 * S).received_ns.tolist() == [103 * S]


def test_without_it_the_first_command_begins_the_episode(ear):
    free = watch(ear, is_guarded=False)
    ear.hear(COMMANDS, array(0.0), 99 * S)  # of the episode before
    ear.hear(COMMANDS, array(0.0), 101 * S)
    assert free.start_ns == 101 * S


def test_it_is_solved_by_a_best_score_since_the_start(ear):
    free = watch(ear, is_guarded=False)
    ear.hear('arm_sim/score', array(1.0, 1.0), 100 * S)
    ear.hear(COMMANDS, array(0.0), 101 * S)
    ear.hear('arm_sim/score', array(0.5, 0.5), 102 * S)
    assert not free.solved
    ear.hear('arm_sim/score', array(0.5, 1.0), 103 * S)
    assert free.solved and free.record(0, 104 * S).solved


def test_rows_that_are_due_by_the_robots_clock_are_placed_on_the_one_that_stamps(ear):
    free = watch(ear, is_guarded=False)
    ear.hear('/clock', Clock(clock=messages.header(MESSAGE_CLASSES, 5 * S).stamp), 102 * S)
    assert free.behind_ns == 97 * S
    ear.hear('policy_server/chunk', messages.joint_trajectory(
        MESSAGE_CLASSES, JOINTS, [[0.1, 0.2], [0.3, 0.4]], [0, S], 6 * S), 103 * S)
    record = free.record(0, 110 * S)
    assert record.plan_due_ns.tolist() == [[103 * S, 104 * S]]
    assert record.plans.shape == (1, 2, 2)

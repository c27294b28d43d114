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

"""Whatever the recorder hears, it writes down, and goes on."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
from diffusion_policy_ros.contract import load_contract  # noqa: E402,I100
from diffusion_policy_ros.data.topic_messages import build_topic  # noqa: E402
from diffusion_policy_ros.message_types import IMAGE, POSE_STAMPED  # noqa: E402
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES  # noqa: E402
from diffusion_policy_ros.nodes.pusht_sim import PushTSim  # noqa: E402
from diffusion_policy_ros.nodes.recorder import Recorder  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from rosbags.rosbag2 import Reader  # noqa: E402

DOMAIN_ID = 78
CONTRACT = Path(__file__).parents[2] / 'config' / 'robots' / 'pusht.yaml'


def _message(entry, stamp_ns):
    """Return a message as the contract wants it; pictures are small, whatever it wants."""
    if entry.type == IMAGE:
        values = np.zeros((4, 4, 3), np.uint8)
    else:
        values = np.eye(3).ravel() if entry.type == POSE_STAMPED else np.zeros(len(entry.names))
    return build_topic([(entry, values)], MESSAGE_CLASSES, stamp_ns)


def _start(peer):
    """Start an episode as soon as that is possible."""
    peer.until(lambda: peer.ask('recorder/start')[0], 'the start of a recording')


@pytest.mark.parametrize('rounds', [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_message_kills_the_recorder_and_every_one_is_in_the_bag(
        peer, tmp_path, any_message, broken_bytes, rounds):
    rng, contract = np.random.default_rng(0), load_contract(CONTRACT)
    entries = {entry.topic: entry for entry in contract.observations + contract.actions}
    recorder = peer.start(Recorder, contract=str(CONTRACT), output=str(tmp_path / 'bags'))
    robot = peer.start(PushTSim)
    peer.node.create_publisher(MESSAGE_CLASSES[entries['joint_commands'].type],
                               'joint_commands', 1)
    _start(peer)
    peer.stop(robot)
    sent, judged = {topic: [] for topic in entries}, set()

    def choose(options):
        return options[rng.integers(len(options))]

    for number in range(rounds):
        for stream in recorder._streams:
            message = any_message(_message(entries[stream.topic], number), choose)
            data = broken_bytes(message, choose) if number % 3 == 2 else serialize_message(message)
            stream._on_arrival(data, 0)
            sent[stream.topic].append(data)
            judged.add(bool(stream.misfit()))
        if number % 10 == 0:
            peer.executor.spin_once(timeout_sec=0)
    assert judged == {False, True} and recorder.is_recording
    assert peer.ask('recorder/stop')[0]
    with Reader(tmp_path / 'bags' / 'episode_000000') as bag:
        written = Counter((connection.topic.lstrip('/'), bytes(data))
                          for connection, _, data in bag.messages())
    assert written >= Counter((topic, data) for topic, all_data in sent.items()
                              for data in all_data)
    peer.start(PushTSim)
    _start(peer)
    assert peer.ask('recorder/discard')[0]

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

"""An episode played over real DDS: what is heard equals the dataset, and records back into it."""

from pathlib import Path
import shutil

import pytest

rclpy = pytest.importorskip('rclpy')
from diffusion_policy_ros.contract import parse_contract  # noqa: E402,I100
from diffusion_policy_ros.data.bags.episode_files import finished_bags  # noqa: E402
from diffusion_policy_ros.data.conversion.conversion import convert_bags  # noqa: E402
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader  # noqa: E402
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter  # noqa: E402
from diffusion_policy_ros.errors import ConfigError, DatasetError  # noqa: E402
from diffusion_policy_ros.messages import nanoseconds  # noqa: E402
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.dataset_player import DatasetPlayer  # noqa: E402
from diffusion_policy_ros.nodes.recorder import Recorder  # noqa: E402
import numpy as np  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402

DOMAIN_ID = 28
CONTRACT = """
robot: small
rate_hz: 10
settle_ms: 45
observations:
  - {key: observation.images.camera, topic: camera/image_raw, type: sensor_msgs/msg/Image,
     image: {height: 24, width: 32}, max_age_ms: 400}
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [elbow, wrist], max_age_ms: 400}
actions:
  - {topic: joint_commands, type: sensor_msgs/msg/JointState, joints: [wrist, elbow],
     max_age_ms: 400}
"""
START_NS = 1_700_000_000_000_000_000
LENGTHS = (6, 24)
ALL = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
PERIOD_NS = 100_000_000


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    """Write a dataset of two episodes, lossless."""
    rng = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp('played') / 'dataset'
    with LeRobotWriter(folder, parse_contract(CONTRACT), codec='h264-lossless') as writer:
        for episode, length in enumerate(LENGTHS):
            for row in range(length):
                values = rng.normal(size=(2, 2)).astype(np.float32)
                writer.add_row(
                    {'observation.images.camera': rng.integers(0, 256, (24, 32, 3), np.uint8),
                     'observation.state': values[0], 'action': values[1]},
                    tick_ns=START_NS + episode * 10**12 + row * PERIOD_NS,
                    ages_ns=dict.fromkeys(('camera/image_raw', 'joint_states', 'joint_commands'),
                                          0))
            writer.save_episode('Move.')
    return folder


@pytest.fixture(scope='module')
def rows(dataset):
    """Give what the dataset holds of episode 1."""
    reader = LeRobotReader(dataset)
    columns = reader.columns(['observation.state', 'action'])
    episode = slice(LENGTHS[0], sum(LENGTHS))
    return {'state': columns['observation.state'][episode], 'action': columns['action'][episode],
            'pictures': np.stack(list(reader.frames('observation.images.camera')))[episode]}


class Audience:
    """Hears everything."""

    def __init__(self, peer, commands='played/joint_commands'):
        self.images = peer.hear(Image, 'camera/image_raw', ALL)
        self.states = peer.hear(JointState, 'joint_states', ALL)
        self.commands = peer.hear(JointState, commands, ALL)


def play(peer, dataset, **parameters):
    """Play an episode to its end."""
    player = peer.start(DatasetPlayer, dataset=str(dataset), episode=1, **parameters)
    peer.until(lambda: player.is_done, 'the end of the episode')
    assert player.failure is None
    return player


def stamps(heard):
    """Return the stamps of messages, ns."""
    return np.array([nanoseconds(message.header.stamp) for message in heard])


def test_what_is_heard_is_what_the_dataset_holds(peer, dataset, rows):
    audience = Audience(peer)
    before_ns = peer.node.get_clock().now().nanoseconds
    player = play(peer, dataset)
    peer.until(lambda: len(audience.commands) == LENGTHS[1], 'the last command')
    assert player.published == 3 * LENGTHS[1]
    np.testing.assert_array_equal([m.position for m in audience.states], rows['state'])
    np.testing.assert_array_equal([m.position for m in audience.commands], rows['action'])
    assert audience.states[0].name == ['elbow', 'wrist']
    assert audience.commands[0].name == ['wrist', 'elbow']
    pictures = [np.frombuffer(m.data, np.uint8).reshape(24, 32, 3) for m in audience.images]
    np.testing.assert_array_equal(pictures, rows['pictures'])
    for heard in (audience.images, audience.states, audience.commands):
        np.testing.assert_array_equal(np.diff(stamps(heard)), PERIOD_NS)
    assert stamps(audience.images)[0] == stamps(audience.states)[0]
    assert 0 < stamps(audience.states)[0] - before_ns < 60 * 10**9  # of now


def test_by_default_no_robot_is_commanded(peer, dataset):
    audience = Audience(peer, 'joint_commands')
    play(peer, dataset, speed=4.0)
    peer.until(lambda: len(audience.states) == LENGTHS[1], 'the last state')
    assert not audience.commands
    assert peer.node.count_publishers('joint_commands') == 0


def test_speed_start_and_waiting(peer, dataset, rows, capfd):
    audience = Audience(peer)
    play(peer, dataset, speed=2.0, start_s=1.0, wait_s=0.5)
    assert capfd.readouterr().out.splitlines() == [
        'waiting: 0 s until row 1 of 14', 'row 1 of 14', 'played: 52 messages']
    peer.until(lambda: len(audience.states) == 5 + 14 and len(audience.commands) == 14,
               'the last message')
    np.testing.assert_array_equal([m.position for m in audience.states],
                                  [rows['state'][10]] * 5 + list(rows['state'][10:]))
    np.testing.assert_array_equal([m.position for m in audience.commands], rows['action'][10:])
    np.testing.assert_array_equal(np.diff(stamps(audience.states)), PERIOD_NS // 2)
    assert stamps(audience.commands)[0] == stamps(audience.states)[5]


def test_a_loop_goes_on_in_time(peer, dataset, rows):
    audience = Audience(peer)
    player = peer.start(DatasetPlayer, dataset=str(dataset), episode=0, speed=2.0, loop=True)
    peer.until(lambda: len(audience.states) > 15, 'a third round')
    assert not player.is_done
    positions = [tuple(message.position) for message in audience.states[:12]]
    assert positions[:6] == positions[6:] and len(set(positions)) == 6
    np.testing.assert_array_equal(np.diff(stamps(audience.states)), PERIOD_NS // 2)


def test_original_stamps_come_with_their_clock(peer, dataset):
    audience, clock = Audience(peer), peer.hear(Clock, '/clock', ALL)
    play(peer, dataset, original_stamps=True)
    peer.until(lambda: len(audience.states) == LENGTHS[1], 'the last state')
    wanted = START_NS + 10**12 + np.arange(LENGTHS[1]) * PERIOD_NS
    np.testing.assert_array_equal(stamps(audience.states), wanted)
    np.testing.assert_array_equal(stamps(audience.images), wanted)
    times = np.array([nanoseconds(message.clock) for message in clock])
    assert (np.diff(times) >= 0).all()
    assert times[0] <= wanted[0] and times[-1] >= wanted[-1]


@pytest.mark.parametrize('simulated', [
    False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_played_episode_recorded_and_converted_gives_the_same_numbers(
        peer, dataset, rows, tmp_path, simulated):
    contract = tmp_path / 'contract.yaml'
    contract.write_text(CONTRACT)
    recorder = peer.start(Recorder, contract=str(contract), output=str(tmp_path / 'bags'),
                          dataset=str(tmp_path / 'unused'), use_sim_time=simulated)
    player = peer.start(DatasetPlayer, dataset=str(dataset), episode=1, wait_s=2.5,
                        command_prefix='', original_stamps=simulated)
    answers = []
    peer.until(lambda: answers.append(recorder.start()) or answers[-1][0],
               lambda: f'the start of a recording: {answers[-1:]}')
    assert not player.is_done
    peer.until(lambda: player.is_done, 'the end of the episode')
    said = recorder.stop()
    assert said[0]
    # Only of a machine that is busy with other tests.
    assert 'frozen' not in said[1] and 'stamped after the arrival' not in said[1]
    convert_bags(finished_bags(tmp_path / 'bags'), tmp_path / 'again', codec='h264-lossless')
    again = LeRobotReader(tmp_path / 'again')
    columns = again.columns(['observation.state', 'action'])
    np.testing.assert_array_equal(columns['observation.state'], rows['state'])
    np.testing.assert_array_equal(columns['action'], rows['action'])
    np.testing.assert_array_equal(np.stack(list(again.frames('observation.images.camera'))),
                                  rows['pictures'])


def test_a_topic_that_another_node_publishes_is_left_alone(peer, dataset):
    audience = Audience(peer)
    peer.node.create_publisher(JointState, 'joint_states', qos.ROBOT_STATE)
    player = peer.start(DatasetPlayer, dataset=str(dataset), episode=1)
    peer.until(lambda: player.is_done, 'the refusal')
    assert isinstance(player.failure, ConfigError)
    assert '/joint_states has a publisher already (node peer)' in str(player.failure)
    assert not audience.states and not audience.images


def test_a_clock_that_another_node_publishes_is_left_alone(peer, dataset):
    audience = Audience(peer)
    other = peer.node.create_publisher(Clock, '/clock', 10)
    try:
        player = peer.start(DatasetPlayer, dataset=str(dataset), episode=1, original_stamps=True)
        peer.until(lambda: player.is_done, 'the refusal')
    finally:
        peer.node.destroy_publisher(other)
    assert isinstance(player.failure, ConfigError)
    assert '/clock has a publisher already (node peer)' in str(player.failure)
    assert not audience.states and not audience.images


@pytest.mark.parametrize('parameters, error, words', [
    ({'dataset': ''}, ConfigError, 'the parameter "dataset" is empty'),
    ({'episode': 2}, DatasetError, 'has no episode 2; it has 0 to 1'),
    ({'start_s': 2.4}, DatasetError, '--start is 2.4 s; episode 1 lasts 2.4 s'),
    ({'loop': True, 'original_stamps': True}, ConfigError, 'would set /clock back'),
    ({'dataset': '/nowhere'}, DatasetError, 'does not exist')])
def test_what_cannot_be_played_is_refused(peer, dataset, parameters, error, words):
    with pytest.raises(error, match=words):
        peer.start(DatasetPlayer, **{'dataset': str(dataset), 'episode': 1, **parameters})


def test_a_dataset_that_is_damaged_ends_the_play_with_its_reason(peer, dataset, tmp_path):
    copy = Path(shutil.copytree(dataset, tmp_path / 'copy'))
    next(copy.glob('videos/*/*/file-001.mp4')).unlink()
    player = peer.start(DatasetPlayer, dataset=str(copy), episode=1)
    peer.until(lambda: player.is_done, 'the end')
    assert 'does not exist; the dataset is incomplete' in str(player.failure)

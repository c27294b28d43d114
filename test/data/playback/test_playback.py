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

"""The rows of an episode become messages, each due at its time."""

from types import SimpleNamespace

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.datasets.formats import create_dataset
from diffusion_policy_ros.data.datasets.frames import copy_dataset
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.data.playback.playback import Playback
from diffusion_policy_ros.errors import DatasetError
import numpy as np
import pytest

STAMP_NS = 1_700_000_000_123_456_789
CONTRACT = """
robot: small
rate_hz: 10
observations:
  - {key: observation.state, topic: arm, type: sensor_msgs/msg/JointState, joints: [a, b],
     max_age_ms: 300}
  - {key: observation.state, topic: hand, type: sensor_msgs/msg/JointState, joints: [g],
     max_age_ms: 60}
  - {key: observation.told, topic: arm_commands, type: sensor_msgs/msg/JointState, joints: [a, b],
     max_age_ms: 300}
actions:
  - {topic: arm_commands, type: sensor_msgs/msg/JointState, joints: [a, b], offset_ms: -130}
  - {topic: hand_commands, type: sensor_msgs/msg/JointState, joints: [g], offset_ms: 40}
"""


@pytest.fixture
def dataset(tmp_path):
    """Write two episodes whose row k says 10 k + entry."""
    contract = parse_contract(CONTRACT)
    topics = ('arm', 'hand', 'arm_commands', 'hand_commands')
    with LeRobotWriter(tmp_path / 'd', contract) as writer:
        for length in (3, 6):
            for row in range(length):
                values = (10 * row + np.arange(3)).astype(np.float32)
                writer.add_row({'observation.state': values, 'observation.told': values[:2],
                                'action': values + 100}, tick_ns=STAMP_NS + row * 10**8,
                               ages_ns=dict.fromkeys(topics, 0))
            writer.save_episode('Count.')
    return tmp_path / 'd'


def heard(events):
    """Return (time in ms, topic, values) of events."""
    return [(event.at_ns / 1e6, event.topic, event.parts[0][1].tolist()) for event in events]


def test_every_message_is_due_at_its_tick_plus_its_offset(dataset):
    playback = Playback(dataset, 1)
    found = heard(playback.events())
    assert found == sorted(found, key=lambda event: event[0])
    wanted = [(100.0 * k + late, topic, values) for k in range(6) for late, topic, values in (
        (0, 'arm', [10 * k, 10 * k + 1]), (0, 'hand', [10 * k + 2]),
        (-130, 'arm_commands', [10 * k + 100, 10 * k + 101]),
        (40, 'hand_commands', [10 * k + 102]))]
    assert sorted(found) == sorted(wanted)
    assert playback.rows == 6
    assert playback.lead_ns == 30_000_000  # half of what hand may be old
    assert playback.first_tick_ns == STAMP_NS


def test_a_topic_of_commands_is_never_published_as_an_observation(dataset):
    playback = Playback(dataset, 1)
    assert 'arm_commands' not in playback.observed
    assert set(playback.commanded) == {'arm_commands', 'hand_commands'}
    assert {topic for _, topic, _ in heard(playback.standing(0.2))} == {'arm', 'hand'}


def test_a_start_leaves_rows_out(dataset):
    playback = Playback(dataset, 1, start_s=0.3)
    assert playback.rows == 3
    assert (0.0, 'arm', [30.0, 31.0]) in heard(playback.events())
    assert playback.first_tick_ns == STAMP_NS + 3 * 10**8
    assert [event[0] for event in heard(playback.standing(0.2))] == [-200, -200, -100, -100]


def test_depth_without_a_contract_inside_plays_with_one_that_fits(tmp_path):
    entry = ('{key: observation.images.depth, topic: depth, type: sensor_msgs/msg/Image, '
             'image: {height: 4, width: 6, encoding: 16UC1}, max_age_ms: 300}')
    contract = parse_contract(CONTRACT.replace(
        '  - {key: observation.state, topic: arm,', f'  - {entry}\n  - {{key: '
        'observation.state, topic: arm,'))
    pictures = np.arange(48, dtype=np.uint16).reshape(2, 4, 6, 1)
    topics = ('depth', 'arm', 'hand', 'arm_commands', 'hand_commands')
    with LeRobotWriter(tmp_path / 'd', contract) as writer:
        for row, picture in enumerate(pictures):
            values = np.arange(3, dtype=np.float32)
            writer.add_row({'observation.images.depth': picture, 'observation.state': values,
                            'observation.told': values[:2], 'action': values},
                           tick_ns=STAMP_NS + row * 10**8, ages_ns=dict.fromkeys(topics, 0))
        writer.save_episode('Look.')
    (tmp_path / 'd/meta/contract.yaml').unlink()
    shown = [event.parts[0][1] for event in Playback(tmp_path / 'd', 0, contract).events()
             if event.topic == 'depth']
    assert np.array_equal(shown, pictures)


@pytest.mark.parametrize('kind, library', [('zarr', 'zarr'), ('hdf5', 'h5py')])
def test_a_rate_that_a_format_does_not_hold_is_the_contracts(dataset, tmp_path, kind, library):
    pytest.importorskip(library)
    reader, contract = LeRobotReader(dataset), parse_contract(CONTRACT)
    for name, rate_hz in (('silent', None), ('noted', 20)):
        told = SimpleNamespace(row_features=reader.row_features, rate_hz=rate_hz, contract=None,
                               robot_type='unknown')
        copy_dataset(reader, create_dataset(tmp_path / f'{name}.{kind}', kind, like=told))
    assert Playback(tmp_path / f'silent.{kind}', 1, contract).rows == 6
    with pytest.raises(DatasetError, match='rate_hz: the dataset has 20, the contract 10'):
        Playback(tmp_path / f'noted.{kind}', 1, contract)


@pytest.mark.parametrize('kind, library', [('zarr', 'zarr'), ('hdf5', 'h5py')])
def test_other_formats_play_the_same(dataset, tmp_path, kind, library):
    pytest.importorskip(library)
    reader = LeRobotReader(dataset)
    copy_dataset(reader, create_dataset(tmp_path / f'd.{kind}', kind, like=reader))
    playback = Playback(tmp_path / f'd.{kind}', 1, parse_contract(CONTRACT))
    assert heard(playback.events()) == heard(Playback(dataset, 1).events())

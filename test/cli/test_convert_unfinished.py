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

"""`dpr convert` passes over episodes that the recorder has not finished, and says so."""

from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.topic_messages import build_topic
import numpy as np
import pytest
from rosbags.typesys import get_typestore, Stores

START_NS = 1_700_000_000_000_000_000
CONTRACT = """
robot: small
rate_hz: 10
observations:
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [elbow, wrist], max_age_ms: 150}
actions:
  - {topic: joint_commands, type: sensor_msgs/msg/JointState, joints: [elbow, wrist]}
"""


@pytest.fixture
def bags(tmp_path):
    """Give a folder with a finished episode of 21 rows and one that was not closed."""
    contract, store = parse_contract(CONTRACT), get_typestore(Stores.LATEST)
    for number in range(2):
        folder = tmp_path / f'bags/episode_{number:06d}'
        with EpisodeBag(folder, contract, task='Move it.') as bag:
            for k in range(21):
                for entry in (*contract.observations, *contract.actions):
                    now_ns = START_NS + k * 100_000_000
                    message = build_topic([(entry, np.full(2, k))], store.types, now_ns)
                    bag.write(entry.topic, entry.type,
                              store.serialize_cdr(message, entry.type), now_ns)
    (folder / 'metadata.yaml').rename(folder / 'unfinished.json')
    return tmp_path / 'bags'


@pytest.mark.parametrize('names', [('',), ('episode_000000', 'episode_000001'), ('*',)])
def test_what_is_finished_is_converted_and_the_other_one_named(bags, tmp_path, capsys, names):
    """Whether the folder is named, or a shell has named all that is in it."""
    sources = [str(bags / name) for name in names]
    assert main(['convert', *sources, '--out', str(tmp_path / 'd'), '--no-report']) == 0
    assert [e.length for e in LeRobotReader(tmp_path / 'd').episodes] == [21]
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith('NOTE: ')]
    assert notes == [f'NOTE: {bags}/episode_000001 is being recorded, or was not closed, and was '
                     f'passed over; a recorder that is started with output {bags} repairs what '
                     'was not closed']


def test_without_a_finished_bag_there_is_no_dataset(bags, tmp_path, capsys):
    assert main(['convert', str(bags / 'episode_000001'), '--out', str(tmp_path / 'd')]) == 1
    assert capsys.readouterr().err.endswith(
        f'dpr convert: {bags}/episode_000001: there is no finished bag\n')
    assert not (tmp_path / 'd').exists()

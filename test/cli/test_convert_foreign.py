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

"""`dpr convert` and what follows it with data of others: a contract is attached, or is missing."""

import shutil

from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
import numpy as np
import pytest

CONTRACT = """
robot: theirs
rate_hz: 10
observations:
  - key: observation.state
    topic: joints
    type: sensor_msgs/msg/JointState
    joints: [pan, lift]
    max_age_ms: 100
actions:
  - {topic: commands, type: std_msgs/msg/Float64MultiArray, names: [pan, lift], stamp: receive}
limits:
  pan: {position: [0.0, 1.0], velocity: 1.0}
  lift: {position: [0.0, 99.0], velocity: 1.0}
"""


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """Write a LeRobotDataset without a contract, and a contract; work in their folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'arm.yaml').write_text(CONTRACT)
    vector = {'dtype': 'float32', 'shape': [2], 'names': {'motors': ['j0', 'j1']}}
    camera = {'dtype': 'video', 'shape': [16, 16, 3], 'names': ['height', 'width', 'channel']}
    features = {'observation.state': vector, 'action': vector, 'observation.image': camera}
    with LeRobotWriter(tmp_path / 'theirs', features=features, rate_hz=10) as writer:
        for k in range(20):
            writer.add_frame({'observation.state': np.float32([k, k * k]),
                              'action': np.float32([k + 1, 2 * k]),
                              'observation.image': np.full((16, 16, 3), k, np.uint8)})
        writer.save_episode('t')
    return tmp_path / 'theirs'


def test_a_contract_that_is_attached_makes_a_dataset_to_train_on(theirs, capsys):
    """It is told what nobody checked, what was left out, and which numbers look wrong."""
    assert main(['convert', 'theirs', '--contract', 'arm.yaml', '--by-order', '--no-report',
                 '--out', 'ours']) == 0
    printed = capsys.readouterr()
    assert printed.out.endswith('\nnext: dpr train ours --out models/NAME\n')
    assert 'NOTE: left out, as the contract does not name them: observation.image\n' in printed.err
    assert 'NOTE: the entries of action are taken by their order: pan, lift\n' in printed.err
    assert 'WARNING: action pan goes from 1 to 20, the contract limits it to 0 to 1' in printed.err
    assert 'action lift goes' not in printed.err
    assert LeRobotReader('ours').contract.robot == 'theirs'
    assert main(['check', 'ours']) == 0
    assert 'contract' not in capsys.readouterr().out


def test_a_policy_learns_from_data_of_others(theirs, capsys):
    """With nothing but what `dpr convert` has written."""
    pytest.importorskip('torch')
    assert main(['convert', 'theirs', '--contract', 'arm.yaml', '--by-order', '--no-report',
                 '--out', 'ours']) == 0
    assert main(['train', 'ours', '--out', 'model', '--threads', '1', '--device', 'cpu', '--set',
                 'steps=1', '--set', 'batch_size=4', '--set', 'policy.down_dims=[8, 16]']) == 0
    assert 'model: trained 1 steps' in capsys.readouterr().out


def test_a_camera_that_the_contract_does_not_name_need_not_be_there(theirs):
    shutil.rmtree(theirs / 'videos')
    assert main(['convert', 'theirs', '--contract', 'arm.yaml', '--by-order', '--no-report',
                 '--out', 'ours']) == 0


def test_a_contract_that_does_not_fit_leaves_nothing(theirs, tmp_path, capsys):
    assert main(['convert', 'theirs', '--contract', 'arm.yaml', '--out', 'ours']) == 1
    said = capsys.readouterr().err
    assert 'the dataset names j0, j1, the contract pan, lift' in said and '--by-order' in said
    assert not list(tmp_path.glob('ours*'))


def test_without_a_contract_nothing_leads_to_a_training_that_is_refused(theirs, capsys):
    """Neither the last line of `dpr convert` nor a check that finds nothing to look at."""
    pytest.importorskip('torch')
    assert main(['convert', 'theirs', '--out', 'copy', '--no-report']) == 0
    printed = capsys.readouterr().out
    assert 'next: dpr train' not in printed
    assert 'then dpr convert theirs --contract YAML --out NEW' in printed
    assert main(['check', 'copy', '--count-only']) == 0
    assert 'WARNING  contract: the dataset holds no robot contract' in capsys.readouterr().out
    assert main(['train', 'copy', '--out', 'model']) == 1
    assert 'dpr convert copy --contract YAML --out NEW' in capsys.readouterr().err


@pytest.mark.parametrize('words, said', [
    (['train', 'nowhere', '--out', 'm'], 'dpr train: nowhere does not exist; the folder of a Le'),
    (['train', 'bags', '--out', 'm'],
     'bags holds bags; the folder of a LeRobotDataset v3.0 is needed, as dpr convert writes it; '
     'convert it first: dpr convert bags --out DATASET'),
    (['train', 'bags/one/one_0.mcap', '--out', 'm'], 'one_0.mcap holds bags; the folder of'),
    (['train', 'some.zarr', '--out', 'm'],
     'some.zarr is a zarr buffer or HDF5 file; the folder of a LeRobotDataset v3.0 is needed, as '
     'dpr convert writes it; convert it first: dpr convert some.zarr --contract YAML'),
    (['train', 'empty', '--out', 'm'], 'empty holds no meta/info.json; the folder of a LeRobot'),
    (['train', 'theirs', '--config', 'no.yaml', '--out', 'm'],
     'cannot read the training configuration no.yaml: there is no such file'),
    (['check', 'nowhere'], 'nowhere does not exist'),
    (['check', 'theirs', '--contract', 'no.yaml'],
     'cannot read the contract no.yaml: there is no such file. Examples are in config/robots/'),
    (['convert', 'some.zarr', '--to', 'bags', '--contract', 'arm.yaml', '--mapping', 'no.yaml',
      '--out', 'b'], 'cannot read the mapping no.yaml: there is no such file. Examples are in'),
    (['convert', 'bags', '--cut', 'times:no.yaml', '--out', 'b'],
     'the list of times no.yaml cannot be read: there is no such file')])
def test_what_is_missing_is_one_sentence_that_leads_on(theirs, tmp_path, words, said, capsys):
    """Without a number of the operating system, and without saying the path twice."""
    pytest.importorskip('torch')
    (tmp_path / 'bags/one').mkdir(parents=True)
    (tmp_path / 'bags/one/one_0.mcap').touch()
    for name in ('some.zarr', 'empty'):
        (tmp_path / name).mkdir()
    assert main(words) in (1, 2)
    printed = capsys.readouterr().err
    assert said in printed and 'Errno' not in printed and printed.count('\n') == 1

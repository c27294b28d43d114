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

"""``dpr import-lerobot`` and what else takes a folder of LeRobot's: info, eval."""

import json
from pathlib import Path
import re
import shutil
import sys

from diffusion_policy_ros.cli.main import main
import pytest

torch = pytest.importorskip('torch')
from diffusion_policy_ros.diffusion import Sampler  # noqa: E402,I100
from diffusion_policy_ros.policy import Policy  # noqa: E402
from diffusion_policy_ros.policy.checkpoint import export_checkpoint, read_checkpoint  # noqa: E402

sys.path.append(str(Path(__file__).resolve().parents[1] / 'policy'))
from lerobot_side import differences, expected_of, FIXTURES  # noqa: E402

PUSHT = Path(__file__).resolve().parents[2] / 'config' / 'robots' / 'pusht.yaml'
VECTORS = FIXTURES / 'vectors'


@pytest.fixture(scope='module')
def contract(tmp_path_factory):
    """Return a contract that fits the stored policy without cameras, under other names."""
    config = json.loads((VECTORS / 'config.json').read_text())
    sizes = {key: feature['shape'][0] for key, feature in
             {**config['input_features'], **config['output_features']}.items()}

    def joints(letter, key):
        return [f'{letter}{index}' for index in range(sizes[key])]

    path = tmp_path_factory.mktemp('contract') / 'arm.yaml'
    path.write_text(json.dumps({
        'robot': 'arm', 'rate_hz': 10,
        'observations': [
            {'key': 'observation.state', 'topic': 'joints', 'max_age_ms': 200,
             'type': 'sensor_msgs/msg/JointState', 'joints': joints('j', 'observation.state')},
            {'key': 'observation.block', 'topic': 'block', 'max_age_ms': 200,
             'type': 'sensor_msgs/msg/JointState',
             'joints': joints('b', 'observation.environment_state')}],
        'actions': [{'topic': 'commands', 'type': 'sensor_msgs/msg/JointState',
                     'joints': joints('j', 'action'), 'max_age_ms': 200}]}))
    return path


@pytest.fixture(scope='module')
def theirs(save_tiny_policy, tmp_path_factory):
    """Return a folder of LeRobot's whose policy sees what the Push-T robot shows."""
    folder = tmp_path_factory.mktemp('lerobot') / 'pusht'
    ours = save_tiny_policy(vision_backbone='resnet18', crop_shape=(36, 36),
                            spatial_softmax_num_keypoints=4)
    export_checkpoint(folder, read_checkpoint(ours))
    return folder


def test_import_gives_a_checkpoint_that_answers_as_lerobot_did(tmp_path, contract, capsys):
    out = tmp_path / 'out'
    rename = 'observation.environment_state=observation.block'
    assert main(['import-lerobot', str(VECTORS), str(out), '--contract', str(contract),
                 '--rename', rename]) == 0
    assert 'solver ddpm with 100 steps as LeRobot runs it' in capsys.readouterr().out
    policy = Policy.load(out)
    assert policy.contract.robot == 'arm' and policy.sampler.solver == 'ddpm'
    inputs, expected = expected_of(VECTORS / 'expected.npz')
    inputs['observation.block'] = inputs.pop('observation.environment_state')
    assert differences(policy, inputs, expected) < 1e-5
    (out / 'contract.yaml').write_text((out / 'contract.yaml').read_text().replace('10', '20'))
    assert main(['info', str(out)]) == 1
    with pytest.raises(Exception, match='is not the file that the policy was saved with'):
        Policy.load(out)


@pytest.mark.parametrize('arguments, code, message', [
    ([], 1,
     "the policy sees 'observation.environment_state', .* Name the key of the contract for"),
    (['--rename', 'observation.stat=observation.block'], 1, 'did you mean "observation.state"?'),
    (['--rename', 'observation.block'], 2, 'is not of the form KEY=KEY'),
    (['--rename', 'observation.environment_state=observation.state'], 1,
     'two observations have one'),
    (['--rename', 'a=b', '--rename', 'a=c'], 2, 'a is given twice')])
def test_what_does_not_fit_the_contract_is_refused(tmp_path, contract, capsys, arguments, code,
                                                   message):
    out = tmp_path / 'out'
    assert main(['import-lerobot', str(VECTORS), str(out), '--contract', str(contract),
                 *arguments]) == code
    said = capsys.readouterr().err
    assert re.search(message, said) and said.count('\n') == 1
    assert not out.exists()


def test_a_checkpoint_of_this_package_needs_no_import(tmp_path, save_tiny_policy, capsys):
    assert main(['import-lerobot', str(save_tiny_policy()), str(tmp_path / 'out'), '--contract',
                 str(PUSHT)]) == 1
    assert 'is a checkpoint of this package already' in capsys.readouterr().err


def test_info_describes_a_folder_of_lerobot(capsys):
    assert main(['info', str(VECTORS)]) == 0
    shown = capsys.readouterr().out
    assert 'solver ddpm' in shown and 'none inside' in shown


def test_info_describes_a_configuration_of_2024(tmp_path, capsys):
    folder = shutil.copytree(VECTORS, tmp_path / 'old')
    raw = json.loads((folder / 'config.json').read_text())
    for side in ('input', 'output'):
        features = raw.pop(f'{side}_features')
        raw[f'{side}_shapes'] = {key: feature['shape'] for key, feature in features.items()}
        raw[f'{side}_normalization_modes'] = {key: 'min_max' for key in features}
    for name in ('type', 'normalization_mapping'):
        raw.pop(name)
    (folder / 'config.json').write_text(json.dumps(raw))
    assert main(['info', str(folder)]) == 0
    assert 'observation.environment_state' in capsys.readouterr().out


@pytest.mark.slow
def test_eval_runs_a_folder_of_lerobot_under_a_contract(theirs, capsys):
    pytest.importorskip('gym_pusht')
    arguments = ['eval', str(theirs), '--sim', 'pusht', '--episodes', '1', '--solver', 'ddim',
                 '--steps', '2']
    assert main(arguments) == 1
    assert 'give it with --contract' in capsys.readouterr().err
    assert main([*arguments, '--contract', str(PUSHT)]) == 0
    assert '1 episode' in capsys.readouterr().out


def test_plain_load_of_a_folder_takes_a_contract(theirs):
    from diffusion_policy_ros.contract import load_contract
    policy = Policy.load(theirs, contract=load_contract(PUSHT))
    assert policy.contract.robot == 'pusht'
    assert policy.sampler == Sampler('ddpm', 100, spacing='linspace')

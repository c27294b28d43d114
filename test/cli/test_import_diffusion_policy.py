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

"""``dpr import-diffusion-policy``: a U-Net under its names there answers as it did elsewhere."""

import json
from pathlib import Path
import re
import sys

from diffusion_policy_ros.cli.main import main
import pytest

torch = pytest.importorskip('torch')
from diffusion_policy_ros.diffusion import Sampler  # noqa: E402,I100
from diffusion_policy_ros.policy import Policy  # noqa: E402

sys.path.append(str(Path(__file__).resolve().parents[1] / 'policy'))
from lerobot_side import answer, expected_of, FIXTURES  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

VECTORS = FIXTURES / 'vectors'
RAW = json.loads((VECTORS / 'config.json').read_text())
FEATURES = {**RAW['input_features'], **RAW['output_features']}
NAMES = {'agent': 'observation.state', 'block': 'observation.environment_state',
         'action': 'action'}
RANGES = {'MIN_MAX': ('min', 'max'), 'QUANTILES': ('q01', 'q99'), 'QUANTILE10': ('q10', 'q90')}


def there(name):
    """Return a U-Net tensor's name in Diffusion Policy."""
    name = name.replace('.conv1.block.', '.blocks.0.block.').replace(
        '.conv2.block.', '.blocks.1.block.')
    return re.sub(r'(down|up)_modules\.(\d)\.2\.', r'\1_modules.\2.2.conv.', name)


def scale_and_offset(key):
    """Return the map that LeRobot's normalization of a key is."""
    statistics = load_file(VECTORS / 'policy_preprocessor_step_3_normalizer_processor.safetensors')
    mode = RAW['normalization_mapping'].get(FEATURES[key]['type'], 'IDENTITY')
    if mode == 'IDENTITY':
        return torch.ones(1), torch.zeros(1)
    if mode == 'MEAN_STD':
        mean, std = (statistics[f'{key}.{name}'] for name in ('mean', 'std'))
        return 1 / std, -mean / std
    low, high = (statistics[f'{key}.{name}'] for name in RANGES[mode])
    return 2 / (high - low), -1 - 2 * low / (high - low)


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """Return the stored policy without cameras as Diffusion Policy would name its tensors."""
    path = tmp_path_factory.mktemp('there') / 'weights.safetensors'
    tensors = {f'model.{there(name.removeprefix("diffusion.unet."))}': tensor
               for name, tensor in load_file(VECTORS / 'model.safetensors').items()}
    for name, key in NAMES.items():
        scale, offset = scale_and_offset(key)
        tensors[f'normalizer.params_dict.{name}.scale'] = scale
        tensors[f'normalizer.params_dict.{name}.offset'] = offset
    save_file(tensors, path)
    return path


@pytest.fixture(scope='module')
def contract(tmp_path_factory):
    """Return the path of a contract with these features."""
    def entry(key, topic):
        joints = [f'{topic}_{index}' for index in range(FEATURES[key]['shape'][0])]
        return {'topic': topic, 'type': 'sensor_msgs/msg/JointState', 'joints': joints,
                'max_age_ms': 200}

    path = tmp_path_factory.mktemp('contract') / 'arm.yaml'
    path.write_text(json.dumps({
        'robot': 'arm', 'rate_hz': 10, 'actions': [entry('action', 'commands')],
        'observations': [{**entry(key, topic), 'key': key} for key, topic in (
            ('observation.environment_state', 'block'), ('observation.state', 'agent'))]}))
    return path


def arguments(weights, contract, out, *more):
    """Return a command line with the settings of the stored policy."""
    known = ('horizon', 'n_action_steps', 'n_groups', 'prediction_type', 'clip_sample',
             'clip_sample_range', 'beta_schedule')
    settings = [text for name in known for text in ('--set', f'{name}={json.dumps(RAW[name])}')]
    return ['import-diffusion-policy', str(weights), str(out), '--contract', str(contract),
            *settings, *more]


def test_the_policy_answers_as_it_did_elsewhere(weights, contract, tmp_path, capsys):
    observed = ('--obs', 'agent=observation.state', '--obs', 'block=observation.environment_state')
    assert main(arguments(weights, contract, tmp_path / 'out', *observed)) == 0
    said = capsys.readouterr().out
    assert 'check these against the training' in said and 'out: FiLM U-Net ' in said
    assert f'n_groups {RAW["n_groups"]}' in said and f'n_obs_steps {RAW["n_obs_steps"]}' in said
    assert 'observations in this order: agent, block' in said
    policy = Policy.load(tmp_path / 'out')
    policy.sampler = Sampler('ddpm', 100, spacing='linspace')
    inputs, expected = expected_of(VECTORS / 'expected.npz')
    torch.testing.assert_close(torch.from_numpy(answer(policy, inputs)),
                               torch.from_numpy(expected), rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize('more, code, message', [
    ((), 1, 'agent, block; say with --obs NAME=KEY'),
    (('--obs', 'agent'), 2, 'is not of the form KEY=KEY'),
    (('--obs', 'agent=observation.state'), 1,
     'the contract of .arm. has exactly: observation.env'),
    (('--set', 'normalization_mapping={ACTION: IDENTITY}'), 2, 'it must be KEY=VALUE with a key'),
    (('--set', 'depth=3'), 2, '--set depth=3: it must be KEY=VALUE with a key among n'),
    (('--set', 'horizon=0'), 2, '--set horizon is 0; it must be a whole number'),
    (('--set', 'beta_end=.nan'), 2, '--set beta_end is nan; it must be a number above 0')])
def test_wrong_arguments_are_refused_in_one_line(weights, contract, tmp_path, capsys, more,
                                                 code, message):
    assert main(arguments(weights, contract, tmp_path / 'out', *more)) == code
    said = capsys.readouterr().err
    assert re.search(message, said) and said.count('\n') == 1
    assert not (tmp_path / 'out').exists()


def test_a_pickled_checkpoint_is_refused_with_the_page(contract, tmp_path, capsys):
    (tmp_path / 'latest.ckpt').write_bytes(b'PK\x03\x04')
    assert main(arguments(tmp_path / 'latest.ckpt', contract, tmp_path / 'out')) == 1
    assert 'docs/diffusion_policy_weights.md tells how' in capsys.readouterr().err

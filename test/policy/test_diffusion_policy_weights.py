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

"""
Weights of Diffusion Policy give the same network here.

The stored answers are those of its own U-Net and of robomimic's encoder (diffusion_policy_oracle).
"""

import json
from pathlib import Path

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.errors import CheckpointError, ConfigError
from diffusion_policy_ros.policy import Policy
from diffusion_policy_ros.policy.assembly import assemble
from diffusion_policy_ros.policy.diffusion_policy_weights import default_observed, read_weights
from lerobot_cases import make_tensor
import pytest
from safetensors.torch import load_file, save_file
import torch

FIXTURE = Path(__file__).parent / 'fixtures_diffusion_policy'
OBSERVED = {'camera': 'observation.images.camera', 'pose': 'observation.state',
            'block': 'observation.environment_state'}
CHANGES = {'crop_shape': (40, 44), 'horizon': 8, 'n_action_steps': 4}
CONTRACT = """
robot: table
rate_hz: 10
observations:
  - {key: observation.state, topic: joints, type: sensor_msgs/msg/JointState, joints: [x, y],
     max_age_ms: 200}
  - {key: observation.images.camera, topic: image, type: sensor_msgs/msg/Image, max_age_ms: 200,
     image: {height: 48, width: 52, encoding: rgb8}}
  - {key: observation.environment_state, topic: block, type: sensor_msgs/msg/JointState,
     joints: [block], max_age_ms: 200}
actions:
  - {topic: commands, type: sensor_msgs/msg/JointState, joints: [x, y], max_age_ms: 200}
"""


@pytest.fixture(scope='module')
def contract():
    """Return the contract of a robot with a camera and two vectors."""
    return parse_contract(CONTRACT)


@pytest.fixture(scope='module')
def whole():
    """Return a state dict as Diffusion Policy's hybrid image policy has it."""
    rule = json.loads((FIXTURE / 'encoder.json').read_text())
    tensors = load_file(FIXTURE / 'weights.safetensors')
    for name, shape in rule['shapes'].items():
        value = torch.from_numpy(make_tensor(name, tuple(shape), rule['seed']))
        if name.endswith('temperature'):
            value = torch.ones(1)
        for place, axis in enumerate(('pos_x', 'pos_y')):
            if name.endswith(axis):
                value = torch.tensor([-1.0, 1.0]).repeat(2) if place == 0 else \
                    torch.tensor([-1.0, 1.0]).repeat_interleave(2)
                value = value.reshape(shape)
        tensors[f'obs_encoder.obs_nets.camera.{name}'] = value
    return tensors


@pytest.fixture
def write(whole, tmp_path):
    """Return a function that writes the state dict, changed."""
    def save(change=lambda tensors: None):
        tensors = dict(whole)
        tensors = change(tensors) or tensors
        save_file(tensors, tmp_path / 'weights.safetensors')
        return tmp_path / 'weights.safetensors'

    return save


@pytest.fixture
def small(tmp_path):
    """Return the path of a state dict without encoder, whose file is small."""
    path = tmp_path / 'small.safetensors'
    save_file(load_file(FIXTURE / 'weights.safetensors'), path)
    return path


def test_the_network_is_the_same_whatever_the_order_of_the_observations(write, contract):
    path = write()
    policy = assemble(Policy, read_weights(path, contract, OBSERVED, CHANGES), path).eval()
    answer = load_file(FIXTURE / 'answer.safetensors')
    window = {OBSERVED['camera']: answer['images'].permute(0, 1, 3, 4, 2).contiguous(),
              OBSERVED['pose']: answer['pose'], OBSERVED['block']: answer['block']}
    with torch.no_grad():
        predicted = policy.denoise(answer['chunk'], answer['steps'], policy.encode(window))
    torch.testing.assert_close(predicted, answer['predicted'], rtol=1e-5, atol=1e-5)
    assert policy.config.down_dims == (16, 32) and policy.config.n_obs_steps == 2
    actions = torch.tensor([[0.5, -1.0]])
    torch.testing.assert_close(policy.normalizer.normalize('action', actions), 3 * actions - 0.5)


def test_a_policy_of_few_noise_levels_samples_with_as_many_steps_as_it_has_levels_for(
        write, contract):
    path = write()
    changes = {**CHANGES, 'num_train_timesteps': 5}
    policy = assemble(Policy, read_weights(path, contract, OBSERVED, changes), path)
    assert policy.sampler.num_inference_steps == 5


def test_another_order_is_another_network(write, contract):
    path = write()
    swapped = {name: OBSERVED[name] for name in ('pose', 'camera', 'block')}
    first, second = (read_weights(path, contract, observed, CHANGES).weights
                     for observed in (OBSERVED, swapped))
    name = 'diffusion.unet.mid_modules.0.cond_encoder.1.weight'
    assert not torch.equal(first[name], second[name])


def test_each_camera_keeps_its_encoder_whatever_the_order(whole, tmp_path):
    start, end = (CONTRACT.index(f'  - {{key: observation.{key}') for key in ('images', 'env'))
    camera = CONTRACT[start:end]
    second = CONTRACT.replace(camera, camera + camera.replace('camera', 'arm'))
    second = second.replace('arm, topic: image', 'arm, topic: arm')
    tensors = dict(whole)
    for name, tensor in whole.items():
        if name.startswith('obs_encoder.'):
            shift = float(name.endswith('nets.3.bias'))
            tensors[name.replace('.camera.', '.arm.')] = tensor + shift
        elif name.endswith('cond_encoder.1.weight'):  # two rows of 16 more features
            tensors[name] = torch.cat([tensor, torch.zeros(len(tensor), 32)], dim=1)
        elif '.camera.' in name:
            tensors[name.replace('.camera.', '.arm.')] = tensor.clone()
    save_file(tensors, tmp_path / 'two.safetensors')
    observed = {'arm': 'observation.images.arm', **OBSERVED}
    found = read_weights(tmp_path / 'two.safetensors', parse_contract(second), observed, CHANGES)
    for place, name in enumerate(('camera', 'arm')):  # as in the contract
        assert torch.equal(found.weights[f'diffusion.rgb_encoder.{place}.out.bias'],
                           tensors[f'obs_encoder.obs_nets.{name}.nets.3.bias'])


def test_averaged_weights_are_preferred(write, contract, whole):
    def both(tensors):
        wrong = {f'model.{name}': tensor + 1 for name, tensor in tensors.items()}
        return {**{f'ema_model.{name}': tensor for name, tensor in tensors.items()}, **wrong}

    plain = read_weights(write(), contract, OBSERVED, CHANGES).weights
    averaged = read_weights(write(both), contract, OBSERVED, CHANGES).weights
    assert plain.keys() == averaged.keys()
    assert all(torch.equal(plain[name], averaged[name]) for name in plain)


@pytest.mark.parametrize('name, content', [
    ('latest.ckpt', b''), ('pytorch_model.bin', b''),
    ('weights.safetensors', b'PK\x03\x04rest'), ('w', b'\x80\x02rest')])
def test_pickles_are_never_opened(tmp_path, contract, monkeypatch, name, content):
    monkeypatch.setattr(torch, 'load', lambda *_, **__: pytest.fail('unpickled'))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match='is pickled: .*docs/diffusion_policy_weights.md'):
        read_weights(tmp_path / name, contract, OBSERVED, CHANGES)


def rename(old, new):
    """Return a change of a state dict."""
    return lambda tensors: {name.replace(old, new): tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize('change, message', [
    (rename('model.mid_modules', 'model.local_cond_encoder'), 'holds local conditioning'),
    (rename('model.final_conv', 'model.input_emb'), 'holds the Transformer'),
    (lambda t: t.update({'obs_encoder.key_model_map.a.conv1.weight': torch.zeros(1)}),
     'average pooling'),
    (lambda t: t.update(other=torch.zeros(1)), "the unknown tensor 'other'"),
    (lambda t: t.update({'normalizer.params_dict.pose.scale': torch.zeros(2)}), 'scale above 0'),
    (lambda t: t.update({'normalizer.params_dict.pose.scale': torch.full((2,), torch.inf)}),
     'scale .inf, inf. and .* wanted 2 finite numbers'),
    (lambda t: t.update({'normalizer.params_dict.pose.offset': torch.full((2,), torch.nan)}),
     'wanted 2 finite numbers each'),
    (rename('normalizer.params_dict.pose', 'normalizer.params_dict.arm'), "not know 'pose'; it"),
    (lambda t: {name: tensor for name, tensor in t.items() if 'normalizer' not in name},
     'holds no normalizer'),
    (lambda t: {name: tensor for name, tensor in t.items() if name[:6] != 'model.'},
     'holds no U-Net'),
    (lambda t: t.update({'model.final_conv.1.bias': torch.zeros(23)}), 'by inpainting'),
    (lambda t: t.update({'model.final_conv.1.bias': torch.tensor(0.0)}), 'chunks has 0 entries')])
def test_what_has_no_counterpart_here_is_refused(small, contract, change, message):
    tensors = load_file(small)
    save_file(change(tensors) or tensors, small)
    with pytest.raises((CheckpointError, ConfigError), match=message):
        read_weights(small, contract, {'pose': 'observation.state',
                                       'block': 'observation.environment_state',
                                       'camera': 'observation.images.camera'}, CHANGES)


@pytest.mark.parametrize('name, shape', [
    ('model.mid_modules.0.cond_encoder.1.weight', (5,)),
    ('model.mid_modules.0.cond_encoder.1.weight', ()),
    ('model.down_modules.0.0.cond_encoder.1.weight', (32, 7)),
    ('model.down_modules.0.0.blocks.0.block.0.weight', ()),
    ('model.diffusion_step_encoder.3.bias', ()),
    ('obs_encoder.obs_nets.camera.nets.1.pos_x', (3,))])
def test_tensors_of_other_shapes_are_refused_and_the_file_is_named(write, contract, name, shape):
    path = write(lambda tensors: tensors.update({name: torch.ones(shape)}))
    with pytest.raises((CheckpointError, ConfigError),
                       match=r'weights.safetensors.* (shape|has|lacks)'):
        read_weights(path, contract, OBSERVED, CHANGES)


def test_settings_and_observations_that_do_not_fit_are_named(write, small, contract):
    path = write()
    with pytest.raises(CheckpointError, match='pool.pos_grid. has shape .* check crop_shape'):
        read_weights(path, contract, OBSERVED, {**CHANGES, 'crop_shape': (20, 20)})
    with pytest.raises(CheckpointError, match='cond_encoder.1.weight. has shape .* n_obs_steps'):
        read_weights(path, contract, OBSERVED, {**CHANGES, 'n_obs_steps': 3})
    with pytest.raises(ConfigError, match='kernel_size is 5, but the tensors'):
        read_weights(path, contract, OBSERVED, {**CHANGES, 'kernel_size': 5})
    with pytest.raises(ConfigError, match='has exactly: observation.state'):
        read_weights(path, contract, {'pose': 'observation.state'}, CHANGES)
    with pytest.raises(ConfigError, match='has image encoders of nothing'):
        read_weights(small, contract, OBSERVED, CHANGES)
    with pytest.raises(ConfigError, match='block, camera, pose; say with --obs'):
        default_observed(path, contract)

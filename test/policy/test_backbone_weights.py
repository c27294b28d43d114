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
"""Tests of the weights that a backbone starts from."""

from functools import lru_cache

from diffusion_policy_ros.errors import CheckpointError
from diffusion_policy_ros.networks.rgb_encoder import RgbEncoder
from diffusion_policy_ros.policy import Policy
from diffusion_policy_ros.policy.backbone_weights import (
    imagenet_statistics, load_backbone_weights)
import pytest
from safetensors.torch import save_file
import torch
from torch import nn
from torch.nn import functional

DEPTHS = {'resnet18': (2, 2, 2, 2), 'resnet34': (3, 4, 6, 3)}


@lru_cache
def public_weights(name='resnet18'):
    """Write down the tensors of a ResNet under torchvision's names, from the paper's table."""
    generator, tensors = torch.Generator().manual_seed(0), {}

    def convolution(key, out, entries, kernel):
        tensors[f'{key}.weight'] = torch.randn(out, entries, kernel, kernel, generator=generator)
        tensors[f'{key}.weight'] *= (2 / (entries * kernel ** 2)) ** 0.5

    def norm(key, channels):
        for name in ('weight', 'bias', 'running_mean', 'running_var'):
            tensors[f'{key}.{name}'] = 0.5 + torch.rand(channels, generator=generator)
        tensors[f'{key}.num_batches_tracked'] = torch.tensor(7)

    convolution('conv1', 64, 3, 7)
    norm('bn1', 64)
    before = 64
    for layer, depth in enumerate(DEPTHS[name], 1):
        width = 32 * 2 ** layer
        for block in range(depth):
            key = f'layer{layer}.{block}'
            convolution(f'{key}.conv1', width, before if block == 0 else width, 3)
            norm(f'{key}.bn1', width)
            convolution(f'{key}.conv2', width, width, 3)
            norm(f'{key}.bn2', width)
            if block == 0 and layer > 1:
                convolution(f'{key}.downsample.0', width, before, 1)
                norm(f'{key}.downsample.1', width)
        before = width
    tensors['fc.weight'], tensors['fc.bias'] = torch.zeros(1000, 512), torch.zeros(1000)
    return tensors


def forward(tensors, x, depths):
    """Compute the feature map from the public names alone."""
    def norm(x, key):
        return functional.batch_norm(
            x, tensors[f'{key}.running_mean'], tensors[f'{key}.running_var'],
            tensors[f'{key}.weight'], tensors[f'{key}.bias'])

    x = functional.conv2d(x, tensors['conv1.weight'], stride=2, padding=3)
    x = functional.max_pool2d(norm(x, 'bn1').relu(), 3, 2, 1)
    for layer, depth in enumerate(depths, 1):
        for block in range(depth):
            key, stride = f'layer{layer}.{block}', 2 if layer > 1 and block == 0 else 1
            h = functional.conv2d(x, tensors[f'{key}.conv1.weight'], stride=stride, padding=1)
            h = functional.conv2d(norm(h, f'{key}.bn1').relu(), tensors[f'{key}.conv2.weight'],
                                  padding=1)
            if f'{key}.downsample.0.weight' in tensors:
                x = functional.conv2d(x, tensors[f'{key}.downsample.0.weight'], stride=stride)
                x = norm(x, f'{key}.downsample.1')
            x = (norm(h, f'{key}.bn2') + x).relu()
    return x


def written(tmp_path, tensors):
    """Write tensors into a file."""
    save_file(tensors, tmp_path / 'weights.safetensors')
    return tmp_path / 'weights.safetensors'


def encoder(backbone='resnet18', **options):
    """Return an encoder of small images."""
    return RgbEncoder(backbone, (3, 32, 64), 4, **options)


def shapes_only(backbone='resnet18'):
    """Return an encoder without values, for what is refused before any is written."""
    with torch.device('meta'):
        return encoder(backbone)


@lru_cache
def refusing_encoder():
    """Return an encoder that no test may change."""
    return encoder(use_group_norm=False)


@pytest.mark.parametrize('name', DEPTHS)
def test_backbone_with_batch_norm_becomes_the_network_of_the_file(tmp_path, name):
    tensors = public_weights(name)
    network = encoder(name, use_group_norm=False).eval()
    said = load_backbone_weights([network], written(tmp_path, tensors))
    images = torch.randn(2, 3, 32, 64, generator=torch.Generator().manual_seed(1))
    expected = forward(tensors, images, DEPTHS[name])
    torch.testing.assert_close(network.backbone(images), expected, rtol=1e-3,
                               atol=1e-5 * expected.abs().max().item())
    assert f'starts from {len(tensors) - 2} tensors of' in said and 'GroupNorm' not in said
    assert network.backbone[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_group_norm_takes_weights_and_biases_and_says_so(tmp_path):
    tensors = public_weights()
    network = encoder()
    said = load_backbone_weights([network], written(tmp_path, tensors))
    assert 'GroupNorm takes only the weights and biases of its norms' in said
    assert torch.equal(network.backbone[1].weight, tensors['bn1.weight'])
    assert torch.equal(network.backbone[5][0].downsample[1].bias,
                       tensors['layer2.0.downsample.1.bias'])
    assert torch.equal(network.backbone[7][1].conv2.weight, tensors['layer4.1.conv2.weight'])


def test_separate_encoders_start_alike_and_keep_their_own_weights(tmp_path):
    encoders = nn.ModuleList([encoder(), encoder()])
    load_backbone_weights(encoders, written(tmp_path, public_weights()))
    first, second = (one.backbone[0].weight for one in encoders)
    assert torch.equal(first, second) and first.data_ptr() != second.data_ptr()


def test_a_file_without_counters_or_in_half_precision_will_do(tmp_path):
    tensors = {name: tensor.half() for name, tensor in public_weights().items()
               if not name.endswith('num_batches_tracked') and not name.startswith('fc.')}
    network = encoder(use_group_norm=False)
    load_backbone_weights([network], written(tmp_path, tensors))
    assert network.backbone[1].running_var.dtype == torch.float32
    assert torch.equal(network.backbone[1].running_var, tensors['bn1.running_var'].float())


@pytest.mark.parametrize('change, message', [
    ({'layer3.1.bn2.running_mean': None, 'bn1.running_var': None},
     r'lacks bn1\.running_var; layer3\.1\.bn2\.running_mean; give a safetensors file of'),
    ({'layer5.0.conv1.weight': torch.zeros(1)}, r'has the unknown layer5\.0\.conv1\.weight; give'),
    ({'conv1.weight': torch.zeros(64, 1, 7, 7)},
     r'conv1\.weight has shape \(64, 1, 7, 7\), wanted \(64, 3, 7, 7\)'),
    ({'bn1.bias': torch.full((64,), float('nan'))}, r'bn1\.bias must hold finite'),
    ({'bn1.bias': torch.zeros(64, dtype=torch.int8)}, r'bn1\.bias. holds numbers .* int8'),
])
def test_tensors_that_do_not_fit_are_refused_and_nothing_changes(tmp_path, change, message):
    tensors = {name: tensor for name, tensor in {**public_weights(), **change}.items()
               if tensor is not None}
    network = refusing_encoder()
    kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(CheckpointError, match=message):
        load_backbone_weights([network], written(tmp_path, tensors))
    assert all(torch.equal(tensor, kept[name]) for name, tensor in network.state_dict().items())


def test_weights_of_a_deeper_network_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r'has the unknown layer1\.2\..* more; give'):
        load_backbone_weights([shapes_only()], written(tmp_path, public_weights('resnet34')))


@pytest.mark.parametrize('mode', ['MEAN_STD', 'MIN_MAX'])
def test_a_policy_may_see_pictures_as_the_weights_of_imagenet_do(make_policy, contract, mode):
    config = make_policy(normalization_mapping={
        'VISUAL': mode, 'STATE': 'IDENTITY', 'ACTION': 'IDENTITY'}).config
    policy = Policy.from_dataset(config, {}, contract, image_statistics=imagenet_statistics())
    picture = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1) + 0.05
    expected = torch.tensor([0.05 / 0.229, 0.05 / 0.224, 0.05 / 0.225]).view(3, 1, 1)
    torch.testing.assert_close(policy.normalizer.normalize('observation.images.camera', picture),
                               expected if mode == 'MEAN_STD' else 2 * picture - 1)


@pytest.mark.parametrize('backbone', ['light_cnn', 'vit'])
def test_other_backbones_take_none(tmp_path, backbone):
    with pytest.raises(CheckpointError, match='set policy.vision_backbone to resnet18 or'):
        load_backbone_weights([shapes_only(backbone)], tmp_path / 'weights.safetensors')


def test_a_policy_without_cameras_has_nothing_to_start(tmp_path):
    with pytest.raises(CheckpointError, match='leave the weights out'):
        load_backbone_weights([], tmp_path / 'weights.safetensors')


@pytest.mark.parametrize('name, content', [
    ('resnet18-f37072fd.pth', b''), ('model.pt', b''), ('pytorch_model.bin', b''),
    ('renamed.safetensors', b'PK\x03\x04rest'), ('resnet18', b'\x80\x02rest')])
def test_pickles_are_refused_by_name_and_content_with_the_page_on_them(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=rf'{name} is pickled: .*docs/training.md'):
        load_backbone_weights([shapes_only()], tmp_path / name)


@pytest.mark.parametrize('content, message', [
    (None, 'weights.safetensors is missing; give'), (b'', 'no intact safetensors file'),
    (b'version https://git-lfs.github.com/spec/v1', 'no intact safetensors file')])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, content, message):
    path = tmp_path / 'weights.safetensors'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        load_backbone_weights([shapes_only()], path)
    with pytest.raises(CheckpointError, match='is a folder, a pipe or a device, not a file'):
        load_backbone_weights([shapes_only()], tmp_path)

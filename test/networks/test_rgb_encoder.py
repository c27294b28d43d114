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
"""Tests of the image encoders."""

from diffusion_policy_ros.choices import POOLINGS, VISION_BACKBONES
from diffusion_policy_ros.networks.rgb_encoder import RgbEncoder
import pytest
import torch
from torch import nn


def test_resnet_encoder_has_the_tensors_of_lerobot():
    with torch.device('meta'):
        state = RgbEncoder('resnet18', (3, 84, 84), 32).state_dict()
    assert len(state) == 65
    expected = {
        'backbone.0.weight': (64, 3, 7, 7), 'backbone.1.weight': (64,),
        'backbone.4.0.conv1.weight': (64, 64, 3, 3), 'backbone.4.1.bn2.bias': (64,),
        'backbone.5.0.downsample.0.weight': (128, 64, 1, 1),
        'backbone.7.0.downsample.1.weight': (512,),
        'backbone.7.1.conv2.weight': (512, 512, 3, 3),
        'pool.nets.weight': (32, 512, 1, 1), 'pool.nets.bias': (32,), 'pool.pos_grid': (9, 2),
        'out.weight': (64, 64), 'out.bias': (64,)}
    assert {name: tuple(state[name].shape) for name in expected} == expected
    assert 'backbone.4.0.downsample.0.weight' not in state


def test_batch_norm_adds_its_statistics_and_no_other_tensor():
    with torch.device('meta'):
        states = [RgbEncoder('resnet18', (3, 84, 84), 32, use_group_norm=use).state_dict()
                  for use in (True, False)]
    added = states[1].keys() - states[0].keys()
    assert len(added) == 60 and states[0].keys() <= states[1].keys()
    assert {name.rpartition('.')[2] for name in added} == {
        'running_mean', 'running_var', 'num_batches_tracked'}
    assert {'backbone.1.running_mean', 'backbone.5.0.downsample.1.running_var'} <= added


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('pooling', POOLINGS)
@pytest.mark.parametrize('backbone', VISION_BACKBONES)
def test_encoder_gives_two_features_per_keypoint_and_trains(backbone, pooling, channels):
    encoder = RgbEncoder(backbone, (channels, 64, 80), 7, pooling=pooling)
    features = encoder(torch.rand(2, channels, 64, 80))
    assert features.shape == (2, 14) and (features >= 0).all()
    features.sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


def test_average_pooling_is_the_mean_then_a_linear_layer():
    encoder = RgbEncoder('light_cnn', (3, 16, 24), 5, pooling='average')
    images = torch.rand(2, 3, 16, 24)
    mean = encoder.backbone(images).mean(dim=(2, 3))  # (2, 64)
    expected = (mean @ encoder.out.weight.T + encoder.out.bias).clamp(min=0)
    torch.testing.assert_close(encoder(images), expected)


def test_a_new_encoder_has_seen_no_picture_yet():
    encoder = RgbEncoder('resnet18', (3, 32, 32), 4, use_group_norm=False)
    assert encoder.training and all(module.training for module in encoder.modules())
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(norm.num_batches_tracked == 0 and (norm.running_var == 1).all()
               and (norm.running_mean == 0).all() for norm in norms)


def test_a_frozen_encoder_keeps_its_running_statistics_whatever_the_mode():
    encoder = RgbEncoder('resnet18', (3, 32, 32), 4, use_group_norm=False)
    parent = nn.ModuleDict({'encoders': nn.ModuleList([encoder])})
    images = torch.rand(4, 3, 32, 32)
    parent.train()
    encoder(images)
    assert encoder.backbone[1].num_batches_tracked == 1
    encoder.requires_grad_(False)
    parent.train()
    kept = {name: value.clone() for name, value in encoder.state_dict().items()}
    whole = encoder(images)
    torch.testing.assert_close(encoder(images[:1]), whole[:1])
    assert all(torch.equal(value, kept[name]) for name, value in encoder.state_dict().items())
    encoder.requires_grad_(True)
    assert parent.train() is parent and encoder.backbone[1].training


@pytest.mark.parametrize('backbone', ['resnet18', 'light_cnn'])
def test_pictures_with_channels_last_stay_so_through_the_backbone(backbone):
    encoder = RgbEncoder(backbone, (3, 64, 64), 4)
    maps = encoder.backbone(torch.rand(2, 64, 64, 3).permute(0, 3, 1, 2))
    assert maps.is_contiguous(memory_format=torch.channels_last)

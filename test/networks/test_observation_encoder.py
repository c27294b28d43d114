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
"""Tests of the image encoders, the crops and the joining of features."""

from diffusion_policy_ros.choices import VISION_BACKBONES
from diffusion_policy_ros.networks.light_cnn import light_cnn
from diffusion_policy_ros.networks.observation_encoder import (
    BACKBONES, center_crop, join_features, random_crop, RgbEncoder)
from diffusion_policy_ros.networks.resnet import resnet18
from diffusion_policy_ros.networks.spatial_softmax import SpatialSoftmax
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


def test_resnet_has_the_parameters_of_the_paper_and_its_strides():
    backbone = resnet18()
    assert sum(p.numel() for p in backbone.parameters()) == 11176512  # 11689512 - 513000 of fc
    assert backbone(torch.zeros(1, 3, 96, 64)).shape == (1, 512, 3, 2)


def test_group_norms_have_sixteen_channels_per_group():
    norms = [module for module in resnet18().modules() if isinstance(module, nn.GroupNorm)]
    assert len(norms) == 20
    assert all(norm.num_channels == 16 * norm.num_groups for norm in norms)


def test_light_cnn_keeps_a_quarter_of_the_resolution():
    assert light_cnn()(torch.zeros(1, 3, 96, 84)).shape == (1, 64, 24, 21)
    assert light_cnn(1)(torch.zeros(1, 1, 32, 32)).shape == (1, 64, 8, 8)


def test_every_backbone_that_a_configuration_may_name_exists():
    assert tuple(BACKBONES) == VISION_BACKBONES


@pytest.mark.parametrize('backbone', VISION_BACKBONES)
def test_encoder_gives_two_features_per_keypoint_and_trains(backbone):
    encoder = RgbEncoder(backbone, (3, 64, 80), 7)
    features = encoder(torch.rand(2, 3, 64, 80))
    assert features.shape == (2, 14) and (features >= 0).all()
    features.sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


@pytest.mark.parametrize('row, column', [(0, 0), (4, 6), (2, 3), (1, 5)])
def test_keypoint_is_where_the_map_is_bright(row, column):
    pool = SpatialSoftmax((1, 5, 7), 1)
    with torch.no_grad():
        pool.nets.weight.fill_(1.0)
        pool.nets.bias.fill_(3.0)
    features = torch.zeros(1, 1, 5, 7)
    features[0, 0, row, column] = 100.0
    expected = torch.tensor([[[-1 + column / 3, -1 + row / 2]]])
    torch.testing.assert_close(pool(features), expected)


def test_even_map_gives_the_middle():
    pool = SpatialSoftmax((4, 5, 6), 3)
    nn.init.zeros_(pool.nets.weight)
    torch.testing.assert_close(pool(torch.randn(2, 4, 5, 6)), torch.zeros(2, 3, 2))


def pixel_grid(batch=6, rows=2, height=9, width=12):
    """Return images whose two channels are the pixel's place."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    picture = torch.stack([y, x], dim=-1).to(torch.uint8)
    return picture.expand(batch, rows, height, width, 2)


def test_center_crop_cuts_the_middle_without_copying():
    images = torch.randint(0, 255, (1, 2, 96, 96, 3), dtype=torch.uint8)
    crop = center_crop(images, (84, 80))
    assert torch.equal(crop, images[:, :, 6:90, 8:88])
    assert crop.untyped_storage().data_ptr() == images.untyped_storage().data_ptr()
    assert center_crop(images, None) is images


def test_random_crop_moves_all_rows_of_a_sample_together():
    crop = random_crop(pixel_grid(), (5, 4), generator=torch.Generator().manual_seed(0))
    assert crop.shape == (6, 2, 5, 4, 2)
    assert torch.equal(crop[:, 0], crop[:, 1])
    corners = crop[:, 0, 0, 0].tolist()
    assert len({tuple(corner) for corner in corners}) > 1
    for sample, (top, left) in zip(crop, corners):
        assert torch.equal(sample, pixel_grid(1)[0, :, top:top + 5, left:left + 4])


def test_random_crop_reaches_every_place_and_is_seeded():
    images = pixel_grid(batch=600)
    crop = random_crop(images, (8, 11), generator=torch.Generator().manual_seed(0))
    corners = {tuple(corner) for corner in crop[:, 0, 0, 0].tolist()}
    assert corners == {(0, 0), (0, 1), (1, 0), (1, 1)}
    again = random_crop(images, (8, 11), generator=torch.Generator().manual_seed(0))
    assert torch.equal(crop, again)


def test_features_are_joined_row_by_row_state_first_environment_last():
    state = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    images = torch.tensor([[[10.0], [20.0]]])
    environment = torch.tensor([[[7.0], [8.0]]])
    joined = join_features([state], images, [environment])
    assert joined.tolist() == [[1.0, 2.0, 10.0, 7.0, 3.0, 4.0, 20.0, 8.0]]
    assert join_features([state], None, []).tolist() == [[1.0, 2.0, 3.0, 4.0]]

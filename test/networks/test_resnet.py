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
"""Tests of the ResNets: sizes of the paper, the formulas of their norms."""

from diffusion_policy_ros.networks.resnet import BasicBlock, group_norm, resnet18, resnet34
import pytest
import torch
from torch import nn
from torch.nn import functional


@pytest.mark.parametrize('build, parameters, norms', [
    (resnet18, 11689512, 20), (resnet34, 21797672, 36)])
@pytest.mark.parametrize('norm, kind', [
    (group_norm, nn.GroupNorm), (nn.BatchNorm2d, nn.BatchNorm2d)])
def test_resnet_has_the_parameters_that_torchvision_lists_without_the_classifier(
        build, parameters, norms, norm, kind):
    with torch.device('meta'):
        backbone = build(norm=norm)
        assert backbone(torch.zeros(2, 3, 96, 64)).shape == (2, 512, 3, 2)
    assert sum(p.numel() for p in backbone.parameters()) == parameters - (512 * 1000 + 1000)
    assert sum(isinstance(module, kind) for module in backbone.modules()) == norms


def test_group_norms_have_sixteen_channels_per_group():
    norms = [module for module in resnet18().modules() if isinstance(module, nn.GroupNorm)]
    assert all(norm.num_channels == 16 * norm.num_groups for norm in norms)


@pytest.mark.parametrize('stride, out_channels', [(1, 16), (2, 32)])
def test_block_with_batch_norm_is_the_formula_of_the_paper(stride, out_channels):
    torch.manual_seed(0)
    block = BasicBlock(16, out_channels, stride, nn.BatchNorm2d).eval()
    for norm in (m for m in block.modules() if isinstance(m, nn.BatchNorm2d)):
        for value in (norm.running_mean, norm.running_var, norm.weight.data, norm.bias.data):
            value.uniform_(0.5, 1.5)

    def normalized(x, norm):
        shape = (1, -1, 1, 1)
        x = (x - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + 1e-5).sqrt()
        return x * norm.weight.view(shape) + norm.bias.view(shape)

    x = torch.randn(2, 16, 6, 8)
    found = block(x)
    h = normalized(functional.conv2d(x, block.conv1.weight, stride=stride, padding=1), block.bn1)
    h = normalized(functional.conv2d(h.relu(), block.conv2.weight, padding=1), block.bn2)
    if block.downsample is not None:
        x = normalized(functional.conv2d(x, block.downsample[0].weight, stride=stride),
                       block.downsample[1])
    torch.testing.assert_close(found, (h + x).relu())

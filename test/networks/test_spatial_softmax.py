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
"""Tests of the keypoints."""

from diffusion_policy_ros.networks.spatial_softmax import SpatialSoftmax
import pytest
import torch
from torch import nn


@pytest.mark.parametrize('is_mixed', [False, True])
@pytest.mark.parametrize('row, column', [(0, 0), (4, 6), (2, 3), (1, 5)])
def test_keypoint_is_where_the_map_is_bright_in_mixed_precision_too(row, column, is_mixed):
    pool = SpatialSoftmax((1, 5, 7), 1)
    with torch.no_grad():
        pool.nets.weight.fill_(1.0)
        pool.nets.bias.fill_(3.0)
    features = torch.zeros(1, 1, 5, 7)
    features[0, 0, row, column] = 100.0
    expected = torch.tensor([[[-1 + column / 3, -1 + row / 2]]])
    with torch.autocast('cpu', torch.bfloat16, enabled=is_mixed):
        torch.testing.assert_close(pool(features), expected)


def test_even_map_gives_the_middle():
    pool = SpatialSoftmax((4, 5, 6), 3)
    nn.init.zeros_(pool.nets.weight)
    torch.testing.assert_close(pool(torch.randn(2, 4, 5, 6)), torch.zeros(2, 3, 2))

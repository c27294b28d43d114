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
"""Packed layers compute what torch's own layers do, to rounding, for every batch."""

from diffusion_policy_ros.networks.packed_layers import (
    can_pack, FEWEST_PRODUCTS, output_sizes, pack_layers, packed_linear, PackedConv2d,
    PackedLinear)
import pytest
import torch
from torch import nn

pytestmark = pytest.mark.skipif(not can_pack(), reason='this torch has no oneDNN')


@pytest.mark.parametrize('shape', [(1, 300), (7, 300), (2, 5, 300), (0, 300)])
@pytest.mark.parametrize('bias', [True, False])
def test_a_packed_linear_layer_multiplies_as_float64_does(shape, bias):
    torch.manual_seed(0)
    linear, x = nn.Linear(300, 130, bias=bias), torch.randn(shape)
    packed = packed_linear(linear.weight, linear.bias, rows=16)
    assert isinstance(packed, PackedLinear)
    torch.testing.assert_close(
        packed(x).double(), linear.double()(x.double()), atol=1e-5, rtol=0)


def test_bfloat16_rounds_weights_to_eight_bits_and_returns_float32():
    torch.manual_seed(0)
    linear, x = nn.Linear(300, 130), torch.randn(4, 300)
    y = packed_linear(linear.weight, linear.bias, 16, torch.bfloat16)(x)
    assert y.dtype == torch.float32
    error = (y - linear(x)).abs().max() / linear(x).abs().max()
    assert 1e-5 < error < 2 ** -7


def test_small_products_stay_with_torch():
    weight = torch.randn(64, FEWEST_PRODUCTS // 256)
    assert isinstance(packed_linear(weight, None, rows=3), nn.Linear)
    assert isinstance(packed_linear(weight, None, rows=4), PackedLinear)


def test_what_parts_put_out_is_counted_where_they_were_called():
    used, unused = nn.Linear(4, 6), nn.Linear(4, 6)
    network = nn.Sequential(nn.Conv1d(4, 5, 3), nn.Conv1d(5, 4, 1))
    sizes = output_sizes(nn.Sequential(used), (torch.zeros(3, 4),))
    assert sizes[used] == 18
    sizes = output_sizes(network, (torch.zeros(2, 4, 10),))
    assert [sizes[layer] for layer in network] == [80, 64] and unused not in sizes


@pytest.mark.parametrize('options', [
    {'kernel_size': 3, 'padding': 1}, {'kernel_size': 7, 'stride': 2, 'padding': 3, 'bias': False},
    {'kernel_size': 1, 'stride': 2}, {'kernel_size': (3, 2), 'dilation': 2, 'groups': 2}])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_a_packed_convolution_equals_that_in_float64(options, layout):
    torch.manual_seed(0)
    conv, x = nn.Conv2d(16, 24, **options).to(memory_format=layout), torch.randn(3, 16, 21, 18)
    torch.testing.assert_close(PackedConv2d(conv)(x.to(memory_format=layout)).double(),
                               conv.double()(x.double()), atol=1e-5, rtol=0)


def test_layers_are_replaced_wherever_they_are_but_in_torchs_transformers():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Flatten(),
        nn.Linear(200, 1000),
        nn.Unflatten(1, (25, 40)), nn.TransformerEncoderLayer(40, 4, 800, batch_first=True)).eval()
    x = torch.randn(4, 3, 7, 7)
    with torch.no_grad():
        wanted = network(x)
        pack_layers(network, (x,))
        assert [type(layer) for layer in network][:3] == [PackedConv2d, nn.Flatten, PackedLinear]
        assert type(network[4].linear1) is nn.Linear
        torch.testing.assert_close(network(x), wanted, atol=1e-5, rtol=0)

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
"""Tests of the diffusion Transformer."""

from diffusion_policy_ros.networks.dit import DiffusionTransformer, DiTBlock
import torch
from torch.nn import functional


def test_a_fresh_block_is_the_identity():
    network = DiffusionTransformer(3, 8, 6, dim=16, layers=2, heads=2)
    x, cond = torch.randn(2, 6, 16), torch.randn(2, 16)
    for block in network.blocks:
        assert torch.equal(block(x, cond), x)


def test_a_fresh_network_predicts_zero():
    network = DiffusionTransformer(3, 8, 6, dim=16, layers=2, heads=2)
    out = network(torch.randn(2, 6, 3), torch.tensor([1, 60]), torch.randn(2, 8))
    assert torch.equal(out, torch.zeros(2, 6, 3))


def test_the_condition_shifts_scales_and_gates():
    block = DiTBlock(4, 1, 0.0)
    numbers = torch.randn(6, 4)
    with torch.no_grad():
        block.modulation.weight.zero_()
        block.modulation.bias.copy_(numbers.flatten())
    shift, scale, gate, feed_shift, feed_scale, feed_gate = numbers
    x = torch.randn(1, 5, 4)
    tokens = functional.layer_norm(x, (4,)) * (1 + scale) + shift
    mixed = x + gate * block.attention(tokens, tokens, tokens)[0]
    tokens = functional.layer_norm(mixed, (4,)) * (1 + feed_scale) + feed_shift
    wanted = mixed + feed_gate * block.feed(tokens)
    torch.testing.assert_close(block(x, torch.randn(1, 4)), wanted)

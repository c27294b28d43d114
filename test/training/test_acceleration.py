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

"""Recomputed and compiled networks give the same gradients; a compiler that fails is left out."""

import copy

from diffusion_policy_ros.networks.unet1d import ConditionalUnet1d
from diffusion_policy_ros.training.acceleration import checkpoint_blocks, Compiled
import pytest
import torch
from torch import nn


def gradients(network, parts):
    """Return the gradients of a loss, and how much the backward pass was given to keep."""
    kept = [0]

    def keep(tensor):
        kept[0] += tensor.numel()
        return tensor

    network.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = network(*parts).square().mean()
    loss.backward()
    return {name: p.grad.clone() for name, p in network.named_parameters()}, kept[0]


def unet():
    """Build a small U-Net and its input."""
    torch.manual_seed(0)
    return ConditionalUnet1d(2, 3, down_dims=(16, 32), step_embed_dim=16), (
        torch.randn(4, 8, 2), torch.randint(100, (4,)), torch.randn(4, 3))


def test_recomputed_blocks_give_the_same_gradients_and_keep_less():
    network, parts = unet()
    parent = nn.ModuleDict({'unet': network})
    wanted, much = gradients(network, parts)
    names = set(parent.state_dict())
    assert checkpoint_blocks(parent) >= 8
    found, little = gradients(network, parts)
    assert little < 0.5 * much and set(parent.state_dict()) == names
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-6, atol=1e-6)


def test_dropout_falls_alike_when_a_block_is_recomputed():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True)
    plain = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    recomputed = copy.deepcopy(plain)
    assert checkpoint_blocks(recomputed) == 2
    parts = (torch.randn(3, 5, 8),)
    found = []
    for network in (plain, recomputed):
        torch.manual_seed(1)
        found.append(gradients(network, parts)[0])
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-6, atol=1e-6)


def test_blocks_with_batch_statistics_are_not_computed_twice():
    block = nn.ModuleDict({'norm': nn.BatchNorm1d(3)})
    assert checkpoint_blocks(nn.ModuleDict({'all': nn.ModuleList([block])})) == 0


def test_a_compiler_that_fails_leaves_the_networks_as_they_are(monkeypatch):
    def fails(self):
        def call(*_):
            raise RuntimeError('no C++ compiler\nhere')
        self._compiled_call_impl = call

    monkeypatch.setattr(nn.Module, 'compile', fails)
    network, parts = unet()
    wanted = network(*parts)
    parent = nn.ModuleDict({'unet': network})
    compiled = Compiled(parent, lambda: network(*parts).sum().backward())
    assert compiled.problem == 'RuntimeError: no C++ compiler'
    with compiled.paused():
        pass
    assert torch.equal(network(*parts), wanted)


def test_compiled_networks_can_be_switched_off_for_a_while(monkeypatch):
    monkeypatch.setattr(nn.Module, 'compile', lambda self: setattr(
        self, '_compiled_call_impl', lambda *_: 'compiled'))
    network, parts = unet()
    compiled = Compiled(nn.ModuleDict({'unet': network}), lambda: None)
    assert compiled.problem is None and network(*parts) == 'compiled'
    with compiled.paused():
        assert network(*parts).shape == (4, 8, 2)
    assert network(*parts) == 'compiled'


@pytest.mark.slow
def test_compiled_networks_give_the_same_gradients():
    network, parts = unet()
    wanted, _ = gradients(network, parts)
    compiled = Compiled(nn.ModuleDict({'unet': network}), lambda: gradients(network, parts))
    if compiled.problem:
        pytest.skip(f'torch.compile does not work here: {compiled.problem}')
    for name, gradient in gradients(network, parts)[0].items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-4, atol=1e-5)

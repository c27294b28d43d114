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
"""Tests of the denoiser."""

from diffusion_policy_ros.networks.unet1d import ConditionalUnet1d, FilmResidualBlock
import pytest
import torch
from torch.nn import functional


def small_unet(**changes):
    """Return a two-level network."""
    torch.manual_seed(0)
    return ConditionalUnet1d(3, 10, **{'down_dims': (16, 32), 'step_embed_dim': 8, **changes})


def test_full_size_network_has_the_tensors_of_lerobot():
    with torch.device('meta'):
        state = ConditionalUnet1d(2, 132).state_dict()
    assert len(state) == 148
    assert sum(tensor.numel() for tensor in state.values()) == pytest.approx(251.5e6, rel=1e-3)
    expected = {
        'diffusion_step_encoder.1.weight': (512, 128), 'diffusion_step_encoder.3.bias': (128,),
        'down_modules.0.0.conv1.block.0.weight': (512, 2, 5),
        'down_modules.0.0.conv1.block.1.bias': (512,),
        'down_modules.0.0.cond_encoder.1.weight': (1024, 260),
        'down_modules.0.0.residual_conv.weight': (512, 2, 1),
        'down_modules.1.2.weight': (1024, 1024, 3),
        'mid_modules.1.conv2.block.0.weight': (2048, 2048, 5),
        'up_modules.0.0.conv1.block.0.weight': (1024, 4096, 5),
        'up_modules.0.0.residual_conv.weight': (1024, 4096, 1),
        'up_modules.1.0.conv1.block.0.weight': (512, 2048, 5),
        'up_modules.1.2.weight': (512, 512, 4),
        'final_conv.0.block.0.weight': (512, 512, 5), 'final_conv.1.weight': (2, 512, 1)}
    assert {name: tuple(state[name].shape) for name in expected} == expected
    for absent in ('down_modules.0.1.residual_conv.weight', 'down_modules.2.2.weight',
                   'mid_modules.0.residual_conv.weight', 'up_modules.2.0.conv1.block.0.weight'):
        assert absent not in state


@pytest.mark.parametrize('horizon', (4, 8, 16))
@pytest.mark.parametrize('batch', (1, 5))
def test_output_has_the_shape_of_the_chunk(horizon, batch):
    out = small_unet()(torch.randn(batch, horizon, 3), torch.zeros(batch, dtype=torch.int64),
                       torch.randn(batch, 10))
    assert out.shape == (batch, horizon, 3)


def set_film(block, values):
    """Make a block's FiLM numbers constant."""
    with torch.no_grad():
        block.cond_encoder[1].weight.zero_()
        block.cond_encoder[1].bias.copy_(torch.tensor(values))


@pytest.mark.parametrize('use_scale', (True, False))
def test_film_multiplies_by_the_first_half_and_adds_the_second(use_scale):
    block = FilmResidualBlock(4, 4, 6, kernel_size=3, n_groups=2, use_film_scale=use_scale)
    scale, bias = [0.5, -1.0, 2.0, 0.0], [1.0, 0.0, -3.0, 0.25]
    set_film(block, scale + bias if use_scale else bias)
    x, seen = torch.randn(2, 4, 8), []
    block.conv2.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    block(x, block.cond_encoder(torch.randn(2, 6)))
    convolved = functional.conv1d(x, block.conv1.block[0].weight, block.conv1.block[0].bias,
                                  padding=1)
    plain = functional.mish(functional.group_norm(convolved, 2))
    wanted = plain * (torch.tensor(scale)[:, None] if use_scale else 1) + \
        torch.tensor(bias)[:, None]
    torch.testing.assert_close(seen[0], wanted)

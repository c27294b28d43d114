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
"""The packed U-Net predicts what the U-Net does, and computes each half of FiLM but once."""

from copy import deepcopy

from diffusion_policy_ros.networks.packed_layers import can_pack
from diffusion_policy_ros.networks.packed_unet1d import (
    PackedUnet1d, RowConv1d, RowUpsample, TIMESTEPS_KEPT)
from diffusion_policy_ros.networks.unet1d import ConditionalUnet1d
import pytest
import torch
from torch import nn

pytestmark = pytest.mark.skipif(not can_pack(), reason='this torch has no oneDNN')


def example(batch, horizon=16, seed=0):
    """Return a noisy chunk, a timestep and a condition."""
    random = torch.Generator().manual_seed(seed)
    return (torch.randn(batch, horizon, 3, generator=random), torch.tensor([37.0]),
            torch.randn(batch, 11, generator=random))


def packed(unet, horizon=16, dtype=torch.float32):
    """Return the packed form of a U-Net, which stays as it is."""
    with torch.inference_mode():
        return PackedUnet1d(deepcopy(unet), example(1, horizon), dtype)


@pytest.fixture(params=[
    {'down_dims': (64, 128, 256)}, {'down_dims': (128, 256), 'use_film_scale': False},
    {'down_dims': (64,), 'kernel_size': 3}, {'down_dims': (32, 64, 96, 128), 'n_groups': 4}])
def unet(request):
    """Return U-Nets of several shapes."""
    torch.manual_seed(1)
    return ConditionalUnet1d(3, 11, step_embed_dim=32, **request.param).eval()


@pytest.mark.parametrize('horizon', [8, 16, 32])
def test_it_predicts_what_the_unet_does_for_every_batch(unet, horizon):
    fast = packed(unet, horizon)
    with torch.inference_mode():
        for batch in (1, 2, 5):
            x_t, t, cond = example(batch, horizon, seed=batch)
            torch.testing.assert_close(fast(x_t, t, cond), unet(x_t, t, cond), atol=1e-5, rtol=0)


@pytest.mark.parametrize('t', [torch.tensor([3]), torch.tensor([0.25]), torch.tensor([1, 60, 99])])
def test_timesteps_may_be_whole_broken_and_one_for_each_chunk(unet, t):
    x_t, _, cond = example(3)
    with torch.inference_mode():
        fast = packed(unet)
        for _ in range(2):  # what was kept of the first call serves the second
            torch.testing.assert_close(fast(x_t, t, cond), unet(x_t, t, cond), atol=1e-5, rtol=0)


def test_a_timestep_is_embedded_once_and_an_observation_projected_once_for_a_chunk():
    torch.manual_seed(0)
    unet, calls = ConditionalUnet1d(3, 11, down_dims=(16, 32)).eval(), []
    fast = packed(unet)
    fast._time_encoder.register_forward_hook(lambda *_: calls.append('time'))
    fast._observed_half.register_forward_hook(lambda *_: calls.append('observation'))
    with torch.inference_mode():
        for _ in range(3):
            x_t, _, cond = example(1)
            predict = fast.conditioned(cond)
            for timestep in (90.0, 50.0, 10.0):
                predict(x_t, torch.tensor([timestep]))
    assert calls.count('time') == 3
    assert calls.count('observation') == 3


def test_timesteps_that_are_never_asked_for_again_are_not_kept_for_ever():
    torch.manual_seed(0)
    unet = ConditionalUnet1d(3, 11, down_dims=(16, 32)).eval()
    fast = packed(unet)
    x_t, _, cond = example(1)
    with torch.inference_mode():
        for t in torch.linspace(0, 99, 2 * TIMESTEPS_KEPT)[:, None]:
            fast(x_t, t, cond)
        torch.testing.assert_close(fast(x_t, t, cond), unet(x_t, t, cond), atol=1e-5, rtol=0)
    assert fast._half_of_timestep.cache_info().currsize == TIMESTEPS_KEPT


def test_bfloat16_predicts_nearly_the_same_and_not_the_same():
    torch.manual_seed(0)
    unet = ConditionalUnet1d(3, 11, down_dims=(64, 128, 256)).eval()
    with torch.inference_mode():
        wanted, got = unet(*example(2)), packed(unet, dtype=torch.bfloat16)(*example(2))
    assert got.dtype == torch.float32
    assert 1e-5 < (got - wanted).abs().max() < 0.03


@pytest.mark.parametrize('stride, padding, width', [(1, 2, 5), (2, 1, 3), (1, 0, 1), (1, 1, 3)])
def test_a_convolution_over_rows_equals_torchs_in_float64(stride, padding, width):
    conv = nn.Conv1d(140, 260, width, stride, padding)
    row_conv = RowConv1d(conv.weight, conv.bias, 16, stride=stride, padding=padding)
    for rows in (4, 7, 16):
        x = torch.randn(2, 140, rows)
        torch.testing.assert_close(row_conv(x).double(), conv.double()(x.double()), atol=1e-5,
                                   rtol=0)
        conv.float()


def test_upsampling_equals_torchs_transposed_convolution_in_float64():
    conv = nn.ConvTranspose1d(140, 160, 4, 2, 1)
    x = torch.randn(2, 140, 7)
    torch.testing.assert_close(RowUpsample(conv.weight, conv.bias, 7)(x).double(),
                               conv.double()(x.double()), atol=1e-5, rtol=0)

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
"""Tests of the Vision Transformer."""

from diffusion_policy_ros.networks.vit import VisionTransformer
import pytest
import torch
from torch import nn


def small(image_shape=(3, 12, 20), **changes):
    """Return a small network, the same weights every time."""
    torch.manual_seed(0)
    return VisionTransformer(image_shape, **{
        'patch': 4, 'dim': 16, 'layers': 2, 'heads': 2, **changes})


def by_hand(vit, image):
    """Compute the class token of one image from the equations of the paper."""
    channels, height, width = image.shape
    patch = vit.patches.kernel_size[0]
    kernel = vit.patches.weight.flatten(1)
    tokens = [vit.class_token[0, 0]]
    for top in range(0, height, patch):
        for left in range(0, width, patch):
            cut = image[:, top:top + patch, left:left + patch].flatten()
            tokens.append(kernel @ cut + vit.patches.bias)
    x = torch.stack(tokens) + vit.positions
    for layer in vit.encoder.layers:
        attention, heads = layer.self_attn, layer.self_attn.num_heads
        h = normalized(x, layer.norm1) @ attention.in_proj_weight.T + attention.in_proj_bias
        q, k, v = h.unflatten(1, (3, heads, -1)).permute(1, 2, 0, 3)  # (heads, tokens, entries)
        weights = (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(dim=-1)
        x = x + attention.out_proj((weights @ v).transpose(0, 1).flatten(1))
        h = layer.linear1(normalized(x, layer.norm2))
        x = x + layer.linear2(h * (1 + torch.erf(h / 2 ** 0.5)) / 2)
    return normalized(x, vit.encoder.norm)[0]


def normalized(x, norm):
    """Return a layer norm of rows."""
    x = (x - x.mean(dim=1, keepdim=True)) / (x.var(dim=1, keepdim=True, correction=0)
                                             + 1e-5).sqrt()
    return x * norm.weight + norm.bias


@pytest.mark.parametrize('mode', ['train', 'eval'])
def test_class_token_follows_the_equations_of_the_paper(mode):
    vit = small()
    for p in vit.parameters():
        p.data += 0.1 * torch.randn_like(p)
    images = torch.randn(3, 3, 12, 20)
    getattr(vit, mode)()
    with torch.no_grad():
        found = vit(images)
        for image, features in zip(images, found):
            torch.testing.assert_close(features, by_hand(vit, image), atol=1e-5, rtol=1e-5)


def test_layers_start_with_weights_of_their_own():
    first, second = small().encoder.layers
    assert not torch.equal(first.linear1.weight, second.linear1.weight)
    assert not torch.equal(first.self_attn.in_proj_weight, second.self_attn.in_proj_weight)


def test_sizes_follow_from_patches_and_channels():
    vit = small((1, 24, 16), patch=8)
    assert vit.positions.shape == (1 + 3 * 2, 16)
    assert vit(torch.zeros(2, 1, 24, 16)).shape == (2, 16)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in vit.modules())


def test_exchanging_two_patches_changes_the_features():
    vit, image = small(), torch.randn(1, 3, 12, 20)
    exchanged = image.clone()
    exchanged[..., :4, :4], exchanged[..., 4:8, 8:12] = image[..., 4:8, 8:12], image[..., :4, :4]
    assert not torch.allclose(vit(image), vit(exchanged), atol=1e-4)

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
"""The Transformer encoder that the image backbone and the fusion share."""

from diffusion_policy_ros.networks.transformer import init_weights
from torch import nn
from torch.nn import functional


def transformer_encoder(dim, layers, heads):
    """
    Build layers of self-attention that normalize first, and once more at the end.

    :param dim: Entries of a token, a multiple of ``heads``.
    :param layers: Layers.
    :param heads: Heads of every attention.
    :return: Module from (B, tokens, dim) to the same shape.
    """
    layer = nn.TransformerEncoderLayer(
        dim, heads, 4 * dim, 0.0, functional.gelu, batch_first=True, norm_first=True)
    encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(dim), enable_nested_tensor=False)
    return encoder.apply(init_weights)  # its layers are copies of one otherwise

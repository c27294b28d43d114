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
"""What the Transformers share: how weights begin, and layers of self-attention."""

from torch import nn
from torch.nn import functional

WEIGHT_STD = 0.02  # of weights and positions at the start, as in GPT-2


def init_weights(module):
    """
    Draw the weights of one module of a Transformer; for ``Module.apply``.

    :param module: Any; only linear layers and attentions are changed.
    """
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=WEIGHT_STD)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.MultiheadAttention):
        nn.init.normal_(module.in_proj_weight, std=WEIGHT_STD)


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

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

"""The denoiser that observations modulate: a diffusion Transformer with adaptive layer norms."""

from diffusion_policy_ros.networks.attention import init_weights, WEIGHT_STD
from diffusion_policy_ros.networks.time_embedding import time_network
import torch
from torch import nn


def _modulated(x, shift, scale):
    """Shift and scale tokens alike."""
    return torch.addcmul(shift[:, None], x, 1 + scale[:, None])


class DiTBlock(nn.Module):
    """
    Attention and two linear layers, whose norms and outputs the condition shifts and scales.

    adaLN-Zero (Peebles and Xie 2023, arXiv:2212.09748, section 3.2): at first the block is the
    identity.
    """

    def __init__(self, dim, heads, dropout):
        """
        Build the block.

        :param dim: Entries of a token and of the condition.
        :param heads: Heads of the attention.
        :param dropout: Share of activations that training drops.
        """
        super().__init__()
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        self.attention = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.feed = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.GELU('tanh'), nn.Dropout(dropout),
            nn.Linear(4 * dim, dim))
        self.modulation = nn.Linear(dim, 6 * dim)

    def forward(self, x, cond):
        """
        Map tokens to tokens.

        :param x: float (B, rows, dim).
        :param cond: float (B, dim), after its activation.
        :return: Shaped like ``x``.
        """
        shift, scale, gate, feed_shift, feed_scale, feed_gate = self.modulation(cond).chunk(6, 1)
        tokens = _modulated(self.norm(x), shift, scale)
        x = x + gate[:, None] * self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return x + feed_gate[:, None] * self.feed(_modulated(self.norm(x), feed_shift, feed_scale))


class DiffusionTransformer(nn.Module):
    """Diffusion transformer (Peebles and Xie 2023, arXiv:2212.09748) over the rows of a chunk."""

    def __init__(self, action_dim, global_cond_dim, horizon, *, dim, layers, heads,
                 dropout=0.0):
        """
        Build the network; parameters as for ``ConditionalTransformer``.

        :param action_dim: Entries of one action.
        :param global_cond_dim: Entries of the condition.
        :param horizon: Rows of a chunk.
        :param dim: Entries of a token.
        :param layers: Blocks.
        :param heads: Heads of every attention.
        :param dropout: Share of activations that training drops.
        """
        super().__init__()
        self.time = time_network(dim)
        self.observed = nn.Linear(global_cond_dim, dim)
        self.noisy = nn.Linear(action_dim, dim)
        self.positions = nn.Parameter(WEIGHT_STD * torch.randn(horizon, dim))
        self.blocks = nn.ModuleList(
            [DiTBlock(dim, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        self.modulation = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, action_dim)
        self.cond_activation = nn.SiLU()
        self.apply(init_weights)
        for zero in (*(block.modulation for block in self.blocks), self.modulation, self.out):
            nn.init.zeros_(zero.weight)

    def forward(self, x_t, t, global_cond):
        """
        Predict what the training target was; as ``ConditionalTransformer.forward``.

        :param x_t: Noisy chunk, float32 (B, horizon, action_dim), normalized units.
        :param t: Timesteps, int64 or float (B,), or (1,) for the whole batch.
        :param global_cond: Observation condition, float32 (B, global_cond_dim).
        :return: float32 (B, horizon, action_dim).
        """
        cond = self.cond_activation(self.time(t) + self.observed(global_cond))
        x = self.noisy(x_t) + self.positions
        for block in self.blocks:
            x = block(x, cond)
        shift, scale = self.modulation(cond).chunk(2, 1)
        return self.out(_modulated(self.norm(x), shift, scale))

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

"""The denoiser that attends to the observations: a Transformer decoder with cross-attention."""

from diffusion_policy_ros.networks.attention import init_weights, WEIGHT_STD
from diffusion_policy_ros.networks.time_embedding import time_network
import torch
from torch import nn
from torch.nn import functional


def causal_masks(horizon, n_obs_steps):
    """
    Return what a row of a chunk may not attend to: whatever comes after it.

    :param horizon: Rows of a chunk, counted from the first observed row.
    :param n_obs_steps: Observed rows.
    :return: bool (horizon, horizon) over rows, and bool (horizon, 1 + n_obs_steps) over the time
        token, which all rows see, and the observed rows; true is hidden.
    """
    rows = torch.arange(horizon)[:, None]
    seen = torch.cat([torch.zeros(1, dtype=torch.int64), torch.arange(n_obs_steps)])
    return torch.arange(horizon) > rows, seen > rows


class ConditionalTransformer(nn.Module):
    """
    Transformer denoiser of Diffusion Policy (Chi et al. 2023, arXiv:2303.04137, section 3.1).

    Tokens are the rows of the chunk; each layer attends to them, then to the condition: a token
    of the time and one of each observed row.
    """

    def __init__(self, action_dim, global_cond_dim, horizon, n_obs_steps, *, dim, layers,
                 heads, dropout=0.0, causal=True):
        """
        Build the network.

        :param action_dim: Entries of one action.
        :param global_cond_dim: Entries of the condition, a multiple of ``n_obs_steps``.
        :param horizon: Rows of a chunk.
        :param n_obs_steps: Observed rows.
        :param dim: Entries of a token, a multiple of ``2 * heads``, at least 4.
        :param layers: Layers.
        :param heads: Heads of every attention.
        :param dropout: Share of activations that training drops, in [0, 1).
        :param causal: Rows see only what is not after them.
        """
        super().__init__()
        self.n_obs_steps = n_obs_steps
        self.time = time_network(dim)
        self.observed = nn.Linear(global_cond_dim // n_obs_steps, dim)
        self.condition_positions = nn.Parameter(WEIGHT_STD * torch.randn(1 + n_obs_steps, dim))
        self.condition_encoder = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.Mish(), nn.Linear(4 * dim, dim))
        self.noisy = nn.Linear(action_dim, dim)
        self.positions = nn.Parameter(WEIGHT_STD * torch.randn(horizon, dim))
        layer = nn.TransformerDecoderLayer(
            dim, heads, 4 * dim, dropout, functional.gelu, batch_first=True, norm_first=True)
        self.decoder = nn.TransformerDecoder(layer, layers, nn.LayerNorm(dim))
        self.out = nn.Linear(dim, action_dim)
        own, memory = causal_masks(horizon, n_obs_steps) if causal else (None, None)
        self.register_buffer('own_mask', own, persistent=False)
        self.register_buffer('memory_mask', memory, persistent=False)
        self.apply(init_weights)

    def forward(self, x_t, t, global_cond):
        """
        Predict what the training target was, from a noisy chunk.

        :param x_t: Noisy chunk, float32 (B, horizon, action_dim), normalized units.
        :param t: Timesteps, int64 or float (B,), or (1,) for the whole batch.
        :param global_cond: Observation condition, float32 (B, global_cond_dim).
        :return: float32 (B, horizon, action_dim).
        """
        time = self.time(t).expand(x_t.shape[0], -1)[:, None]  # (B, 1, dim)
        rows = self.observed(global_cond.unflatten(1, (self.n_obs_steps, -1)))
        condition = torch.cat([time, rows], dim=1) + self.condition_positions
        # Told nothing of the mask, torch would look into it, which waits for the device.
        x = self.decoder(self.noisy(x_t) + self.positions, self.condition_encoder(condition),
                         self.own_mask, self.memory_mask,
                         tgt_is_causal=self.own_mask is not None)
        return self.out(x)

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

"""The simplest denoiser: everything concatenated, through residual linear layers."""

from diffusion_policy_ros.networks.time_embedding import time_network
import torch
from torch import nn


class ConcatenationMlp(nn.Module):
    """Denoiser for states and short chunks: noisy chunk, time and observations in one vector."""

    def __init__(self, action_dim, global_cond_dim, horizon, *, dim, layers,
                 dropout=0.0):
        """
        Build the network.

        :param action_dim: Entries of one action.
        :param global_cond_dim: Entries of the condition.
        :param horizon: Rows of a chunk.
        :param dim: Entries of the time embedding and, times 4, of the hidden layers.
        :param layers: Residual layers.
        :param dropout: Share of activations that training drops, in [0, 1).
        """
        super().__init__()
        self.time = time_network(dim)
        hidden = 4 * dim
        self.input = nn.Linear(horizon * action_dim + dim + global_cond_dim, hidden)
        self.layers = nn.ModuleList([nn.Sequential(
            nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.Mish(), nn.Dropout(dropout),
            nn.Linear(hidden, hidden)) for _ in range(layers)])
        self.out = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, horizon * action_dim))

    def forward(self, x_t, t, global_cond):
        """
        Predict what the training target was, from a noisy chunk.

        :param x_t: Noisy chunk, float32 (B, horizon, action_dim), normalized units.
        :param t: Timesteps, int64 or float (B,), or (1,) for the whole batch.
        :param global_cond: Observation condition, float32 (B, global_cond_dim).
        :return: float32 (B, horizon, action_dim).
        """
        time = self.time(t).expand(x_t.shape[0], -1)
        h = self.input(torch.cat([x_t.flatten(1), time, global_cond], dim=-1))
        for layer in self.layers:
            h = h + layer(h)
        return self.out(h).view_as(x_t)

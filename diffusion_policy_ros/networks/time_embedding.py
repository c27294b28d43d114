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

"""How denoisers know the noise level: an embedding of the timestep."""

import math

import torch
from torch import nn


class SinusoidalEmbedding(nn.Module):
    """Sines, then cosines, of a timestep (Vaswani et al. 2017, arXiv:1706.03762, section 3.5)."""

    def __init__(self, dim):
        """
        Compute the frequencies.

        :param dim: Entries of the embedding, even, at least 4.
        """
        super().__init__()
        half = dim // 2
        frequencies = torch.exp(torch.arange(half) * (-math.log(10000) / (half - 1)))
        self.register_buffer('frequencies', frequencies, persistent=False)

    def forward(self, t):
        """
        Embed timesteps.

        :param t: int64 or float (B,).
        :return: float32 (B, dim).
        """
        angles = t[:, None] * self.frequencies  # (B, dim / 2)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


def time_network(dim):
    """
    Return the network that embeds timesteps: sines and cosines, then two linear layers.

    :param dim: Entries of the embedding, even, at least 4.
    :return: Maps int64 or float (B,) to float32 (B, dim).
    """
    return nn.Sequential(SinusoidalEmbedding(dim), nn.Linear(dim, 4 * dim), nn.Mish(),
                         nn.Linear(4 * dim, dim))

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
"""A Transformer over cameras, vectors and observed rows."""

from diffusion_policy_ros.networks.attention import transformer_encoder, WEIGHT_STD
import torch
from torch import nn


class FusionTransformer(nn.Module):
    """
    One token per camera and row, one per row of vectors; each attends to all others.

    A token's position says which source it is of, and which row.
    """

    def __init__(self, n_rows, vector_entries, n_cameras, camera_features, *, dim, layers, heads):
        """
        Build the network.

        :param n_rows: Observed rows.
        :param vector_entries: Entries of the vectors of a row; 0 without any.
        :param n_cameras: Number of cameras; may be 0.
        :param camera_features: Features of one camera and row.
        :param dim: Entries of a token, a multiple of ``heads``.
        :param layers: Layers.
        :param heads: Heads of every attention.
        """
        super().__init__()
        self.n_cameras = n_cameras
        if vector_entries:
            self.vectors = nn.Linear(vector_entries, dim)
        if n_cameras:
            self.cameras = nn.Linear(camera_features, dim)
        n_sources = bool(vector_entries) + n_cameras
        self.sources = nn.Parameter(WEIGHT_STD * torch.randn(n_sources, dim))
        self.rows = nn.Parameter(WEIGHT_STD * torch.randn(n_rows, 1, dim))
        self.encoder = transformer_encoder(dim, layers, heads)

    def forward(self, vectors, image_features):
        """
        Fuse the features of all rows.

        :param vectors: float (B, n_rows, vector_entries), or None without any.
        :param image_features: float (B, n_rows, n_cameras * camera_features), or None.
        :return: float (B, n_rows, dim): each row's token of the vectors; without vectors, the
            mean of its tokens.
        """
        tokens = [] if vectors is None else [self.vectors(vectors)[:, :, None]]
        if image_features is not None:
            tokens.append(self.cameras(image_features.unflatten(-1, (self.n_cameras, -1))))
        tokens = torch.cat(tokens, dim=2) + self.sources + self.rows  # (B, rows, sources, dim)
        fused = self.encoder(tokens.flatten(1, 2)).unflatten(1, tokens.shape[1:3])
        return fused.mean(dim=2) if vectors is None else fused[:, :, 0]

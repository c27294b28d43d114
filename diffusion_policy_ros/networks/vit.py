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
"""A small Vision Transformer (Dosovitskiy et al. 2021, arXiv:2010.11929)."""

from diffusion_policy_ros.networks.attention import transformer_encoder, WEIGHT_STD
import torch
from torch import nn


class VisionTransformer(nn.Module):
    """Images to the class token's features: patches, learned positions, pre-norm layers."""

    def __init__(self, image_shape, *, patch=8, dim=192, layers=4, heads=3):
        """
        Build the network for one image size.

        :param image_shape: (channels, height, width), px.
        :param patch: Height and width of a patch, px; divides those of the image.
        :param dim: Entries of a token, a multiple of ``heads``.
        :param layers: Layers.
        :param heads: Heads of every attention.
        """
        super().__init__()
        channels, height, width = image_shape
        self.patches = nn.Conv2d(channels, dim, patch, patch)
        self.class_token = nn.Parameter(WEIGHT_STD * torch.randn(1, 1, dim))
        count = (height // patch) * (width // patch)
        self.positions = nn.Parameter(WEIGHT_STD * torch.randn(1 + count, dim))
        self.encoder = transformer_encoder(dim, layers, heads)

    def forward(self, images):
        """
        Encode images.

        :param images: float (B, channels, height, width).
        :return: float (B, dim).
        """
        patches = self.patches(images).flatten(2).transpose(1, 2)  # (B, count, dim)
        tokens = torch.cat([self.class_token.expand(images.shape[0], -1, -1), patches], dim=1)
        return self.encoder(tokens + self.positions)[:, 0]

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
"""Keypoints from feature maps."""

import numpy as np
import torch
from torch import nn


class SpatialSoftmax(nn.Module):
    """
    Expected image position of each learned keypoint.

    A 1x1 convolution makes one map per keypoint; a softmax over its pixels weighs the pixel
    grid (Finn et al. 2016, arXiv:1509.06113, section V-A).
    """

    def __init__(self, feature_map_shape, num_keypoints):
        """
        Build the layer.

        :param feature_map_shape: (channels, height, width) of the input.
        :param num_keypoints: Number of keypoints.
        """
        super().__init__()
        channels, height, width = feature_map_shape
        self.nets = nn.Conv2d(channels, num_keypoints, 1)
        # The grid is computed by NumPy: torch's linspace rounds some entries differently.
        x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
        grid = np.stack([x.ravel(), y.ravel()], axis=1)  # (height * width, 2)
        self.register_buffer('pos_grid', torch.tensor(grid, dtype=torch.float32))

    def forward(self, features):
        """
        Locate the keypoints.

        :param features: float (B, channels, height, width).
        :return: float (B, num_keypoints, 2): x to the right, y down, both in [-1, 1].
        """
        attention = self.nets(features).flatten(2).softmax(dim=-1)  # (B, K, height * width)
        # Mixed precision would round positions to 1/256 of half the picture.
        with torch.autocast(features.device.type, enabled=False):
            return attention.to(self.pos_grid.dtype) @ self.pos_grid

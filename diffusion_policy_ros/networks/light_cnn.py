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
"""A small image backbone that keeps a fine feature map: enough for tabletop pictures on a CPU."""

from torch import nn

N_GROUPS = 8
# Channels after a 7x7 convolution with stride 4 and after two 3x3 ones, multiples of N_GROUPS.
WIDTHS = (32, 64, 64)


def light_cnn(in_channels=3):
    """
    Build three convolutions: (B, C, H, W) to (B, 64, H / 4, W / 4).

    :param in_channels: Channels of the image.
    :return: Sequential of convolution, GroupNorm and ReLU triples.
    """
    layers = []
    for index, width in enumerate(WIDTHS):
        kernel, stride = (7, 4) if index == 0 else (3, 1)
        layers += [nn.Conv2d(in_channels, width, kernel, stride, kernel // 2, bias=False),
                   nn.GroupNorm(N_GROUPS, width), nn.ReLU(inplace=True)]
        in_channels = width
    return nn.Sequential(*layers)

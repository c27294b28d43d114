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
"""ResNet-18 without its classifier, with GroupNorm (He et al. 2016, arXiv:1512.03385)."""

from collections import OrderedDict

from torch import nn

CHANNELS_PER_GROUP = 16


def _norm(channels):
    """Return GroupNorm over groups of 16 channels (Wu and He 2018, arXiv:1803.08494)."""
    return nn.GroupNorm(channels // CHANNELS_PER_GROUP, channels)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a residual; names as torchvision's, ``bn`` for any norm."""

    def __init__(self, in_channels, out_channels, stride):
        """
        Build the block.

        :param in_channels: Channels of the input.
        :param out_channels: Channels of the output.
        :param stride: Stride of the first convolution and of the residual.
        """
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = _norm(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = _norm(out_channels)
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), _norm(out_channels))

    def forward(self, x):
        """Map (B, in_channels, H, W) to (B, out_channels, H / stride, W / stride)."""
        residual = x if self.downsample is None else self.downsample(x)
        h = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(h)).add_(residual))


def resnet18(in_channels=3):
    """
    Build the convolutional part of ResNet-18: (B, C, H, W) to (B, 512, H / 32, W / 32).

    Convolutions start with He's initialization (arXiv:1502.01852), norms as the identity.

    :param in_channels: Channels of the image.
    :return: Sequential whose entries 0, 1 and 4 to 7 hold the weights, named as torchvision's.
    """
    layers = [('0', nn.Conv2d(in_channels, 64, 7, 2, 3, bias=False)), ('1', _norm(64)),
              ('2', nn.ReLU(inplace=True)), ('3', nn.MaxPool2d(3, 2, 1))]
    channels = 64
    for index, (width, stride) in enumerate(((64, 1), (128, 2), (256, 2), (512, 2))):
        layers.append((str(4 + index), nn.Sequential(
            BasicBlock(channels, width, stride), BasicBlock(width, width, 1))))
        channels = width
    backbone = nn.Sequential(OrderedDict(layers))
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
    return backbone

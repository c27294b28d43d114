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
"""ResNets without their classifier, with GroupNorm or BatchNorm (He et al., arXiv:1512.03385)."""

from collections import OrderedDict

from torch import nn

CHANNELS_PER_GROUP = 16


def group_norm(channels):
    """
    Build GroupNorm over groups of 16 channels (Wu and He 2018, arXiv:1803.08494).

    :param channels: Channels, a multiple of 16.
    """
    return nn.GroupNorm(channels // CHANNELS_PER_GROUP, channels)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a residual; names as torchvision's, ``bn`` for any norm."""

    def __init__(self, in_channels, out_channels, stride, norm):
        """
        Build the block.

        :param in_channels: Channels of the input.
        :param out_channels: Channels of the output.
        :param stride: Stride of the first convolution and of the residual.
        :param norm: Function from a number of channels to a norm.
        """
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = norm(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = norm(out_channels)
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), norm(out_channels))

    def forward(self, x):
        """Map (B, in_channels, H, W) to (B, out_channels, H / stride, W / stride)."""
        residual = x if self.downsample is None else self.downsample(x)
        h = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(h)).add_(residual))


def resnet18(in_channels=3, norm=group_norm):
    """
    Build the convolutional part of ResNet-18: (B, C, H, W) to (B, 512, H / 32, W / 32).

    :param in_channels: Channels of the image.
    :param norm: ``group_norm`` or ``nn.BatchNorm2d``.
    :return: Sequential whose entries 0, 1 and 4 to 7 hold the weights, named as torchvision's.
    """
    return _resnet((2, 2, 2, 2), in_channels, norm)


def resnet34(in_channels=3, norm=group_norm):
    """
    Build the convolutional part of ResNet-34; otherwise as ``resnet18``.

    :param in_channels: Channels of the image.
    :param norm: As for ``resnet18``.
    :return: As ``resnet18``.
    """
    return _resnet((3, 4, 6, 3), in_channels, norm)


def _resnet(depths, in_channels, norm):
    """Build a ResNet; convolutions start as arXiv:1502.01852 says, norms as the identity."""
    layers = [('0', nn.Conv2d(in_channels, 64, 7, 2, 3, bias=False)), ('1', norm(64)),
              ('2', nn.ReLU(inplace=True)), ('3', nn.MaxPool2d(3, 2, 1))]
    channels = 64
    for index, depth in enumerate(depths):
        width = 64 * 2 ** index
        blocks = [BasicBlock(channels, width, 1 if index == 0 else 2, norm)]
        blocks += [BasicBlock(width, width, 1, norm) for _ in range(depth - 1)]
        layers.append((str(4 + index), nn.Sequential(*blocks)))
        channels = width
    backbone = nn.Sequential(OrderedDict(layers))
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
    return backbone

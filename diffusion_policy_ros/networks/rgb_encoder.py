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
"""From images, colour or depth, to features."""

from diffusion_policy_ros.networks.light_cnn import light_cnn
from diffusion_policy_ros.networks.resnet import group_norm, resnet18, resnet34
from diffusion_policy_ros.networks.spatial_softmax import SpatialSoftmax
from diffusion_policy_ros.networks.vit import VisionTransformer
import torch
from torch import nn

RESNETS = {'resnet18': resnet18, 'resnet34': resnet34}


class RgbEncoder(nn.Module):
    """Images to features: backbone, pooling, one linear layer; tensor names are LeRobot's."""

    def __init__(self, backbone, image_shape, num_keypoints, *, use_group_norm=True,
                 pooling='spatial_softmax', vit_sizes=None):
        """
        Build the encoder for one image size.

        :param backbone: Name, of ``choices.VISION_BACKBONES``.
        :param image_shape: (channels, height, width) after any resizing and crop, px.
        :param num_keypoints: Half the number of features; keypoints of a spatial softmax.
        :param use_group_norm: GroupNorm in a ResNet instead of BatchNorm.
        :param pooling: Of a convolutional backbone, of ``choices.POOLINGS``.
        :param vit_sizes: Keyword arguments of ``VisionTransformer``; its defaults when None.
        """
        super().__init__()
        # Pictures arrive with their channels last; the weights follow, or each call reorders them.
        self.backbone = _build_backbone(backbone, image_shape, use_group_norm, vit_sizes).to(
            memory_format=torch.channels_last)
        shape = _output_shape(self.backbone, image_shape)
        features = 2 * num_keypoints
        if len(shape) == 1:
            self.pool, pooled = nn.Identity(), shape[0]
        elif pooling == 'average':
            self.pool, pooled = nn.AdaptiveAvgPool2d(1), shape[0]
        else:
            self.pool, pooled = SpatialSoftmax(shape, num_keypoints), features
        self.out = nn.Linear(pooled, features)

    def forward(self, images):
        """
        Encode images.

        :param images: Normalized and cropped, float32 (B, channels, height, width).
        :return: float32 (B, 2 * num_keypoints), at least 0.
        """
        return self.head(self.backbone(images))

    def head(self, maps):
        """
        Make features of what the backbone puts out.

        :param maps: float32 (B, channels, height, width), of some backbones (B, channels).
        :return: As ``forward``.
        """
        return self.out(self.pool(maps).flatten(1)).relu_()

    def train(self, mode=True):
        """
        Set the mode; a backbone without any weight to train keeps its running statistics.

        :param mode: False for eval mode, in which a frozen backbone always is.
        :return: The encoder.
        """
        super().train(mode)
        self.backbone.train(mode and any(p.requires_grad for p in self.backbone.parameters()))
        return self


def _build_backbone(name, image_shape, use_group_norm, vit_sizes):
    """Return a backbone by its name."""
    if name == 'vit':
        return VisionTransformer(image_shape, **(vit_sizes or {}))
    if name == 'light_cnn':
        return light_cnn(image_shape[0])
    return RESNETS[name](image_shape[0], group_norm if use_group_norm else nn.BatchNorm2d)


def _output_shape(backbone, image_shape):
    """Return the shape of what a backbone makes of one image; running statistics stay."""
    with torch.no_grad():
        shape = backbone.eval()(torch.zeros(1, *image_shape)).shape[1:]
    backbone.train()
    return tuple(shape)

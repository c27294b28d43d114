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
"""From observed images and vectors to the features that condition the denoiser."""

from diffusion_policy_ros.networks.light_cnn import light_cnn
from diffusion_policy_ros.networks.resnet import resnet18
from diffusion_policy_ros.networks.spatial_softmax import SpatialSoftmax
import torch
from torch import nn

BACKBONES = {'resnet18': resnet18, 'light_cnn': light_cnn}


class RgbEncoder(nn.Module):
    """Images to features: backbone, keypoints, one linear layer; tensor names are LeRobot's."""

    def __init__(self, backbone, image_shape, num_keypoints):
        """
        Build the encoder for one image size.

        :param backbone: Name, a key of ``BACKBONES``.
        :param image_shape: (channels, height, width) after the crop, px.
        :param num_keypoints: Keypoints of the spatial softmax.
        """
        super().__init__()
        # Pictures arrive with their channels last; the weights follow, or each call reorders them.
        self.backbone = BACKBONES[backbone](image_shape[0]).to(memory_format=torch.channels_last)
        with torch.no_grad():
            feature_map_shape = self.backbone(torch.zeros(1, *image_shape)).shape[1:]
        self.pool = SpatialSoftmax(feature_map_shape, num_keypoints)
        self.out = nn.Linear(2 * num_keypoints, 2 * num_keypoints)

    def forward(self, images):
        """
        Encode images.

        :param images: Normalized and cropped, float32 (B, channels, height, width).
        :return: float32 (B, 2 * num_keypoints), at least 0.
        """
        keypoints = self.pool(self.backbone(images))  # (B, num_keypoints, 2)
        return self.out(keypoints.flatten(1)).relu_()


def center_crop(images, size):
    """
    Cut the middle out of images, as a view.

    :param images: (B, rows, height, width, channels).
    :param size: (height, width) to keep, px; None keeps all.
    :return: (B, rows, size[0], size[1], channels).
    """
    if size is None:
        return images
    top, left = (round((have - want) / 2) for have, want in zip(images.shape[2:4], size))
    return images[:, :, top:top + size[0], left:left + size[1]]


def random_crop(images, size, *, generator=None):
    """
    Cut a window out of images, at one random place per sample for all of its rows.

    :param images: (B, rows, height, width, channels).
    :param size: (height, width) to keep, px.
    :param generator: torch.Generator on the CPU, or None for torch's own.
    :return: (B, rows, size[0], size[1], channels).
    """
    free = [have - want + 1 for have, want in zip(images.shape[2:4], size)]
    tops, lefts = (torch.randint(count, (len(images),), generator=generator).tolist()
                   for count in free)
    return torch.stack([
        sample[:, top:top + size[0], left:left + size[1]]
        for sample, top, left in zip(images, tops, lefts)])


def join_features(states, image_features, environment):
    """
    Concatenate the features of each row, then all rows, in LeRobot's order.

    :param states: List of float (B, n_obs_steps, entries), normalized.
    :param image_features: float (B, n_obs_steps, features), or None without cameras.
    :param environment: List like ``states``, of environment states.
    :return: float (B, n_obs_steps * entries of a row).
    """
    images = [] if image_features is None else [image_features]
    return torch.cat([*states, *images, *environment], dim=-1).flatten(1)

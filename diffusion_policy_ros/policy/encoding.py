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

"""From a checked window to the condition of the denoiser."""

from diffusion_policy_ros.networks.observation_encoder import (
    center_crop, join_features, random_crop)
import torch
from torch import nn

PIXEL_MAX = 255.0


def encode_images(policy, tensors, *, augment, generator):
    """
    Encode the images of a window: crop, normalize, backbone, keypoints.

    :param policy: The ``Policy``.
    :param tensors: Key -> (B, n_obs_steps, H, W, C), checked, on the policy's device.
    :param augment: Crop at random places where the configuration says so.
    :param generator: torch.Generator on the CPU for those places.
    :return: float32 (B, n_obs_steps, image_feature_dim); None for a policy without cameras.
    """
    config, keys = policy.config, policy.config.image_keys
    if not keys:
        return None
    random = augment and config.crop_is_random and config.crop_shape is not None
    cropped = {key: random_crop(tensors[key], config.crop_shape, generator=generator)
               if random else center_crop(tensors[key], config.crop_shape) for key in keys}
    pictures = [_normalized_pictures(policy, key, images) for key, images in cropped.items()]
    encoder = policy.diffusion.rgb_encoder
    if isinstance(encoder, nn.ModuleList):
        features = [one(picture) for one, picture in zip(encoder, pictures)]
    else:
        features = encoder(torch.cat(pictures)).chunk(len(keys))
    return torch.cat(features, dim=-1).unflatten(0, (-1, config.n_obs_steps))


def join_observations(policy, image_features, tensors):
    """
    Join image features with the normalized vectors of a window.

    :param policy: The ``Policy``.
    :param image_features: From ``encode_images``; None without cameras.
    :param tensors: Key -> float32 (B, n_obs_steps, entries) in robot units, checked.
    :return: float32 (B, global_cond_dim).
    """
    states, environment = (
        [policy.normalizer.normalize(key, tensors[key]) for key in policy.config.keys_of(kind)]
        for kind in ('STATE', 'ENV'))
    return join_features(states, image_features, environment)


def _normalized_pictures(policy, key, images):
    """Return images as normalized float32 (B * rows, channels, height, width)."""
    pictures = images.flatten(0, 1).permute(0, 3, 1, 2).float()
    if images.dtype == torch.uint8:
        pictures = pictures.div_(PIXEL_MAX)
    return policy.normalizer.normalize(key, pictures)

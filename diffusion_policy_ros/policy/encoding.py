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

from diffusion_policy_ros.networks.augmentation import Augmentation
from diffusion_policy_ros.networks.crop import center_crop, random_crop, resized
from diffusion_policy_ros.networks.observation_encoder import join_features
import torch
from torch import nn

PIXEL_MAX = 255.0
ONLY_CROP = Augmentation()


def encode_images(policy, tensors, *, augment, generator):
    """
    Encode the images of a window: resize, crop, normalize, backbone, pooling.

    :param policy: The ``Policy``.
    :param tensors: Key -> (B, n_obs_steps, H, W, C), checked, on the policy's device.
    :param augment: ``Augmentation`` of training images, which are also cropped at random places
        where the configuration says so; True for these crops alone, False for neither.
    :param generator: torch.Generator on the CPU for those places and changes.
    :return: float32 (B, n_obs_steps, image_feature_dim); None for a policy without cameras.
    """
    config, keys = policy.config, policy.config.image_keys
    if not keys:
        return None
    augmentation = ONLY_CROP if augment is True else augment or None
    pictures = [_normalized_pictures(policy, key, _prepared(
        config, tensors[key], augmentation, generator)) for key in keys]
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
    networks = policy.diffusion
    states, environment = (
        [policy.normalizer.normalize(key, tensors[key]) for key in policy.config.keys_of(kind)]
        for kind in ('STATE', 'ENV'))
    if networks.state_mlp is not None:
        states, environment = [networks.state_mlp(torch.cat(states + environment, dim=-1))], []
    if networks.fusion is None:
        return join_features(states, image_features, environment)
    vectors = torch.cat(states + environment, dim=-1) if states or environment else None
    return networks.fusion(vectors, image_features).flatten(1)


def _prepared(config, images, augmentation, generator):
    """Return images as the network sees them before normalization: colours float, in [0, 1]."""
    coloured = images.dtype == torch.uint8
    if config.resize_shape is not None or not coloured:
        images = _as_float(images)
    if config.resize_shape is not None:
        images = resized(images, config.resize_shape)
    if augmentation is None:
        return _as_float(center_crop(images, config.crop_shape))
    images = augmentation.shift(images, generator=generator)
    if config.crop_is_random and config.crop_shape is not None:
        images = random_crop(images, config.crop_shape, generator=generator)
    images = _as_float(center_crop(images, config.crop_shape))
    return augmentation.jitter(images, generator=generator) if coloured else images


def _as_float(images):
    """Return 8-bit images as float32 in [0, 1], depth as float32 in its own unit."""
    if images.dtype == torch.uint8:
        return images.float().div_(PIXEL_MAX)
    return images.float()


def _normalized_pictures(policy, key, images):
    """Return images as normalized float32 (B * rows, channels, height, width), channels last."""
    return policy.normalizer.normalize(key, images.flatten(0, 1).permute(0, 3, 1, 2))

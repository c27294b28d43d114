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

from diffusion_policy_ros.networks.crop import center_crop, random_crop, resized
import torch
from torch import nn

PIXEL_MAX = 255.0


def encode_images(policy, tensors, *, augmentation, generator):
    """
    Encode the images of a window: resize, crop, normalize, backbone, pooling.

    :param policy: The ``Policy``.
    :param tensors: Key -> (B, rows, H, W, C), checked, on the policy's device.
    :param augmentation: As for ``prepared_images``.
    :param generator: As for ``prepared_images``.
    :return: float32 (B, rows, image_feature_dim); None for a policy without cameras.
    """
    pictures = prepared_images(policy, tensors, augmentation=augmentation, generator=generator)
    rows = tensors[policy.config.image_keys[0]].shape[1] if pictures else None
    return encode_prepared(policy, pictures, rows)


def prepared_images(policy, tensors, *, augmentation, generator) -> list:
    """
    Resize, augment, crop and normalize the images of a window: all that is random about them.

    :param policy: The ``Policy``.
    :param tensors: As for ``encode_images``.
    :param augmentation: ``Augmentation`` of training images, which are also cropped at random
        places where the configuration says so; None for the images as they are.
    :param generator: torch.Generator on the CPU for those places and changes.
    :return: Of every camera float32 (B * rows, channels, height, width).
    """
    return [_normalized_pictures(policy, key, _prepared(
        policy.config, tensors[key], augmentation, generator)) for key in policy.config.image_keys]


def encode_prepared(policy, pictures, rows=None):
    """
    Encode images: backbone and pooling.

    :param policy: The ``Policy``.
    :param pictures: From ``prepared_images``.
    :param rows: Rows of a window; ``n_obs_steps`` when None.
    :return: As ``encode_images``.
    """
    if not pictures:
        return None
    return _joined(policy, _of_each(policy, pictures, lambda encoder, images: encoder(images)),
                   rows)


def backbone_maps(policy, pictures) -> list:
    """
    Compute the part of ``encode_prepared`` that a frozen backbone does.

    :param policy: The ``Policy``.
    :param pictures: From ``prepared_images``.
    :return: Of every camera what its backbone puts out, float32 (B * rows, ...).
    """
    return _of_each(policy, pictures, lambda encoder, images: encoder.backbone(images))


def encode_maps(policy, maps):
    """
    Compute the rest of ``encode_prepared``.

    :param policy: The ``Policy``.
    :param maps: From ``backbone_maps``.
    :return: As ``encode_prepared``.
    """
    return _joined(policy, _of_each(policy, maps, lambda encoder, one: encoder.head(one)))


def _of_each(policy, inputs, compute):
    """Compute with the encoder of each camera, or at once with the one that all share."""
    encoder = policy.diffusion.rgb_encoder
    if isinstance(encoder, nn.ModuleList):
        return [compute(one, given) for one, given in zip(encoder, inputs)]
    return compute(encoder, torch.cat(inputs)).chunk(len(inputs))


def _joined(policy, features, rows=None):
    """Join the features of cameras into rows."""
    return torch.cat(features, dim=-1).unflatten(0, (-1, rows or policy.config.n_obs_steps))


def join_observations(policy, image_features, tensors):
    """
    Join image features with the normalized vectors of a window.

    Without fusion a row holds what LeRobot's does, in its order: states, cameras, environment.

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
        cameras = [] if image_features is None else [image_features]
        return torch.cat([*states, *cameras, *environment], dim=-1).flatten(1)
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

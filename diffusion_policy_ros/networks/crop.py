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
"""Resizing, cropping and shifting batches of images (B, rows, height, width, channels)."""

import torch
from torch.nn import functional


def resized(images, size):
    """
    Resize images as torchvision and LeRobot do: bilinear, averaging where they shrink.

    :param images: float (B, rows, height, width, channels).
    :param size: (height, width) to get, px.
    :return: float (B, rows, size[0], size[1], channels).
    """
    pictures = images.flatten(0, 1).permute(0, 3, 1, 2)
    pictures = functional.interpolate(pictures, tuple(size), mode='bilinear', antialias=True)
    return pictures.permute(0, 2, 3, 1).unflatten(0, images.shape[:2])


def center_crop(images, size):
    """
    Cut the middle out of images, as a view.

    :param images: (B, rows, height, width, channels).
    :param size: (height, width) to keep, px; None keeps all.
    :return: (B, rows, size[0], size[1], channels).
    """
    if size is None:
        return images
    # While a graph is recorded, sizes may be tensors.
    top, left = (round((int(have) - want) / 2) for have, want in zip(images.shape[2:4], size))
    return images[:, :, top:top + size[0], left:left + size[1]]


def random_crop(images, size, *, generator=None):
    """
    Cut a window out of images, at one random place per sample for all of its rows.

    :param images: uint8 or float (B, rows, height, width, channels).
    :param size: (height, width) to keep, px.
    :param generator: torch.Generator on the CPU, or None for torch's own.
    :return: (B, rows, size[0], size[1], channels).
    """
    free = [have - want + 1 for have, want in zip(images.shape[2:4], size)]
    tops, lefts = (torch.randint(count, (len(images),), generator=generator).to(images.device)
                   for count in free)
    # Every possible window as a view, its places first: (B, tops, lefts, rows, *size, channels).
    windows = images.unfold(2, size[0], 1).unfold(3, size[1], 1).permute(0, 2, 3, 1, 5, 6, 4)
    return windows[torch.arange(len(images), device=images.device), tops, lefts]


def random_shift(images, shift_px, *, generator=None):
    """
    Move images by up to some pixels each way, one random shift per sample for all of its rows.

    The border is repeated into what is uncovered (DrQ, Kostrikov et al. 2021, arXiv:2004.13649).

    :param images: uint8 or float (B, rows, height, width, channels).
    :param shift_px: Largest shift along each axis, px.
    :param generator: As for ``random_crop``.
    :return: Images of the same shape and dtype.
    """
    size = images.shape[2:4]
    for axis, count in enumerate(size, 2):
        first, last = (images.narrow(axis, place, 1).repeat_interleave(shift_px, dim=axis)
                       for place in (0, count - 1))
        images = torch.cat([first, images, last], dim=axis)
    return random_crop(images, size, generator=generator)

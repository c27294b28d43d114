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
"""Random changes of training images, on the device that they are on."""

from dataclasses import dataclass

from diffusion_policy_ros.checks import is_count, is_number, shown
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.networks.crop import random_shift
import torch

LARGEST_SHIFT = 1000
LARGEST = {'brightness': 1.0, 'contrast': 1.0, 'saturation': 1.0, 'hue': 0.5}
TINY = 1e-12
LUMA = (0.2989, 0.587, 0.114)  # of ITU-R BT.601, rounded as torchvision does


@dataclass(frozen=True)
class Augmentation:
    """
    How much training images are changed at random; the settings of colour are torchvision's.

    Each sample draws its own change, the same for all of its rows. Colours change in the order of
    the fields.

    :ivar shift_px: Images move by up to this along each axis, px.
    :ivar brightness: Pixels are multiplied by a factor from 1 - this to 1 + this.
    :ivar contrast: Likewise the distance from the picture's mean grey.
    :ivar saturation: Likewise the distance from the pixel's own grey.
    :ivar hue: Hues move by up to this share of the colour circle, at most 0.5.
    """

    shift_px: int = 0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self):
        """Check every field, naming it in each error."""
        if not is_count(self.shift_px, least=0, most=LARGEST_SHIFT):
            raise ConfigError(f'augmentation.shift_px is {shown(self.shift_px)}; it must be a '
                              f'whole number from 0 to {LARGEST_SHIFT}')
        for name, largest in LARGEST.items():
            value = getattr(self, name)
            if not is_number(value) or not 0 <= value <= largest:
                raise ConfigError(f'augmentation.{name} is {shown(value)}; it must be a number '
                                  f'from 0 to {largest:g}')

    def shift(self, images, *, generator=None):
        """
        Move images.

        :param images: uint8 or float (B, rows, height, width, channels).
        :param generator: torch.Generator on the CPU, or None for torch's own.
        :return: Images of the same shape and dtype.
        """
        if not self.shift_px:
            return images
        return random_shift(images, self.shift_px, generator=generator)

    def jitter(self, images, *, generator=None):
        """
        Change colours; of grey images, only brightness and contrast.

        :param images: float (B, rows, height, width, 3 or 1), in [0, 1].
        :param generator: As for ``shift``.
        :return: Images of the same shape, in [0, 1].
        """
        for name, change in CHANGES.items():
            strength = getattr(self, name)
            if not strength or (images.shape[-1] == 1 and name in ('saturation', 'hue')):
                continue
            drawn = (2 * torch.rand(len(images), generator=generator) - 1) * strength
            images = change(images, drawn.to(images.device).view(-1, 1, 1, 1, 1))
        return images


def adjust_brightness(images, drawn):
    """
    Multiply pixels by ``1 + drawn``.

    :param images: float (..., height, width, 3 or 1), in [0, 1].
    :param drawn: float, broadcasts against the images, in [-1, 1].
    :return: Images of the same shape, in [0, 1].
    """
    return (images * (1 + drawn)).clamp_(0, 1)


def adjust_contrast(images, drawn):
    """
    Multiply each pixel's distance from the mean grey of its picture by ``1 + drawn``.

    :param images: As for ``adjust_brightness``.
    :param drawn: As for ``adjust_brightness``.
    :return: As ``adjust_brightness``.
    """
    mean = _grey(images).mean(dim=(-3, -2), keepdim=True)
    return torch.lerp(mean, images, 1 + drawn).clamp_(0, 1)


def adjust_saturation(images, drawn):
    """
    Multiply each pixel's distance from its own grey by ``1 + drawn``.

    :param images: float (..., 3), in [0, 1].
    :param drawn: As for ``adjust_brightness``.
    :return: As ``adjust_brightness``.
    """
    return torch.lerp(_grey(images), images, 1 + drawn).clamp_(0, 1)


def adjust_hue(images, drawn):
    """
    Move hues round the colour circle of the HSV space.

    :param images: float (..., 3), in [0, 1].
    :param drawn: Share of the circle, float, broadcasts against the images.
    :return: As ``adjust_brightness``.
    """
    planes = images.movedim(-1, 0).contiguous()
    red, green, blue = planes
    value = planes.amax(dim=0)
    chroma = value - planes.amin(dim=0)
    per_chroma = 1 / chroma.clamp(min=TINY)
    # Hue in sixths of the circle, from 0 at red over 2 at green to 4 at blue.
    sixths = torch.where(
        value == red, (green - blue) * per_chroma, torch.where(
            value == green, (blue - red) * per_chroma + 2, (red - green) * per_chroma + 4))
    sixths += 6 * drawn.squeeze(-1)
    # Each channel is darkened by the chroma, as far as the hue is from that channel's own.
    moved = torch.empty_like(images)
    for channel, offset in enumerate((5, 3, 1)):
        place = sixths + offset
        place -= 6 * (place / 6).floor_()
        share = torch.minimum(place, 4 - place).clamp_(0, 1)
        moved[..., channel] = torch.addcmul(value, chroma, share, value=-1)
    return moved.clamp_(0, 1)


def _grey(images):
    """Return the grey of every pixel, (..., 1); grey images as they are."""
    if images.shape[-1] == 1:
        return images
    red, green, blue = images.unbind(-1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)[..., None]


CHANGES = {'brightness': adjust_brightness, 'contrast': adjust_contrast,
           'saturation': adjust_saturation, 'hue': adjust_hue}

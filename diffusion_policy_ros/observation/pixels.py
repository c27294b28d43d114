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

"""
Pixel arithmetic without messages: colour conversion and the contract's resize rules.

Depth follows REP 118: uint16 counts millimetres and 0 means no measurement; float32 is metres.
Here 0 means no measurement in float32 as well, because a network cannot read NaN.
"""

import cv2
from diffusion_policy_ros.errors import DecodeError
import numpy as np

# ROS encoding -> (numpy type of one entry, entries per pixel in memory).
MEMORY_LAYOUT = {
    'rgb8': ('u1', 3), 'bgr8': ('u1', 3), 'rgba8': ('u1', 4), 'bgra8': ('u1', 4),
    'mono8': ('u1', 1), 'mono16': ('u2', 1), '16UC1': ('u2', 1), '32FC1': ('f4', 1),
    'bayer_rggb8': ('u1', 1), 'bayer_bggr8': ('u1', 1), 'bayer_gbrg8': ('u1', 1),
    'bayer_grbg8': ('u1', 1),
    'yuv422': ('u1', 2), 'uyvy': ('u1', 2), 'yuv422_yuy2': ('u1', 2), 'yuyv': ('u1', 2)}

# Pixels that have no colours of their own. OpenCV names a Bayer pattern by its second row and
# column, ROS by its first.
_TO_RGB = {
    'bayer_rggb8': cv2.COLOR_BayerBG2RGB, 'bayer_bggr8': cv2.COLOR_BayerRG2RGB,
    'bayer_gbrg8': cv2.COLOR_BayerGR2RGB, 'bayer_grbg8': cv2.COLOR_BayerGB2RGB,
    'yuv422': cv2.COLOR_YUV2RGB_UYVY, 'uyvy': cv2.COLOR_YUV2RGB_UYVY,
    'yuv422_yuy2': cv2.COLOR_YUV2RGB_YUY2, 'yuyv': cv2.COLOR_YUV2RGB_YUY2}

# (encoding of the pixels, encoding in the contract) -> OpenCV's conversion, None for none.
_CONVERSIONS = {
    ('rgb8', 'rgb8'): None, ('bgr8', 'rgb8'): cv2.COLOR_BGR2RGB,
    ('rgba8', 'rgb8'): cv2.COLOR_RGBA2RGB, ('bgra8', 'rgb8'): cv2.COLOR_BGRA2RGB,
    ('mono8', 'rgb8'): cv2.COLOR_GRAY2RGB,
    ('mono8', 'mono8'): None, ('rgb8', 'mono8'): cv2.COLOR_RGB2GRAY,
    ('bgr8', 'mono8'): cv2.COLOR_BGR2GRAY, ('rgba8', 'mono8'): cv2.COLOR_RGBA2GRAY,
    ('bgra8', 'mono8'): cv2.COLOR_BGRA2GRAY,
    ('16UC1', '16UC1'): None, ('mono16', '16UC1'): None, ('16UC1', '32FC1'): None,
    ('32FC1', '32FC1'): None, ('32FC1', '16UC1'): None}


def to_picture(pixels, encoding, spec, where):
    """
    Bring decoded pixels to the size and encoding of the contract.

    Colours are converted after resizing, where that is less work; Bayer and YUV pixels, which
    have no colours to mix, before it.

    :param pixels: (H, W) or (H, W, C) in the machine's byte order, as ``MEMORY_LAYOUT`` says.
    :param encoding: ROS name of the pixels' encoding, a key of ``MEMORY_LAYOUT``.
    :param spec: ImageSpec of the contract.
    :param where: What the picture is and where it came from, for error messages.
    :return: (spec.height, spec.width, spec.channels), uint8, uint16 (mm) or float32 (m). It
        shares memory with ``pixels`` where nothing had to change.
    :raises DecodeError: where no conversion exists or ``resize: exact`` meets another size.
    """
    colour = 'rgb8' if encoding in _TO_RGB else encoding
    if (colour, spec.encoding) not in _CONVERSIONS:
        usable = sorted({a for a, b in _CONVERSIONS if b == spec.encoding})
        raise DecodeError(f'{where}: {encoding} cannot become the {spec.encoding} of the '
                          f'contract, which is made from: {", ".join(usable)}')
    try:
        if encoding in _TO_RGB:
            pixels = cv2.cvtColor(pixels, _TO_RGB[encoding])
        pixels = resize(pixels, spec, where)
        conversion = _CONVERSIONS[colour, spec.encoding]
        if conversion is not None:
            pixels = cv2.cvtColor(pixels, conversion)
    except cv2.error as error:
        raise DecodeError(f'{where}: OpenCV cannot convert {encoding} pixels of shape '
                          f'{pixels.shape}: {error}') from error
    if colour in ('16UC1', '32FC1'):
        pixels = _convert_depth(pixels, spec.encoding)
    return pixels.reshape(spec.height, spec.width, spec.channels)


def resize(pixels, spec, where):
    """
    Apply the contract's resize rule.

    Colours are averaged over areas where the picture shrinks and interpolated linearly where it
    grows. Depth takes the nearest pixel: a mean across an edge is a surface that is not there.

    :param pixels: (H, W) or (H, W, C) uint8 colours, or uint16 or float32 depth.
    :param spec: ImageSpec; its height, width and resize rule are used.
    :param where: What the picture is and where it came from, for error messages.
    :return: (spec.height, spec.width) or (spec.height, spec.width, C), same dtype.
    :raises DecodeError: where the rule is ``exact`` and the size differs.
    """
    height, width = pixels.shape[:2]
    if (height, width) == (spec.height, spec.width):
        return pixels
    if spec.resize == 'exact':
        raise DecodeError(f'{where} is {width} x {height} pixels, the contract wants '
                          f'{spec.width} x {spec.height}; correct one of them, or choose '
                          '"resize: stretch", "crop" or "pad"')
    ratios = (spec.height / height, spec.width / width)
    if spec.resize == 'crop':
        return _scaled(_centre(pixels, spec, max(ratios)), spec.height, spec.width)
    if spec.resize == 'pad':
        return _padded(pixels, spec, min(ratios))
    return _scaled(pixels, spec.height, spec.width)


def _centre(pixels, spec, ratio):
    """Return a view of the centre that has the contract's aspect ratio."""
    height, width = pixels.shape[:2]
    rows = min(height, max(1, round(spec.height / ratio)))
    columns = min(width, max(1, round(spec.width / ratio)))
    top, left = (height - rows) // 2, (width - columns) // 2
    return pixels[top:top + rows, left:left + columns]


def _padded(pixels, spec, ratio):
    """Fit the whole picture into the contract's size, in the middle of zeros."""
    rows = min(spec.height, max(1, round(pixels.shape[0] * ratio)))
    columns = min(spec.width, max(1, round(pixels.shape[1] * ratio)))
    top, left = (spec.height - rows) // 2, (spec.width - columns) // 2
    picture = np.zeros((spec.height, spec.width) + pixels.shape[2:], pixels.dtype)
    picture[top:top + rows, left:left + columns] = _scaled(pixels, rows, columns)
    return picture


def _scaled(pixels, height, width):
    """Resize to exactly this size."""
    if pixels.dtype != np.uint8:
        rule = cv2.INTER_NEAREST_EXACT
    elif height <= pixels.shape[0] and width <= pixels.shape[1]:
        rule = cv2.INTER_AREA
    else:
        rule = cv2.INTER_LINEAR
    return cv2.resize(pixels, (width, height), interpolation=rule)


def _convert_depth(depth, encoding):
    """Change depth between uint16 millimetres and float32 metres; 0 is no measurement."""
    if depth.dtype == np.uint16:
        return depth if encoding == '16UC1' else depth.astype(np.float32) / np.float32(1000)
    metres = np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))
    if encoding == '32FC1':
        return metres
    return np.minimum(np.rint(metres * 1000), 65535).astype(np.uint16)

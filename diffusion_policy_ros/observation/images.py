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

"""Images and compressed images, read as the picture that the contract describes."""

import cv2
from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.errors import DecodeError
from diffusion_policy_ros.observation.pixels import MEMORY_LAYOUT, to_picture
import numpy as np

_JPEG_START, _JPEG_SCAN, _JPEG_END = b'\xff\xd8\xff', b'\xff\xda', b'\xff\xd9'
_PNG_START, _PNG_END = b'\x89PNG\r\n\x1a\n', b'IEND\xaeB`\x82'


def decode_image(message, stream):
    """
    Read an uncompressed image, honouring its row padding and byte order.

    :param message: A ``sensor_msgs/msg/Image`` of any message class.
    :param stream: ObservationStream with an ImageSpec.
    :return: ``stream.shape`` (H, W, C), uint8, uint16 (mm) or float32 (m); a view of the
        message's memory where nothing had to change.
    :raises DecodeError: for an unknown encoding, data of the wrong length, or another size
        under ``resize: exact``.
    """
    where = f'topic {stream.topic}: the image'
    if message.encoding not in MEMORY_LAYOUT:
        raise DecodeError(f'{where} has the unknown encoding {shown(message.encoding)}; known: '
                          f'{", ".join(MEMORY_LAYOUT)}')
    return to_picture(_unpack(message, where), message.encoding, stream.image, where)


def decode_compressed_image(message, stream):
    """
    Read a JPEG or PNG picture.

    Compressed pixels are B, G, R by convention; only a ``format`` such as
    ``bgr8; jpeg compressed rgb8`` says otherwise.

    :param message: A ``sensor_msgs/msg/CompressedImage`` of any message class.
    :param stream: ObservationStream with an ImageSpec.
    :return: ``stream.shape`` (H, W, C), uint8, uint16 (mm) or float32 (m).
    :raises DecodeError: for another compression, incomplete or damaged data, or another size
        under ``resize: exact``.
    """
    where = f'topic {stream.topic}: the compressed image'
    data = np.frombuffer(message.data, np.uint8)
    _check_complete(data.tobytes(), message.format, where)
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DecodeError(f'{where} is damaged: {error}') from error
    if pixels is None:
        raise DecodeError(f'{where} is damaged: format {shown(message.format)}, {len(data)} '
                          'bytes; check the publisher and the network')
    encoding = _compressed_encoding(pixels, message.format, where)
    return to_picture(pixels, encoding, stream.image, where)


def _unpack(message, where):
    """Return the pixels as (H, W) or (H, W, entries) in this machine's byte order."""
    kind, entries = MEMORY_LAYOUT[message.encoding]
    dtype = np.dtype(kind).newbyteorder('>' if message.is_bigendian else '<')
    height, width, step = message.height, message.width, message.step
    row_bytes = width * entries * dtype.itemsize
    if not (height and width):
        raise DecodeError(f'{where} is empty: {width} x {height} pixels; check the driver')
    if step < row_bytes:
        raise DecodeError(f'{where} claims {width} x {height} pixels of {message.encoding} in '
                          f'rows of {step} bytes; {row_bytes} are needed for each row')
    data = np.frombuffer(message.data, np.uint8)
    if len(data) != height * step:
        raise DecodeError(f'{where} holds {len(data)} bytes, {height} rows of {step} need '
                          f'{height * step}; it was cut on its way or mislabelled')
    rows = data.reshape(height, step)[:, :row_bytes].view(dtype)  # (H, W * entries)
    if entries > 1:
        return rows.reshape(height, width, entries)
    return np.require(rows, dtype.newbyteorder('='), ('C', 'A'))


def _check_complete(data, described, where):
    """
    Refuse what is neither JPEG nor PNG, and what ends early: OpenCV would fill in grey.

    Damage that leaves the end mark in place, as where a JPEG lost bytes in its middle, is not
    found: such a picture decodes with grey or shifted parts.
    """
    if data.startswith(_JPEG_START):
        complete = data.rfind(_JPEG_SCAN) < data.rfind(_JPEG_END)
    elif data.startswith(_PNG_START):
        complete = _PNG_END in data
    else:
        raise DecodeError(f'{where} of format {shown(described)} holds neither JPEG nor PNG data; '
                          'choose one of these two in the publisher')
    if not complete:
        raise DecodeError(f'{where} of format {shown(described)} ends early, after {len(data)} '
                          'bytes; it was cut on its way')


def _compressed_encoding(pixels, described, where):
    """Return the ROS encoding of what OpenCV decoded."""
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype == np.uint16 and channels == 1:
        return '16UC1'
    if pixels.dtype != np.uint8 or channels == 2:
        raise DecodeError(f'{where} has {channels} channels of {pixels.dtype}; 8-bit colours, '
                          '8-bit grey and 16-bit depth can be read')
    order = 'rgb' if 'compressed rgb' in described else 'bgr'
    return {1: 'mono8', 3: f'{order}8', 4: f'{order}a8'}[channels]

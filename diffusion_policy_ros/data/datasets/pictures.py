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

"""Pictures inside dataset rows, compressed without loss: PNG, and TIFF for metric depth."""

import cv2
from diffusion_policy_ros.errors import DatasetError
import numpy as np

# Deflate, in the one TIFF dialect that every reader knows.
TIFF_OPTIONS = [cv2.IMWRITE_TIFF_COMPRESSION, 8]


def encode_picture(picture) -> bytes:
    """
    Compress a picture without loss.

    :param picture: ``(height, width, channels)``: uint8 RGB or grey, uint16, or float32 (which
        becomes a TIFF, as PNG has no such numbers).
    """
    if picture.dtype == np.float32:
        data = cv2.imencode('.tiff', picture, TIFF_OPTIONS)[1]
    else:
        channels = picture[:, :, ::-1] if picture.shape[2] == 3 else picture
        data = cv2.imencode('.png', np.ascontiguousarray(channels))[1]
    return data.tobytes()


def decode_picture(data, feature, dtype, where):
    """
    Restore a picture.

    :param data: Compressed bytes, in any format that OpenCV reads.
    :param feature: How the dataset describes it.
    :param dtype: The dtype that its pixels must have.
    :param where: What it is, for the error.
    :return: ``(height, width, channels)``, RGB, grey or depth.
    :raises DatasetError: if it is none, or not what the dataset says.
    """
    picture = None
    if data:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise DatasetError(f'{where} is no picture that can be decoded; the dataset is damaged')
    picture = picture[:, :, None] if picture.ndim == 2 else picture[:, :, ::-1]
    shape = tuple(feature['shape'])
    if picture.shape != shape or picture.dtype != dtype:
        raise DatasetError(f'{where} is {picture.dtype} {picture.shape}, info.json says '
                           f'{dtype} {shape}')
    return np.ascontiguousarray(picture)

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

"""Open a dataset of any format, and begin one of any format to copy it into."""

from pathlib import Path

from diffusion_policy_ros.checks import check_choice, is_number, shown, told
from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.hdf5_dataset import Hdf5Dataset
from diffusion_policy_ros.data.datasets.hdf5_writer import Hdf5Writer
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.data.datasets.video import DEFAULT_CODEC, PICTURE_CODEC
from diffusion_policy_ros.data.datasets.zarr_dataset import ZarrDataset
from diffusion_policy_ros.data.datasets.zarr_writer import ZarrWriter
from diffusion_policy_ros.data.new_folder import check_outside
from diffusion_policy_ros.errors import DatasetError
import numpy as np

FORMATS = ('lerobot', 'zarr', 'hdf5')
MAX_RATE_HZ = 1000
HDF5_SIGNATURE = b'\x89HDF\r\n\x1a\n'


def detect_format(path):
    """
    Tell the format of a dataset.

    :param path: Folder or file.
    :return: One of ``FORMATS``, or None where it is none of them (a bag, for example).
    :raises DatasetError: if it cannot be opened.
    """
    try:
        return _detect(Path(path))
    except OSError as error:
        raise DatasetError(f'cannot read {path}: {told(error)}') from error


def _detect(path):
    """Tell the format of a dataset."""
    if (path / layout.INFO_PATH).is_file():
        return 'lerobot'
    if path.is_file():
        with open(path, 'rb') as file:
            start = file.read(len(HDF5_SIGNATURE))
        if start == HDF5_SIGNATURE:
            return 'hdf5'
        return 'zarr' if start[:2] == b'PK' and '.zarr' in path.name else None
    is_zarr = (path / 'meta' / 'episode_ends').is_dir() or path.suffix == '.zarr'
    return 'zarr' if path.is_dir() and is_zarr else None


def open_dataset(path, *, rate_hz=None, task=None):
    """
    Open a dataset of any format.

    :param path: Folder of a LeRobotDataset v3.0; folder or ``.zarr.zip`` of a Diffusion Policy
        replay buffer; HDF5 file of robomimic.
    :param rate_hz: Rows per second, Hz, for formats that do not hold it.
    :param task: Sentence for every episode, for formats that do not hold one.
    :return: A ``FrameSource``.
    :raises DatasetError: if it is none of them, is damaged, or its rate is another or none.
    """
    check_rate(rate_hz)
    found = detect_format(path)
    if found is None and not Path(path).exists():
        raise DatasetError(f'{path} does not exist; name a dataset')
    if found is None:
        raise DatasetError(
            f'{path} is no dataset: it is neither a LeRobotDataset v3.0 (a folder with '
            f'{layout.INFO_PATH}), nor a zarr replay buffer (meta/episode_ends), nor a HDF5 file')
    if found == 'lerobot':
        source = LeRobotReader(path)
        if rate_hz not in (None, source.rate_hz):
            raise DatasetError(f'{path} says itself that it has {source.rate_hz:g} rows per '
                               f'second, and not {rate_hz:g}')
        if task is not None:
            raise DatasetError(f'{path} has task sentences of its own; leave --task out')
        return source
    return {'zarr': ZarrDataset, 'hdf5': Hdf5Dataset}[found](path, rate_hz=rate_hz, task=task)


def check_rate(rate_hz) -> None:
    """
    Refuse a rate that no rows can have.

    :param rate_hz: Rows per second, Hz; None where nobody gives one.
    :raises DatasetError: naming the rate.
    """
    if rate_hz is not None and not (is_number(rate_hz) and 0 < rate_hz <= MAX_RATE_HZ):
        raise DatasetError(f'rate is {shown(rate_hz)}; it is above 0 and at most {MAX_RATE_HZ} Hz')


def create_dataset(path, format, *, like, codec=DEFAULT_CODEC, crf=None):
    """
    Begin a dataset that shall hold what another holds; ``copy_dataset`` then fills it.

    :param path: Folder or file to create; a zarr buffer becomes one file where it ends in
        ``.zip``.
    :param format: One of ``FORMATS``.
    :param like: The ``FrameSource`` that will be written.
    :param codec: A key of ``video.CODECS`` or ``png``, for LeRobot.
    :param crf: Quality of the video, for LeRobot; None takes the codec's default.
    :return: A ``LeRobotWriter``, ``ZarrWriter`` or ``Hdf5Writer``.
    :raises DatasetError: if the path exists or lies inside the source, the rate is unknown or no
        whole number (LeRobot), a feature cannot be kept, or a HDF5 file shall become one.
    """
    check_choice('format', format, FORMATS, DatasetError)
    source_path = getattr(like, 'folder', None) or getattr(like, 'path', None)
    if source_path is not None:
        check_outside(path, source_path, DatasetError)
    if format == 'hdf5' and isinstance(like, Hdf5Dataset):
        raise DatasetError(f'{source_path} is a HDF5 file already; copy the file')
    if format == 'lerobot':
        if like.rate_hz is None:
            raise DatasetError(f'{source_path or "the source"} does not say how many rows per '
                               'second it has; give it with --rate HZ')
        return LeRobotWriter(
            path, like.contract, features=lerobot_features(like.row_features, codec),
            rate_hz=like.rate_hz, robot_type=like.robot_type, codec=codec, crf=crf)
    known = getattr(like, 'notes', like)  # what the file itself implies need not be noted
    told = {'rate_hz': known.rate_hz, 'robot_type': known.robot_type, 'contract': known.contract}
    if format == 'zarr':
        return ZarrWriter(path, like.row_features, **told)
    return Hdf5Writer(path, like.row_features, **told)


def lerobot_features(features, codec) -> dict:
    """
    Describe features as LeRobot stores them.

    :param features: ``{key: feature}`` of a ``FrameSource``; arrays of floats that are shaped
        like pictures become pictures.
    :param codec: A key of ``video.CODECS``, or ``png``, which keeps pictures inside the rows.
    :raises DatasetError: if one cannot be stored.
    """
    return {key: _lerobot_feature(key, feature, codec) for key, feature in features.items()}


def _lerobot_feature(key, feature, codec):
    """Describe one feature as LeRobot stores it."""
    if '/' in key:
        raise DatasetError(f'{key!r}: LeRobot allows no "/" in a name; give the array '
                           'another one in the file that is read')
    dtype, shape = layout.array_dtype(feature), feature['shape']
    if layout.is_picture(feature) and dtype != np.uint8:
        return {**feature, 'dtype': 'image'}  # depth
    # Diffusion Policy keeps pictures as floats; the writer refuses pixels that are not whole.
    if len(shape) == 3 and shape[2] in (1, 3) and (dtype == np.uint8 or dtype.kind == 'f'):
        return {'dtype': 'image' if codec == PICTURE_CODEC else 'video', 'shape': shape,
                'names': feature.get('names') or layout.PICTURE_NAMES}
    if len(shape) > 5:
        raise DatasetError(f'{key!r} has rows of shape {shape}; LeRobot allows five dimensions')
    return {**feature, 'shape': shape or [1]}

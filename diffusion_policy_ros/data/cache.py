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

"""Decode a dataset once into plain arrays on disk, so that training reads memory maps."""

from contextlib import contextmanager
from dataclasses import dataclass
import fcntl
import glob
import hashlib
import json
import os
from pathlib import Path
import shutil
import sys

from diffusion_policy_ros.data.datasets.lerobot_format import array_dtype
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.files import replacing
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.on_disk import put_in_place
from diffusion_policy_ros.streams import ACTION_KEY
import numpy as np
from tqdm import tqdm

MARK = 'cache.json'
LAYOUT_VERSION = 1


@dataclass(frozen=True)
class FrameCache:
    """
    A dataset as arrays over all rows.

    :ivar folder: Folder with one ``.npy`` file per key.
    :ivar arrays: ``{dataset key: array (rows, ...)}``: pictures uint8 ``(rows, height, width,
        channels)`` (depth: uint16 or float32), vectors and ``action`` float32 ``(rows, D)``;
        read-only memory maps.
    :ivar episode_ends: int64 ``(episodes,)``, exclusive end row of each episode.
    """

    folder: Path
    arrays: dict
    episode_ends: np.ndarray


def build_cache(dataset_dir, cache_dir=None, *, progress=True) -> FrameCache:
    """
    Open a dataset's cache, building it first where it is missing or older than the dataset.

    :param dataset_dir: Folder of a LeRobotDataset v3.0.
    :param cache_dir: Folder for the cache, needed where the dataset cannot be written to; by
        default ``.cache`` inside the dataset.
    :param progress: Show a progress bar while decoding.
    :return: The opened ``FrameCache``.
    :raises DatasetError: if the dataset is damaged or the cache folder cannot be written.

    Of several processes that want one cache, one builds it and the others wait for it.
    """
    reader = LeRobotReader(dataset_dir)
    folder = Path(cache_dir) if cache_dir is not None else reader.folder / '.cache'
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise DatasetError(f'the cache {folder} is a file; name a folder: dpr train --cache DIR')
    with _locked(folder) as is_locked:
        fingerprint = _fingerprint(reader.folder)
        arrays = _open_arrays(reader, folder) if _mark_of(folder) == fingerprint else None
        if arrays is None:
            if is_locked:
                _remove_unfinished(folder)
            _rebuild(reader, folder, fingerprint, progress)
            arrays = _open_arrays(reader, folder)
    if arrays is None:
        raise DatasetError(f'the cache {folder} cannot be read back; check the disk, or name a '
                           'folder on another one: dpr train --cache DIR')
    return FrameCache(folder=folder, arrays=arrays, episode_ends=reader.episode_ends)


@contextmanager
def _locked(folder):
    """
    Keep other processes out of a cache, waiting for the one that is in it.

    The lock is the operating system's: it ends with the process, however that ends.

    :return: Context manager that tells whether there is a lock; on a disk that cannot be written
        to, or has no locks, there is none, and a whole cache can be opened all the same.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = open(folder.with_name(f'{folder.name}.lock'), 'w')
    except OSError:
        file = None
    if file is None:
        yield False
    else:
        with file:
            yield _lock(file, folder)


def _lock(file, folder):
    """Lock an open file until it is closed; tell whether its disk has locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        tqdm.write(f'waiting for the process that builds {folder}', file=sys.stderr)
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        return False
    return True


def _remove_unfinished(folder):
    """Remove what killed processes left; whoever holds the lock knows that nobody builds."""
    for path in folder.parent.glob(f'{glob.escape(folder.name)}.building-*'):
        shutil.rmtree(path, ignore_errors=True)


def _keys(reader):
    """Return the keys that one can train on: cameras, observed vectors, the action."""
    return [key for key, feature in reader.features.items()
            if (key.startswith('observation.') or key == ACTION_KEY)
            and feature['dtype'] != 'string']


def _array_path(folder, key):
    """Return the file of one key."""
    return folder / f'{key}.npy'


def _fingerprint(folder):
    """Digest the names, sizes and times of the dataset's files: it changes when they do."""
    digest = hashlib.sha256(str(LAYOUT_VERSION).encode())
    for part in ('meta', 'data', 'videos'):
        for path in sorted((folder / part).rglob('*')):
            if path.is_file():
                stat = path.stat()
                entry = f'{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}\n'
                digest.update(entry.encode())
    return digest.hexdigest()


def _open_arrays(reader, folder):
    """Map the arrays of a cache; None, with a notice, where one is damaged."""
    arrays = {}
    for key in _keys(reader):
        path = _array_path(folder, key)
        try:
            array = np.load(path, mmap_mode='r')
        except (OSError, ValueError, EOFError, SyntaxError) as error:
            found = f'{type(error).__name__}: {error}'
        else:
            arrays[key], found = array, f'{array.dtype} {array.shape}'
            if (array.dtype, array.shape) == _layout_of(reader, key):
                continue
        tqdm.write(f'the cache file {path} is damaged ({found}); building it anew',
                   file=sys.stderr)
        return None
    return arrays


def _layout_of(reader, key):
    """Return dtype and shape of the array of one key."""
    feature = reader.features[key]
    dtype = array_dtype(feature) if key in reader.picture_keys else np.dtype(np.float32)
    return dtype, (reader.row_count, *feature['shape'])


def _mark_of(folder):
    """Return the fingerprint that a cache was built from, None where there is no whole cache."""
    try:
        return json.loads((folder / MARK).read_text(encoding='utf-8'))['fingerprint']
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _rebuild(reader, folder, fingerprint, progress):
    """Decode everything beside the old cache, then put it in its place."""
    building = folder.with_name(f'{folder.name}.building-{os.getpid()}')
    try:
        if folder.exists() and not (folder / MARK).exists() and any(folder.iterdir()):
            raise DatasetError(f'{folder} holds something else than a cache; choose another '
                               'folder with --cache')
        building.mkdir(parents=True)
        _decode(reader, building, progress)
        with replacing(building / MARK) as temporary:
            temporary.write_text(json.dumps({'fingerprint': fingerprint}), encoding='utf-8')
        shutil.rmtree(folder, ignore_errors=True)
        put_in_place(building, folder)
    except OSError as error:
        raise DatasetError(f'cannot write the cache {folder}: {error}. Make room there, or name '
                           'a folder on another disk: dpr train --cache DIR, in Python '
                           'build_cache(dataset_dir, cache_dir)') from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _decode(reader, folder, progress):
    """Write one array per key."""
    vectors = [key for key in _keys(reader) if key not in reader.picture_keys]
    for key in vectors:  # one by one, as each is in memory whole
        dtype, shape = _layout_of(reader, key)
        values = reader.columns([key])[key]
        np.save(_array_path(folder, key), values.astype(dtype, copy=False).reshape(shape))
    for key in reader.picture_keys:
        frames = tqdm(reader.frames(key), total=reader.row_count, desc=f'decoding {key}',
                      unit='frame', disable=None if progress else True)
        _write_pictures(_array_path(folder, key), frames, *_layout_of(reader, key))


def _write_pictures(path, frames, dtype, shape):
    """Write frames one by one; a full disk is an error here, and would kill through a map."""
    header = {'descr': dtype.str, 'fortran_order': False, 'shape': shape}
    with open(path, 'wb') as file:
        np.lib.format.write_array_header_1_0(file, header)
        for picture in frames:
            file.write(picture.tobytes())

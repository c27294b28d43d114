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

"""Read Diffusion Policy's zarr replay buffers: arrays over the rows of many episodes."""

from pathlib import Path, PurePosixPath
import zipfile

from diffusion_policy_ros.data.datasets.notes import ATTRIBUTE
from diffusion_policy_ros.errors import DatasetError
import numpy as np

DESCRIPTIONS = ('.zarray', '.zgroup', 'zarr.json')  # files that tell what a folder is


class ReplayBuffer:
    """
    An open replay buffer.

    :ivar path: Folder (or ``.zarr.zip``) of the buffer.
    :ivar episode_ends: int64 ``(episodes,)``, exclusive end row of each episode.
    :ivar note: The text that we leave in buffers of our own, None elsewhere; see ``notes.py``.
    """

    def __init__(self, path):
        """
        Open the buffer read-only.

        :param path: Folder (or ``.zarr.zip``) with ``data/<array>`` and ``meta/episode_ends``.
        :raises DatasetError: if it is no such folder, or has no episode.
        """
        self.path = Path(path)
        try:
            group = _open(path)
            self.episode_ends = np.asarray(group['meta/episode_ends'][:], dtype=np.int64)
            self._data = group['data']
            self.note = group.attrs.get(ATTRIBUTE)
        except (OSError, KeyError, ValueError, TypeError, IndexError, RuntimeError,
                zipfile.BadZipFile) as error:
            raise DatasetError(f'{path} is not a Diffusion Policy replay buffer: {error}. It must '
                               'hold "data" and "meta/episode_ends"') from error
        if not len(self.episode_ends):
            raise DatasetError(f'{path} holds no episode: meta/episode_ends is empty')
        short = np.flatnonzero(np.diff(self.episode_ends, prepend=0) <= 0)
        if len(short):
            raise DatasetError(f'{path}: episode {short[0]} has no rows; meta/episode_ends must '
                               'rise from above 0')

    def __len__(self):
        """Return the number of episodes."""
        return len(self.episode_ends)

    @property
    def names(self) -> list:
        """Return the names of the arrays, sorted."""
        try:
            return sorted(self._data)
        except (TypeError, ValueError):  # one cannot be opened, and zarr does not say which
            return _stored_names(self.path)

    def array(self, name, entries=None):
        """
        Return an array over the rows of all episodes.

        :param name: Its name in the buffer's ``data`` group.
        :param entries: How many entries each row must have; None for any shape.
        :return: The stored array ``(rows, ...)``; slices of it are read from disk.
        :raises DatasetError: if it is missing, no array, packed in an unknown way, or of another
            size.
        """
        found = self._open_array(name)
        rows = found.shape[0] if found.shape else 0
        if rows != self.episode_ends[-1]:
            raise DatasetError(f'{self.path}: data/{name} has {rows} rows, '
                               f'meta/episode_ends says {self.episode_ends[-1]}')
        if entries is not None and found.shape[1:] != (entries,):
            raise DatasetError(f'{self.path}: data/{name} has shape {found.shape}, expected '
                               f'{(found.shape[0], entries)}')
        return found

    def read(self, array, rows):
        """
        Read rows of an array from disk.

        :param array: What ``array`` returned.
        :param rows: Slice of the rows.
        :return: Array ``(rows, ...)`` in memory.
        :raises DatasetError: if a file of the array is damaged.
        """
        try:
            return np.asarray(array[rows])
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise DatasetError(
                f'{self.path}: cannot read rows {rows.start} to {rows.stop - 1} of {array.path}: '
                f'{error}; a file of it is damaged, copy the folder again') from error

    def rows(self, episode) -> slice:
        """
        Return the rows of one episode.

        :param episode: Number of the episode, from 0.
        :raises DatasetError: if there is no such episode.
        """
        if not 0 <= episode < len(self):
            raise DatasetError(f'{self.path} has no episode {episode}; it has 0 to '
                               f'{len(self) - 1}')
        first = int(self.episode_ends[episode - 1]) if episode else 0
        return slice(first, int(self.episode_ends[episode]))

    def _open_array(self, name):
        """Open what lies in the group ``data``, if it is an array."""
        try:
            found = self._data[name]
        except KeyError as error:
            raise DatasetError(f'{self.path}: no array data/{name}; it has: '
                               f'{", ".join(self.names)}') from error
        except (TypeError, ValueError) as error:
            raise DatasetError(
                f'{self.path}: data/{name} cannot be opened: {error}. If its codec is unknown '
                'here, take the array out, or write it anew where it is known, with Blosc for '
                'example; if it is damaged, copy it again') from error
        if not hasattr(found, 'shape'):
            raise DatasetError(f'{self.path}: data/{name} is a group; a replay buffer has arrays '
                               'in "data" and no groups. Move its arrays there, or take it out')
        return found


def _stored_names(path):
    """Return the names of what lies in the group ``data``, whether zarr can open it or not."""
    if path.is_file():
        with zipfile.ZipFile(path) as file:
            places = [PurePosixPath(name) for name in file.namelist()]
    else:
        places = [place.relative_to(path) for place in path.glob('data/*/*')]
    return sorted({parts[1] for parts in (place.parts for place in places)
                   if len(parts) == 3 and parts[0] == 'data' and parts[2] in DESCRIPTIONS})


def _open(path):
    """Open the root group, in a folder or a zip file."""
    import zarr  # takes most of a second, and only imports and replays need it
    # What is kept of all arrays at once cannot be read where one of them is of an unknown kind.
    fresh = {} if zarr.__version__.startswith('2.') else {'use_consolidated': False}
    place = zarr.storage.ZipStore(str(path), mode='r') if Path(path).is_file() else str(path)
    return zarr.open_group(place, mode='r', **fresh)

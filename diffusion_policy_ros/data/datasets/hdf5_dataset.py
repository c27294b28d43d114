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

"""Read robomimic's HDF5 files row by row, as every dataset is read."""

from dataclasses import replace
import json
from pathlib import Path
import re

from diffusion_policy_ros.checks import is_number
from diffusion_policy_ros.data.datasets.notes import ATTRIBUTE, noted_feature, parse_notes
from diffusion_policy_ros.errors import DatasetError
import numpy as np

# Rows that are read at once.
BATCH_ROWS = 64
FOLDERS = {'obs/': 'observation.', 'next_obs/': 'next.observation.'}


def key_of(name) -> str:
    """
    Return the key of an array that we did not write.

    :param name: Its path inside a demonstration: ``obs/x`` becomes ``observation.x``,
        ``actions`` becomes ``action``, others stay.
    """
    for folder, prefix in FOLDERS.items():
        if name.startswith(folder):
            return prefix + name.removeprefix(folder).replace('/', '.')
    return 'action' if name == 'actions' else name.replace('/', '.')


class Hdf5Dataset:
    """
    An open file; a ``FrameSource``.

    :ivar path: The file.
    :ivar notes: What we noted in the file when we wrote it, and what the caller adds.
    """

    def __init__(self, path, *, rate_hz=None, task=None):
        """
        Open it.

        :param path: File with ``data/demo_<n>/{actions,obs/<key>}``.
        :param rate_hz: Rows per second, Hz, where the file does not say (``control_freq``).
        :param task: Sentence for every episode; by default what ``ep_meta`` says.
        :raises DatasetError: if it is damaged, or holds arrays that are no numbers.
        """
        self.path = Path(path)
        self._task = task
        self._file = _open(path)
        with self._reading():
            data = self._file['data']
            notes = parse_notes(data.attrs.get(ATTRIBUTE), path)
            self._demos = sorted(data, key=_number)
            if not self._demos:
                raise DatasetError(f'{path} holds no demonstration')
            self._names = self._arrays_of(self._demos[0])
            ends = np.cumsum([self._length(name) for name in self._demos])
            control_hz = _env_rate(data.attrs.get('env_args'))
        self.episode_ends = ends.astype(np.int64)
        self.notes = notes if rate_hz is None else replace(notes, rate_hz=rate_hz)
        self.rate_hz = control_hz if self.notes.rate_hz is None else self.notes.rate_hz
        self.robot_type, self.contract = notes.robot_type, notes.contract
        self._read_features(notes)

    def read_episodes(self, keys=None):
        """Read everything in order, few rows at a time; see ``FrameSource``."""
        for demo in self._demos:
            with self._reading():
                found = self._arrays_of(demo)
                if found != self._names:
                    raise DatasetError(f'{self.path}: {demo} holds other arrays than '
                                       f'{self._demos[0]}: {", ".join(sorted(found))}')
                task = self._task_of(demo)
            yield task, self._rows(demo, self._place_of if keys is None else keys)

    def _rows(self, demo, keys):
        """Yield the rows of a demonstration."""
        group, count = self._file['data'][demo], self._length(demo)
        for first in range(0, count, BATCH_ROWS):
            end = min(count, first + BATCH_ROWS)
            with self._reading():
                block = {key: group[self._place_of[key]][first:end] for key in keys}
            for row in range(end - first):
                yield {key: values[row] for key, values in block.items()}

    def _read_features(self, notes):
        """Describe the arrays of the first demonstration."""
        self.row_features, self._place_of = {}, {}
        ordered = [*(n for n in notes.features if n in self._names),
                   *(n for n in self._names if n not in notes.features)]
        for name in ordered:
            dtype, shape = self._names[name]
            key, feature = noted_feature(notes, name, key_of(name), dtype, shape, self.path)
            if key in self.row_features:
                raise DatasetError(f'{self.path}: {name} and {self._place_of[key]} would both be '
                                   f'called {key!r}; rename one of them in the file')
            self.row_features[key], self._place_of[key] = feature, name

    def _arrays_of(self, demo):
        """Return ``{path: (dtype, shape of a row)}`` of a demonstration, checking the lengths."""
        found, count = {}, self._length(demo)

        def visit(name, above):
            item = self._item(f'{demo}{name}')
            shape = getattr(item, 'shape', None)  # neither groups nor named types have one
            if hasattr(item, 'keys'):
                if item in above:
                    raise DatasetError(f'{self.path}: the link {demo}{name} leads back to a group '
                                       'that it lies in; remove it from the file')
                for inner in sorted(item):
                    visit(f'{name}/{inner}', (*above, item))
            elif not shape or shape[0] != count:
                raise DatasetError(f'{self.path}: {demo}{name} has shape {shape}, num_samples is '
                                   f'{count}')
            else:
                found[name[1:]] = item.dtype, shape[1:]

        visit('', (self._file['/'], self._file['data']))
        return found

    def _item(self, place):
        """Return the group or array at a place below ``data``; links are followed."""
        data = self._file['data']
        try:
            return data[place]
        except (KeyError, OSError) as error:
            link = data.get(place, getlink=True)
            if not hasattr(link, 'path'):
                raise  # no link
            into = f'{link.path} in {link.filename}' if hasattr(link, 'filename') else link.path
            raise DatasetError(
                f'{self.path}: the link {place} leads to {into}, which cannot be opened '
                f'({error.args[0]}). Restore that, or remove the link') from error

    def _length(self, demo):
        """Return the number of rows of a demonstration."""
        group = self._item(demo)
        count = int(np.asarray(group.attrs['num_samples']).item()) \
            if 'num_samples' in group.attrs else len(self._item(f'{demo}/actions'))
        if count < 1:
            raise DatasetError(f'{self.path}: {demo} has no rows')
        return count

    def _task_of(self, demo):
        """Return what a demonstration shows."""
        if self._task is not None:
            return self._task
        found = _json_dict(self._file['data'][demo].attrs.get('ep_meta')).get('lang')
        return found if isinstance(found, str) else ''

    def _reading(self):
        """Name the file in what h5py says about a damaged one."""
        return _Reading(self.path)


class _Reading:
    """Context that turns what h5py raises into a ``DatasetError``."""

    def __init__(self, path):
        self._path = path

    def __enter__(self):
        """Do nothing."""

    def __exit__(self, error_type, error, traceback):
        """Name the file."""
        if error_type and issubclass(error_type, (OSError, KeyError, ValueError, TypeError,
                                                  RuntimeError, AttributeError)):
            raise DatasetError(f'{self._path} is damaged, or no robomimic file: {error}. It must '
                               'hold data/demo_<n>/actions; copy it again') from error


def _open(path):
    """Open a file read-only."""
    import h5py  # only some installations have it
    try:
        return h5py.File(path, 'r')
    except OSError as error:
        raise DatasetError(f'cannot read {path}: {error}. It must be a HDF5 file as robomimic '
                           'writes it') from error


def _number(demo):
    """Return what demonstrations are ordered by: the number in their name."""
    found = re.search(r'\d+$', demo)
    return (int(found[0]), demo) if found else (-1, demo)


def _env_rate(text):
    """Return the rate that a simulated environment was recorded at, None where unknown."""
    kwargs = _json_dict(text).get('env_kwargs')
    rate_hz = kwargs.get('control_freq') if isinstance(kwargs, dict) else None
    return rate_hz if is_number(rate_hz) and rate_hz > 0 else None


def _json_dict(text):
    """Return the dict that an attribute holds as JSON, an empty one where it holds no such."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}

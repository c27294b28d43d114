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

"""Read Diffusion Policy's zarr replay buffers row by row, as every dataset is read."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

from diffusion_policy_ros.data.datasets.notes import noted_feature, parse_notes
from diffusion_policy_ros.data.datasets.replay_buffer import ReplayBuffer
from diffusion_policy_ros.errors import DatasetError


class ZarrDataset:
    """
    An open replay buffer; a ``FrameSource``.

    Keys are the names of its arrays, except where we wrote it: then they are those of the source.

    :ivar path: Folder, or ``.zarr.zip``.
    :ivar notes: What we noted in the file when we wrote it, and what the caller adds.
    """

    def __init__(self, path, *, rate_hz=None, task=None):
        """
        Open it.

        :param path: Folder (or ``.zarr.zip``) with ``data/<array>`` and ``meta/episode_ends``.
        :param rate_hz: Rows per second, Hz, which the format does not hold.
        :param task: Sentence for every episode, which the format does not hold.
        :raises DatasetError: if it is damaged, or holds arrays that are no numbers.
        """
        self.path = Path(path)
        self._buffer = ReplayBuffer(path)
        notes = parse_notes(self._buffer.note, self.path)
        if notes.tasks and len(notes.tasks) != len(self._buffer):
            raise DatasetError(f'{path} has {len(self._buffer)} episodes and '
                               f'{len(notes.tasks)} task sentences; it is damaged')
        tasks = (task,) * len(self._buffer) if task is not None else notes.tasks
        self.notes = replace(notes, tasks=tasks,
                             rate_hz=notes.rate_hz if rate_hz is None else rate_hz)
        self.row_features, self._arrays = {}, {}
        for name in self._buffer.names:
            array = self._buffer.array(name)
            key, feature = noted_feature(notes, name, name, array.dtype, array.shape[1:], path)
            self.row_features[key], self._arrays[key] = feature, array
        order = {key: place for place, (key, _) in enumerate(notes.features.values())}
        self.row_features = dict(sorted(self.row_features.items(),
                                        key=lambda item: order.get(item[0], len(order))))
        self.rate_hz, self.robot_type = self.notes.rate_hz, notes.robot_type
        self.contract = notes.contract
        self.episode_ends = self._buffer.episode_ends

    def read_episodes(self, keys=None):
        """Read everything in order, few rows at a time; see ``FrameSource``."""
        wanted = self.row_features if keys is None else keys
        values = {key: self._values(self._arrays[key]) for key in wanted}
        rows = ({key: next(found) for key, found in values.items()}
                for _ in range(self.episode_ends[-1]))
        for episode in range(len(self._buffer)):
            place = self._buffer.rows(episode)
            task = self.notes.tasks[episode] if self.notes.tasks else ''
            yield task, islice(rows, place.stop - place.start)

    def _values(self, array):
        """Yield the rows of an array; one chunk of it is in memory at a time."""
        step = max(1, array.chunks[0])
        for first in range(0, array.shape[0], step):
            place = slice(first, min(first + step, array.shape[0]))
            yield from self._buffer.read(array, place)

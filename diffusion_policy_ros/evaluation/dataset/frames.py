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

"""Zarr buffers and HDF5 files under audit: formats that are read from their begin to their end."""

from dataclasses import replace
from pathlib import Path

from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.episode_table import Episode
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.dataset.source import (
    choose_state, MOST_ENTRIES, StoredRows, vector_entries)
import numpy as np

KINDS = {'ZarrDataset': 'Diffusion Policy zarr', 'Hdf5Dataset': 'robomimic HDF5'}


class FramesUnderAudit:
    """
    A dataset that offers only rows, one after another; otherwise as ``LeRobotSource``.

    :ivar kind: What it is, in words.
    :ivar frames: The ``FrameSource``.
    """

    has_bookkeeping = False
    is_seekable = False

    def __init__(self, path, source):
        """
        Look at what it says about itself.

        :param path: Its path.
        :param source: A ``FrameSource``.
        :raises DatasetError: if the number of rows per second is unknown.
        """
        if not source.rate_hz:
            raise DatasetError(f'{path} does not say how many rows per second it has; give it '
                               'with --rate')
        self.folder, self.frames = Path(path), source
        self.kind = KINDS.get(type(source).__name__, 'frames')
        self.rate_hz, self.contract = source.rate_hz, source.contract
        ends = source.episode_ends.tolist()
        self.episodes = [Episode(number, first, end, (), self.folder, {})
                         for number, (first, end) in enumerate(zip([0, *ends], ends))]
        self.row_count = ends[-1]
        self.features = {key: {**feature, 'shape': list(feature['shape']) or [1]}
                         for key, feature in source.row_features.items()}
        self.cameras = tuple(key for key, feature in self.features.items() if _is_camera(feature))
        self.vectors = {key: names for key, names in vector_entries(self.features).items()
                        if key not in self.cameras}
        self.state_key = choose_state(self.vectors)
        self.findings = []
        self._walks = {}

    def rows(self):
        """Yield the ``StoredRows`` of every episode."""
        wanted = [key for key, feature in self.features.items() if key not in self.cameras
                  and feature['dtype'] != 'string' and np.prod(feature['shape']) <= MOST_ENTRIES]
        for number, (task, rows) in enumerate(self.frames.read_episodes()):
            self.episodes[number] = replace(self.episodes[number], tasks=(task,))
            columns = {key: [] for key in wanted}
            for row in rows:
                for key in wanted:
                    columns[key].append(np.ravel(row[key]))
            yield StoredRows(self.episodes[number],
                             {key: np.stack(column) for key, column in columns.items()})

    def pictures(self, episode, key):
        """
        Give the pictures of an episode; episodes must be asked for in order.

        :param episode: ``Episode``.
        :param key: A camera's key.
        :return: Iterator of ``(height, width, channels)``, one per row; its type is the data's.
        :raises DatasetError: if the file is damaged.
        """
        walk = self._walks.setdefault(key, enumerate(self.frames.read_episodes()))
        for number, (_, rows) in walk:
            for row in rows:
                if number == episode.index:
                    yield row[key]
            if number == episode.index:
                return

    def statistics(self):
        """Return None: these formats hold no statistics."""
        return None


def _is_camera(feature):
    """Tell whether a column holds pictures."""
    return layout.is_picture(feature) or (
        len(feature['shape']) == 3 and feature['shape'][2] in (1, 3)
        and int(np.prod(feature['shape'])) > MOST_ENTRIES)

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

"""Human Push-T demonstrations in Diffusion Policy's zarr format, as starts and actions."""

import re

from diffusion_policy_ros.data.datasets.replay_buffer import ReplayBuffer
from diffusion_policy_ros.errors import ConfigError, DatasetError
import numpy as np

# The demonstrations are in pixels of the original 512 px window, the simulated table in metres.
METRES_PER_PIXEL = 0.001
# A number such as 7, or a range such as 0-9; no file holds demonstrations by the thousand million.
NUMBERS = re.compile(r'\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?', re.ASCII)


class Recordings:
    """
    The demonstrations of one replay buffer.

    :ivar rate_hz: Rows per second of the recordings, Hz.
    """

    rate_hz = 10.0

    def __init__(self, path):
        """
        Open the buffer.

        :param path: Folder with ``data/state``, ``data/action`` and ``meta/episode_ends``.
        :raises DatasetError: if it is not such a folder.
        """
        self._path = path
        try:
            self._buffer = ReplayBuffer(path)
            self._states = self._buffer.array('state', 5)
            self._actions = self._buffer.array('action', 2)
        except DatasetError as error:
            raise DatasetError(f'cannot replay {path}: {error}. Give the zarr folder of the '
                               'Push-T demonstrations') from error

    def __len__(self):
        """Return the number of demonstrations."""
        return len(self._buffer)

    def demonstration(self, number):
        """
        Return one demonstration.

        :param number: Number from 0.
        :return: (start, actions): float64 ``(5,)`` finger x, y and block x, y in m and block
            angle in rad; float64 ``(rows, 2)`` targets of the finger in m, one every 0.1 s.
        :raises DatasetError: if there is no such demonstration, or it cannot be read.
        """
        rows = self._buffer.rows(number)
        first = slice(rows.start, rows.start + 1)
        start = self._buffer.read(self._states, first)[0].astype(np.float64)
        actions = self._buffer.read(self._actions, rows).astype(np.float64)
        if not (np.isfinite(start).all() and np.isfinite(actions).all()):
            raise DatasetError(f'demonstration {number} of {self._path} holds numbers that are '
                               'not finite; leave it out')
        start[:4] *= METRES_PER_PIXEL
        return start, actions * METRES_PER_PIXEL

    def numbers(self, text) -> list:
        """
        Read which demonstrations are meant by a text such as ``0-3,7``.

        :param text: Numbers and rising, inclusive ranges, separated by commas.
        :return: List of int, in the order written.
        :raises ConfigError: if the text is anything else, or goes beyond the last demonstration.
        """
        found = []
        for part in text.split(','):
            match = NUMBERS.fullmatch(part)
            first, last = (int(number) for number in (match[1], match[2] or match[1])) \
                if match else (0, -1)
            if not first <= last < len(self):
                raise ConfigError(
                    f'{part!r} in {text!r} means no demonstration of {self._path}; write numbers '
                    f'from 0 to {len(self) - 1} and rising ranges, for example 0-9 or 0,4,7')
            found += range(first, last + 1)
        return found

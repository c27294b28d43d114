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

"""An episode of a dataset as the robot would have shown it: which message is due when."""

from dataclasses import dataclass
import heapq
from itertools import count, islice
import math

from diffusion_policy_ros.checks import first_of
from diffusion_policy_ros.control.commands import split_action
from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.dataset_checks import disagreements
from diffusion_policy_ros.data.datasets.formats import open_dataset
from diffusion_policy_ros.data.datasets.lerobot_files import column_values
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.recorded import MOST_LEAD_NS
from diffusion_policy_ros.data.topic_messages import build_topic, observed_parts
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.streams import ACTION_KEY
import numpy as np


@dataclass(frozen=True)
class Event:
    """
    One message that is due.

    :ivar at_ns: Its time, from tick 0 of the played rows, ns.
    :ivar topic: Topic as the contract names it.
    :ivar parts: As ``build_topic`` takes them.
    """

    at_ns: int
    topic: str
    parts: list

    def message(self, types, stamp_ns, lead_ns):
        """
        Build the message.

        :param types: ``{ROS type name: class}``.
        :param stamp_ns: Time for its header, ns.
        :param lead_ns: Time that a trajectory has to get to its point, ns, above 0.
        :raises DatasetError: if no message shows the values.
        """
        return build_topic(self.parts, types, stamp_ns, lead_ns)


class Playback:
    """
    The rows of one episode, on the ticks of the contract.

    :ivar contract: ``RobotContract``.
    :ivar rows: Number of rows that are played.
    :ivar first_tick_ns: When the first of them was recorded, ns; None where the dataset does not
        say.
    :ivar observed: ``{topic: message type}`` of what shows the robot.
    :ivar commanded: ``{topic: message type}`` of what commands it, also where it is observed.
    """

    def __init__(self, path, number, contract=None, start_s=0.0):
        """
        Find the episode.

        :param path: The dataset.
        :param number: Number of the episode.
        :param contract: ``RobotContract`` of the topics; None takes the one in the dataset.
        :param start_s: Leave out the rows before this time, s.
        :raises DatasetError: if there is no such episode or time, or the contract does not fit.
        """
        self._source = open_dataset(path)
        self.contract = _fitting_contract(path, self._source, contract)
        ends = self._source.episode_ends
        if not 0 <= number < len(ends):
            raise DatasetError(f'{path} has no episode {number}; it has 0 to {len(ends) - 1}')
        self._number = number
        length = int(np.diff(ends, prepend=0)[number])
        self._first = math.ceil(start_s * self.contract.rate_hz - 1e-6)
        self.rows = length - self._first
        if not 0 <= self._first < length:
            raise DatasetError(f'--start is {start_s:g} s; episode {number} lasts '
                               f'{length / self.contract.rate_hz:g} s')
        self.commanded = {output.topic: output.type for output in self.contract.actions}
        self.observed = {stream.topic: stream.type for stream in self.contract.observations
                         if stream.topic not in self.commanded}
        self.first_tick_ns = self._recorded_tick()

    @property
    def lead_ns(self) -> int:
        """
        Return how long before its time a message shall arrive, ns.

        Half a row, half of what the contract allows, or ``MOST_LEAD_NS``: then it is there when
        its tick comes, also where nothing but the arrival dates it.
        """
        youngest_ns = min(e.max_age_ns for e in (*self.contract.observations,
                                                 *self.contract.actions))
        return min(self.contract.period_ns // 2, youngest_ns // 2, MOST_LEAD_NS)

    def standing(self, duration_s):
        """
        Yield the observations of the first row again and again, before it.

        :param duration_s: For how long, s.
        """
        ticks = math.ceil(duration_s * self.contract.rate_hz)
        row = next(self._rows()) if ticks else {}
        for tick in range(-ticks, 0):
            yield from self._observations(row, self.contract.tick_ns(0, tick))

    def events(self):
        """Yield every ``Event`` of the episode in the order of time."""
        waiting, order = [], count()  # no two events are compared
        earliest_ns = min(0, *(output.offset_ns for output in self.contract.actions))
        for tick, row in enumerate(self._rows()):
            at_ns = self.contract.tick_ns(0, tick)
            for event in (*self._observations(row, at_ns), *self._commands(row, at_ns)):
                heapq.heappush(waiting, (event.at_ns, next(order), event))
            while waiting and waiting[0][0] <= at_ns + earliest_ns:
                yield heapq.heappop(waiting)[-1]
        while waiting:
            yield heapq.heappop(waiting)[-1]

    def _observations(self, row, at_ns):
        """Yield what shows the robot at a row."""
        for topic, parts in observed_parts(self.contract, row).items():
            if topic in self.observed:
                yield Event(at_ns, topic, parts)

    def _commands(self, row, at_ns):
        """Yield what commands the robot at a row."""
        due = {}
        for output, values in split_action(self.contract, row[ACTION_KEY]):
            due.setdefault((at_ns + output.offset_ns, output.topic), []).append((output, values))
        for (due_ns, topic), parts in due.items():
            yield Event(due_ns, topic, parts)

    def _rows(self):
        """Yield the rows, ``{key: values}``, one at a time."""
        found = self._indexed_rows() if isinstance(self._source, LeRobotReader) \
            else self._walked_rows()
        return islice(found, self._first, None)

    def _indexed_rows(self):
        """Read the rows of a LeRobotDataset."""
        source, episode = self._source, self._source.episodes[self._number]
        pictures = {key: source.episode_frames(episode, key) for key in self.contract.keys
                    if key in source.picture_keys}
        vectors = [key for key in (*self.contract.keys, ACTION_KEY) if key not in pictures]
        for table in source.tables(episode, vectors):
            columns = {key: column_values(table[key], key, source.features[key], source.folder)
                       for key in vectors}
            for place in range(len(table)):
                row = {key: np.atleast_1d(columns[key][place]) for key in vectors}
                yield {**row, **{key: next(shown) for key, shown in pictures.items()}}

    def _walked_rows(self):
        """Read the rows of a format that is read from its begin."""
        cameras = [key for key in self.contract.keys if self.contract.streams_of(key)[0].is_image]
        for number, (_, rows) in enumerate(self._source.read_episodes()):
            for row in rows:
                if number == self._number:
                    yield {key: np.asarray(row[key]) if key in cameras else np.ravel(row[key])
                           for key in (*self.contract.keys, ACTION_KEY)}
            if number == self._number:
                return

    def _recorded_tick(self):
        """Return when the first row was recorded, None where nobody noted it."""
        source = self._source
        if not isinstance(source, LeRobotReader) or layout.TICK_KEY not in source.features:
            return None
        row = self._first
        for table in source.tables(source.episodes[self._number], [layout.TICK_KEY]):
            if row < len(table):
                return table[layout.TICK_KEY][row].as_py()
            row -= len(table)
        return None


def _fitting_contract(path, source, contract):
    """Return the contract that describes the rows."""
    if contract is None and source.contract is None:
        raise DatasetError(f'{path} holds no robot contract, which tells the topics; name one '
                           'with --contract')
    if contract is None:
        return source.contract
    wrong = disagreements(source.contract, source.row_features,
                          source.rate_hz or contract.rate_hz, contract)
    if wrong:
        raise DatasetError(f'{path} does not fit --contract: {first_of(wrong)}')
    return contract

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


"""One episode that is being recorded: its bag, its streams' quality, and its disk."""

import time

from diagnostic_msgs.msg import DiagnosticStatus
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.bags.episode_files import (
    DISCARDED, episode_path, next_number, set_aside)
from diffusion_policy_ros.data.recording.disk_room import DiskRoom, lack_of_room
from diffusion_policy_ros.data.recording.pre_roll import PreRoll
from diffusion_policy_ros.nodes.recorder_answer import Answer
from diffusion_policy_ros.nodes.recorder_parameters import alarms_named, quality_limits


class Episode:
    """
    An episode in flight.

    :ivar number: Its number.
    :ivar bag: Its ``EpisodeBag``.
    :ivar disk: The ``DiskRoom`` of its folder.
    """

    def __init__(self, contract, streams, settings, now_ns):
        """
        Create the bag, and begin to count faults.

        :param contract: The ``RobotContract``.
        :param streams: The ``RecordedStream`` of each topic.
        :param settings: The recorder's ``Parameters``.
        :param now_ns: The ROS time, ns.
        :raises BagError: if the bag cannot be created.
        :raises OSError: if the output folder cannot be read.
        """
        folder = settings['output']
        self.number = next_number(folder)
        self.bag = EpisodeBag(
            episode_path(folder, self.number), contract, task=settings['task'],
            fields={'episode': str(self.number), 'started_ns': str(now_ns)})
        self.disk = DiskRoom(folder)
        self._settings = settings
        self._streams = [stream for stream in streams if not stream.is_optional]
        self._started_s = time.monotonic()
        for stream in self._streams:
            stream.quality.begin(now_ns, quality_limits(settings))

    @property
    def duration_s(self) -> float:
        """Return the time since the start, s."""
        return time.monotonic() - self._started_s

    def write(self, stream, data, receive_ns) -> None:
        """
        Write a message.

        :param stream: Its ``RecordedStream``.
        :param data: The serialized message.
        :param receive_ns: ROS time of arrival, ns.
        :raises BagError: if the bag cannot take it.
        """
        self.bag.write(stream.topic, stream.type, data, receive_ns)

    def watch(self, now_ns) -> None:
        """
        Bring to disk what was heard, and look for faults that only time shows.

        :param now_ns: The ROS time, ns.
        :raises BagError: if the disk does not take it.
        """
        self.bag.flush()
        for stream in self._streams:
            stream.quality.watch(now_ns)
        self.disk.watch(time.monotonic(), now_ns, self.bag.size_bytes,
                        self._settings['disk_minutes'])

    def counts(self) -> dict:
        """Return alarm to how often it was raised, over all streams."""
        total = {}
        for counts in [stream.quality.counts() for stream in self._streams] + [self.disk.counts()]:
            for alarm, count in counts.items():
                total[alarm] = total.get(alarm, 0) + count
        return total

    def sentences(self) -> list:
        """Return a sentence for each fault since the start."""
        return [sentence for watched in self._watched() for sentence in watched.sentences()]

    def present(self, now_ns, but_for=()) -> list:
        """
        Return the sentences of the faults that are there now.

        :param now_ns: The ROS time, ns.
        :param but_for: Streams that are told of already.
        """
        told = [stream.quality for stream in but_for]
        return [sentence for watched in self._watched() if watched not in told
                for sentence in watched.present(now_ns)]

    def close(self, now_ns, outcome) -> Answer:
        """
        Finish the bag, and set it aside for alarms that nobody wants in the data.

        :param now_ns: The ROS time, ns.
        :param outcome: ``success``, ``failure``, or an empty text where nobody said.
        :return: Where it lies, and what was wrong with it.
        :raises BagError: if it cannot be written to its end, or not be moved.
        """
        for stream in self._streams:
            stream.quality.watch(now_ns)
        if outcome:
            self.bag.set_field('outcome', outcome)
        self.bag.set_field('alarms', '\n'.join(self.sentences()))
        self._end()
        duration_s = self.duration_s
        self.bag.close()
        alarms = ''.join(f'; {sentence}' for sentence in self.sentences())
        unwanted = [name for name in alarms_named(self._settings['discard_on'])
                    if name in self.counts()]
        if unwanted:
            place = set_aside(self.bag.path, DISCARDED)
            return Answer(True, f'episode {self.number} was DISCARDED for the alarm '
                          f'{", ".join(unwanted)} and lies in {place}{alarms}',
                          DiagnosticStatus.ERROR)
        tag = f' as {outcome}' if outcome else ''
        return Answer(True, f'episode {self.number} saved{tag}: {self.bag.message_count} '
                      f'messages, {duration_s:.1f} s, {self.bag.path}{alarms}',
                      DiagnosticStatus.WARN if alarms else DiagnosticStatus.OK)

    def discard(self) -> None:
        """
        Remove the bag.

        :raises BagError: if its folder cannot be removed.
        """
        self._end()
        self.bag.discard()

    def _end(self):
        """Count no more faults."""
        for stream in self._streams:
            stream.quality.end()

    def _watched(self):
        """Return what has sentences."""
        return [*(stream.quality for stream in self._streams), self.disk]


class RecorderPreRoll:
    """The messages before an episode, as long as the parameters want them."""

    def __init__(self, settings):
        """
        Begin with nothing.

        :param settings: The recorder's ``Parameters``.
        """
        self._settings, self._kept = settings, PreRoll()

    def add(self, stream, data, receive_ns) -> None:
        """
        Keep a message for an episode that may begin soon.

        :param stream: Its ``RecordedStream``.
        :param data: The serialized message.
        :param receive_ns: ROS time of arrival, ns; 0 where there is no clock yet.
        """
        keep_ns = self._keep_ns()
        if keep_ns and receive_ns:
            self._kept.add((stream, data, receive_ns), receive_ns, len(data), keep_ns=keep_ns,
                           max_bytes=self._settings['pre_roll_mb'] * 1_000_000)

    def take(self, now_ns) -> list:
        """
        Return (stream, data, receive_ns) of what came before a start, and forget it.

        :param now_ns: The ROS time, ns.
        """
        return self._kept.take(now_ns, self._keep_ns())

    def _keep_ns(self):
        """Return how long messages are kept, ns."""
        return round(self._settings['pre_roll_s'] * 1e9)


def obstacles_to_start(streams, folder, now_ns) -> list:
    """
    Say why no episode can start, one sentence each.

    :param streams: The ``RecordedStream`` of each topic.
    :param folder: The output folder.
    :param now_ns: The ROS time, ns.
    """
    found = [text for text in (s.problem() or s.misfit() for s in streams) if text]
    if now_ns == 0:
        found.append('use_sim_time is set but no /clock has arrived')
    return found + lack_of_room(folder)

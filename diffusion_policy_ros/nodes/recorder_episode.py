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

from collections import deque
import math
import time

from diagnostic_msgs.msg import DiagnosticStatus
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.bags.episode_files import (
    DISCARDED, episode_path, finished_bags, next_number, set_aside, State, state_of)
from diffusion_policy_ros.data.recording.disk_room import DiskRoom, lack_of_room
from diffusion_policy_ros.errors import BagError
from diffusion_policy_ros.nodes.recorder_answer import Answer, refused
from diffusion_policy_ros.nodes.recorder_parameters import (
    alarms_named, pre_roll_ns, quality_limits)


class Episode:
    """
    An episode in flight.

    :ivar number: Its number.
    :ivar begin_ns: Since when its messages are those of the episode, ROS time, ns.
    :ivar pre_roll_s: How long before the start that is, s.
    :ivar bag: Its ``EpisodeBag``.
    :ivar disk: The ``DiskRoom`` of its folder.
    :ivar notes: What a person should know of its beginning, one sentence each.
    """

    def __init__(self, contract, streams, settings, now_ns, pre_roll):
        """
        Create the bag, take the pre-roll over, and begin to count faults.

        :param contract: The ``RobotContract``.
        :param streams: The ``RecordedStream`` of each topic.
        :param settings: The recorder's ``Parameters``.
        :param now_ns: The ROS time, ns.
        :param pre_roll: The ``PreRoll``.
        :raises BagError: if the bag cannot be created.
        :raises OSError: if the output folder cannot be read.
        """
        folder, keep_ns = settings['output'], pre_roll_ns(settings)
        self.number = next_number(folder)
        self.begin_ns = pre_roll.begin_ns(now_ns, keep_ns)
        self.pre_roll_s = held_s = (now_ns - self.begin_ns) / 1e9
        fields = {'pre_roll_s': f'{held_s:.3f}'} if keep_ns else {}
        self.disk = DiskRoom(folder)
        self.bag = EpisodeBag(
            episode_path(folder, self.number), contract, task=settings['task'],
            fields={'episode': str(self.number), 'started_ns': str(now_ns), **fields})
        self.notes = [f'pre_roll_mb took only {held_s:.1f} s of the {keep_ns / 1e9:g} s before '
                      'the start'] if pre_roll.is_cut(now_ns, keep_ns) else []
        # In the order in which they came; a long pre-roll is written while more comes, which
        # waits behind it, but no more of it than the pre-roll was.
        self._waiting = deque(pre_roll.take(now_ns, keep_ns))
        self._most_waiting = len(self._waiting)
        self._settings = settings
        self._streams = [stream for stream in streams if not stream.is_optional]
        self._started_s = time.monotonic()
        for stream in self._streams:
            stream.quality.limits = quality_limits(settings)
            stream.quality.begin(now_ns, self.begin_ns)
            stream.quality.name_publishers(now_ns, stream.publisher_names())

    @property
    def duration_s(self) -> float:
        """Return the time since the start, s."""
        return time.monotonic() - self._started_s

    @property
    def waiting_count(self) -> int:
        """Return how many messages wait to be written."""
        return len(self._waiting)

    def write(self, stream, data, receive_ns) -> None:
        """
        Write a message; while a pre-roll is written, it waits for its turn.

        :param stream: Its ``RecordedStream``.
        :param data: The serialized message.
        :param receive_ns: ROS time of arrival, ns.
        :raises BagError: if the bag cannot take it.
        """
        self._waiting.append((stream, data, receive_ns))
        while len(self._waiting) > self._most_waiting:
            self._write_first()

    def catch_up(self, budget_s) -> None:
        """
        Write what waits.

        :param budget_s: For how long, s; at least one message is written.
        :raises BagError: if the bag cannot take one.
        """
        end_s = time.monotonic() + budget_s
        while self._waiting:
            self._write_first()
            if self._waiting and time.monotonic() >= end_s:
                return
        self._most_waiting = 0

    def watch(self, now_ns) -> None:
        """
        Bring to disk what was heard, and look for faults that only time shows.

        :param now_ns: The ROS time, ns.
        :raises BagError: if the disk does not take it.
        """
        self.disk.watch(time.monotonic(), now_ns, self.bag.size_bytes,
                        self._settings['disk_minutes'], self.bag.late_s)
        for stream in self._streams:
            stream.quality.watch(now_ns)
            stream.quality.name_publishers(now_ns, stream.publisher_names())
        self.bag.flush()

    def break_off(self, now_ns, reason) -> None:
        """
        Note that the bag takes no more, and let go of what waits.

        :param now_ns: The ROS time, ns.
        :param reason: Why, one sentence.
        """
        self.disk.refuse(now_ns, reason, len(self._waiting))
        self._waiting.clear()

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
        length = f'{self.duration_s:.1f} s'
        if self.pre_roll_s:
            length += f' + {self.pre_roll_s:.1f} s pre-roll'
        self._end(now_ns)
        alarms = ''.join(f'; {sentence}' for sentence in self.sentences())
        if self.bag.is_gone():
            return self._lost()
        unwanted = [name for name in alarms_named(self._settings['discard_on'])
                    if name in self.counts()]
        try:
            if unwanted:
                self.bag.set_aside(DISCARDED)
        finally:
            self._close_bag(outcome)
        if unwanted:
            return Answer(True, f'episode {self.number} was DISCARDED for the alarm '
                          f'{", ".join(unwanted)} and lies in {self.bag.path}{alarms}',
                          DiagnosticStatus.ERROR)
        verb, level = 'saved', DiagnosticStatus.WARN if alarms else DiagnosticStatus.OK
        if self.disk.has_refused:
            verb, level = 'BROKE OFF and is kept up to there', DiagnosticStatus.ERROR
        tag = f' as {outcome}' if outcome else ''
        return Answer(True, f'episode {self.number} {verb}{tag}: {self.bag.message_count} '
                      f'messages, {length}, {self.bag.path}{alarms}', level)

    def discard(self, now_ns) -> Answer:
        """
        Set the bag aside, and finish it as far as that is possible.

        :param now_ns: The ROS time, ns.
        :return: Where it lies.
        :raises BagError: if it cannot be moved.
        """
        self._end(now_ns)
        trouble, level = '', DiagnosticStatus.OK
        try:
            if self.bag.path.exists():
                self.bag.set_aside(DISCARDED)
        finally:
            try:
                self._close_bag('')
            except BagError as error:
                trouble, level = f'; {error}', DiagnosticStatus.WARN
        if not self.bag.path.exists():
            return Answer(True, f'episode {self.number} discarded; its folder was gone already')
        return Answer(True, f'episode {self.number} discarded; it lies in {self.bag.path}'
                      f'{trouble}', level)

    def _lost(self):
        """Let go of a bag that is no longer there."""
        reason = f'its folder {self.bag.path} was removed or moved'
        try:
            self._close_bag('')
        except BagError as error:
            reason = error
        return Answer(False, f'episode {self.number} BROKE OFF: {reason}', DiagnosticStatus.ERROR)

    def _end(self, now_ns):
        """Write what waits, and count no more faults."""
        try:
            self.catch_up(math.inf)
        except BagError as error:
            self.break_off(now_ns, error)
        for stream in self._streams:
            stream.quality.end(now_ns)

    def _close_bag(self, outcome):
        """Write down how the episode went, and finish its bag."""
        if outcome:
            self.bag.set_field('outcome', outcome)
        self.bag.set_field('alarms', '\n'.join(self.sentences()))
        self.bag.close()

    def _write_first(self):
        """Write the first message that waits."""
        stream, data, receive_ns = self._waiting[0]
        self.bag.write(stream.topic, stream.type, data, receive_ns)
        self._waiting.popleft()

    def _watched(self):
        """Return what has sentences."""
        return [*(stream.quality for stream in self._streams), self.disk]


def take_back(path, folder, is_converting) -> Answer:
    """
    Set aside the episode that was recorded last, if it is finished.

    :param path: Where its bag was begun; None where none was recorded since the node started.
    :param folder: The output folder, to name an older one that is left alone.
    :param is_converting: Whether a dataset is being built from the finished ones.
    :return: Where it lies, or why nothing was moved.
    :raises BagError: if it cannot be moved.
    :raises OSError: if a folder cannot be read.
    """
    if is_converting:
        return refused('a conversion is running and may be reading it; ask again when that ended')
    if path is not None and state_of(path) is State.FINISHED:
        return Answer(True, f'{path} was moved to {set_aside(path, DISCARDED)}')
    bags = finished_bags(folder if path is None else path.parent)
    if not bags:
        return refused(f'{folder if path is None else path.parent} holds no finished episode')
    last = ('nothing was recorded since the recorder started' if path is None else
            f'{path.name}, the last one, is not among the finished ones')
    return refused(f'{last}; {bags[-1]} is another one: move it yourself if you do not want it')


def obstacles_to_start(streams, folder, now_ns) -> list:
    """
    Say why no episode can start, one sentence each.

    :param streams: The ``RecordedStream`` of each topic.
    :param folder: The output folder.
    :param now_ns: The ROS time, ns.
    """
    anew = [stream for stream in streams if stream.adapt()]
    found = [f'{", ".join(stream.topic for stream in anew)} {"was" if len(anew) == 1 else "were"} '
             'just subscribed to anew, for the publishers have changed; start again'
             ] if anew else []
    found += [text for text in (s.problem() or s.misfit() for s in streams if s not in anew)
              if text]
    if now_ns == 0:
        found.append('use_sim_time is set but no /clock has arrived')
    return found + lack_of_room(folder)

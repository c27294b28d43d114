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


"""How much room a recording has left, in MB and in minutes."""

from collections import deque
from contextlib import suppress
from pathlib import Path
import shutil

from diffusion_policy_ros.data.recording.alarm_book import AlarmBook

# Some seconds of uncompressed pictures: with less, an episode would not be worth beginning.
MIN_FREE_BYTES = 100_000_000
WINDOW_S = 20.0  # over which the written bytes per second are taken
MIN_WINDOW_S = 1.0
MOST_BEHIND_S = 2.0  # a disk that keeps up is behind by less than a second
SENTENCES = {
    ('disk', 'full'): '{free_mb:.0f} MB free on the disk of {folder}; the episode ends when it is '
                      'full',
    ('disk', 'soon'): 'the disk of {folder} is full in about {minutes:.1f} minutes, {free_mb:.0f} '
                      'MB are free',
    ('disk', 'slow'): 'the disk of {folder} is up to {worst:.1f} s behind the recording; a power '
                      'loss costs as much',
    ('disk', 'refused'): 'the episode broke off, {lost} of it not written: {refusal}'}


class DiskRoom:
    """
    Watches the disk that an episode is written to, and whether it takes all.

    :ivar free_bytes: What is free, bytes.
    :ivar minutes_left: How long that lasts at the rate of the last seconds; None where nothing
        was written.
    """

    def __init__(self, folder):
        """
        Look once.

        :param folder: The output folder; it need not exist.
        """
        self._folder = folder
        self._book = AlarmBook('', SENTENCES)
        self._sizes = deque()
        self._refusal, self._lost, self._told_minutes = '', 0, 0.0
        self.free_bytes = free_bytes(folder)
        self.minutes_left = None

    @property
    def has_refused(self) -> bool:
        """Tell whether the episode broke off."""
        return self._book.has('disk', 'refused')

    def refuse(self, now_ns, reason, lost) -> None:
        """
        Note that the episode breaks off.

        :param now_ns: The time for the alarms, ns.
        :param reason: Why, one sentence.
        :param lost: How many messages are not in its bag.
        """
        self._refusal, self._lost = reason, lost
        self._book.note('disk', 'refused', now_ns)

    def watch(self, now_s, now_ns, written_bytes, min_minutes, behind_s=0.0) -> None:
        """
        Look at what is free, and warn; a look that fails leaves what was seen last.

        :param now_s: The time on a clock that never steps, s.
        :param now_ns: The time for the alarms, ns.
        :param written_bytes: Size of the episode until now, bytes.
        :param min_minutes: How many minutes should be left.
        :param behind_s: How old the newest write is that is on the disk, s.
        """
        with suppress(OSError):  # a disk that is gone refuses the next write, with the reason
            self.free_bytes = free_bytes(self._folder)
        if behind_s > MOST_BEHIND_S:
            self._book.note('disk', 'slow', now_ns, behind_s, times=self._is_new('slow'))
        self._sizes.append((now_s, written_bytes))
        while now_s - self._sizes[0][0] > WINDOW_S:
            self._sizes.popleft()
        first_s, first_bytes = self._sizes[0]
        if now_s - first_s >= MIN_WINDOW_S:
            per_s = (written_bytes - first_bytes) / (now_s - first_s)
            self.minutes_left = self.free_bytes / per_s / 60 if per_s > 0 else None
        if self.free_bytes < MIN_FREE_BYTES:
            self._book.note('disk', 'full', now_ns, times=self._is_new('full'))
        elif self.minutes_left is not None and self.minutes_left < min_minutes:
            self._told_minutes = self.minutes_left
            self._book.note('disk', 'soon', now_ns, times=self._is_new('soon'))

    def counts(self) -> dict:
        """Return alarm to how often it was seen."""
        return self._book.counts()

    def sentences(self) -> list:
        """Return a sentence for each kind of alarm."""
        return self._book.sentences(self._numbers())

    def present(self, now_ns) -> list:
        """
        Return the sentences of the alarms that are there now.

        :param now_ns: The time, ns.
        """
        return self._book.present(self._numbers(), now_ns)

    def _is_new(self, kind):
        """Return 1 the first time, so that an alarm that goes on is counted once."""
        return int(not self._book.has('disk', kind))

    def _numbers(self):
        """Return what the sentences need."""
        return {'folder': self._folder, 'free_mb': self.free_bytes / 1e6,
                'minutes': self._told_minutes, 'refusal': self._refusal,
                'lost': f'{self._lost} message{"" if self._lost == 1 else "s"}'}


def free_bytes(folder) -> int:
    """
    Return what is free on the disk of a folder, bytes.

    :param folder: A folder, which need not exist yet.
    """
    place = Path(folder).absolute()
    return shutil.disk_usage(next(p for p in (place, *place.parents) if p.exists())).free


def lack_of_room(folder, elsewhere='set the parameter output to a folder') -> list:
    """
    Return a list with the sentence that a disk is as good as full or gone, or an empty one.

    :param folder: The output folder; it need not exist.
    :param elsewhere: How a person lets the bags go to another disk.
    """
    try:
        free = free_bytes(folder)
    except OSError as error:
        return [f'the disk of {folder} cannot be looked at: {error}; see whether it is there, or '
                f'{elsewhere} on another disk']
    if free >= MIN_FREE_BYTES:
        return []
    return [f'the disk of {folder} has {free / 1e6:.0f} MB free, at least '
            f'{MIN_FREE_BYTES / 1e6:.0f} MB are needed; make room, or {elsewhere} on another '
            'disk']

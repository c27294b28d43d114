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

"""Find out what one storage file of a bag really holds, by reading all of it once."""

from array import array
from copy import copy

from diffusion_policy_ros.data.bags import mcap_file, ros1_file, sqlite3_file
from diffusion_policy_ros.data.bags.stored import (
    Damage, MOST_NAMED, unpack_file, ZSTD_MAGIC)
from diffusion_policy_ros.errors import BagError
import numpy as np

LFS_MAGIC = b'version https://git-lfs.github.com/spec/'


def check_kind(path) -> bytes:
    """
    Refuse a file that is no storage of a bag, by its first bytes.

    :param path: The file.
    :return: Its first bytes.
    :raises BagError: with the reason and a remedy.
    """
    try:
        with open(path, 'rb') as file:
            head = file.read(64)
    except OSError as error:
        raise BagError(f'{path.name} cannot be read: {error}') from error
    if not head:
        raise BagError(f'{path.name} is empty (0 bytes)')
    if head.startswith(LFS_MAGIC):
        raise BagError(f'{path.name} is a Git LFS pointer, not the data; run `git lfs pull`')
    if not head.startswith((ZSTD_MAGIC, mcap_file.MAGIC, sqlite3_file.MAGIC, ros1_file.MAGIC)):
        what = 'zeros' if not head.strip(b'\0') else f'{head[:8]!r}'
        raise BagError(f'{path.name} is no mcap, sqlite3 or ROS 1 file: it begins with {what}')
    return head


class Survey:
    """
    What was found in one storage file.

    :ivar channels: ``{key: Channel}``.
    :ivar promised: ``{topic: number of messages}`` by the file itself, or None.
    :ivar losses: One sentence per place at which something could not be read.
    :ivar keys: Each message's key in ``channels`` in the order of writing, ``(messages,)``.
    :ivar times_ns: Each message's arrival, int64 ``(messages,)``, ns.
    """

    def __init__(self, path, scratch):
        """
        Read the file once.

        :param path: The file.
        :param scratch: ``Scratch`` for decompressed files.
        :raises BagError: if the file is of no known kind, or a copy that it needs fails.
        """
        self._path, self._scratch = path, scratch
        self._name, self._damages = path.name, []
        self._file, damage = open_stored(path, scratch)
        self._where, self._offsets = array('q'), array('q')
        try:
            self._scan(damage)
        except BaseException:
            self._file.close()
            raise
        self.channels, self.promised = self._file.channels, self._file.promised

    @property
    def losses(self) -> list:
        """Return the sentences; where there are very many, the first ones and a count."""
        more = len(self._damages) - MOST_NAMED
        return self._damages[:MOST_NAMED] + (
            [f'{self._name} is damaged in {more} more places'] if more > 0 else [])

    def counts(self) -> dict:
        """Return ``{channel key: messages found}``, with the empty ones."""
        found = dict(zip(*(a.tolist() for a in np.unique(self.keys, return_counts=True))))
        return {key: found.get(key, 0) for key in self.channels}

    def fetch(self, number) -> bytes:
        """
        Return one serialized message.

        :param number: Its place in the order of writing.
        """
        if self._file is None:
            self._file, _ = open_stored(self._path, self._scratch)
        return self._file.fetch(int(self._where[number]), int(self._offsets[number]))

    def part(self, numbers, scratch):
        """
        Return what was found of some messages; it opens the file anew, and only to fetch one.

        :param numbers: Their places in the order of writing.
        :param scratch: ``Scratch`` for its decompressed file.
        :return: Another ``Survey``, without promises and losses, that can be sent to a process.
        """
        part = copy(self)
        part._scratch, part._file, part._damages, part.promised = scratch, None, [], None
        part.keys, part.times_ns, part._where, part._offsets = (
            np.asarray(of_each)[numbers]
            for of_each in (self.keys, self.times_ns, self._where, self._offsets))
        return part

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _scan(self, damage):
        """Note every message and every damage; the given one lies at the end."""
        keys, times = array('q'), array('q')
        for item in self._file.scan():
            if isinstance(item, Damage):
                self._note(item, times)
                continue
            keys.append(item.channel)
            times.append(item.receive_ns)
            self._where.append(item.where)
            self._offsets.append(item.offset)
        if damage:
            self._note(damage, times)
        self.keys, self.times_ns = np.array(keys, np.int64), np.array(times, np.int64)

    def _note(self, damage, times):
        """Say where something is damaged, in bytes and in time."""
        if len(self._damages) >= MOST_NAMED:
            self._damages.append('')  # only counted
            return
        after = f'{(max(times) - min(times)) / 1e9:.1f} s after its first message' if times \
            else 'before its first message'
        self._damages.append(f'{self._name} {damage.text}, {after}')


def open_stored(path, scratch):
    """
    Open a storage file by what it is, not by its name.

    :param path: The file.
    :param scratch: ``Scratch`` for a decompressed file.
    :return: The open file, and a ``Damage`` where only a part of it could be decompressed.
    :raises BagError: if it is of no known kind, or cannot be decompressed.
    """
    head, damage = check_kind(path), None
    if head.startswith(ZSTD_MAGIC):
        target = scratch.path(path.name.removesuffix('.zstd') + '.unpacked')
        damage = unpack_file(path, target)
        try:
            head = check_kind(target)
        except BagError as error:
            raise BagError(f'{path.name} {damage.text}' if damage else
                           f'{path.name}, decompressed: {error}') from error
        path = target
    if head.startswith(mcap_file.MAGIC):
        return mcap_file.McapFile(path), damage
    if head.startswith(ros1_file.MAGIC):
        return ros1_file.Ros1File(path), damage
    return sqlite3_file.Sqlite3File(path, scratch), damage

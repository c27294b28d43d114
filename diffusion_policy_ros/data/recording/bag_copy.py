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

"""Copy what can be read of an unfinished bag, and keep account of what cannot."""

from diffusion_policy_ros.data.bags.mcap_file import McapFile
from diffusion_policy_ros.data.bags.stored import Damage, MOST_NAMED
from diffusion_policy_ros.data.recording.disk_room import free_bytes, MIN_FREE_BYTES
from diffusion_policy_ros.errors import BagError

# Copied between two looks at what the disk has left.
LOOK_BYTES = 64_000_000


class BagCopy:
    """
    Every message of every whole chunk of an unfinished bag, copied in the order of writing.

    :ivar count: Messages copied.
    :ivar last_ns: The latest arrival among them, ns.
    """

    def __init__(self, path, bag):
        """
        Copy.

        :param path: Folder of the unfinished bag.
        :param bag: The ``EpisodeBag`` to write.
        :raises BagError: if the disk has no room, or does not take it.
        :raises OSError: if the unfinished bag cannot be read.
        """
        self.count = self.last_ns = 0
        self._bag, self._unlooked = bag, 0
        self._first_ns = self._before_ns = None
        self._gaps, self._is_in_gap = [], False
        self._is_cut, self._unread, self._lost = False, 0, 0
        files = sorted(path.glob('*.mcap'))
        self._wanted = sum(file.stat().st_size for file in files)
        self._check_room()
        for file in files:
            self._copy_file(file)
        if not self._is_cut:
            self._end_gap('')

    def missing(self) -> str:
        """Return what is not there, in words."""
        said = []
        if self._is_cut:
            tail = f', with the last {self._unread} bytes of the file, which hold nothing whole' \
                if self._unread else ''
            said.append(f'what came in the last second before the end may be missing{tail}')
        if self._gaps:
            more = len(self._gaps) - MOST_NAMED
            said.append('damage to the file cost what came ' + ', '.join(self._gaps[:MOST_NAMED])
                        + (f' and in {more} more places' if more > 0 else ''))
        if self._lost > 0:
            said.append(f'{self._lost} messages that the file promises are missing')
        return '; '.join(said) or 'none is missing'

    def _copy_file(self, file):
        """Copy one storage file."""
        source, begun = McapFile(file), self.count
        try:
            for item in source.scan():
                if isinstance(item, Damage):
                    self._note(item)
                elif item.offset < 0:  # no recorder writes outside of its chunks
                    self._is_in_gap = True
                else:
                    self._copy_message(source, item)
            if source.promised is not None:
                self._lost += sum(source.promised.values()) - (self.count - begun)
        finally:
            source.close()

    def _copy_message(self, source, item):
        """Copy one message."""
        channel, data = source.channels[item.channel], source.fetch(item.where, item.offset)
        self._bag.write(channel.topic, channel.type, data, item.receive_ns, channel.definition)
        if self._first_ns is None:
            self._first_ns = item.receive_ns
        self._end_gap(f' and {self._seconds(item.receive_ns)}')
        self.count, self._before_ns, self._unread = self.count + 1, item.receive_ns, 0
        self.last_ns = max(self.last_ns, item.receive_ns)
        self._unlooked += len(data)
        if self._unlooked > LOOK_BYTES:
            self._check_room()
            self._unlooked = 0

    def _note(self, damage):
        """Note what could not be read: the end, or something before it."""
        self._unread += damage.size
        if damage.is_end:
            self._is_cut = True
        else:
            self._is_in_gap = True

    def _end_gap(self, until):
        """Say from when to when nothing could be read."""
        if self._is_in_gap and self._before_ns is None:
            self._gaps.append('before its first message')
        elif self._is_in_gap:
            begin = self._seconds(self._before_ns)
            self._gaps.append(f'between {begin}{until} after its first message' if until else
                              f'later than {begin} after its first message')
        self._is_in_gap = False

    def _seconds(self, time_ns):
        """Say when something came."""
        return f'{(time_ns - self._first_ns) / 1e9:.2f} s'

    def _check_room(self):
        """Refuse to fill the disk, on which an episode may be recorded."""
        left, free = max(0, self._wanted - self._bag.size_bytes), free_bytes(self._bag.path)
        if free < left + MIN_FREE_BYTES:
            raise BagError(
                f'its copy needs {left / 1e6:.0f} MB and {MIN_FREE_BYTES / 1e6:.0f} MB must stay '
                f'free, but the disk has {free / 1e6:.0f} MB; make room and start the recorder '
                'again')

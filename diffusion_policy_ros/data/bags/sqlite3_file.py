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

"""Read sqlite3 storage files as far as they are whole, without ever changing them."""

import os
from pathlib import Path
import shutil
import sqlite3

from diffusion_policy_ros.data.bags.stored import (
    BLOCK, Channel, Damage, Found, LARGEST_NS, ROOM, ros_type, zero_from)
from diffusion_policy_ros.errors import BagError

MAGIC = b'SQLite format 3\0'
# What a recorder that was killed has not yet written into the file itself.
COMPANIONS = ('-wal', '-journal')


class Sqlite3File:
    """
    One sqlite3 file.

    :ivar channels: ``{key: Channel}``, complete after ``scan``.
    :ivar promised: None: the file does not tell how many messages it should hold.
    """

    promised = None

    def __init__(self, path, scratch):
        """
        Open the file.

        :param path: A file that begins with ``MAGIC``.
        :param scratch: ``Scratch`` for the copy that a file needs which is not whole in itself.
        :raises BagError: if that copy cannot be written.
        """
        self.channels = {}
        self._path, self._scratch = Path(path), scratch
        self._damage = None
        copy = self._copy_with_companions()
        if copy:
            self._database = _connect(copy, 'mode=rw')
            return
        whole = self._whole_size()
        if whole < os.path.getsize(path):
            self._open_copy(whole)
        else:
            self._database = _connect(self._path, 'mode=ro&immutable=1')

    def scan(self):
        """Yield a ``Found`` per message in the order of writing, a ``Damage`` where one is."""
        damage, unknown, last = self._damage, 0, None
        try:
            self._describe()
            rows = self._database.execute(
                'SELECT id, topic_id, timestamp, data FROM messages ORDER BY id')
            for key, topic, receive_ns, data in rows:
                if last is not None and key <= last:
                    raise sqlite3.DatabaseError('its rows are out of order')
                last = key
                if topic in self.channels and isinstance(receive_ns, int) \
                        and abs(receive_ns) <= LARGEST_NS and isinstance(data, bytes):
                    yield Found(topic, receive_ns, key, 0)
                else:
                    unknown += 1
        except (sqlite3.Error, MemoryError, OverflowError, TypeError) as error:
            damage = damage or Damage(f'is damaged ({str(error) or type(error).__name__})')
        if unknown:
            yield Damage(f'has {unknown} rows that are no message of a known topic')
        if damage:
            yield damage

    def fetch(self, where, offset) -> bytes:
        """
        Return the serialized message that ``scan`` found.

        :param where: From its ``Found``.
        :param offset: From its ``Found``.
        """
        del offset
        query = 'SELECT data FROM messages WHERE id = ?'
        return self._database.execute(query, (where,)).fetchone()[0]

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _describe(self):
        """Learn the topics, and the definitions of their types where they are stored."""
        database, definitions = self._database, {}
        for table in ('topics', 'messages'):
            if not _has_table(database, table):
                raise sqlite3.DatabaseError(f'it has no table {table}')
        if _has_table(database, 'message_definitions'):
            rows = database.execute('SELECT topic_type, encoding, encoded_message_definition '
                                    'FROM message_definitions')
            definitions = {ros_type(str(name)): (str(encoding), str(text))
                           for name, encoding, text in rows}
        for key, *texts in database.execute(
                'SELECT id, name, type, serialization_format FROM topics ORDER BY id'):
            topic, kind, serialization = map(str, texts)
            kind = ros_type(kind)
            self.channels[key] = Channel(
                topic, kind, serialization, *definitions.get(kind, ('', '')))

    def _copy_with_companions(self):
        """Copy the file and what was not yet written into it; return None where that is all."""
        companions = [self._path.with_name(self._path.name + end) for end in COMPANIONS]
        companions = [c for c in companions if c.is_file() and c.stat().st_size]
        if not companions:
            return None
        copy = self._scratch.path(self._path.name)
        try:
            for source in (self._path, *companions):
                shutil.copyfile(source, copy.with_name(source.name))
        except OSError as error:
            raise BagError(f'{self._path} has a -wal or -journal file and cannot be copied: '
                           f'{error}; {ROOM}') from error
        return copy

    def _whole_size(self):
        """Return how many bytes are whole pages, and note as damage where some are missing."""
        with open(self._path, 'rb') as file:
            head = file.read(100)
        size, declared = os.path.getsize(self._path), int.from_bytes(head[28:32], 'big')
        page = int.from_bytes(head[16:18], 'big')
        page = 65536 if page == 1 else page
        if len(head) < 100 or page < 512 or page & (page - 1):
            return size  # sqlite3 itself says what is wrong
        zeros = zero_from(self._path, size)
        if size // page < declared and head[24:28] == head[92:96]:
            self._damage = Damage(f'is truncated: {size // page} of its {declared} pages are '
                                  'there')
        elif size - zeros >= page and not self._is_sound():
            self._damage = Damage(f'holds nothing but zeros from byte {zeros} on')
            return zeros - zeros % page
        return size - size % page

    def _is_sound(self):
        """Tell whether every row can be read."""
        database = _connect(self._path, 'mode=ro&immutable=1')
        try:
            if _has_table(database, 'messages'):  # else reading it tells
                for _ in database.execute('SELECT id, data FROM messages ORDER BY id'):
                    pass
        except (sqlite3.Error, MemoryError):
            return False
        finally:
            database.close()
        return True

    def _open_copy(self, size):
        """Open a copy of the whole pages at the beginning of the file."""
        copy = self._scratch.path(self._path.name + '.whole')
        try:
            with open(self._path, 'rb') as source, open(copy, 'wb') as target:
                while size and (block := source.read(min(size, BLOCK))):
                    target.write(block)
                    size -= len(block)
        except OSError as error:
            raise BagError(f'{self._path} is damaged, and cannot be copied to be read in part: '
                           f'{error}; {ROOM}') from error
        self._database = _connect(copy, 'mode=ro&immutable=1')


def _has_table(database, name):
    """Tell whether there is a table, which unlike a view holds no more than its file."""
    return database.execute("SELECT 1 FROM sqlite_master WHERE name = ? AND type = 'table'",
                            (name,)).fetchone() is not None


def _connect(path, options):
    """Open a database; one that lacks pages at its end too."""
    database = sqlite3.connect(f'{path.absolute().as_uri()}?{options}', uri=True)
    database.text_factory = lambda text: text.decode('utf-8', 'replace')
    database.execute('PRAGMA writable_schema = ON')
    return database

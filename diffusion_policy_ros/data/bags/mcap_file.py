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

"""Read mcap files record by record, without needing their index, as far as they are whole."""

import os
import re
import struct
import zlib

from diffusion_policy_ros.data.bags.mcap_attachment import (
    ATTACHMENT, ATTACHMENT_INDEX, is_whole_attachment)
from diffusion_policy_ros.data.bags.stored import (
    BLOCK, Channel, ChunkCache, Damage, Found, LARGEST_NS, ros_type, unpack_lz4, unpack_zstd,
    zero_from)

MAGIC = b'\x89MCAP0\r\n'
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, STATISTICS, DATA_END = 2, 3, 4, 5, 6, 11, 15
FOOTER_SIZE = 9 + 20 + len(MAGIC)
RECORD = struct.Struct('<BQ')  # operation, length of what follows
IN_MESSAGE = struct.Struct('<HIQQ')  # channel, sequence, log time, publish time
IN_CHUNK = struct.Struct('<QQQII')  # start, end, unpacked size, checksum, length of compression
# What the beginning of a chunk looks like behind its operation; the two lengths must agree.
LOOK = rb'(.{8}).{28}(\x04\0\0\0zstd|\x03\0\0\0lz4|\0\0\0\0)(.{8})'
CHUNK_LOOK = re.compile(LOOK, re.DOTALL)
CHUNK_BEGIN = re.compile(rb'\x06(?=' + LOOK + rb')', re.DOTALL)
LOOK_BYTES = 8 + 28 + 8 + 8
UNPACKERS = {'': lambda data, size: data, 'lz4': unpack_lz4, 'zstd': unpack_zstd}


class McapFile:
    """
    One mcap file.

    :ivar channels: ``{key: Channel}``, complete after ``scan``.
    :ivar promised: ``{topic: number of messages}`` by the file's statistics, None without them;
        known after ``scan``.
    """

    def __init__(self, path):
        """
        Open the file.

        :param path: A file that begins with ``MAGIC``.
        """
        self.channels = {}
        self.promised = None
        self._schemas = {0: ('', '', '')}
        self._file = open(path, 'rb')
        self._size = os.fstat(self._file.fileno()).st_size
        self._zeros = zero_from(path, self._size)
        self._counts = None
        self._attached = set()  # positions and sizes of attachments by the summary
        self._data_end = None
        self._chunks = ChunkCache()
        self._checked = set()

    def scan(self):
        """
        Yield a ``Found`` per message in the order of writing, a ``Damage`` where one is.

        A chunk whose checksum or size is wrong is left out as a whole. After damage the next chunk
        is sought by its look, whatever a length says that may be damaged.
        """
        damage = self._read_summary()
        position, limit = len(MAGIC), self._data_end or self._size
        while position < limit:
            operation, length = self._record(position)
            end = position + RECORD.size + length
            is_whole = operation and end <= limit and (
                operation == CHUNK or not self._is_in_zeros(end))
            if is_whole and operation == CHUNK:
                position = yield from self._scan_chunk(position, end, limit)
                continue
            next_chunk = self._next_chunk(position, end if is_whole else limit, operation)
            if not is_whole or next_chunk < end or self._looks_like_chunk(position):
                is_end = next_chunk == limit and not self._data_end
                what = 'truncated' if is_end and operation else 'damaged'
                yield Damage(f'is {what} at byte {position}', next_chunk - position, is_end)
                damage = None if is_end else damage  # said
                end = next_chunk
            elif operation == DATA_END and not self._data_end \
                    and self._next_chunk(end, limit) == limit:
                break
            elif operation == MESSAGE:
                yield from self._scan_records(self._read(position, end - position), position, -1)
            elif operation in (SCHEMA, CHANNEL):
                self._describe(operation, self._read(position + RECORD.size, length))
            position = end
        if damage:
            yield damage
        self._sum_promises()

    def fetch(self, where, offset) -> bytes:
        """
        Return the serialized message that ``scan`` found.

        :param where: From its ``Found``.
        :param offset: From its ``Found``.
        """
        data, begin = (self._read(where, RECORD.size), 0) if offset < 0 else (
            self._chunks.get(where, self._unpack), offset)
        _, length = RECORD.unpack_from(data, begin)
        if offset < 0:
            data = self._read(where, RECORD.size + length)
        begin += RECORD.size
        return bytes(data[begin + IN_MESSAGE.size:begin + length])

    def close(self) -> None:
        """Close the file."""
        self._chunks.clear()
        self._file.close()

    def _read(self, position, length):
        """Read bytes that are there."""
        self._file.seek(position)
        return self._file.read(length)

    def _record(self, position):
        """Return operation and length of the record at a position; (0, 0) where none fits."""
        head = self._read(position, RECORD.size)
        return RECORD.unpack(head) if len(head) == RECORD.size else (0, 0)

    def _next_chunk(self, position, limit, operation=CHUNK):
        """Return where the first chunk after a position begins, the limit where none does."""
        if operation == MESSAGE and not self._checked:
            return limit  # a file without chunks
        if operation == ATTACHMENT and is_whole_attachment(
                self._read, position + RECORD.size, limit,
                (position, limit - position) in self._attached):
            return limit  # which may be a file with chunks of its own
        begin = position + 1
        while begin < limit:
            block = self._read(begin, min(BLOCK, limit - begin) + LOOK_BYTES)
            for match in CHUNK_BEGIN.finditer(block):
                if _lengths_agree(match):
                    return min(begin + match.start(), limit)
            begin += BLOCK
        return limit

    def _looks_like_chunk(self, position):
        """Tell whether there is a chunk but for its operation, which may be damaged."""
        match = CHUNK_LOOK.match(self._read(position + 1, LOOK_BYTES))
        return match is not None and _lengths_agree(match)

    def _is_in_zeros(self, end):
        """Tell whether a record reaches into the zeros that a loss of power leaves."""
        return self._zeros < end < self._size

    def _scan_chunk(self, position, end, limit):
        """Find the messages of one chunk; return where to go on."""
        try:
            data = self._chunks.get(position, self._unpack)
        except Exception as error:  # decompressors of foreign bytes may raise anything
            end = self._next_chunk(position, end if self._looks_like_chunk(position) else limit)
            yield Damage(f'is damaged in the chunk at byte {position} ({error})', end - position)
        else:
            yield from self._scan_records(data, position, 0)
        return end

    def _unpack(self, position):
        """Return what a chunk holds."""
        _, length = self._record(position)
        head = self._read(position + RECORD.size, IN_CHUNK.size)
        _, _, size, checksum, name_length = IN_CHUNK.unpack(head)
        begin = IN_CHUNK.size + name_length + 8
        names = self._read(position + RECORD.size + IN_CHUNK.size, min(name_length, 64) + 8)
        compression = names[:-8].decode()
        if compression not in UNPACKERS:
            raise ValueError(f'compression {compression!r} is unknown')
        # A length that is wrong may be that of half the file.
        if int.from_bytes(names[-8:], 'little') != length - begin:
            raise ValueError('its lengths disagree')
        packed = self._read(position + RECORD.size + begin, length - begin)
        is_checked = checksum or compression == 'zstd' and packed[4:] and packed[4] & 4
        if not is_checked and self._is_in_zeros(position + RECORD.size + length):
            raise ValueError('it ends in zeros')
        data = UNPACKERS[compression](packed, size)
        is_new = position not in self._checked
        if len(data) != size or (checksum and is_new and zlib.crc32(data) != checksum):
            raise ValueError('its checksum or its size is wrong')
        self._checked.add(position)
        return data

    def _scan_records(self, data, position, offset):
        """Find the messages in unpacked records; ``offset`` is -1 outside of chunks."""
        begin, unknown = 0, 0
        while begin < len(data):
            body = begin + RECORD.size
            operation, length = RECORD.unpack_from(data, begin) if body <= len(data) else (0, 0)
            if not operation or body + length > len(data):
                yield Damage(f'is damaged inside the chunk at byte {position}')
                break
            if operation == MESSAGE:
                channel, _, log_ns, _ = IN_MESSAGE.unpack_from(data, body) \
                    if length >= IN_MESSAGE.size else (None, 0, 0, 0)
                if channel not in self.channels or log_ns > LARGEST_NS:
                    unknown += 1
                else:
                    yield Found(channel, log_ns, position, offset if offset < 0 else begin)
            elif operation in (SCHEMA, CHANNEL):
                self._describe(operation, data[body:body + length])
            begin = body + length
        if unknown:
            yield Damage(f'has {unknown} messages at byte {position} that belong to no known '
                         'channel or time')

    def _describe(self, operation, record):
        """Learn a schema or a channel; a damaged one stays unknown."""
        try:
            key, = struct.unpack_from('<H', record)
            if operation == SCHEMA:
                name, encoding, definition = _parts(record, 2, 3)
                self._schemas[key] = (ros_type(name.decode()), encoding.decode(),
                                      definition.decode(errors='replace'))  # may be no text
                return
            schema, = struct.unpack_from('<H', record, 2)
            topic, serialization = (part.decode() for part in _parts(record, 4, 2))
            kind, encoding, definition = self._schemas[schema]
            self.channels[key] = Channel(topic, kind, serialization, encoding, definition)
        except (struct.error, UnicodeDecodeError, KeyError):
            pass  # its messages are counted as belonging to no known channel

    def _read_summary(self):
        """Learn what the end of the file tells; return a ``Damage`` where it is not whole."""
        cut = Damage('ends without its summary: its recorder was stopped, or the file was cut',
                     is_end=True)
        damaged = Damage('is damaged in its summary', is_end=True)
        start = self._size - FOOTER_SIZE
        footer = self._read(start, FOOTER_SIZE) if start >= len(MAGIC) else b''
        if footer[:9] != RECORD.pack(FOOTER, 20) or footer[29:] != MAGIC:
            return cut
        summary_start, _, checksum = struct.unpack_from('<QQI', footer, 9)
        if summary_start > start:
            return damaged
        summary = self._read(summary_start, start - summary_start) if summary_start else b''
        if checksum not in (0, zlib.crc32(summary + footer[:25])):
            return damaged
        self._data_end = summary_start or start
        try:
            self._learn(summary)
        except struct.error:
            return damaged
        return None

    def _learn(self, summary):
        """Take channels and counts from the summary."""
        begin = 0
        while begin < len(summary):
            operation, length = RECORD.unpack_from(summary, begin)
            body = summary[begin + RECORD.size:begin + RECORD.size + length]
            if operation in (SCHEMA, CHANNEL):
                self._describe(operation, body)
            elif operation == ATTACHMENT_INDEX:
                self._attached.add(struct.unpack_from('<QQ', body))
            elif operation == STATISTICS:
                size, = struct.unpack_from('<I', body, 42)
                self._counts = dict(struct.unpack_from('<HQ', body, 46 + at)
                                    for at in range(0, size, 10))
            begin += RECORD.size + length

    def _sum_promises(self):
        """Tell the statistics by topic."""
        if self._counts is None:
            return
        self.promised = dict.fromkeys((c.topic for c in self.channels.values()), 0)
        for key, count in self._counts.items():
            if key in self.channels:
                self.promised[self.channels[key].topic] += count


def _lengths_agree(match):
    """Tell whether what looks like a chunk is as long as its content makes it."""
    length, size = (int.from_bytes(match[group], 'little') for group in (1, 3))
    return length == 28 + len(match[2]) + 8 + size


def _parts(record, begin, number):
    """Read texts and the like that each follow their length."""
    parts = []
    for _ in range(number):
        length, = struct.unpack_from('<I', record, begin)
        parts.append(record[begin + 4:begin + 4 + length])
        if len(parts[-1]) != length:
            raise struct.error('it ends too early')
        begin += 4 + length
    return parts

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

from bisect import bisect_right
from collections import OrderedDict
import os
import struct
import zlib

from diffusion_policy_ros.data.bags.stored import (
    Channel, Damage, Found, LARGEST_NS, ros_type, unpack_zstd, zero_from)
import lz4.frame

MAGIC = b'\x89MCAP0\r\n'
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, CHUNK_INDEX, STATISTICS, DATA_END = (
    2, 3, 4, 5, 6, 8, 11, 15)
FOOTER_SIZE = 9 + 20 + len(MAGIC)
RECORD = struct.Struct('<BQ')  # operation, length of what follows
IN_MESSAGE = struct.Struct('<HIQQ')  # channel, sequence, log time, publish time
IN_CHUNK = struct.Struct('<QQQII')  # start, end, unpacked size, checksum, length of compression
CACHED_BYTES = 64 << 20
UNPACKERS = {'': bytes, 'lz4': lz4.frame.decompress, 'zstd': unpack_zstd}


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
        self._chunk_starts = []
        self._counts = None
        self._data_end = None
        self._unpacked = OrderedDict()
        self._checked = set()

    def scan(self):
        """
        Yield a ``Found`` per message in the order of writing, a ``Damage`` where one is.

        A chunk whose checksum or size is wrong is left out as a whole. After damage the next chunk
        that the summary knows of is sought.
        """
        damage = self._read_summary()
        position, limit = len(MAGIC), self._data_end or self._size
        while position < limit:
            operation, length = self._record(position)
            end = position + RECORD.size + length
            next_chunk = self._next_chunk(position)
            if not operation or end > min(limit, next_chunk or limit) \
                    or self._zeros < end < self._size:
                is_cut = operation and not self._data_end
                yield Damage(f'is {"truncated" if is_cut else "damaged"} at byte {position}')
                damage = None  # said
                if next_chunk is None:
                    break
                end = next_chunk
            elif operation == DATA_END and not self._data_end:
                break
            elif operation == CHUNK:
                yield from self._scan_chunk(position)
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
            self._chunk(where), offset)
        _, length = RECORD.unpack_from(data, begin)
        if offset < 0:
            data = self._read(where, RECORD.size + length)
        begin += RECORD.size
        return bytes(data[begin + IN_MESSAGE.size:begin + length])

    def close(self) -> None:
        """Close the file."""
        self._unpacked.clear()
        self._file.close()

    def _read(self, position, length):
        """Read bytes that are there."""
        self._file.seek(position)
        return self._file.read(length)

    def _record(self, position):
        """Return operation and length of the record at a position; (0, 0) where none fits."""
        head = self._read(position, RECORD.size)
        return RECORD.unpack(head) if len(head) == RECORD.size else (0, 0)

    def _next_chunk(self, position):
        """Return where the next chunk begins by the summary, None where none is known."""
        number = bisect_right(self._chunk_starts, position)
        return self._chunk_starts[number] if number < len(self._chunk_starts) else None

    def _scan_chunk(self, position):
        """Find the messages of one chunk."""
        try:
            data = self._chunk(position)
        except Exception as error:  # decompressors of foreign bytes may raise anything
            yield Damage(f'is damaged in the chunk at byte {position} ({error})')
            return
        yield from self._scan_records(data, position, 0)

    def _chunk(self, position):
        """Return what a chunk holds; it is kept at hand, as messages are fetched one by one."""
        if position in self._unpacked:
            self._unpacked.move_to_end(position)
            return self._unpacked[position]
        _, length = self._record(position)
        record = self._read(position + RECORD.size, length)
        _, _, size, checksum, name_length = IN_CHUNK.unpack_from(record)
        begin = IN_CHUNK.size + name_length + 8
        compression = record[IN_CHUNK.size:begin - 8].decode()
        if compression not in UNPACKERS:
            raise ValueError(f'compression {compression!r} is unknown')
        if struct.unpack_from('<Q', record, begin - 8)[0] != len(record) - begin:
            raise ValueError('its lengths disagree')
        data = UNPACKERS[compression](record[begin:])
        is_new = position not in self._checked
        if len(data) != size or (checksum and is_new and zlib.crc32(data) != checksum):
            raise ValueError('its checksum or its size is wrong')
        self._checked.add(position)
        self._unpacked[position] = data
        while sum(map(len, self._unpacked.values())) > CACHED_BYTES and len(self._unpacked) > 1:
            self._unpacked.popitem(last=False)
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
                name, encoding, definition = _texts(record, 2, 3)
                self._schemas[key] = ros_type(name), encoding, definition
                return
            schema, = struct.unpack_from('<H', record, 2)
            topic, serialization = _texts(record, 4, 2)
            kind, encoding, definition = self._schemas[schema]
            self.channels[key] = Channel(topic, kind, serialization, encoding, definition)
        except (struct.error, UnicodeDecodeError, KeyError):
            pass  # its messages are counted as belonging to no known channel

    def _read_summary(self):
        """Learn what the end of the file tells; return a ``Damage`` where it is not whole."""
        cut = Damage('ends without its summary: its recorder was stopped, or the file was cut')
        start = self._size - FOOTER_SIZE
        footer = self._read(start, FOOTER_SIZE) if start >= len(MAGIC) else b''
        if footer[:9] != RECORD.pack(FOOTER, 20) or footer[29:] != MAGIC:
            return cut
        summary_start, _, checksum = struct.unpack_from('<QQI', footer, 9)
        summary = self._read(summary_start, start - summary_start) if summary_start else b''
        if summary_start > start or checksum not in (0, zlib.crc32(summary + footer[:25])):
            return Damage('is damaged in its summary')
        self._data_end = summary_start or start
        try:
            self._learn(summary)
        except struct.error:
            return Damage('is damaged in its summary')
        return None

    def _learn(self, summary):
        """Take channels, places of chunks and counts from the summary."""
        begin = 0
        while begin < len(summary):
            operation, length = RECORD.unpack_from(summary, begin)
            body = summary[begin + RECORD.size:begin + RECORD.size + length]
            if operation in (SCHEMA, CHANNEL):
                self._describe(operation, body)
            elif operation == CHUNK_INDEX:
                self._chunk_starts.append(struct.unpack_from('<Q', body, 16)[0])
            elif operation == STATISTICS:
                size, = struct.unpack_from('<I', body, 42)
                self._counts = dict(struct.unpack_from('<HQ', body, 46 + at)
                                    for at in range(0, size, 10))
            begin += RECORD.size + length
        self._chunk_starts.sort()

    def _sum_promises(self):
        """Tell the statistics by topic."""
        if self._counts is None:
            return
        self.promised = dict.fromkeys((c.topic for c in self.channels.values()), 0)
        for key, count in self._counts.items():
            if key in self.channels:
                self.promised[self.channels[key].topic] += count


def _texts(record, begin, number):
    """Read texts that each follow their length."""
    texts = []
    for _ in range(number):
        length, = struct.unpack_from('<I', record, begin)
        text = record[begin + 4:begin + 4 + length]
        if len(text) != length:
            raise struct.error('the text ends too early')
        texts.append(text.decode())
        begin += 4 + length
    return texts

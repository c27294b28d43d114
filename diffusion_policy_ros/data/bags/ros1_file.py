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

"""Read ROS 1 bags record by record, without needing their index, as far as they are whole."""

from bisect import bisect_right
from bz2 import BZ2Decompressor
from collections import Counter
from io import BytesIO
import os

from diffusion_policy_ros.data.bags.stored import (
    Channel, ChunkCache, Damage, Found, ros_type, unpack_lz4, zero_from)
from diffusion_policy_ros.errors import BagError
from rosbags.rosbag1.reader import (
    deserialize_uint32, Header, normalize, read_bytes, read_uint32, ReaderError,
    RecordType)

MAGIC = b'#ROSBAG V2.0\n'
UNPACKERS = {'none': lambda data, size: data, 'lz4': unpack_lz4,
             'bz2': lambda data, size: BZ2Decompressor().decompress(data, size + 1)}


class Ros1File:
    """
    One ROS 1 bag.

    :ivar channels: ``{key: Channel}``, complete after ``scan``.
    :ivar promised: ``{topic: number of messages}`` by the bag's index, None without one; known
        after ``scan``.
    """

    def __init__(self, path):
        """
        Open the file.

        :param path: A file that begins with ``MAGIC``.
        """
        self.channels = {}
        self.promised = None
        self._path = path
        self._file = open(path, 'rb')
        self._size = os.fstat(self._file.fileno()).st_size
        self._zeros = zero_from(path, self._size)
        self._chunks_promised, self._chunks_listed = None, 0
        self._chunk_starts = []
        self._counts = Counter()
        self._chunks = ChunkCache()

    def scan(self):
        """
        Yield a ``Found`` per message in the order of writing, a ``Damage`` where one is.

        After damage the next chunk that the index knows of is sought.

        :raises BagError: if the bag is encrypted.
        """
        self._read_index()
        position, is_told = len(MAGIC), False
        while position < self._size:
            number = bisect_right(self._chunk_starts, position)
            following = self._chunk_starts[number:number + 1]
            try:
                operation, header, body, length = self._record(position)
                if following and body + length > following[0]:
                    raise ReaderError('the data reach into the next chunk')
            except (ReaderError, ValueError):
                yield Damage(f'is truncated or damaged at byte {position}')
                if not following:
                    break
                position, is_told = following[0], True
                continue
            if operation == RecordType.CHUNK:
                yield from self._scan_chunk(position)
            elif operation != RecordType.IDXDATA:
                try:
                    self._learn(operation, header, body, length)
                except ReaderError as error:
                    yield Damage(f'is damaged in the record at byte {position} ({error})')
                    is_told = True
            position = body + length
        else:
            if self._chunks_promised == self._chunks_listed:
                self._sum_promises()
            elif not is_told:
                yield Damage('ends without its index: its recorder was stopped, or the file was '
                             'cut; `rosbag reindex` makes one')

    def fetch(self, where, offset) -> bytes:
        """
        Return the serialized message that ``scan`` found.

        :param where: From its ``Found``.
        :param offset: From its ``Found``.
        """
        data = self._chunks.get(where, self._unpack)
        header_length, = deserialize_uint32(data, offset)
        begin = offset + 4 + header_length
        length, = deserialize_uint32(data, begin)
        return data[begin + 4:begin + 4 + length]

    def close(self) -> None:
        """Close the file."""
        self._chunks.clear()
        self._file.close()

    def _record(self, position):
        """Return operation, header, place and length of the data of the record at a position."""
        self._file.seek(position)
        length = read_uint32(self._file)
        if length > self._size - position:
            raise ReaderError('the header is longer than the file')
        self._file.seek(position)
        header = Header.read(self._file)
        length = read_uint32(self._file)
        body = self._file.tell()
        if body + length > self._size or self._zeros < body + length < self._size:
            raise ReaderError('the data are longer than what the file holds')
        return header.get_uint8('op'), header, body, length

    def _read_index(self):
        """Learn what the end of the file repeats: topics, and where the chunks begin."""
        starts = []
        try:
            position = self._record(len(MAGIC))[1].get_uint64('index_pos')
            while 0 < position < self._size:
                operation, header, body, length = self._record(position)
                if operation == RecordType.CONNECTION:
                    self._learn(operation, header, body, length)
                elif operation == RecordType.CHUNK_INFO:
                    starts.append(header.get_uint64('chunk_pos'))
                position = body + length
        except (ReaderError, ValueError):
            pass  # it may be cut off; reading all of the file tells
        self._chunk_starts = sorted(start for start in starts if self._is_chunk(start))

    def _sum_promises(self):
        """Tell the counts of the index by topic."""
        topics = {key: channel.topic for key, channel in self.channels.items()}
        self.promised = dict.fromkeys(topics.values(), 0)
        for key, count in self._counts.items():
            if key in topics:
                self.promised[topics[key]] += count

    def _is_chunk(self, position):
        """Tell whether a chunk begins at a position, which may come from a damaged index."""
        try:
            return self._record(position)[0] == RecordType.CHUNK
        except (ReaderError, ValueError, OSError, OverflowError):
            return False

    def _learn(self, operation, header, body, length):
        """Learn what the record of the bag, of a connection or of a chunk's counts tells."""
        self._file.seek(body)
        data = self._file.read(length)
        if operation == RecordType.BAGHEADER:
            if header.get('encryptor'):
                raise BagError(f'{self._path} is encrypted, which cannot be read; decrypt it with '
                               '`rosbag decrypt`')
            # A bag that was not closed tells of no index.
            is_closed = header.get('index_pos', bytes(8)) != bytes(8)
            self._chunks_promised = header.get_uint32('chunk_count') if is_closed else None
        elif operation == RecordType.CONNECTION:
            self._connect(header, data)
        elif operation == RecordType.CHUNK_INFO:
            self._chunks_listed += 1
            for at in range(0, len(data) - 7, 8):
                key, count = deserialize_uint32(data, at)[0], deserialize_uint32(data, at + 4)[0]
                self._counts[key] += count
        else:
            raise ReaderError(f'operation {operation} is unknown')

    def _connect(self, header, data):
        """Learn a channel; a damaged one stays unknown."""
        try:
            about = Header.read(BytesIO(len(data).to_bytes(4, 'little') + data))
            self.channels[header.get_uint32('conn')] = Channel(
                normalize(header.get_string('topic')), ros_type(about.get_string('type')), 'ros1',
                'ros1msg', about.get_string('message_definition'))
        except (ReaderError, ValueError, IndexError):
            pass  # its messages are counted as belonging to no known channel

    def _unpack(self, position):
        """Return what a chunk holds."""
        _, header, body, length = self._record(position)
        compression = header.get_string('compression')
        if compression not in UNPACKERS:
            raise ValueError(f'compression {compression!r} is unknown')
        self._file.seek(body)
        size = header.get_uint32('size')
        data = UNPACKERS[compression](self._file.read(length), size)
        if len(data) != size:
            raise ValueError('its size is wrong')
        return data

    def _scan_chunk(self, position):
        """Find the messages of one chunk."""
        try:
            stream = BytesIO(self._chunks.get(position, self._unpack))
        except Exception as error:  # decompressors of foreign bytes may raise anything
            yield Damage(f'is damaged in the chunk at byte {position} ({error})')
            return
        size, unknown = stream.getbuffer().nbytes, 0
        while stream.tell() < size:
            begin = stream.tell()
            try:
                header = Header.read(stream)
                data = read_bytes(stream, read_uint32(stream))
                operation = header.get_uint8('op')
                key, time_ns = header.get_uint32('conn'), None
                if operation == RecordType.MSGDATA:
                    time_ns = header.get_time('time')
            except (ReaderError, ValueError):
                yield Damage(f'is damaged inside the chunk at byte {position}')
                break
            if operation == RecordType.CONNECTION:
                self._connect(header, data)
            elif operation == RecordType.MSGDATA and key in self.channels:
                yield Found(key, time_ns, position, begin)
            else:
                unknown += 1
        if unknown:
            yield Damage(f'has {unknown} records at byte {position} that are no message of a '
                         'known topic')

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

from collections import Counter, OrderedDict
from io import BytesIO
import os

from diffusion_policy_ros.data.bags.stored import (
    Channel, Damage, Found, ros_type, zero_from)
from diffusion_policy_ros.errors import BagError
from rosbags.rosbag1.reader import (
    decompressors, deserialize_uint32, Header, normalize, read_bytes, read_uint32, ReaderError,
    RecordType)

MAGIC = b'#ROSBAG V2.0\n'
CACHED_BYTES = 64 << 20


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
        self._chunks_promised = self._chunks_listed = 0
        self._counts = Counter()
        self._unpacked = OrderedDict()

    def scan(self):
        """
        Yield a ``Found`` per message in the order of writing, a ``Damage`` where one is.

        :raises BagError: if the bag is encrypted.
        """
        position = len(MAGIC)
        while position < self._size:
            try:
                operation, header, body, length = self._record(position)
            except (ReaderError, ValueError):
                yield Damage(f'is truncated or damaged at byte {position}')
                break
            if operation == RecordType.CHUNK:
                yield from self._scan_chunk(position)
            elif operation != RecordType.IDXDATA:
                self._learn(operation, header, body, length)
            position = body + length
        else:
            if not self._chunks_promised == self._chunks_listed:
                yield Damage('ends without its index: its recorder was stopped, or the file was '
                             'cut; `rosbag reindex` makes one')
                return
            topics = {key: channel.topic for key, channel in self.channels.items()}
            self.promised = dict.fromkeys(topics.values(), 0)
            for key, count in self._counts.items():
                if key in topics:
                    self.promised[topics[key]] += count

    def fetch(self, where, offset) -> bytes:
        """
        Return the serialized message that ``scan`` found.

        :param where: From its ``Found``.
        :param offset: From its ``Found``.
        """
        data = self._chunk(where)
        header_length, = deserialize_uint32(data, offset)
        begin = offset + 4 + header_length
        length, = deserialize_uint32(data, begin)
        return data[begin + 4:begin + 4 + length]

    def close(self) -> None:
        """Close the file."""
        self._unpacked.clear()
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

    def _connect(self, header, data):
        """Learn a channel; a damaged one stays unknown."""
        try:
            about = Header.read(BytesIO(len(data).to_bytes(4, 'little') + data))
            self.channels[header.get_uint32('conn')] = Channel(
                normalize(header.get_string('topic')), ros_type(about.get_string('type')), 'ros1',
                'ros1msg', about.get_string('message_definition'))
        except (ReaderError, ValueError, IndexError):
            pass  # its messages are counted as belonging to no known channel

    def _chunk(self, position):
        """Return what a chunk holds; it is kept at hand, as messages are fetched one by one."""
        if position in self._unpacked:
            self._unpacked.move_to_end(position)
            return self._unpacked[position]
        _, header, body, length = self._record(position)
        compression = header.get_string('compression')
        if compression not in decompressors:
            raise ValueError(f'compression {compression!r} is unknown')
        self._file.seek(body)
        data = decompressors[compression](self._file.read(length))
        if len(data) != header.get_uint32('size'):
            raise ValueError('its size is wrong')
        self._unpacked[position] = data
        while sum(map(len, self._unpacked.values())) > CACHED_BYTES and len(self._unpacked) > 1:
            self._unpacked.popitem(last=False)
        return data

    def _scan_chunk(self, position):
        """Find the messages of one chunk."""
        try:
            stream = BytesIO(self._chunk(position))
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

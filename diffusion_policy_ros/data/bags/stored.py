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

"""What every kind of storage file offers: its channels, its messages one by one, its damages."""

from collections import OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from diffusion_policy_ros.errors import BagError
import lz4.frame

try:
    from compression import zstd
except ImportError:  # before Python 3.14
    from backports import zstd

ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
LARGEST_NS = 2**63 - 1
MOST_NAMED = 3  # of things of one kind in a sentence or in the losses; the others are counted
CACHED_BYTES = 64 << 20
BLOCK = 1 << 20  # bytes read at a time
ROOM = 'make room in the folder for temporary files (TMPDIR), or name another one'


class Channel(NamedTuple):
    """
    One topic as one storage file describes it.

    :ivar topic: Its name, as recorded.
    :ivar type: Its ROS type as ``package/msg/Type``.
    :ivar serialization: How its messages are written: ``cdr``, ``ros1`` or anything else.
    :ivar encoding: Language of the definition, such as ``ros2msg``; empty where there is none.
    :ivar definition: Definition of the type.
    """

    topic: str
    type: str
    serialization: str
    encoding: str
    definition: str


class Found(NamedTuple):
    """
    One message that is whole.

    :ivar channel: Key of its channel in the file's ``channels``.
    :ivar receive_ns: When it arrived, ns.
    :ivar where: Where the file's ``fetch`` finds it, first part.
    :ivar offset: Second part.
    """

    channel: int
    receive_ns: int
    where: int
    offset: int


class Damage(NamedTuple):
    """
    A place at which something could not be read.

    :ivar text: What is wrong, to follow the name of the file: ``is truncated at byte 7``.
    :ivar size: How many bytes were passed over, where that is known.
    :ivar is_end: Whether the file ends there, as one does that nobody closed.
    """

    text: str
    size: int = 0
    is_end: bool = False


class Scratch:
    """A folder for temporary copies, made when it is first needed."""

    def __init__(self):
        """Begin without a folder."""
        self._folder = None

    def path(self, name) -> Path:
        """
        Return where a temporary file belongs.

        :param name: Its name.
        :raises BagError: if there is no place for temporary files.
        """
        try:
            self._folder = self._folder or TemporaryDirectory(prefix='dpr_bag_')
        except OSError as error:
            raise BagError(f'no temporary file can be written: {error}; {ROOM}') from error
        return Path(self._folder.name) / name

    @property
    def is_used(self) -> bool:
        """Tell whether there is a temporary file."""
        return self._folder is not None

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        folder, self._folder = self._folder, None
        if folder:
            folder.cleanup()


class ChunkCache:
    """The chunks that were unpacked last, as messages are fetched one by one."""

    def __init__(self):
        """Begin empty."""
        self._kept, self._bytes = OrderedDict(), 0

    def get(self, position, unpack) -> bytes:
        """
        Return what a chunk holds.

        :param position: Where in the file it begins.
        :param unpack: Function that takes the position and returns this.
        """
        if position not in self._kept:
            self._kept[position] = data = unpack(position)
            self._bytes += len(data)
            while self._bytes > CACHED_BYTES and len(self._kept) > 1:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        self._kept.move_to_end(position)
        return self._kept[position]

    def clear(self) -> None:
        """Forget all of them."""
        self._kept.clear()
        self._bytes = 0


def named(names) -> str:
    """
    Return the first names of a list, and how many more there are.

    :param names: Texts.
    """
    more = f' and {len(names) - MOST_NAMED} more' if names[MOST_NAMED:] else ''
    return ', '.join(names[:MOST_NAMED]) + more


def ros_type(name) -> str:
    """
    Return a type's name as ROS 2 writes it today.

    :param name: ``package/Type``, as ROS 1 and the first versions of ROS 2 wrote it, or
        ``package/msg/Type``.
    """
    package, slash, rest = name.partition('/')
    return name if not slash or '/' in rest else f'{package}/msg/{rest}'


def not_decoded(topic, count, reason) -> str:
    """
    Say that messages could not be decoded.

    :param topic: Recorded topic.
    :param count: Their number.
    :param reason: Why the first of them could not.
    """
    return f'{count} messages on {topic} could not be decoded: {reason}'


def zero_from(path, size) -> int:
    """
    Return from which byte on a file holds nothing but zeros.

    A file system may leave such a tail after a loss of power. What reaches into it is not whole,
    though its length says so.

    :param path: The file.
    :param size: Its size in bytes, which is returned where its last byte is no zero.
    """
    with open(path, 'rb') as file:
        while size:
            begin = max(0, size - BLOCK)
            file.seek(begin)
            block = file.read(size - begin).rstrip(b'\0')
            if block:
                return begin + len(block)
            size = begin
    return 0


def unpack_zstd(data, size=None) -> bytes:
    """
    Decompress zstd frames, one after the other.

    :param data: The frames.
    :param size: Bytes that they are said to hold, None where nothing is said. What is far larger
        is not unpacked.
    :raises ValueError: if one is damaged or ends too early, or they hold more.
    """
    pieces, left = [], -1 if size is None else size + 1
    while data:
        decompressor = zstd.ZstdDecompressor()
        try:
            pieces.append(decompressor.decompress(data, left))
        except zstd.ZstdError as error:
            raise ValueError(str(error)) from error
        left -= len(pieces[-1]) if size is not None else 0
        if size is not None and left <= 0:
            raise ValueError('its size is wrong')
        if not decompressor.eof:
            raise ValueError('its compressed data end too early')
        data = decompressor.unused_data
    return pieces[0] if len(pieces) == 1 else b''.join(pieces)


def unpack_lz4(data, size) -> bytes:
    """
    Decompress an lz4 frame.

    :param data: The frame.
    :param size: Bytes that it is said to hold. Not many more are unpacked.
    :raises RuntimeError: if it is damaged.
    """
    most = min(size, 256 * len(data))  # lz4 packs no tighter than that, and the room is taken
    return lz4.frame.LZ4FrameDecompressor().decompress(data, most + 1)


def unpack_file(path, target):
    """
    Decompress a zstd file as far as it is whole.

    :param path: The file.
    :param target: File to write.
    :return: A ``Damage``, None where the file is whole.
    :raises BagError: if the target cannot be written.
    """
    try:
        with open(path, 'rb') as source, open(target, 'wb') as out:
            return _unpack_stream(source, out)
    except OSError as error:
        raise BagError(f'{path} could not be decompressed to {target}: {error}; {ROOM}') from error


def _unpack_stream(source, out):
    """Decompress frame after frame; return a ``Damage`` or None."""
    decompressor, is_begun = zstd.ZstdDecompressor(), False
    while piece := source.read(BLOCK):
        while piece:
            if decompressor.eof:
                decompressor, is_begun = zstd.ZstdDecompressor(), False
            try:
                out.write(decompressor.decompress(piece, BLOCK))
                while not decompressor.eof and not decompressor.needs_input:
                    out.write(decompressor.decompress(b'', BLOCK))
            except zstd.ZstdError as error:
                return Damage(f'is damaged in its zstd compression ({error})')
            is_begun = True
            piece = decompressor.unused_data if decompressor.eof else b''
    if is_begun and not decompressor.eof:
        return Damage('is truncated in its zstd compression')
    return None

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

"""Write one episode into one rosbag (mcap), with the robot contract inside its metadata."""

from contextlib import suppress
import os
from pathlib import Path
import shutil

from diffusion_policy_ros.errors import BagError
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError
from rosbags.typesys import get_typestore, Stores

# The newest metadata layout that Humble still reads: QoS profiles as text.
METADATA_VERSION = 8


class EpisodeBag:
    """
    A bag that holds one episode: every message as received, and the contract to read it by.

    Use it as a context manager, or call ``close`` to keep the episode and ``discard`` to drop it.
    Leaving the ``with`` block through an exception discards.

    :ivar path: Folder of the bag.
    :ivar message_count: Messages written so far.
    """

    def __init__(self, folder, contract, *, task='', fields=None, compress=True, typestore=None):
        """
        Create the bag's folder and open it for writing.

        :param folder: Folder to create; ``ros2 bag play`` takes it. Its parents are created.
        :param contract: The ``RobotContract`` that the messages follow.
        :param task: What the demonstration shows, one sentence.
        :param fields: More entries for the metadata's ``custom_data``, ``{str: str}``.
        :param compress: Compress the chunks inside the mcap file with zstd.
        :param typestore: rosbags typestore with the message definitions; the newest by default.
        :raises BagError: if the folder exists already (nothing is ever overwritten) or cannot be
            created.
        """
        self.path = Path(folder)
        self.message_count = 0
        self._connections = {}
        self._typestore = typestore or get_typestore(Stores.LATEST)
        try:
            self._writer = Writer(self.path, version=METADATA_VERSION,
                                  storage_plugin=StoragePlugin.MCAP)
            if compress:
                self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            custom = {'contract': contract.to_yaml(), 'task': task, **(fields or {})}
            for key, value in custom.items():
                self._writer.set_custom_data(key, value)
            self._writer.open()
        except WriterError as error:
            raise BagError(f'the bag {self.path} exists already and is never overwritten; choose '
                           'another folder, or stop the other program that records into this '
                           'one') from error
        except OSError as error:
            raise BagError(f'cannot create the bag {self.path}: {error}; make room, or choose '
                           'another folder') from error

    def write(self, topic, message_type, cdr_bytes, receive_ns) -> None:
        """
        Append one message.

        :param topic: Topic name; a relative one is recorded with a leading "/".
        :param message_type: ROS type name, such as ``sensor_msgs/msg/Image``.
        :param cdr_bytes: Serialized message, bytes or memoryview.
        :param receive_ns: Arrival time, ns, at least 0.
        :raises BagError: if the bag is closed, the message type is unknown or the bag cannot
            take the message.
        """
        if self._writer is None:
            raise BagError(f'the bag {self.path} is closed; a message on {topic!r} came too late')
        name = topic if topic.startswith('/') else f'/{topic}'
        try:
            if name not in self._connections:
                self._connections[name] = self._connect(name, message_type)
            self._writer.write(self._connections[name], receive_ns, cdr_bytes)
        except (WriterError, OSError) as error:
            raise BagError(f'a message on {topic!r} could not be written to {self.path}: '
                           f'{error}; make room on the disk') from error
        self.message_count += 1

    def flush(self) -> None:
        """
        Hand what was written so far to the operating system, as chunks that are whole.

        Whatever then ends this process, ``mcap recover`` finds these messages.

        :raises BagError: if the disk does not take them.
        """
        storage = self._writer.storage
        try:
            if storage.chunk.msgs:
                storage.close_chunk()
            storage.bio.flush()
        except OSError as error:
            raise BagError(f'what was recorded could not be written to {self.path}: {error}; make '
                           'room on the disk') from error

    def is_gone(self) -> bool:
        """Tell whether somebody has removed or moved the file that is being written."""
        return not os.path.exists(self._writer.storage.path)

    def close(self) -> None:
        """
        Finish the episode: index, metadata, readable by every rosbag2 tool.

        :raises BagError: if it cannot be written to its end.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            return
        is_gone = not os.path.exists(writer.storage.path)
        try:
            writer.close()
        except (WriterError, OSError) as error:
            self._let_go(writer)
            if not is_gone:
                raise BagError(f'the bag {self.path} could not be finished: {error}; make room '
                               'on the disk, and keep it apart from the finished episodes'
                               ) from error
        if is_gone:
            with suppress(OSError):  # the folder may be there, with all but the messages
                (self.path / 'metadata.yaml').unlink()
            raise BagError(f'the bag {self.path} was removed or moved while it was written; '
                           'record the episode again. Where it was moved, its .mcap file is '
                           'whole, and can be converted with --contract')

    def discard(self) -> None:
        """
        Drop the episode and remove its folder, unless somebody has done so already.

        :raises BagError: if the folder cannot be removed.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            return
        self._let_go(writer)
        try:
            if self.path.exists():
                shutil.rmtree(self.path)
        except OSError as error:
            raise BagError(f'the bag {self.path} could not be removed: {error}; remove its folder '
                           'by hand') from error

    def __enter__(self):
        """Return the open bag."""
        return self

    def __exit__(self, error_type, error, traceback):
        """Keep the episode, or drop it when an exception passes."""
        if error_type is None:
            self.close()
        else:
            self.discard()

    def _let_go(self, writer):
        """Close the file, whatever is left to write to it."""
        with suppress(WriterError, OSError):  # a full disk may refuse the rest; so be it
            writer.abort()

    def _connect(self, name, message_type):
        """Declare a topic with the definition of its type."""
        if message_type not in self._typestore.fielddefs:
            raise BagError(f'topic {name!r}: message type {message_type!r} is unknown; record '
                           'types of the common ROS packages, or pass a typestore that has it')
        return self._writer.add_connection(name, message_type, typestore=self._typestore)

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

"""
Write one episode into one rosbag (mcap), with the robot contract inside its metadata.

Until the bag is closed, the file ``unfinished.json`` beside it holds the contract and what else
belongs to the episode; with it ``repair`` makes a whole bag of what a killed program left.
"""

from contextlib import suppress
import os
from pathlib import Path
import shutil

from diffusion_policy_ros.data.bags import durable, episode_files, metadata
from diffusion_policy_ros.data.bags.checked_mcap import CheckedWriter
from diffusion_policy_ros.errors import BagError
from diffusion_policy_ros.on_disk import sync
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2.errors import WriterError
from rosbags.typesys import get_types_from_msg, get_typestore, Stores, TypesysError

# The newest metadata layout that Humble still reads: QoS profiles as text.
METADATA_VERSION = 8


def prepare() -> None:
    """Load the message definitions, so that the first bag is open at once when it is wanted."""
    get_typestore(Stores.LATEST)


class EpisodeBag:
    """
    A bag that holds one episode: every message as received, and the contract to read it by.

    Use it as a context manager, or call ``close``. Leaving the ``with`` block through an exception
    removes the bag.

    :ivar path: Folder of the bag.
    :ivar message_count: Messages written so far.
    """

    def __init__(self, folder, contract, *, task='', fields=None, compress=True, typestore=None):
        """
        Create the bag's folder and open it for writing.

        :param folder: Folder to create; ``ros2 bag play`` takes it. Its parents are created.
        :param contract: The ``RobotContract`` that the messages follow; None where ``fields``
            hold it as text, or nobody knows it.
        :param task: What the demonstration shows, one sentence.
        :param fields: More entries for the metadata's ``custom_data``, ``{str: str}``.
        :param compress: Compress the chunks inside the mcap file with zstd, each with a checksum;
            without compression there is none.
        :param typestore: rosbags typestore with the message definitions; the newest by default.
        :raises BagError: if the folder exists already (nothing is ever overwritten) or cannot be
            created.
        """
        self.path = Path(folder)
        self.message_count = 0
        self._connections = {}
        self._typestore = typestore or get_typestore(Stores.LATEST)
        self._writer = self._lock = self._sync = None
        known = {} if contract is None else {'contract': contract.to_yaml(), 'task': task}
        self._fields = {**known, **(fields or {})}
        try:
            self._open(compress)
        except WriterError as error:
            raise BagError(f'the bag {self.path} exists already and is never overwritten; choose '
                           'another folder, or stop the other program that records into this '
                           'one') from error
        except OSError as error:
            self._withdraw()
            raise BagError(f'cannot create the bag {self.path}: {error}; make room, or choose '
                           'another folder') from error

    @property
    def size_bytes(self) -> int:
        """Return how much of the bag is in its file, bytes; 0 where that is gone."""
        with suppress(OSError):
            return os.path.getsize(self._writer.storage.path)
        return 0

    @property
    def late_s(self) -> float:
        """Return how much of the newest messages a power loss would cost because the disk is slow.

        In s, counted from the last ``flush`` that is on the disk whole; 0 where all are.
        """
        return 0.0 if self._sync is None else self._sync.late_s

    def set_field(self, key, value) -> None:
        """
        Set an entry of the metadata's ``custom_data``, which is written when the bag is closed.

        :param key: Its name.
        :param value: Its text.
        """
        self._fields[key] = value

    def write(self, topic, message_type, cdr_bytes, receive_ns, definition='') -> None:
        """
        Append one message.

        :param topic: Topic name; a relative one is recorded with a leading "/".
        :param message_type: ROS type name, such as ``sensor_msgs/msg/Image``.
        :param cdr_bytes: Serialized message, bytes or memoryview.
        :param receive_ns: Arrival time, ns, at least 0.
        :param definition: Text of the type's definition (``ros2msg``), for a type that the
            typestore does not know.
        :raises BagError: if the bag is closed, the message type is unknown or the bag cannot
            take the message.
        """
        if self._writer is None:
            raise BagError(f'the bag {self.path} is closed; a message on {topic!r} came too late')
        name = topic if topic.startswith('/') else f'/{topic}'
        try:
            if name not in self._connections:
                self._connections[name] = self._connect(name, message_type, definition)
            self._writer.write(self._connections[name], receive_ns, cdr_bytes)
        except (WriterError, OSError) as error:
            raise BagError(f'a message on {topic!r} could not be written to {self.path}: '
                           f'{error}; make room on the disk') from error
        self.message_count += 1

    def flush(self) -> None:
        """
        Hand what was written so far to the operating system, as chunks that are whole.

        Whatever then ends this process, ``repair`` finds these messages. A thread brings them to
        the disk, so that they survive a power loss too.

        :raises BagError: if the disk does not take them, or did not take those before.
        """
        storage = self._writer.storage
        try:
            if storage.chunk.msgs:
                storage.close_chunk()
            storage.bio.flush()
            self._sync.ask()
        except OSError as error:
            raise BagError(f'what was recorded could not be written to {self.path}: {error}; make '
                           'room on the disk') from error

    def is_gone(self) -> bool:
        """Tell whether somebody has removed or moved the file that is being written."""
        return not os.path.exists(self._writer.storage.path)

    def close(self) -> None:
        """
        Finish the episode: index, metadata, readable by every rosbag2 tool, and on the disk.

        :raises BagError: if it cannot be written to its end.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            return
        is_gone = not os.path.exists(writer.storage.path)
        try:
            self._finish(writer, is_gone)
        except (WriterError, OSError) as error:
            self._let_go(writer)
            if not is_gone:
                raise BagError(f'the bag {self.path} could not be finished: {error}; make room '
                               'on the disk, and keep it apart from the finished episodes'
                               ) from error
        finally:
            self._release()
        if is_gone:
            for name in (metadata.NAME, episode_files.NOTE):  # all may be there but the messages
                with suppress(OSError):
                    (self.path / name).unlink()
            raise BagError(f'the bag {self.path} was removed or moved while it was written; '
                           'record the episode again. Where it was moved, its .mcap file is '
                           'whole, and can be converted with --contract')

    def set_aside(self, name) -> Path:
        """
        Move the bag into a folder beside it, closed or not; ``close`` then finishes it there.

        Whoever wants it apart from the finished episodes moves it first: ended between the two,
        the program leaves nothing that could be taken for an episode.

        :param name: One of ``episode_files.SET_ASIDE``.
        :return: Its new path.
        :raises BagError: if it cannot be moved; it is then where it was.
        """
        self.path = episode_files.set_aside(self.path, name)
        if self._writer is not None:
            self._writer.path, self._writer.metapath = self.path, self.path / metadata.NAME
            self._writer.storage.path = self.path / self._writer.storage.path.name
        return self.path

    def __enter__(self):
        """Return the open bag."""
        return self

    def __exit__(self, error_type, error, traceback):
        """Keep the episode, or drop it when an exception passes."""
        if error_type is None:
            self.close()
        else:
            self._withdraw()

    def _open(self, compress):
        """Create the folder, and write down what the episode is before any of its messages."""
        new_parents = durable.missing_parents(self.path)
        self._writer = CheckedWriter(self.path, version=METADATA_VERSION,
                                     storage_plugin=StoragePlugin.MCAP)
        if compress:
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        # A recorder that starts just now may be looking whether this one needs repair.
        self._lock = durable.BagLock(self.path, wait_s=1.0)
        episode_files.write_note(self.path, self._fields)
        # A slow disk must not hold the recording up. The note goes first, with the folders that
        # lead to it where they are new.
        self._sync = durable.BackgroundSync(
            self._writer.storage.bio.fileno(), [*episode_files.note_paths(self.path),
                                                *(folder.parent for folder in new_parents)])

    def _withdraw(self):
        """Leave nothing of a bag that could not be created, or that nobody wants."""
        writer, self._writer = self._writer, None
        if writer is not None and writer.storage is not None:
            self._let_go(writer)
            shutil.rmtree(self.path, ignore_errors=True)
        self._release()

    def _finish(self, writer, is_gone):
        """Write the end. The note goes last: whoever finds one looks whether the rest is there."""
        for key, value in self._fields.items():
            writer.set_custom_data(key, value)
        if not is_gone:
            episode_files.write_note(self.path, self._fields)
            episode_files.sync_note(self.path)
        path = writer.storage.path
        writer.close()
        if not is_gone:
            for done in (path, writer.metapath, self.path):
                sync(done)
            episode_files.remove_note(self.path)

    def _release(self):
        """Give back what the writing needed."""
        if self._sync is not None:
            self._sync.close()
        if self._lock is not None:
            self._lock.release()
        self._sync = self._lock = None

    def _let_go(self, writer):
        """Close the file, whatever is left to write to it."""
        with suppress(WriterError, OSError):  # a full disk may refuse the rest; so be it
            writer.abort()

    def _connect(self, name, message_type, definition):
        """Declare a topic with the definition of its type."""
        if message_type not in self._typestore.fielddefs and definition:
            self._learn(message_type, definition)
        if message_type not in self._typestore.fielddefs:
            raise BagError(f'topic {name!r}: message type {message_type!r} is unknown; record '
                           'types of the common ROS packages, or pass a typestore that has it')
        try:
            return self._writer.add_connection(name, message_type, typestore=self._typestore)
        except TypesysError as error:  # a type inside it
            raise BagError(f'topic {name!r}: the definition of {message_type} is incomplete: '
                           f'{error}') from error

    def _learn(self, message_type, definition):
        """Take a type, and those inside it, from the text of its definition."""
        try:
            found = get_types_from_msg(definition, message_type)
        except Exception as error:  # a parser of foreign text may raise anything
            raise BagError(f'the definition of {message_type} cannot be read: {error}') from error
        self._typestore.register({name: fields for name, fields in found.items()
                                  if name not in self._typestore.fielddefs})

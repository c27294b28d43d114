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

"""What the tests of the data line share: a small contract, its messages, and bags of them."""

from contextlib import contextmanager
import os
import random
import resource
import stat

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.bags.storage_order import SetBack
from diffusion_policy_ros.data.topic_messages import build_topic
from diffusion_policy_ros.messages import planar_pose_stamped
from mcap.writer import CompressionType, Writer as McapWriter
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

CONTRACT = """
robot: small
rate_hz: 10
settle_ms: 20
observations:
  - {key: observation.images.camera, topic: camera/image_raw, type: sensor_msgs/msg/Image,
     image: {height: 12, width: 16}, max_age_ms: 150}
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [elbow, wrist], max_age_ms: 150}
  - {key: observation.environment_state, topic: block_pose, type: geometry_msgs/msg/PoseStamped,
     role: auxiliary, max_age_ms: 150}
actions:
  - {topic: joint_commands, type: sensor_msgs/msg/JointState, joints: [elbow, wrist],
     max_age_ms: 150}
"""
START_NS = 1_700_000_000_000_000_000
STRING = 'std_msgs/msg/String'
TOPICS = ('/a', '/b')
STEP_NS = 10_000_000


class Demonstration:
    """Messages of the small contract: row k shows values that name k."""

    def __init__(self, contract):
        self.contract = contract
        self.typestore = get_typestore(Stores.LATEST)
        self.streams = {s.topic: s for s in contract.observations + contract.actions}

    def values(self, topic, k):
        """Return what a topic shows in row k."""
        if topic == 'camera/image_raw':
            rows, columns = np.mgrid[:12, :16]
            return np.stack([rows * 5 + k, columns * 5 + k, rows + columns], -1).astype(np.uint8)
        if topic == 'block_pose':
            return 0.1 * k, 0.2 * k, 0.3 * k
        offset = 100.0 if topic == 'joint_commands' else 0.0
        return np.array([offset + k, offset + k + 0.5])

    def message(self, topic, k, stamp_ns):
        """Build the message of row k."""
        values, types = self.values(topic, k), self.typestore.types
        if topic == 'block_pose':
            return planar_pose_stamped(types, *values, stamp_ns)
        return build_topic([(self.streams[topic], values)], types, stamp_ns)

    def messages(self, rows):
        """List (topic, message, receive_ns) of rows whose stamps are their ticks."""
        ticks = [(k, self.contract.tick_ns(START_NS, k)) for k in rows]
        return [(topic, self.message(topic, k, tick), tick)
                for k, tick in ticks for topic in self.streams]

    def write_bag(self, folder, rows, contract=None, leave_out=(), **options):
        """Write a bag of those rows."""
        options = {'task': 'Move the block.', **options}
        with EpisodeBag(folder, contract or self.contract, typestore=self.typestore,
                        **options) as bag:
            for topic, message, receive_ns in self.messages(rows):
                if topic not in leave_out:
                    kind = self.streams[topic].type
                    bag.write(topic, kind, self.typestore.serialize_cdr(message, kind), receive_ns)
        return folder


@contextmanager
def full_disk(size):
    """Let every file of this process be full at some size in bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class StringBags:
    """
    Writes bags whose messages name their number, on two topics in turn, 10 ms apart.

    Bags named ``mcap-*`` are written by the mcap library, with checksums; ``recorder`` as the
    recorder does, with checksums too; the others by rosbags.
    """

    kinds = ('mcap-none', 'mcap-zstd', 'mcap-lz4', 'mcap-unchunked', 'sqlite3', 'file', 'message',
             'rosbags', 'recorder', 'ros1', 'ros1-lz4')
    topics = TOPICS
    type = STRING

    def __init__(self):
        self.types = get_typestore(Stores.LATEST)

    def truth(self, count):
        """List (topic, text, receive_ns); every seventh message is longer than some pages."""
        noise = random.Random(0)
        return [(TOPICS[number % 2],
                 f'{number} {noise.randbytes(20_000 if number % 7 == 3 else number).hex()}',
                 START_NS + number * STEP_NS) for number in range(count)]

    def write(self, kind, path, count=60, chunk_size=4000):
        """Write a bag; return its storage file."""
        if kind.startswith('mcap'):
            return self._write_mcap(kind, path, count, chunk_size)
        if kind.startswith('ros1'):
            return self._write_ros1(kind, path, count)
        if kind == 'recorder':
            return self._write_as_recorder(path, count, chunk_size)
        writer = Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3
                        if kind in ('sqlite3', 'file') else StoragePlugin.MCAP)
        if kind in ('file', 'message'):
            writer.set_compression(CompressionMode[kind.upper()], CompressionFormat.ZSTD)
        with writer:
            connections = {topic: writer.add_connection(topic, STRING, typestore=self.types)
                           for topic in TOPICS}
            for topic, text, receive_ns in self.truth(count):
                writer.write(connections[topic], receive_ns, self.serialize(text))
                if kind in ('rosbags', 'message') and writer.storage.chunk.bio.tell() > chunk_size:
                    writer.storage.close_chunk()
        return next(file for file in path.iterdir() if file.suffix != '.yaml')

    def serialize(self, text):
        """Serialize one string."""
        return bytes(self.types.serialize_cdr(self.types.types[STRING](text), STRING))

    def read(self, path):
        """Return the messages as in ``truth`` and the losses."""
        with open_bag(path) as bag:
            found = [(topic, message.data, receive_ns) for topic, message, receive_ns in
                     bag.messages(dict.fromkeys(TOPICS, STRING))]
            return found, bag.losses

    def read_any(self, path):
        """Return all messages of whatever topics and types are there, and the losses."""
        with open_bag(path) as bag:
            bag.counts()
            wanted = {topic: kind for topic, (kind, _, found) in bag.counts().items() if found}
            items = [item for item in bag.messages(wanted) if not isinstance(item, SetBack)]
            return [(topic, getattr(message, 'data', None), receive_ns)
                    for topic, message, receive_ns in items], bag.losses

    def _write_mcap(self, kind, path, count, chunk_size):
        """Write with the mcap library."""
        path.mkdir()
        file = path / 'strings.mcap'
        compression = {'zstd': CompressionType.ZSTD, 'lz4': CompressionType.LZ4}
        with open(file, 'wb') as stream:
            writer = McapWriter(
                stream, chunk_size, use_chunking=not kind.endswith('unchunked'),
                compression=compression.get(kind.partition('-')[2], CompressionType.NONE))
            writer.start('ros2')
            schema = writer.register_schema(STRING, 'ros2msg', b'string data')
            channels = {topic: writer.register_channel(topic, 'cdr', schema) for topic in TOPICS}
            for topic, text, receive_ns in self.truth(count):
                writer.add_message(channels[topic], receive_ns, self.serialize(text), receive_ns)
            writer.finish()
        return file

    def _write_as_recorder(self, path, count, chunk_size):
        """Write with the recorder's writer."""
        with EpisodeBag(path, None, typestore=self.types) as bag:
            for topic, text, receive_ns in self.truth(count):
                bag.write(topic, STRING, self.serialize(text), receive_ns)
                if bag._writer.storage.chunk.bio.tell() > chunk_size:
                    bag.flush()
        return path / f'{path.name}.mcap'

    def _write_ros1(self, kind, path, count):
        """Write with rosbags."""
        types = get_typestore(Stores.ROS1_NOETIC)
        path.mkdir()
        writer = Ros1Writer(path / 'strings.bag')
        writer.chunk_threshold = 20_000
        if kind.endswith('lz4'):
            writer.set_compression(writer.CompressionFormat.LZ4)
        with writer:
            connections = {topic: writer.add_connection(topic, STRING, typestore=types)
                           for topic in TOPICS}
            for topic, text, receive_ns in self.truth(count):
                data = types.serialize_ros1(types.types[STRING](text), STRING)
                writer.write(connections[topic], receive_ns, data)
        return path / 'strings.bag'


@pytest.fixture(name='full_disk')
def give_full_disk():
    """Give the context manager."""
    return full_disk


@pytest.fixture
def unsynced_folders(monkeypatch):
    """Let the disk bring no folder to it, as some network disks."""
    fsync = os.fsync

    def refuse(number):
        if stat.S_ISDIR(os.fstat(number).st_mode):
            raise OSError(22, 'Invalid argument')
        fsync(number)
    monkeypatch.setattr(os, 'fsync', refuse)


@pytest.fixture(scope='session')
def contract():
    """Give the small contract."""
    return parse_contract(CONTRACT)


@pytest.fixture(scope='session')
def demonstration(contract):
    """Give the message maker of the small contract."""
    return Demonstration(contract)


@pytest.fixture(scope='session')
def strings():
    """Give the writer of small bags."""
    return StringBags()

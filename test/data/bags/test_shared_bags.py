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
Every bag of the shared data has its outcome: each topic is read, or counted and refused.

The counts in the table are checked against other readers: sqlite3 itself, the mcap library and
rosbags' reader for ROS 1.
"""

from collections import Counter
import io
import os
import sqlite3
import struct

from diffusion_policy_ros.data.bags.bag_paths import find_bags
from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.errors import BagError
from mcap.reader import make_reader
from mcap.records import Channel, Message
from mcap.stream_reader import StreamReader
import pytest
from rosbags.rosbag1 import Reader as Ros1Reader
import zstandard

READ = None
EMPTY = 'holds no message$'
UNKNOWN = 'whose definition is not known: the bag does not hold it'
SERVICE = 'carries the calls of a service, which can be counted only'
FOREIGN = "is serialized as 'wrong_format'"
MISFIT = 'none of the 10 messages on /rosout can be decoded'

EVENTS = {
    '/test_topic1': (1, READ), '/test_topic2': (1, READ), '/events/write_split': (0, EMPTY),
    '/test_service1/_service_event': (4, SERVICE), '/test_service2/_service_event': (4, SERVICE)}
TOPICS_AND_SERVICES = {
    '/parameter_events': (7, READ), '/events/write_split': (0, EMPTY), '/rosout': (0, EMPTY),
    '/add_two_ints/_service_event': (6, SERVICE), '/add_two_ints2/_service_event': (0, EMPTY)}
TALKER = {'/topic': (10, READ), '/rosout': (10, READ), '/parameter_events': (0, EMPTY)}
WBAG = {'AAA': (804, READ), 'BBB': (742, READ), 'CCC': (742, READ), 'DDD': (753, READ),
        'EEE': (804, READ), 'FFF': (772, READ), 'GGG': (731, READ), 'HHH': (726, READ)}
CHATTER = {'/chatter': (3177, READ)}


def kinds(outcome, **topics):
    """Return topics that share an outcome."""
    return {name: (number, outcome) for name, number in topics.items()}


def foreign():
    """Return the topics of the bags that name a serialization which nobody knows."""
    return {'/test_topic': (3, FOREIGN), '/array_topic': (4, FOREIGN)}


A, B = {'a_empty': 100, 'b_basictypes': 50}, {'a_empty': 25, 'c_strings': 50}
PY = 'rosbag2_official/rosbag2_py/test/resources'
CPP = 'rosbag2_official/rosbag2_cpp/test/rosbag2_cpp/bags'
TESTS = 'rosbag2_official/rosbag2_tests/resources'
TRANSPORT = 'rosbag2_official/rosbag2_transport/test/resources'
ZSTD = 'rosbag2_official_compressed'
TURTLE = 'turtlesim_teleop'
# {bag: {topic: (number of messages, why they cannot be decoded)}}
BAGS = {
    'ros1/example.bag': {
        '/rosout': (10, READ), '/turtle1/color_sensor': (1351, READ), '/tf_static': (1, READ),
        '/turtle2/color_sensor': (1344, READ), '/turtle1/pose': (1344, READ),
        '/turtle2/pose': (1344, READ), '/tf': (2688, READ), '/turtle2/cmd_vel': (208, READ),
        '/turtle1/cmd_vel': (357, READ)},
    'rosbag2_official/ros2bag/test/resources/empty_bag': {
        '/rosout': (0, EMPTY), '/parameter_events': (0, EMPTY)},
    f'{CPP}/only_services.mcap': {'/add_two_ints/_service_event': (12, SERVICE)},
    f'{CPP}/only_topics.mcap': {
        '/rosout': (0, EMPTY), '/parameter_events': (7, READ), '/events/write_split': (0, EMPTY)},
    f'{CPP}/topics_and_services.mcap': TOPICS_AND_SERVICES,
    f'{CPP}/topics_and_services.db3': TOPICS_AND_SERVICES,
    f'{PY}/mcap/convert_a': kinds(READ, **A),
    f'{PY}/mcap/convert_b': kinds(READ, **B),
    f'{PY}/mcap/reindex_test_bags/multiple_files': CHATTER,
    f'{PY}/mcap/talker': TALKER,
    f'{PY}/mcap/wbag': WBAG,
    f'{PY}/sqlite3/convert_a': kinds(UNKNOWN, **A),
    f'{PY}/sqlite3/convert_b': kinds(UNKNOWN, **B),
    f'{PY}/sqlite3/reindex_test_bags/multiple_files': CHATTER,
    # The definition of Log in this file is "string data", which is not what was recorded.
    f'{PY}/sqlite3/talker': {**TALKER, '/rosout': (10, MISFIT)},
    f'{PY}/sqlite3/wbag': WBAG,
    f'{TESTS}/mcap/bag_with_topics_and_service_events': EVENTS,
    f'{TESTS}/mcap/cdr_test': {'/test_topic': (3, READ), '/array_topic': (4, READ)},
    f'{TESTS}/mcap/wrong_rmw_test': foreign(),
    f'{TESTS}/sqlite3/bag_with_topics_and_service_events': EVENTS,
    f'{TESTS}/sqlite3/cdr_test': {'/test_topic': (3, READ), '/array_topic': (4, READ)},
    f'{TESTS}/sqlite3/wrong_rmw_test': foreign(),
    f'{TRANSPORT}/mcap/rewriter_a': kinds(READ, **A),
    f'{TRANSPORT}/mcap/rewriter_b': kinds(READ, **B),
    f'{TRANSPORT}/mcap/test_bag_for_seek': kinds(READ, topic1=5),
    f'{TRANSPORT}/sqlite3/rewriter_a': kinds(UNKNOWN, **A),
    f'{TRANSPORT}/sqlite3/rewriter_b': kinds(UNKNOWN, **B),
    f'{TRANSPORT}/sqlite3/test_bag_for_seek': kinds(UNKNOWN, topic1=5),
    f'{ZSTD}/file_compression': {
        '/topic': (383, READ), '/rosout': (392, READ), '/parameter_events': (0, EMPTY)},
    f'{ZSTD}/message_compression': {
        '/topic': (369, READ), '/rosout': (758, READ), '/parameter_events': (0, EMPTY)},
    f'{ZSTD}/multiple_files': CHATTER,
    'small_mcap/array_msgs': {'/one_shot/imu': (1, READ), '/one_shot/joint_state': (1, READ)},
    'small_mcap/base_msgs': {'/one_shot/twist': (1, READ), '/one_shot/vector3': (1, READ),
                             '/one_shot/string': (1, READ)},
    f'{TURTLE}/rosbag2_2023_03_10-12_38_38': {'/turtle1/cmd_vel': (369, READ)},
    f'{TURTLE}/subset': {'/turtle1/pose': (2245, UNKNOWN), '/turtle1/cmd_vel': (475, READ)},
    f'{TURTLE}/turtlepose': {'/turtle1/pose': (1931, UNKNOWN)},
}
# sqlite3 without metadata.yaml: nothing tells how many messages there should be.
WITHOUT_PROMISE = (f'{CPP}/topics_and_services.db3',
                   f'{PY}/sqlite3/reindex_test_bags/multiple_files')


@pytest.fixture(scope='module')
def root(shared_data):
    """Return the folder of the bags."""
    return shared_data / 'bags'


def count_rows(database):
    """Count the messages of each topic as sqlite3 does."""
    return dict(database.execute(
        'SELECT name, (SELECT count(*) FROM messages WHERE topic_id = topics.id) FROM topics'))


def recount(file):
    """Count the messages of each topic in a storage file by another reader."""
    if file.suffix == '.mcap':
        records = list(StreamReader(io.BytesIO(file.read_bytes())).records)
        topics = {r.id: r.topic for r in records if isinstance(r, Channel)}
        found = Counter(topics[r.channel_id] for r in records if isinstance(r, Message))
        return {topic: found[topic] for topic in topics.values()}
    if file.suffix == '.bag':
        with Ros1Reader(file) as reader:
            return {topic: info.msgcount for topic, info in reader.topics.items()}
    database = sqlite3.connect(':memory:')
    data = file.read_bytes()
    if file.suffix == '.zstd':
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    database.deserialize(data[:18] + b'\1\1' + data[20:])  # a database in memory has no -wal
    return count_rows(database)


def test_every_bag_is_in_the_table(root):
    """A new one fails until somebody has said what becomes of it."""
    assert {str(bag.relative_to(root)) for bag in find_bags(root)} == set(BAGS)


@pytest.mark.parametrize('name', BAGS)
def test_every_message_is_found(root, name):
    """As many as other readers find, and as many as were promised."""
    with open_bag(root / name) as bag:
        counts = bag.counts()
        assert bag.losses == []
    expected = {topic: number for topic, (number, _) in BAGS[name].items()}
    assert {topic: found for topic, (_, _, found) in counts.items()} == expected
    assert {topic: promised for topic, (_, promised, _) in counts.items()} \
        == (dict.fromkeys(expected) if name in WITHOUT_PROMISE else expected)


@pytest.mark.skipif(not hasattr(sqlite3.Connection, 'deserialize'), reason='needs Python 3.11')
@pytest.mark.parametrize('name', BAGS)
def test_other_readers_find_as_many(root, name):
    """Neither the table nor the code under test counts for itself."""
    path = root / name
    files = [path] if path.is_file() else [
        file for file in path.iterdir() if file.suffix in ('.mcap', '.db3', '.zstd')]
    found = Counter()
    for file in files:
        found.update(recount(file))
    assert found == {topic: number for topic, (number, _) in BAGS[name].items()}


@pytest.mark.parametrize('name', BAGS)
def test_every_topic_is_read_whole_or_refused_with_its_reason(root, name):
    """None reads as empty."""
    with open_bag(root / name) as bag:
        for topic, (number, refusal) in BAGS[name].items():
            wanted = {topic: bag.topics[topic][0]}
            if refusal is READ:
                messages = list(bag.messages(wanted))
                times = [receive_ns for _, _, receive_ns in messages]
                assert len(messages) == number > 0 and times == sorted(times)
                assert bag.losses == []
            else:
                with pytest.raises(BagError, match=refusal):
                    list(bag.messages(wanted))


def test_reading_leaves_the_bags_as_they_are(root, tmp_path):
    """Not even a -shm file is made or touched, in a folder that could be written to."""
    source = root / 'rosbag2_official/ros2bag/test/resources/empty_bag'
    for file in source.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    before = {file.name: (file.read_bytes(), os.stat(file).st_mtime_ns)
              for file in tmp_path.iterdir()}
    with open_bag(tmp_path) as bag:
        bag.counts()
    assert {file.name: (file.read_bytes(), os.stat(file).st_mtime_ns)
            for file in tmp_path.iterdir()} == before


def twist(data):
    """Unpack the six numbers of a Twist."""
    return struct.unpack('<6d', data[-48:])


def payloads(file, topic):
    """Return the bytes on a topic as another reader gives them."""
    if file.suffix == '.bag':
        with Ros1Reader(file) as reader:
            wanted = [c for c in reader.connections if c.topic == topic]
            return [data for _, _, data in reader.messages(wanted)]
    if file.suffix == '.mcap':
        return [message.data for _, _, message in make_reader(
            io.BytesIO(file.read_bytes())).iter_messages(topics=[topic])]
    database = sqlite3.connect(f'{file.as_uri()}?immutable=1', uri=True)
    return [data for data, in database.execute(
        'SELECT data FROM messages JOIN topics ON topic_id = topics.id WHERE name = ? '
        'ORDER BY timestamp', (topic,))]


@pytest.mark.parametrize('name, storage, topic', [
    ('ros1/example.bag', '', '/turtle1/cmd_vel'),
    (f'{TURTLE}/subset', 'subset_0.db3', '/turtle1/cmd_vel'),
    ('small_mcap/base_msgs', 'base_msgs_0.mcap', '/one_shot/twist')])
def test_the_fields_are_those_of_the_bytes(root, name, storage, topic):
    """Unpacked by hand from what another reader gives."""
    with open_bag(root / name) as bag:
        values = [tuple(getattr(part, axis) for part in (message.linear, message.angular)
                        for axis in 'xyz')
                  for _, message, _ in bag.messages({topic: 'geometry_msgs/msg/Twist'})]
    assert values == [twist(data) for data in payloads(root / name / storage, topic)] != []


def test_compressed_messages_are_unpacked(root):
    """The talker counts."""
    with open_bag(root / ZSTD / 'message_compression') as bag:
        texts = [message.data for _, message, _ in bag.messages({'/topic': 'std_msgs/msg/String'})]
    assert texts == [f'Hello, world! {number}' for number in range(4084, 4084 + 369)]

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

"""Messages are decoded by the definitions in their bag; what cannot be is counted, and told."""

from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.errors import BagError
from mcap.writer import Writer as McapWriter
import pytest
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg, get_typestore, Stores

GRIP = 'lab_msgs/msg/Grip'
FORCE = 'lab_msgs/msg/Force'
FORCE_TEXT = 'float64 newton\nstring finger\n'
SEPARATOR = '=' * 80 + '\n'
GRIP_TEXT = f'Force[] forces\nbool closed\n{SEPARATOR}MSG: lab_msgs/Force\n{FORCE_TEXT}'
GRIP_IDL = (
    f'{SEPARATOR}IDL: lab_msgs/msg/Grip\n#include "lab_msgs/msg/Force.idl"\n'
    'module lab_msgs { module msg { struct Grip {\n'
    '  sequence<lab_msgs::msg::Force> forces; boolean closed; }; }; };\n'
    f'{SEPARATOR}IDL: lab_msgs/msg/Force\n'
    'module lab_msgs { module msg { struct Force { double newton; string finger; }; }; };\n')
START_NS = 1_700_000_000_000_000_000


def lab_types(store):
    """Make a typestore that knows the custom types."""
    types = get_typestore(store)
    types.register(get_types_from_msg(FORCE_TEXT, FORCE))
    types.register(get_types_from_msg(GRIP_TEXT.partition('=')[0], GRIP))
    return types


def grip(types, number):
    """Make a message of the custom type."""
    return types.types[GRIP]([types.types[FORCE](0.5 * number, 'left')] * number, number > 1)


def write_mcap(path, kind, encoding, text, payloads, serialization='cdr', topic='/grip'):
    """Write an mcap file with one topic."""
    with open(path, 'wb') as stream:
        writer = McapWriter(stream)
        writer.start('ros2')
        text = text if isinstance(text, bytes) else text.encode()
        schema = writer.register_schema(kind, encoding, text) if encoding else 0
        channel = writer.register_channel(topic, serialization, schema)
        for number, data in enumerate(payloads):
            writer.add_message(channel, START_NS + number, data, START_NS + number)
        writer.finish()
    return path


def write_rosbag(path, types, storage):
    """Write three grips with rosbags."""
    writer = Ros1Writer(path) if storage == 'ros1' else Writer(
        path, version=8, storage_plugin=StoragePlugin[storage.upper()])
    serialize = types.serialize_ros1 if storage == 'ros1' else types.serialize_cdr
    with writer:
        connection = writer.add_connection('/grip', GRIP, typestore=types)
        for number in range(3):
            writer.write(connection, START_NS + number, serialize(grip(types, number), GRIP))
    return path


def forces(path):
    """Read the grips."""
    with open_bag(path) as bag:
        found = [([(force.newton, force.finger) for force in message.forces], message.closed)
                 for _, message, _ in bag.messages({'grip': GRIP})]
        assert bag.losses == []
    return found


EXPECTED = [([], False), ([(0.5, 'left')], False), ([(1.0, 'left')] * 2, True)]


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3', 'ros1'])
def test_custom_types_are_read_by_the_definitions_in_the_bag(tmp_path, storage):
    """Nested ones too, in every storage that keeps them."""
    types = lab_types(Stores.ROS1_NOETIC if storage == 'ros1' else Stores.LATEST)
    path = tmp_path / ('bag.bag' if storage == 'ros1' else 'bag')
    assert forces(write_rosbag(path, types, storage)) == EXPECTED


@pytest.mark.parametrize('encoding, text', [('ros2msg', GRIP_TEXT), ('ros2idl', GRIP_IDL)])
def test_both_languages_of_definitions_are_understood(tmp_path, encoding, text):
    """The bag's own types compare to the last bit."""
    types = lab_types(Stores.LATEST)
    payloads = [bytes(types.serialize_cdr(grip(types, number), GRIP)) for number in range(3)]
    path = write_mcap(tmp_path / 'x.mcap', GRIP, encoding, text, payloads)
    assert forces(path) == EXPECTED
    with open_bag(path) as bag:
        one, two, three = (message for _, message, _ in bag.messages({'/grip': GRIP}))
        assert bag.are_equal(two, two, GRIP) and not bag.are_equal(two, three, GRIP)
        assert bag.types[GRIP] is type(one)


def test_a_definition_in_the_bag_comes_before_the_known_one(tmp_path):
    """Standard types change from one version of ROS to the next."""
    kind = 'std_msgs/msg/Bool'
    payload = b'\0\1\0\0' + b'\7\0\0\0'
    path = write_mcap(tmp_path / 'x.mcap', kind, 'ros2msg', 'int32 truth\n', [payload])
    with open_bag(path) as bag:
        (_, message, _), = bag.messages({'/grip': kind})
        assert message.truth == 7


@pytest.mark.parametrize('kind, encoding, text, said', [
    (GRIP, '', '', 'topic /grip carries no named type, whose definition is not known'),
    (GRIP, 'ros2msg', 'int32 ]]', 'whose definition in the bag cannot be understood'),
    (GRIP, 'protobuf', '\0\1', 'whose definition in the bag cannot be understood'),
    (GRIP, 'ros2msg', 'Nothing nested', 'none of the 2 messages on /grip can be decoded'),
    (GRIP, 'ros2msg', 'float64[9] forces', 'none of the 2 messages on /grip can be decoded'),
])
def test_what_has_no_usable_definition_is_counted_and_refused(
        tmp_path, kind, encoding, text, said):
    """Opening and counting such a bag is no error."""
    path = write_mcap(tmp_path / 'x.mcap', kind, encoding, text, [b'\0\1\0\0' + bytes(8)] * 2)
    with open_bag(path) as bag:
        name, promised, found = bag.counts()['/grip']
        assert (promised, found) == (2, 2)
        with pytest.raises(BagError, match=said):
            list(bag.messages({'/grip': name}))


def test_an_unknown_serialization_is_counted_and_refused(tmp_path):
    """It is named, and nothing is guessed."""
    path = write_mcap(tmp_path / 'x.mcap', GRIP, 'ros2msg', GRIP_TEXT, [b'{}'] * 3, 'json')
    with open_bag(path) as bag:
        assert bag.counts() == {'/grip': (GRIP, 3, 3)} and bag.losses == []
        with pytest.raises(BagError, match="/grip is serialized as 'json', and only cdr and ros1"):
            list(bag.messages({'/grip': GRIP}))


@pytest.mark.parametrize('kind, encoding, schema, serialization', [
    ('foxglove.Log', 'protobuf', b'\x0a\xff\x80\x01\xc3\x28', 'protobuf'),
    (GRIP, 'jsonschema', b'{"type": "object"}', 'json')], ids=['protobuf', 'json'])
def test_other_serializations_do_no_harm_to_what_ros_recorded_beside_them(
        tmp_path, kind, encoding, schema, serialization):
    """Their schemas may be no text, or have the name of a type that is in use."""
    types = lab_types(Stores.LATEST)
    with open(tmp_path / 'x.mcap', 'wb') as stream:
        writer = McapWriter(stream)
        writer.start('ros2')
        other = writer.register_channel('/other', serialization, writer.register_schema(
            kind, encoding, schema))
        ours = writer.register_channel('/grip', 'cdr', writer.register_schema(
            GRIP, 'ros2msg', GRIP_TEXT.encode()))
        for number in range(3):
            data = bytes(types.serialize_cdr(grip(types, number), GRIP))
            writer.add_message(other, START_NS + number, b'\1\2', START_NS + number)
            writer.add_message(ours, START_NS + number, data, START_NS + number)
        writer.finish()
    assert forces(tmp_path / 'x.mcap') == EXPECTED
    with open_bag(tmp_path / 'x.mcap') as bag:
        assert bag.counts() == {'/other': (kind, 3, 3), '/grip': (GRIP, 3, 3)}
        with pytest.raises(BagError, match=f"/other is serialized as '{serialization}', and only"):
            list(bag.messages({'/other': kind}))


def test_a_comment_in_another_character_set_costs_nothing(tmp_path):
    """As of an editor that wrote Latin-1."""
    types = lab_types(Stores.LATEST)
    text = GRIP_TEXT.replace('bool', '# at 20 \xb0C\nbool').encode('latin-1')
    payloads = [bytes(types.serialize_cdr(grip(types, number), GRIP)) for number in range(3)]
    assert forces(write_mcap(tmp_path / 'x.mcap', GRIP, 'ros2msg', text, payloads)) == EXPECTED


def test_calls_of_a_service_are_counted(tmp_path):
    """Their definitions hold a request and a response, and are no message."""
    kind, topic = 'std_srvs/srv/SetBool_Event', '/stop/_service_event'
    path = write_mcap(tmp_path / 'x.mcap', kind, 'ros2msg', 'bool data\n---\nbool success\n',
                      [bytes(8)] * 4, topic=topic)
    with open_bag(path) as bag:
        assert bag.counts() == {topic: (kind, 4, 4)} and bag.losses == []
        with pytest.raises(BagError, match='carries the calls of a service'):
            list(bag.messages({topic: kind}))


def test_a_message_that_is_none_of_its_type_is_left_out_and_told(tmp_path):
    """The others are read."""
    types = lab_types(Stores.LATEST)
    good = bytes(types.serialize_cdr(grip(types, 1), GRIP))
    path = write_mcap(tmp_path / 'x.mcap', GRIP, 'ros2msg', GRIP_TEXT,
                      [good, good[:9], good, b'', b'\xff' * 50])
    with open_bag(path) as bag:
        assert len(list(bag.messages({'/grip': GRIP}))) == 2
        assert len(bag.losses) == 1
        assert bag.losses[0].startswith('3 messages on /grip could not be decoded: ')


def test_definitions_that_contradict_each_other_are_refused(tmp_path):
    """Whichever of them the messages follow."""
    with open(tmp_path / 'x.mcap', 'wb') as stream:
        writer = McapWriter(stream)
        writer.start('ros2')
        for topic, text in (('/one', FORCE_TEXT), ('/two', 'int8 other\n')):
            schema = writer.register_schema(FORCE, 'ros2msg', text.encode())
            channel = writer.register_channel(topic, 'cdr', schema)
            writer.add_message(channel, START_NS, bytes(16), START_NS)
        writer.finish()
    with open_bag(tmp_path / 'x.mcap') as bag, \
            pytest.raises(BagError, match='whose definition in the bag contradicts another one'):
        list(bag.messages({'/two': FORCE}))


def test_a_ros_1_bag_has_the_other_types_of_ros_1(tmp_path):
    """A Header has a sequence number there, in every type that holds one."""
    path = write_rosbag(tmp_path / 'bag.bag', lab_types(Stores.ROS1_NOETIC), 'ros1')
    with open_bag(path) as bag:
        assert 'seq' in bag.types['std_msgs/msg/Header'].__dataclass_fields__


@pytest.mark.parametrize('extra', [b'', b'\1\2\3', b'\x7f' * 8, b'\xff' * 11])
def test_a_little_after_the_last_field_means_nothing(tmp_path, extra):
    """There is room for the alignment of each list; more is of another type."""
    types = lab_types(Stores.LATEST)
    payloads = [bytes(types.serialize_cdr(grip(types, n), GRIP)) for n in range(3)]
    write_mcap(tmp_path / 'few', GRIP, 'ros2msg', GRIP_TEXT, [p + extra for p in payloads])
    assert forces(tmp_path / 'few') == EXPECTED
    more = [payloads[0] + extra, payloads[0] + extra + bytes(12)]
    write_mcap(tmp_path / 'more', GRIP, 'ros2msg', GRIP_TEXT, more)
    with open_bag(tmp_path / 'more') as bag:
        assert len(list(bag.messages({'grip': GRIP}))) == 1
        assert 'bytes follow its last field' in bag.losses[0]


def test_messages_that_a_python_program_wrote_are_read(tmp_path):
    """By rosbag2_py, whose messages rclpy serializes."""
    serialization = pytest.importorskip('rclpy.serialization')
    from sensor_msgs.msg import JointState
    from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
    kinds = {'sensor_msgs/msg/JointState': [
        JointState(name=['a' * n, 'b'] * (n % 3), position=[0.1 * n, 2.0] * (n % 3))
        for n in range(9)]}
    kinds['trajectory_msgs/msg/JointTrajectory'] = [
        JointTrajectory(joint_names=['a' * n], points=[JointTrajectoryPoint(
            positions=[0.1 * n], effort=[1.0] * (n % 2))] * n) for n in range(9)]
    for kind, sent in kinds.items():
        path = tmp_path / kind.rpartition('/')[2]
        text, _ = get_typestore(Stores.LATEST).generate_msgdef(kind)
        write_mcap(path, kind, 'ros2msg', text,
                   [serialization.serialize_message(message) for message in sent], topic='/x')
        with open_bag(path) as bag:
            read = [message for _, message, _ in bag.messages({'x': kind})]
            assert bag.losses == [] and len(read) == 9
        for written, found in zip(sent, read, strict=True):
            again = bag._types.store.serialize_cdr(found, kind)
            assert serialization.deserialize_message(bytes(again), type(written)) == written

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

"""Bags are read completely or refused: the recorder's own, and real ones from elsewhere."""

import shutil

from diffusion_policy_ros.data.bags.bag_reader import find_bags, open_bag
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.errors import BagError
import pytest

STRING = 'std_msgs/msg/String'
TWIST = 'geometry_msgs/msg/Twist'
OFFICIAL = 'bags/rosbag2_official'
JOINTS = {'joint_states': 'sensor_msgs/msg/JointState'}


def count(path, wanted):
    """Read a bag and count."""
    with open_bag(path) as bag:
        return sum(1 for _ in bag.messages(wanted))


def test_messages_come_in_order_of_arrival_under_the_contracts_names(tmp_path, demonstration):
    """Two topics of one bag, interleaved as they arrived."""
    path = demonstration.write_bag(tmp_path / 'bag', range(4))
    wanted = {**JOINTS, 'block_pose': 'geometry_msgs/msg/PoseStamped'}
    with open_bag(path) as bag:
        found = [(topic, receive_ns) for topic, _, receive_ns in bag.messages(wanted)]
        assert bag.promised_count(wanted) == 8
    assert found == [(topic, receive_ns) for topic, _, receive_ns
                     in demonstration.messages(range(4)) if topic in wanted]


def test_contract_inside_is_parsed(tmp_path, demonstration, contract):
    """Without one the property is None."""
    with open_bag(demonstration.write_bag(tmp_path / 'bag', range(1))) as bag:
        assert bag.contract == contract
    with open_bag(tmp_path / 'bag/bag.mcap') as bag:
        assert bag.contract is None


@pytest.fixture
def namespaced_bag(tmp_path, demonstration, contract):
    """Return a function that writes one joint state per namespace."""
    def write(*namespaces):
        kind = JOINTS['joint_states']
        message = demonstration.message('joint_states', 0, 1)
        with EpisodeBag(tmp_path / 'bag', contract) as bag:
            for name in namespaces:
                data = demonstration.typestore.serialize_cdr(message, kind)
                bag.write(f'/{name}/joint_states', kind, data, 1)
        return tmp_path / 'bag'
    return write


def test_a_namespaced_topic_is_found(namespaced_bag):
    """The contract's topics are relative; the robot may have recorded in a namespace."""
    assert count(namespaced_bag('left'), JOINTS) == 1


def test_a_topic_in_two_namespaces_is_ambiguous(namespaced_bag):
    """Guessing the robot would be worse."""
    with pytest.raises(BagError, match='ambiguous: /left/joint_states, /right/joint_states'):
        count(namespaced_bag('left', 'right'), JOINTS)


@pytest.mark.parametrize('wanted, match', [
    ({'nothing': STRING}, "topic 'nothing' was not recorded; the bag has: /block_pose, /camera"),
    ({'joint_states': STRING}, 'carries sensor_msgs/msg/JointState, the contract says std_msgs'),
])
def test_wrong_topics_are_refused(tmp_path, demonstration, wanted, match):
    """The error says what the bag has."""
    path = demonstration.write_bag(tmp_path / 'bag', range(2))
    with pytest.raises(BagError, match=match):
        count(path, wanted)


def test_any_truncation_is_a_bag_error(tmp_path, demonstration):
    """Whatever byte the file ends at."""
    path = demonstration.write_bag(tmp_path / 'bag', range(30))
    storage = path / 'bag.mcap'
    whole = storage.read_bytes()
    for size in range(0, len(whole), max(1, len(whole) // 40)):
        storage.write_bytes(whole[:size])
        for source in (path, storage):
            with pytest.raises(BagError, match='truncated, corrupt'):
                count(source, JOINTS)


@pytest.mark.parametrize('old, new, said', [
    ('name: /joint_states', 'name: 7', r'lists topic 7 of type .sensor_msgs/msg/JointState. with'),
    ('name: /joint_states', 'name: []', r'lists topic \[\] of type'),
    ('type: sensor_msgs/msg/JointState', 'type: {}', r'of type \{\} with 5 messages; it is dam'),
    ('message_count: 5', 'message_count: many', "with 'many' messages; it is damaged"),
    ('task: Move the block.', 'task: 3', "custom_data in metadata.yaml is .*'task': 3"),
    ('custom_data:', 'custom_data: [1]\n  old:', r'custom_data in metadata.yaml is \[1\]'),
    ('files:', 'files: some\n  old:', 'cannot read the bag'),
])
def test_metadata_of_another_kind_is_refused(tmp_path, demonstration, old, new, said):
    """Whatever YAML makes of it."""
    path = demonstration.write_bag(tmp_path / 'bag', range(5)) / 'metadata.yaml'
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(BagError, match=said):
        count(path.parent, JOINTS)


def test_metadata_that_promises_more_is_refused(tmp_path, demonstration):
    """A count in metadata.yaml that the file cannot keep."""
    path = demonstration.write_bag(tmp_path / 'bag', range(5))
    metadata = path / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace('message_count: 5', 'message_count: 6'))
    with pytest.raises(BagError, match='promises 6 messages, 5 could be read'):
        count(path, JOINTS)


@pytest.mark.parametrize('bag, topic, kind, number', [
    ('rosbag2_official_compressed/file_compression', 'topic', STRING, 383),
    ('rosbag2_official_compressed/message_compression', 'topic', STRING, 369),
    ('rosbag2_official_compressed/multiple_files', 'chatter', STRING, 3177),
    ('turtlesim_teleop/subset', 'cmd_vel', TWIST, 475),
    ('small_mcap/array_msgs', 'joint_state', 'sensor_msgs/msg/JointState', 1),
])
def test_real_bags_are_read_completely(shared_data, bag, topic, kind, number):
    """Counts as recounted by other tools."""
    assert count(shared_data / 'bags' / bag, {topic: kind}) == number


@pytest.mark.parametrize('plugin', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('bag, topic, kind', [
    ('rosbag2_py/test/resources/{}/talker', 'topic', STRING),
    ('rosbag2_py/test/resources/{}/convert_a', 'a_empty', 'test_msgs/msg/Empty'),
    ('rosbag2_py/test/resources/{}/convert_b', 'c_strings', 'test_msgs/msg/Strings'),
    ('rosbag2_transport/test/resources/{}/rewriter_a', 'a_empty', 'test_msgs/msg/Empty'),
    ('rosbag2_transport/test/resources/{}/rewriter_b', 'c_strings', 'test_msgs/msg/Strings'),
])
def test_bags_that_would_read_as_empty_are_refused(shared_data, plugin, bag, topic, kind):
    """Their metadata's QoS is not the file's, so that the library passes every message over."""
    with pytest.raises(BagError, match='disagree on the type or QoS|definition is not known'):
        count(shared_data / OFFICIAL / bag.format(plugin), {topic: kind})


@pytest.mark.parametrize('plugin', ['mcap', 'sqlite3'])
def test_the_storage_file_of_such_a_bag_can_be_read(shared_data, plugin):
    """The remedy that the error names works."""
    folder = shared_data / OFFICIAL / f'rosbag2_py/test/resources/{plugin}/talker'
    file = next(p for p in folder.iterdir() if p.suffix in ('.mcap', '.db3'))
    assert count(file, {'topic': STRING}) > 0
    with pytest.raises(BagError, match='/topic, so that its messages cannot be found'):
        count(folder, {'topic': STRING})


def test_a_truncated_compressed_file_is_a_bag_error(shared_data, tmp_path):
    """The decompressor's bare EOFError names no bag."""
    source = shared_data / 'bags/rosbag2_official_compressed/file_compression'
    bag = shutil.copytree(source, tmp_path / 'bag', copy_function=shutil.copyfile)
    file = sorted(bag.glob('*.zstd'))[1]
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BagError, match='EOFError'):
        open_bag(bag)


def test_a_foreign_serialization_is_refused(shared_data):
    """It is a kind of its own, not an empty bag."""
    with pytest.raises(BagError, match='wrong_format'):
        open_bag(shared_data / OFFICIAL / 'rosbag2_tests/resources/mcap/wrong_rmw_test')


def test_bags_are_found_at_any_depth_in_order(tmp_path, demonstration):
    """Folders with metadata count once; stray files count by themselves."""
    for name in ('b/two', 'a', 'b/one'):
        demonstration.write_bag(tmp_path / name, range(1))
    (tmp_path / 'b/one/metadata.yaml').unlink()
    assert find_bags(tmp_path) == [
        tmp_path / 'a', tmp_path / 'b/one/one.mcap', tmp_path / 'b/two']
    assert find_bags(tmp_path / 'a') == [tmp_path / 'a']


def test_a_place_without_bags_is_refused(tmp_path):
    """So is a place that does not exist."""
    with pytest.raises(BagError, match='holds no bag'):
        find_bags(tmp_path)
    with pytest.raises(BagError, match='does not exist'):
        find_bags(tmp_path / 'nowhere')


def test_a_bag_that_does_not_exist_is_not_called_corrupt(tmp_path):
    """Nor is one whose link leads nowhere."""
    (tmp_path / 'link').symlink_to(tmp_path / 'nowhere')
    for name in ('nowhere', 'nowhere.mcap', 'link'):
        with pytest.raises(BagError) as refused:
            open_bag(tmp_path / name)
        assert str(refused.value) == f'{tmp_path / name} does not exist'


def test_a_folder_of_bags_in_place_of_one_is_refused_with_some_of_their_names(
        tmp_path, demonstration):
    """Whoever opens it can copy the name of one, and that is a bag."""
    for name in ('b/two', 'a', 'd', 'c'):
        demonstration.write_bag(tmp_path / name, range(1))
    with pytest.raises(BagError, match=r'but holds a, b/two, c and 1 more; name one') as refused:
        open_bag(str(tmp_path))
    assert 'corrupt' not in str(refused.value)
    assert count(str(refused.value).rpartition('such as ')[2], JOINTS) == 1


def test_the_folder_of_a_killed_recorder_is_refused_with_the_name_of_its_file(
        tmp_path, demonstration):
    """It has no metadata, but the file by itself may be readable."""
    bag = demonstration.write_bag(tmp_path / 'bag', range(1))
    (bag / 'metadata.yaml').unlink()
    with pytest.raises(BagError, match='no metadata.yaml.*, but holds bag.mcap; name one'):
        open_bag(bag)


@pytest.mark.parametrize('look', [open_bag, find_bags])
def test_a_dataset_in_place_of_a_bag_is_called_one(tmp_path, look):
    """It is neither corrupt nor an empty folder."""
    (tmp_path / 'meta').mkdir()
    (tmp_path / 'meta/info.json').write_text('{}')
    with pytest.raises(BagError, match='is a dataset .*, not a bag; name a bag') as refused:
        look(tmp_path)
    assert 'corrupt' not in str(refused.value)


def test_a_folder_without_bags_is_not_called_corrupt(tmp_path):
    """It is told what a bag would be."""
    with pytest.raises(BagError, match='holds no bag: neither metadata.yaml nor'):
        open_bag(tmp_path)

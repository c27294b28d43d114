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

"""Bags are read by what their files hold; what was promised otherwise is told."""

import re
import struct

from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.errors import BagError
import pytest

STRING = 'std_msgs/msg/String'
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
    """Without one the property is None; the metadata beside a file that is named tells it too."""
    with open_bag(demonstration.write_bag(tmp_path / 'bag', range(1))) as bag:
        assert bag.contract == contract
    with open_bag(tmp_path / 'bag/bag.mcap') as bag:
        assert bag.contract == contract
    (tmp_path / 'bag/metadata.yaml').unlink()
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


@pytest.mark.parametrize('other', ['/left/joint_states', '/joint_states'])
def test_one_recorded_topic_under_two_names_is_refused(namespaced_bag, other):
    """One of both would silently get no message."""
    kind = JOINTS['joint_states']
    with pytest.raises(BagError, match=f"topics 'joint_states' and '{other}' of the contract are "
                       'the same recorded topic /left/joint_states; name it in one way'):
        count(namespaced_bag('left'), {'joint_states': kind, other: kind})


@pytest.mark.parametrize('wanted, match', [
    ({'nothing': STRING}, "topic 'nothing' was not recorded; the bag has: /block_pose, /camera"),
    ({'joint_states': STRING}, 'carries sensor_msgs/msg/JointState, the contract says std_msgs'),
])
def test_wrong_topics_are_refused(tmp_path, demonstration, wanted, match):
    """The error says what the bag has."""
    path = demonstration.write_bag(tmp_path / 'bag', range(2))
    with pytest.raises(BagError, match=match):
        count(path, wanted)


@pytest.mark.parametrize('old, new, said', [
    ('name: /joint_states', 'name: 7', r'lists topic 7 of type .sensor_msgs/msg/JointState. with'),
    ('name: /joint_states', 'name: []', r'lists topic \[\] of type'),
    ('type: sensor_msgs/msg/JointState', 'type: {}', r'of type \{\} with 5 messages, so that no'),
    ('message_count: 5', 'message_count: many', "with 'many' messages, so that nobody knows"),
    ('task: Move the block.', 'task: 3', "custom_data holds 'task': 3; texts by name are needed"),
    ('custom_data:', 'custom_data: [1]\n  old:', r"custom_data holds '': \[1\]; texts by name"),
    ('relative_file_paths:', 'relative_file_paths: 3\n  old:', 'it lists the files 3'),
    ('version: 8', 'version: 10', 'is of version 10, and versions up to 9 are known'),
    ('version: 8', 'version: []', r'is of version \[\], and versions up to 9 are known'),
    ('rosbag2_bagfile_information:', 'information:', 'holds no rosbag2_bagfile_information'),
    ('rosbag2_bagfile_information:', '{[', 'metadata.yaml cannot be read .*bag reindex'),
    ('name: /joint_states', 'name: /robot/joint_states',
     'metadata.yaml promises 0 messages on /joint_states, 5 were found'),
    ('type: sensor_msgs/msg/JointState', 'type: std_msgs/msg/String',
     'says that /joint_states carries std_msgs/msg/String, the files say sensor_msgs/msg/Joint'),
])
def test_metadata_of_another_kind_is_told_and_the_messages_are_read(
        tmp_path, demonstration, old, new, said):
    """Whatever YAML makes of it: the storage file knows best what it holds."""
    path = demonstration.write_bag(tmp_path / 'bag', range(5)) / 'metadata.yaml'
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with open_bag(path.parent) as bag:
        messages = list(bag.messages({'/joint_states': JOINTS['joint_states']}))
        assert len(messages) == 5
        assert re.search(said, '\n'.join(bag.losses))


def test_a_bag_as_promised_has_no_losses(tmp_path, demonstration):
    """Neither has its storage file alone, whose own index promises the same."""
    path = demonstration.write_bag(tmp_path / 'bag', range(5))
    for source in (path, path / 'bag.mcap'):
        with open_bag(source) as bag:
            assert bag.counts()['/joint_states'] == (JOINTS['joint_states'], 5, 5)
            assert bag.losses == []


@pytest.mark.parametrize('promised', [6, 4, 0])
def test_counts_that_differ_from_the_promise_are_told(tmp_path, demonstration, promised):
    """For the topics that were asked for; what is there is read."""
    path = demonstration.write_bag(tmp_path / 'bag', range(5))
    metadata = path / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace('message_count: 5',
                                                     f'message_count: {promised}'))
    with open_bag(path) as bag:
        assert bag.losses == []
        assert bag.topics['/joint_states'][1] == bag.promised_count(JOINTS) == promised
        assert len(list(bag.messages(JOINTS))) == 5
        told = f'metadata.yaml promises {promised} messages on {{}}, 5 were found'
        assert bag.losses == [told.format('/joint_states')]
        assert len(bag.counts()) == 4
        assert set(bag.losses) == {told.format(topic) for topic in bag.topics}


def test_two_promises_that_are_both_wrong_are_both_told(tmp_path, demonstration):
    """Of the metadata, and of the file's own index."""
    path = demonstration.write_bag(tmp_path / 'bag', range(5))
    metadata, storage = path / 'metadata.yaml', path / 'bag.mcap'
    data = storage.read_bytes()
    counts = b''.join(struct.pack('<HQ', key, 5) for key in range(1, 5))
    assert data.count(counts) == 1
    storage.write_bytes(data.replace(counts, counts.replace(b'\5', b'\7')))
    joints = {'/joint_states': JOINTS['joint_states']}
    wrong = 'its own index promises 7 messages on /joint_states, 5 were found'
    with open_bag(path) as bag:
        assert len(list(bag.messages(joints))) == 5 and bag.losses == [wrong]
    metadata.write_text(metadata.read_text().replace('message_count: 5', 'message_count: 6'))
    with open_bag(path) as bag:
        assert len(list(bag.messages(joints))) == 5
        assert bag.losses == [wrong.replace('its own index promises 7',
                                            'metadata.yaml promises 6'), wrong]


def test_a_topic_without_messages_is_refused(tmp_path, demonstration):
    """It is promised, but the file does not know it."""
    path = demonstration.write_bag(tmp_path / 'bag', range(5)) / 'metadata.yaml'
    path.write_text(path.read_text().replace('name: /joint_states', 'name: /left/arm'))
    with open_bag(path.parent) as bag, \
            pytest.raises(BagError, match='/left/arm holds no message of the 5 that it promises'):
        list(bag.messages({'left/arm': JOINTS['joint_states']}))

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

"""Metadata of every version is understood, and the QoS in it does not matter."""

from diffusion_policy_ros.data.bags.bag_reader import open_bag
import pytest
from rosbags.rosbag2 import Reader
import yaml

FILE = 'bag.db3'
QOS = {'history': 3, 'depth': 0, 'reliability': 1, 'durability': 2,
       'deadline': {'sec': 0, 'nsec': 0}, 'lifespan': {'sec': 0, 'nsec': 0}, 'liveliness': 1,
       'liveliness_lease_duration': {'sec': 0, 'nsec': 0},
       'avoid_ros_namespace_conventions': False}
NAMED_QOS = {**QOS, 'history': 'keep_last', 'reliability': 'reliable', 'durability': 'volatile',
             'liveliness': 'automatic'}


def metadata_of(version, files=FILE):
    """Write metadata as rosbag2 did in one of its versions."""
    topic = {'type': 'std_msgs/msg/String', 'serialization_format': 'cdr'}
    if version >= 4:
        topic['offered_qos_profiles'] = [NAMED_QOS] if version >= 9 else yaml.safe_dump([QOS])
    if version >= 7:
        topic['type_description_hash'] = ''
    span = {'duration': {'nanoseconds': 590_000_000},
            'starting_time': {'nanoseconds_since_epoch': 1_700_000_000_000_000_000}}
    content = {
        'version': version, 'storage_identifier': 'sqlite3', **span, 'message_count': 60,
        'relative_file_paths': [f'bag/{files}' if version < 4 else files],
        'topics_with_message_count': [
            {'topic_metadata': {'name': name, **topic}, 'message_count': 30}
            for name in ('/a', '/b')]}
    if version >= 3:
        content |= {'compression_format': '', 'compression_mode': ''}
    if version >= 5:
        content['files'] = [{'path': files, **span, 'message_count': 60}]
    if version >= 6:
        content['custom_data'] = {'task': 'Move.'}
    if version >= 8:
        content['ros_distro'] = 'kilted'
    return yaml.safe_dump({'rosbag2_bagfile_information': content})


@pytest.mark.parametrize('version', range(1, 10))
def test_every_version_tells_files_and_counts(tmp_path, strings, version):
    """The library's own reader takes them for metadata too."""
    strings.write('sqlite3', tmp_path / 'bag')
    (tmp_path / 'bag/metadata.yaml').write_text(metadata_of(version))
    with Reader(tmp_path / 'bag') as reader:
        assert reader.message_count == 60
    with open_bag(tmp_path / 'bag') as bag:
        assert bag.counts() == {name: (strings.type, 30, 30) for name in strings.topics}
        assert bag.custom_data == ({'task': 'Move.'} if version >= 6 else {})
    assert strings.read(tmp_path / 'bag') == (strings.truth(60), [])


@pytest.mark.parametrize('kind', ['sqlite3', 'rosbags'])
@pytest.mark.parametrize('version', [8, 9])
def test_qos_that_differs_hides_no_message(tmp_path, strings, kind, version):
    """The library's own reader finds none of them, and says nothing."""
    file = strings.write(kind, tmp_path / 'bag')
    text = metadata_of(version, file.name).replace(
        'identifier: sqlite3', f'identifier: {"sqlite3" if kind == "sqlite3" else "mcap"}')
    (tmp_path / 'bag/metadata.yaml').write_text(text)
    with Reader(tmp_path / 'bag') as reader:
        assert not list(reader.messages(reader.connections))
    assert strings.read(tmp_path / 'bag') == (strings.truth(60), [])


@pytest.mark.parametrize('text', ['', '{}', '[]', '3', 'rosbag2_bagfile_information: 5', ': :',
                                  '\0', '\ud800', '&a [*a]', 'a: 2020-13-45', '{' * 500])
def test_no_text_stops_the_reading(tmp_path, strings, text):
    """Metadata that is none costs the promise, not the messages."""
    strings.write('sqlite3', tmp_path / 'bag')
    (tmp_path / 'bag/metadata.yaml').write_bytes(text.encode('utf-8', 'surrogatepass'))
    found, losses = strings.read(tmp_path / 'bag')
    assert found == strings.truth(60)
    assert losses[0].startswith('metadata.yaml cannot be read (')
    assert losses[1:] == ['nothing tells how many messages the bag should hold']


def test_metadata_that_is_an_lfs_pointer_names_the_remedy(tmp_path, strings):
    """It is a text like any other."""
    strings.write('sqlite3', tmp_path / 'bag')
    (tmp_path / 'bag/metadata.yaml').write_text(
        'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n')
    assert 'it is a Git LFS pointer, run `git lfs pull`' in strings.read(tmp_path / 'bag')[1][0]

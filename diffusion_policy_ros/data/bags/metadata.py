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

"""What a bag's metadata.yaml says, as far as it can be understood."""

from dataclasses import dataclass, field
import os
from pathlib import PurePosixPath

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.data.bags.stored import ros_type
from diffusion_policy_ros.yaml_text import MAX_CHARACTERS, parse_yaml

NAME = 'metadata.yaml'
NEWEST_VERSION = 9


@dataclass
class Metadata:
    """
    The metadata of one bag.

    :ivar files: Names of the storage files in the order of writing, None where unknown.
    :ivar promised: ``{topic: (type, number of messages)}``, None where unknown.
    :ivar serializations: ``{topic: how its messages are said to be written}``.
    :ivar compression: What is compressed, ``file`` or ``message``, and how; empty for nothing.
    :ivar custom_data: ``{str: str}``.
    :ivar losses: One sentence per part that could not be understood.
    """

    files: list = None
    promised: dict = None
    serializations: dict = field(default_factory=dict)
    compression: tuple = ('', '')
    custom_data: dict = field(default_factory=dict)
    losses: list = field(default_factory=list)


def read_metadata(folder) -> Metadata:
    """
    Read the metadata of a bag; every version from 1 to 9 tells what is needed in the same way.

    The QoS profiles are not looked at: nothing that is read depends on them.

    :param folder: The bag's folder.
    :return: What could be understood; nothing where the file is missing.
    """
    metadata = Metadata()
    path = folder / NAME
    if not os.path.isfile(path):
        return metadata
    try:
        content = _content(path)
    except Exception as error:  # a parser of foreign bytes may raise anything
        reason = ' '.join(str(error).split())
        metadata.losses.append(f'{NAME} cannot be read ({reason}), so that nobody knows what it '
                               'promised; `ros2 bag reindex` writes it anew')
        return metadata
    version = content.get('version', 1)  # a few tools leave it out
    if not isinstance(version, int) or version > NEWEST_VERSION:
        metadata.losses.append(f'{NAME} is of version {shown(version)}, and versions up to '
                               f'{NEWEST_VERSION} are known; what it says may be misunderstood')
    metadata.compression = tuple(str(content.get(f'compression_{key}') or '').lower()
                                 for key in ('mode', 'format'))
    _read_files(metadata, content.get('relative_file_paths'))
    _read_promises(metadata, content.get('topics_with_message_count'))
    _read_custom_data(metadata, content.get('custom_data'))
    return metadata


def _content(path):
    """Return the mapping inside the file."""
    with open(path, encoding='utf-8') as file:
        text = file.read(MAX_CHARACTERS + 1)
    if text.startswith('version https://git-lfs'):
        raise ValueError('it is a Git LFS pointer, run `git lfs pull`')
    content = parse_yaml(text, NAME, ValueError)
    content = content.get('rosbag2_bagfile_information') if isinstance(content, dict) else None
    if not isinstance(content, dict):
        raise ValueError('it holds no rosbag2_bagfile_information')
    return content


def _read_files(metadata, files):
    """Take the names of the storage files; the first versions wrote the bag's folder too."""
    names = [PurePosixPath(file).name if isinstance(file, str) else ''
             for file in (files if isinstance(files, list) else [''])]
    if '' in names or '..' in names:
        metadata.losses.append(f'{NAME} is damaged: it lists the files {shown(files)}')
    else:
        metadata.files = names


def _read_promises(metadata, topics):
    """Take the topics with their message counts."""
    promised = {}
    for entry in topics if isinstance(topics, list) else [topics]:
        entry = entry if isinstance(entry, dict) else {}
        topic = entry.get('topic_metadata')
        topic = topic if isinstance(topic, dict) else {}
        name, kind, count = topic.get('name'), topic.get('type'), entry.get('message_count')
        if not isinstance(name, str) or not isinstance(kind, str) or type(count) is not int \
                or count < 0:
            metadata.losses.append(
                f'{NAME} is damaged: it lists topic {shown(name)} of type {shown(kind)} with '
                f'{shown(count)} messages, so that nobody knows what it promised')
            return
        promised[name] = (ros_type(kind), promised.get(name, ('', 0))[1] + count)
        metadata.serializations[name] = topic.get('serialization_format')
    metadata.promised = promised


def _read_custom_data(metadata, custom):
    """Take the texts by name."""
    for key, text in (custom or {}).items() if isinstance(custom or {}, dict) else [('', custom)]:
        if key and isinstance(key, str) and isinstance(text, str):
            metadata.custom_data[key] = text
        else:
            metadata.losses.append(f'{NAME}: custom_data holds {shown(key)}: {shown(text)}; texts '
                                   'by name are needed, so this one was left out')

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

"""Read rosbags (mcap and sqlite3, with and without metadata), refusing what cannot be trusted."""

from contextlib import closing, contextmanager
import os
from pathlib import Path

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.bags.storage_order import (
    is_set_back, one_pass_after_the_other, SetBack, stored_messages)
from diffusion_policy_ros.errors import BagError
from rosbags.rosbag2 import Reader
from rosbags.typesys import get_typestore, Stores

STORAGE_SUFFIXES = ('.mcap', '.db3')
# `ros2 bag reindex` writes metadata.yaml anew, but not the end that a killed recorder left out.
# A recovered file has no contract inside: that is written when a bag is closed.
REMEDY = ('It is truncated, corrupt or of an unsupported kind. If its recorder was killed or the '
          'disk was full, run `mcap recover FILE.mcap -o RECOVERED.mcap` and convert that with '
          '--contract; else record it again')
DATASET_FILE = 'meta/info.json'  # what no LeRobot dataset lacks
MOST_NAMED = 3  # bags in an error


def find_bags(path) -> list:
    """
    Find the bags at a path.

    :param path: A bag (folder with ``metadata.yaml``, or one ``.mcap`` or ``.db3`` file), or a
        folder that holds bags at any depth.
    :return: Paths of the bags, sorted by name.
    :raises BagError: if the path does not exist, is a dataset or holds no bag.
    """
    path = Path(path)
    if not os.path.exists(path):
        raise BagError(f'{path} does not exist')
    if path.is_file() or (path / 'metadata.yaml').is_file():
        return [path]
    files = [file for file in path.rglob('*') if file.suffix in STORAGE_SUFFIXES]
    bags = {file.parent if (file.parent / 'metadata.yaml').is_file() else file for file in files}
    bags |= {file.parent for file in path.rglob('metadata.yaml')}
    if not bags and (path / DATASET_FILE).is_file():
        raise BagError(f'{path} is a dataset (it holds {DATASET_FILE}), not a bag; name a bag, '
                       'such as one that it was converted from')
    if not bags:
        raise BagError(f'{path} holds no bag: neither metadata.yaml nor a file ending in '
                       f'{" or ".join(STORAGE_SUFFIXES)} was found')
    return sorted(bags)


def open_bag(path):
    """
    Open one bag for reading.

    :param path: Folder with ``metadata.yaml``, or one ``.mcap`` or ``.db3`` file.
    :return: An open ``Bag``; use it as a context manager.
    :raises BagError: if the path does not exist, is a dataset or a folder of bags, or if the bag
        is truncated, corrupt or of an unknown kind.
    """
    found = find_bags(path)
    if found != [Path(path)]:
        names = [str(bag.relative_to(path)) for bag in found[:MOST_NAMED]]
        more = f' and {len(found) - MOST_NAMED} more' if found[MOST_NAMED:] else ''
        raise BagError(f'{path} is no bag itself (it has no metadata.yaml), but holds '
                       f'{", ".join(names)}{more}; name one, such as {found[0]}')
    return Bag(path)


class Bag:
    """
    An open bag.

    :ivar path: Its path.
    :ivar custom_data: The metadata's ``custom_data``, ``{str: str}``.
    """

    def __init__(self, path):
        """Open the bag; see ``open_bag``."""
        self.path = Path(path)
        self._typestore = get_typestore(Stores.LATEST)
        with self._reading():
            self._reader = Reader(self.path)
            self._reader.open()
        self.custom_data = self._reader.storage.metadata.custom or {}
        try:
            self._check_metadata()
        except BagError:
            self.close()
            raise

    @property
    def contract(self):
        """
        Return the ``RobotContract`` inside the bag, None where it has none.

        :raises ContractError: if the one inside is invalid.
        """
        text = self.custom_data.get('contract')
        return None if text is None else parse_contract(text, source=f'contract in {self.path}')

    @property
    def types(self) -> dict:
        """Return ``{ROS type name: class}`` of the messages that are read."""
        return self._typestore.types

    def are_equal(self, message, other, kind) -> bool:
        """
        Tell whether two messages are the same to the last bit.

        :param message: Message of the bag's classes.
        :param other: Another one.
        :param kind: Their ROS type name.
        """
        return bytes(self._typestore.serialize_cdr(message, kind)) \
            == bytes(self._typestore.serialize_cdr(other, kind))

    @property
    def topics(self) -> dict:
        """Return ``{recorded topic: (message type, promised message count)}``."""
        found = {}
        for connection in self._reader.connections:
            count = found.get(connection.topic, (None, 0))[1] + connection.msgcount
            found[connection.topic] = (connection.msgtype, count)
        return found

    def promised_count(self, wanted) -> int:
        """
        Return how many messages of some topics the metadata promises.

        :param wanted: Topics as a contract names them.
        :raises BagError: if a topic is missing or ambiguous.
        """
        return sum(self.topics[self._recorded_name(topic)][1] for topic in wanted)

    def messages(self, wanted):
        """
        Yield the messages of some topics in the order of their arrival.

        A relative topic matches the recorded topic of that name in whatever namespace.

        :param wanted: ``{topic: message type}`` as a contract names them.
        :return: Iterator of ``(topic as in wanted, message, receive_ns)``, and of a ``SetBack``
            between what was recorded before and after the clock was set back.
        :raises BagError: if a topic is missing, ambiguous, empty or of another type, if data is
            corrupt, or if fewer messages can be read than the metadata promises.
        """
        names = {self._recorded_name(topic): topic for topic in wanted}
        connections = [c for c in self._reader.connections if c.topic in names]
        for connection in connections:
            self._check_type(connection, wanted[names[connection.topic]])
        self._check_reachable(connections)
        counts = dict.fromkeys(names, 0)
        with self._reading():
            for item in self._by_arrival(connections):
                if isinstance(item, SetBack):
                    yield item
                    continue
                connection, receive_ns, data = item
                counts[connection.topic] += 1
                message = self._typestore.deserialize_cdr(data, connection.msgtype)
                yield names[connection.topic], message, receive_ns
        for name, count in counts.items():
            self._check_count(name, count)

    def close(self) -> None:
        """Close the bag."""
        with self._reading():
            self._reader.close()

    def __enter__(self):
        """Return the bag."""
        return self

    def __exit__(self, *error):
        """Close the bag."""
        self.close()

    @contextmanager
    def _reading(self):
        """Name the bag in whatever its parser stumbles over."""
        try:
            yield
        except BagError:
            raise
        except Exception as error:
            # A parser of foreign bytes may raise anything; all of it means the same to the user.
            cause = f'{type(error).__name__}: {error}'.rstrip('.')
            raise BagError(f'cannot read the bag {self.path}: {cause}. {REMEDY}') from error

    def _check_metadata(self):
        """Refuse metadata whose entries are of another kind than they must be."""
        custom = self.custom_data
        if not isinstance(custom, dict) or not all(
                isinstance(text, str) for entry in custom.items() for text in entry):
            raise BagError(f'bag {self.path}: custom_data in metadata.yaml is {shown(custom)}, '
                           'texts by name are needed. Correct it, or run `ros2 bag reindex`')
        for found in self._reader.connections:
            if not isinstance(found.topic, str) or not isinstance(found.msgtype, str) \
                    or not isinstance(found.msgcount, int):
                raise BagError(f'bag {self.path}: metadata.yaml lists topic {shown(found.topic)} '
                               f'of type {shown(found.msgtype)} with {shown(found.msgcount)} '
                               'messages; it is damaged. Run `ros2 bag reindex`')

    def _by_arrival(self, connections):
        """Return an iterator over the stored messages in the order of their arrival."""
        with closing(stored_messages(self._reader, connections)) as stored:
            set_back = is_set_back(stored)
        if not set_back:
            return self._reader.messages(connections)
        return one_pass_after_the_other(stored_messages(self._reader, connections), self.path)

    def _recorded_name(self, topic):
        """Find the recorded topic that a contract's topic stands for."""
        recorded = self.topics
        wanted = '/' + topic.lstrip('/')
        exact = [name for name in recorded if '/' + name.lstrip('/') == wanted]
        matches = exact or [name for name in recorded if name.endswith(wanted)]
        if len(matches) == 1:
            return matches[0]
        problem = f'is ambiguous: {", ".join(matches)}' if matches else 'was not recorded'
        raise BagError(f'bag {self.path}: topic {topic!r} {problem}; the bag has: '
                       f'{", ".join(sorted(recorded)) or "no topics"}. Correct the topic in the '
                       'contract')

    def _check_type(self, connection, wanted):
        """Refuse a topic that carries another type than the contract says."""
        if connection.msgtype != wanted:
            raise BagError(f'bag {self.path}: topic {connection.topic} carries '
                           f'{connection.msgtype}, the contract says {wanted}')
        if wanted not in self._typestore.fielddefs:
            raise BagError(f'bag {self.path}: topic {connection.topic} carries {wanted}, whose '
                           'definition is not known here')

    def _check_reachable(self, connections):
        """
        Refuse topics whose messages would be passed over in silence.

        The library finds a topic in a storage file by name, type and QoS together. Where the
        metadata's QoS differs from the file's, it reads nothing and reports nothing.
        """
        for storage in getattr(self._reader.storage, 'storages', []):
            for stored in storage.connections:
                same = [c for c in connections if c.topic == stored.topic]
                if same and not any(c.msgtype == stored.msgtype and c.ext == stored.ext
                                    for c in same):
                    raise BagError(
                        f'bag {self.path}: metadata.yaml and {storage.path.name} disagree on the '
                        f'type or QoS of topic {stored.topic}, so that its messages cannot be '
                        'found. Run `ros2 bag reindex` on the folder, or give the storage file '
                        'itself')

    def _check_count(self, name, count):
        """Compare what was read with what the metadata promises."""
        promised = self.topics[name][1]
        if count != promised:
            raise BagError(f'bag {self.path}: topic {name} promises {promised} messages, {count} '
                           'could be read; the metadata is wrong or data is missing. Try `ros2 '
                           'bag reindex`')
        if not count:
            raise BagError(f'bag {self.path}: topic {name} holds no message')

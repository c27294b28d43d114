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
Read rosbags as far as they can honestly be read, and tell what could not be.

ROS 2 (mcap and sqlite3, split, compressed, with and without metadata) and ROS 1. Every message is
found in the storage files themselves; what metadata.yaml says is only compared with that.
"""

from collections import Counter
from copy import copy
from pathlib import Path

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.bags.bag_files import BagFiles
from diffusion_policy_ros.data.bags.bag_paths import find_bags, is_bag_folder
from diffusion_policy_ros.data.bags.bag_types import BagTypes
from diffusion_policy_ros.data.bags.storage_order import by_arrival, SetBack
from diffusion_policy_ros.data.bags.stored import named, not_decoded
from diffusion_policy_ros.data.recorded import is_named_in
from diffusion_policy_ros.errors import BagError


def open_bag(path):
    """
    Open one bag for reading.

    :param path: Folder with ``metadata.yaml`` or of one split recording, or one storage file.
    :return: An open ``Bag``; use it as a context manager.
    :raises BagError: if the path does not exist, is a dataset or a folder of bags, or if no file
        of the bag is there, has any content and is of a known kind.
    """
    found = find_bags(path)
    if found != [Path(path)]:
        names = [str(bag.relative_to(path)) if bag.is_relative_to(path) else str(bag)
                 for bag in found]
        raise BagError(f'{path} is no bag itself (it has no metadata.yaml), but holds '
                       f'{named(names)}; name one, such as {found[0]}')
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
        self._files = BagFiles(self.path, is_folder=is_bag_folder(self.path)
                               if self.path.is_dir() else False)
        self.custom_data = self._files.metadata.custom_data
        self._types = None
        self._asked = set()
        self._undecoded, self._reasons = {}, {}
        self._is_part = False

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
        return self._definitions.store.types

    @property
    def topics(self) -> dict:
        """
        Return ``{recorded topic: (message type, message count)}``.

        The count is the promised one, and the one found where nothing is promised.
        """
        return {topic: (kind, found if promised is None else promised)
                for topic, (kind, promised, found) in self._files.counts().items()}

    @property
    def losses(self) -> list:
        """
        Return one sentence for each thing that was lost, or is not as promised.

        It is complete for the topics that ``messages`` was asked for once they were read to their
        end, and for all topics after ``counts``.
        """
        return self._files.losses(sorted(self._asked)) + [
            not_decoded(topic, *found) for topic, found in self.undecoded.items()]

    @property
    def undecoded(self) -> dict:
        """Return ``{topic: [messages that could not be decoded, why]}``; part of the losses."""
        return {topic: [len(numbers), self._reasons[topic]]
                for topic, numbers in self._undecoded.items()}

    def are_equal(self, message, other, kind) -> bool:
        """
        Tell whether two messages are the same to the last bit.

        :param message: Message of the bag's classes.
        :param other: Another one.
        :param kind: Their ROS type name.
        """
        store = self._definitions.store
        return bytes(store.serialize_cdr(message, kind)) == bytes(store.serialize_cdr(other, kind))

    def counts(self) -> dict:
        """
        Count every message of the bag without decoding it.

        :return: ``{recorded topic: (message type, promised or None, found)}``.
        :raises BagError: if a file cannot be read.
        """
        counts = self._files.counts()
        self._asked |= counts.keys()
        return counts

    def promised_count(self, wanted) -> int:
        """
        Return how many messages of some topics are promised, found where nothing is promised.

        :param wanted: Topics as a contract names them.
        :raises BagError: if a topic is missing or ambiguous.
        """
        return sum(self.topics[self._recorded_name(topic)][1] for topic in wanted)

    def messages(self, wanted, stretch=None):
        """
        Yield the messages of some topics in the order of their arrival.

        A relative topic matches the recorded topic of that name in whatever namespace. What was
        lost is told by ``losses`` afterwards.

        :param wanted: ``{topic: message type}`` as a contract names them.
        :param stretch: ``Stretch`` to read; None reads all of the bag. What cannot be decoded
            around it is not counted, since others may own it.
        :return: Iterator of ``(topic as in wanted, message, receive_ns)``, and of a ``SetBack``
            between what was recorded before and after the clock was set back.
        :raises BagError: if a topic is missing, ambiguous, of another type or of one that cannot
            be decoded, or if not one message of the whole bag can be read.
        """
        names = self._names(wanted)
        times_ns, topics, numbers = self._index(names, stretch)
        left = Counter(topics.tolist()) if stretch is None else Counter()
        for item in by_arrival(times_ns, topics, list(names), self.path):
            if isinstance(item, SetBack):
                yield item
                continue
            channel, data = self._files.fetch(*numbers[item])
            try:
                message = self._definitions.decode(data, channel)
            except ValueError as error:
                if stretch is None or stretch.owns(times_ns[item]):
                    self._undecoded.setdefault(channel.topic, set()).add(tuple(numbers[item]))
                    self._reasons.setdefault(channel.topic, str(error))
                left[topics[item]] -= 1
                if not left[topics[item]]:
                    raise BagError(
                        f'bag {self.path}: none of the {(topics == topics[item]).sum()} messages '
                        f'on {channel.topic} can be decoded: {error}') from error
                continue
            yield names[channel.topic], message, int(times_ns[item])

    def arrivals(self, wanted) -> tuple:
        """
        Return when messages arrived, without reading them.

        :param wanted: As for ``messages``.
        :return: Arrivals in the order of writing, int64 ``(messages,)``, ns, and the numbers of
            their topics ``(messages,)``.
        :raises BagError: as ``messages``.
        """
        return self._index(self._names(wanted))[:2]

    def part(self, wanted, stretch):
        """
        Return a bag of some of the messages, which another process can read without a search.

        :param wanted: As for ``messages``.
        :param stretch: ``Stretch`` of what it holds.
        :return: Another ``Bag`` of the same files; it has only losses that reading it shows. None
            where it would have to copy or decompress a file as a whole anew.
        """
        if self._files.are_copied:
            return None
        _, _, numbers = self._index(self._names(wanted), stretch)
        part = copy(self)
        part._files, part._types, part._is_part = self._files.part(numbers), None, True
        part._asked, part._undecoded, part._reasons = set(), {}, {}
        return part

    def _names(self, wanted):
        """Return ``{recorded topic: topic as in wanted}``; refuse what cannot be read."""
        names = {}
        for topic in wanted:
            name = self._recorded_name(topic)
            if name in names:
                raise BagError(f'bag {self.path}: topics {names[name]!r} and {topic!r} of the '
                               f'contract are the same recorded topic {name}; name it in one way')
            names[name] = topic
        self._asked |= names.keys()
        for name, topic in names.items():
            self._check(name, wanted[topic])
        return names

    def _index(self, names, stretch=None):
        """Return what ``BagFiles.index`` does, of a stretch."""
        found = self._files.index(names)
        if stretch is None:
            return found
        chosen = stretch.chosen(*found[:2], list(names.values()))
        return tuple(of_each[chosen] for of_each in found)

    def learn(self, topics, define) -> None:
        """
        Learn types that the bag does not define as messages.

        :param topics: Recorded topics. Those of types that are known already are passed over.
        :param define: Function of a type's name and of what the bag holds of its definition, to
            ``{type: fields}`` as rosbags registers them. Where it raises, the type stays unknown.
        """
        for channel in self._files.channels():
            if channel.topic in topics:
                self._definitions.learn(channel, define)

    def close(self) -> None:
        """Close the bag."""
        self._files.close()

    def __enter__(self):
        """Return the bag."""
        return self

    def __exit__(self, *error):
        """Close the bag."""
        self.close()

    @property
    def _definitions(self):
        """Return the message types, learned when they are first needed."""
        self._types = self._types or BagTypes(self._files.channels())
        return self._types

    def _recorded_name(self, topic):
        """Find the recorded topic that a contract's topic stands for."""
        recorded = self._files.counts()
        wanted = '/' + topic.lstrip('/')
        exact = [name for name in recorded if '/' + name.lstrip('/') == wanted]
        matches = exact or [name for name in recorded if name.endswith(wanted)]
        if len(matches) == 1:
            return matches[0]
        problem = f'is ambiguous: {", ".join(matches)}' if matches else 'was not recorded'
        what, remedy = f'topic {topic!r} {problem}', '. Correct the topic in the contract'
        if not matches and is_named_in(self.custom_data.get('contract'), topic):
            what, remedy = f'no message arrived on {topic}', ''
        raise BagError(f'bag {self.path}: {what}; the bag has: '
                       f'{", ".join(sorted(recorded)) or "no topics"}{remedy}'
                       f'{self._files.excuse()}')

    def _check(self, name, wanted):
        """Refuse a topic that holds nothing, or nothing that can be decoded as what is wanted."""
        kind, promised, found = self._files.counts()[name]
        if kind != wanted:
            raise BagError(f'bag {self.path}: topic {name} carries {kind}, the contract says '
                           f'{wanted}')
        if not found and not self._is_part:
            of = f' of the {promised} that it promises' if promised else ''
            raise BagError(f'bag {self.path}: topic {name} holds no message{of}'
                           f'{self._files.excuse()}')
        for channel in self._files.channels():
            if channel.topic != name:
                continue
            problem = self._definitions.problem(channel)
            said = self._files.metadata.serializations.get(name) or channel.serialization
            if said != channel.serialization:
                problem = (f'is serialized as {said!r} by metadata.yaml, as '
                           f'{channel.serialization!r} by its file; its messages can be counted '
                           'only')
            if problem:
                raise BagError(f'bag {self.path}: topic {name} {problem}')

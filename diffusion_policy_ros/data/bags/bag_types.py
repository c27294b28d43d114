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

"""Decode a bag's messages by the definitions that it carries itself."""

import dataclasses

from diffusion_policy_ros.data.bags.stored import unpack_zstd, ZSTD_MAGIC
import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys import get_types_from_idl, get_types_from_msg, get_typestore, Stores

SERIALIZATIONS = ('cdr', 'ros1')
IDL = ('ros2idl', 'omgidl')
SEPARATOR = '=' * 80 + '\n'
# Bytes after the last field of a message: to a multiple of four, and for the alignment of a list.
MOST_PADDING, ALIGNMENT = 3, 8
MOST_ELEMENTS = 100_000  # of an array of messages or texts
SERVICE_EVENTS = '/_service_event'  # how ROS 2 ends the names of such topics


class BagTypes:
    """
    The message types of one bag.

    Its own definitions come first, since types change from one version of ROS to the next; what
    it does not define is taken from the newest version.

    :ivar store: The rosbags typestore.
    """

    def __init__(self, channels):
        """
        Learn the definitions.

        :param channels: Every ``Channel`` of the bag.
        """
        self.store = get_typestore(Stores.EMPTY)
        self._problems, self._unlearned = {}, {}
        for channel in dict.fromkeys(channels):
            if channel.encoding and channel.serialization in SERIALIZATIONS:
                self._register(channel)
        is_ros1 = any(channel.serialization == 'ros1' for channel in channels)
        known = get_typestore(Stores.ROS1_NOETIC if is_ros1 else Stores.LATEST)
        for name in known.fielddefs.keys() - self.store.fielddefs.keys():
            self.store.fielddefs[name] = known.fielddefs[name]
            self.store.types[name] = known.types[name]

    def problem(self, channel):
        """
        Return why the messages of a channel cannot be decoded, None where they can.

        :param channel: The ``Channel``.
        """
        if channel.serialization not in SERIALIZATIONS:
            return (f'is serialized as {channel.serialization!r}, and only '
                    f'{" and ".join(SERIALIZATIONS)} can be decoded; its messages can be counted '
                    'only')
        is_known = channel.type in self.store.fielddefs and channel.type not in self._problems
        if not is_known and channel.type in self._unlearned:
            return f'carries {channel.type}, whose definition {self._unlearned[channel.type]}'
        if not is_known and channel.topic.endswith(SERVICE_EVENTS):
            return 'carries the calls of a service, which can be counted only'
        if channel.type in self._problems:
            return f'carries {channel.type}, whose definition {self._problems[channel.type]}'
        if not is_known:
            return (f'carries {channel.type or "no named type"}, whose definition is not known: '
                    'the bag does not hold it. Its messages can be counted only; record to mcap, '
                    'which keeps the definitions')
        return None

    def learn(self, channel, define) -> None:
        """
        Learn the type of a channel that is not known yet.

        :param channel: The ``Channel``.
        :param define: As in ``Bag.learn``.
        """
        if channel.type in self.store.fielddefs:
            return
        try:
            self.store.register(define(channel.type, channel.definition))
        except Exception as error:  # a parser of foreign text may raise anything
            self._unlearned[channel.type] = _not_understood(error)
            return
        self._problems.pop(channel.type, None)

    def decode(self, data, channel):
        """
        Turn bytes into a message.

        :param data: The serialized message, compressed or not.
        :param channel: Its ``Channel``.
        :return: The message.
        :raises ValueError: if the bytes are not such a message.
        """
        try:
            if channel.serialization == 'ros1':
                return self.store.deserialize_ros1(data, channel.type)
            # No CDR header begins like this.
            data = unpack_zstd(data) if data[:4] == ZSTD_MAGIC else data
            return self._from_cdr(data, channel.type)
        except Exception as error:  # a parser of foreign bytes may raise anything
            raise ValueError(f'{type(error).__name__}: {error}') from error

    def _from_cdr(self, data, kind):
        """
        Turn CDR into a message, with a little after its last field that means nothing.

        ``rclpy.serialization.serialize_message`` leaves that there: room for the alignment of
        every list, used or not. ``deserialize_cdr`` of rosbags refuses more than three bytes, and
        so nearly all joint states that a Python program wrote with rosbag2_py.
        """
        if len(data) < 4 or bytes(data[:2]) not in (b'\0\0', b'\0\1'):
            raise ValueError('it does not begin like CDR')
        definition = self.store.get_msgdef(kind)
        read = definition.deserialize_cdr_le if data[1] else definition.deserialize_cdr_be
        message, size = read(data[4:], 0, definition.cls, self.store)
        rest = len(data) - 4 - size
        if rest > MOST_PADDING and rest > MOST_PADDING + ALIGNMENT * _count_lists(message):
            raise ValueError(f'{rest} bytes follow its last field, so that it is another type')
        return message

    def _register(self, channel):
        """Learn one definition, or why it cannot be used."""
        try:
            types = _types_from_idl(channel.definition) if channel.encoding in IDL else \
                get_types_from_msg(channel.definition, channel.type)
            _check_effort(types, channel.serialization)
        except Exception as error:  # a parser of foreign text may raise anything
            self._problems[channel.type] = _not_understood(error)
            return
        try:
            self.store.register(types)
        except Exception as error:
            self._problems[channel.type] = f'in the bag contradicts another one ({error})'


def _not_understood(error):
    """Say why a definition is of no use."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f'in the bag cannot be understood ({reason})'


def _count_lists(value):
    """Count the lists in a message, those inside of others too."""
    if isinstance(value, np.ndarray):
        return 1
    if isinstance(value, list):
        return 1 + sum(map(_count_lists, value))
    return sum(_count_lists(getattr(value, field.name)) for field in dataclasses.fields(value)) \
        if dataclasses.is_dataclass(value) else 0


def _check_effort(types, serialization):
    """Refuse a definition by which a few bytes could take for ever to decode."""
    for name, (_, fields) in types.items():
        for field, (node, inner) in fields:
            if node not in (Nodetype.ARRAY, Nodetype.SEQUENCE):
                continue
            (element, kind), number = inner
            if node == Nodetype.ARRAY and number > MOST_ELEMENTS and (
                    element == Nodetype.NAME or kind[0] == 'string'):
                raise ValueError(f'{name} holds an array of {number} elements, {field}')
            if node == Nodetype.SEQUENCE and serialization == 'ros1' \
                    and element == Nodetype.NAME and not types.get(kind, ('', '?'))[1]:
                raise ValueError(f'{name} holds a list of messages without fields, {field}')


def _types_from_idl(text):
    """Parse a definition, and the ones that follow it under lines with their names."""
    types = {}
    for part in text.split(SEPARATOR):
        lines = [line for line in part.splitlines() if not line.startswith(('IDL: ', '#'))]
        if any(line.strip() for line in lines):
            types.update(get_types_from_idl('\n'.join(lines)))
    return types

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

"""Read what is whole in an mcap file that its recorder could not finish."""

from pathlib import Path

from diffusion_policy_ros.data.bags.mcap_file import MAGIC, McapFile
from diffusion_policy_ros.data.bags.stored import Damage
from diffusion_policy_ros.errors import BagError


class Salvage:
    """
    Everything whole in an mcap file up to the first damage, in the order of writing.

    It needs neither index nor summary. A chunk counts as whole where its checksum and its size
    are right.

    :ivar damage: What ended the reading, such as ``is truncated at byte 4711``; None where the
        file is whole, and until it was read to its end.
    """

    def __init__(self, path):
        """
        Take a file.

        :param path: The file.
        :raises BagError: if it cannot be read, or is no mcap file.
        """
        self._path = Path(path)
        self.damage = None
        try:
            with open(path, 'rb') as file:
                head = file.read(len(MAGIC))
        except OSError as error:
            raise BagError(f'{path} cannot be read: {error}') from error
        if head != MAGIC:
            raise BagError(f'{path} is no mcap file: it begins with {head!r}' if head else
                           f'{path} is empty (0 bytes)')

    def __iter__(self):
        """Yield (topic, type, schema text, serialized bytes, receive_ns)."""
        file = McapFile(self._path)
        try:
            for item in file.scan():
                if isinstance(item, Damage):
                    self.damage = item.text
                    return
                channel = file.channels[item.channel]
                yield (channel.topic, channel.type, channel.definition,
                       file.fetch(item.where, item.offset), item.receive_ns)
        finally:
            file.close()


def salvaged(path) -> Salvage:
    """
    Read everything that is whole in a truncated or unindexed mcap file.

    :param path: The file.
    :return: Iterable of ``(topic, type, schema text, serialized bytes, receive_ns)`` that stops
        at the first damage; its ``damage`` then tells where.
    :raises BagError: if the file cannot be read, or is no mcap file.
    """
    return Salvage(path)

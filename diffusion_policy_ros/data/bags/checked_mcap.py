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

"""Write mcap files of which every chunk can be checked, and read when all others are lost."""

from functools import partial

from diffusion_policy_ros.data.bags.stored import zstd
from rosbags.rosbag2 import CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import McapWriter, write_channel, write_schema

CHECKED = {zstd.CompressionParameter.checksum_flag: 1}


class CheckedMcap(McapWriter):
    """An mcap file with a checksum in each compressed chunk, and its topics in all of them."""

    def __init__(self, path, compression):
        """
        Create the file.

        :param path: Folder of the bag.
        :param compression: ``CompressionMode``.
        """
        super().__init__(path, compression)
        self._told = self.chunk
        if compression == CompressionMode.STORAGE:
            self.compressor = partial(zstd.compress, options=CHECKED)

    def write(self, connection, timestamp, data):
        """
        Write a message; the first of a chunk comes behind all topics and types known until then.

        :param connection: What ``Writer.add_connection`` returned.
        :param timestamp: Its time, ns.
        :param data: The serialized message.
        """
        if self._told is not self.chunk:
            self._told = self.chunk
            for schema in self.schemas:
                write_schema(self.chunk.bio, schema)
            for channel in self.channels:
                write_channel(self.chunk.bio, channel, self.schemas)
        super().write(connection, timestamp, data)


class CheckedWriter(Writer):
    """The bag writer of rosbags, with such files."""

    STORAGE_PLUGINS = {StoragePlugin.MCAP: CheckedMcap}

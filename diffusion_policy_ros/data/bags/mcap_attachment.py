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

"""Attachments of mcap files: any file, such as another mcap file, beside the messages."""

import zlib

from diffusion_policy_ros.data.bags.stored import BLOCK

ATTACHMENT, ATTACHMENT_INDEX = 9, 10
TIMES_BYTES = 8 + 8  # when it was logged and when it was created
LENGTH_BYTES = (4, 4, 8)  # of its name, of its media type, of its data
CHECKSUM_BYTES = 4


def is_whole_attachment(read, begin, end, is_listed) -> bool:
    """
    Tell whether a record is an attachment as it was written, by its lengths and its checksum.

    :param read: Function that takes a position and a number of bytes, and returns these bytes.
    :param begin: Where the content of the record begins.
    :param end: Where it ends.
    :param is_listed: Whether the summary of the file lists it so; then the checksum may be left
        out (0).
    """
    position = begin + TIMES_BYTES
    for size in LENGTH_BYTES:
        position += size + int.from_bytes(read(position, size), 'little')
        if position > end - CHECKSUM_BYTES:
            return False
    if position != end - CHECKSUM_BYTES:
        return False
    checksum = int.from_bytes(read(position, CHECKSUM_BYTES), 'little')
    if not checksum:
        return is_listed
    found = 0
    for place in range(begin, position, BLOCK):
        found = zlib.crc32(read(place, min(BLOCK, position - place)), found)
    return found == checksum

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


"""Read the header of a serialized message without decoding the rest."""

import struct

HEADER_BYTES = 16  # encapsulation, seconds, nanoseconds, length of frame_id


def read_header(data):
    """
    Return what the header at the beginning of a message says.

    :param data: Serialized message (CDR, bytes) of a type whose first field is a Header.
    :return: (stamp in ns, offset in bytes of what follows the header), or None where the bytes
        cannot begin with a header.
    """
    if len(data) < HEADER_BYTES or data[1] > 1:
        return None
    order = '<' if data[1] else '>'
    seconds, nanoseconds, length = struct.unpack_from(f'{order}iII', data, 4)
    end = -(-(HEADER_BYTES + length) // 4) * 4
    return None if end > len(data) else (seconds * 10**9 + nanoseconds, end)

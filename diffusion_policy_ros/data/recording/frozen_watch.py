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


"""Whether a stream sends the same content again and again."""


class FrozenWatch:
    """Counts messages of equal content, one after another."""

    def __init__(self, note):
        """
        Begin with nothing.

        :param note: Called with (alarm, kind, time in ns, how many, ``times=``).
        """
        self._note = note
        self.forget()

    def forget(self) -> None:
        """Compare with nothing that came."""
        self._newest, self._equal = None, 1

    def begin(self) -> None:
        """Count from the newest message on."""
        self._equal = 1

    def add(self, receive_ns, data, offset, limit) -> None:
        """
        Compare the content of a message with that of the one before.

        :param receive_ns: When it arrived, ns.
        :param data: The serialized message, bytes.
        :param offset: Where its content begins, bytes.
        :param limit: From how many equal ones on they are told; 0 for never.
        """
        if not limit:
            self.forget()
            return
        before, self._newest = self._newest, (data, offset)
        is_equal = before is not None and _are_equal(*before, data, offset)
        self._equal = self._equal + 1 if is_equal else 1
        if self._equal >= limit:
            self._note('frozen', '', receive_ns, self._equal, times=int(self._equal == limit))


def _are_equal(data, offset, other, other_offset):
    """Compare from the offsets on; pictures of a camera differ early, by their noise."""
    early = 1024
    return (len(data) - offset == len(other) - other_offset
            and data[offset:offset + early] == other[other_offset:other_offset + early]
            and data[offset:] == other[other_offset:])

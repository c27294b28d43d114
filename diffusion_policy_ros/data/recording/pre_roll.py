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


"""The last seconds before an episode, in bounded memory."""

from collections import deque

from diffusion_policy_ros.data.bags.storage_order import JITTER_NS


# What Python needs for a message beside its bytes.
OVERHEAD_BYTES = 300


class PreRoll:
    """Keeps messages for some time, the newest ones where the memory does not take them all."""

    def __init__(self):
        """Begin with nothing."""
        self._messages = deque()  # (stream, data, receive_ns)
        self._bytes = 0
        self._newest_ns = {}  # by stream: among each other, streams are handed over out of order
        self._since_ns, self._cut_ns = None, 0

    def add(self, stream, data, receive_ns, *, keep_ns, max_bytes) -> None:
        """
        Keep a message, and drop what is too old or too much.

        :param stream: Where it came, anything that can be a key.
        :param data: The serialized message.
        :param receive_ns: When it arrived, ns.
        :param keep_ns: How long messages are kept, ns; 0 keeps none.
        :param max_bytes: How much memory they may take, bytes.
        """
        # A clock that steps back by more began anew; what came before is of another time.
        if receive_ns < self._newest_ns.get(stream, 0) - JITTER_NS or not keep_ns:
            self.clear()
        if not keep_ns:
            return
        if self._since_ns is None:
            self._since_ns = receive_ns
        self._newest_ns[stream] = receive_ns
        self._messages.append((stream, data, receive_ns))
        self._bytes += _size(data)
        while self._bytes > max_bytes:
            self._cut_ns = self._since_ns = self._drop()
        while self._messages and self._messages[0][2] <= receive_ns - keep_ns:
            self._drop()

    def begin_ns(self, now_ns, keep_ns) -> int:
        """
        Return since when every message is kept, ns.

        :param now_ns: The time, ns.
        :param keep_ns: How far back at most, ns.
        """
        return max(now_ns - keep_ns, now_ns if self._since_ns is None else self._since_ns)

    def is_cut(self, now_ns, keep_ns) -> bool:
        """
        Tell whether the memory did not take all.

        :param now_ns: The time, ns.
        :param keep_ns: How far back that is asked, ns.
        """
        return self._cut_ns > now_ns - keep_ns

    def take(self, now_ns, keep_ns) -> list:
        """
        Return the messages of the last time, in the order in which they came, and forget all.

        :param now_ns: The time, ns.
        :param keep_ns: How far back, ns.
        :return: ``(stream, data, receive_ns)`` of each.
        """
        found = [message for message in self._messages if message[2] > now_ns - keep_ns]
        self.clear()
        return found

    def clear(self) -> None:
        """Forget all."""
        self._messages.clear()
        self._newest_ns.clear()
        self._bytes, self._since_ns, self._cut_ns = 0, None, 0

    def _drop(self):
        """Drop the oldest, and return when it came."""
        _, data, receive_ns = self._messages.popleft()
        self._bytes -= _size(data)
        return receive_ns


def _size(data):
    """Return the memory that a message takes, bytes."""
    return len(data) + OVERHEAD_BYTES

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


class PreRoll:
    """Keeps messages for some time, the newest ones where the memory does not take them all."""

    def __init__(self):
        """Begin with nothing."""
        self._messages = deque()
        self._bytes = 0

    def add(self, message, receive_ns, size, *, keep_ns, max_bytes) -> None:
        """
        Keep a message, and drop what is too old or too much.

        :param message: What ``take`` shall return.
        :param receive_ns: When it arrived, ns.
        :param size: Its size, bytes.
        :param keep_ns: How long messages are kept, ns; 0 keeps none.
        :param max_bytes: How much is kept at most, bytes.
        """
        # A clock that steps back by more began anew; what came before is of another time.
        if self._messages and receive_ns < self._messages[-1][0] - JITTER_NS:
            self.clear()
        self._messages.append((receive_ns, size, message))
        self._bytes += size
        while self._messages and (self._bytes > max_bytes
                                  or self._messages[0][0] <= receive_ns - keep_ns):
            self._bytes -= self._messages.popleft()[1]

    def take(self, now_ns, keep_ns) -> list:
        """
        Return the messages of the last time, in the order of their arrival, and forget all.

        :param now_ns: The time, ns.
        :param keep_ns: How far back, ns.
        """
        found = [message for receive_ns, _, message in self._messages
                 if receive_ns > now_ns - keep_ns]
        self.clear()
        return found

    def clear(self) -> None:
        """Forget all."""
        self._messages.clear()
        self._bytes = 0

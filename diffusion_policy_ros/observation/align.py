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

"""Which message belongs to a tick: one rule for recorded and live streams."""

from bisect import bisect_right, insort_right
from threading import Lock
from typing import NamedTuple

from diffusion_policy_ros.errors import AlignmentError, ContractError, DecodeError
from diffusion_policy_ros.observation.decode import decode
from diffusion_policy_ros.observation.stamps import sample_stamp_ns
import numpy as np


class Sample(NamedTuple):
    """
    What a stream showed at a tick.

    :ivar value: Decoded array, read-only.
    :ivar stamp_ns: When it was true, ns.
    :ivar age_ns: Tick minus stamp, at least 0 ns.
    :ivar receive_ns: When it arrived, ns.
    """

    value: np.ndarray
    stamp_ns: int
    age_ns: int
    receive_ns: int


class Aligner:
    """
    Holds each stream's recent messages and finds the one that belongs to a tick.

    The rule: the newest message with ``stamp <= tick`` that had arrived by the cut. The arrival
    counts because a bag also holds what the live node had not yet received. Of two messages with
    one stamp the later arrival counts.

    Messages may arrive in any order and from any thread. They are kept as they came and decoded
    when first sampled, so that a 30 Hz camera costs a 10 Hz policy 10 decodings per second.
    """

    def __init__(self, contract, history_ns):
        """
        Make an empty buffer for every observation and every recorded command.

        :param contract: RobotContract.
        :param history_ns: How far before a topic's newest arrival a tick may lie, ns, beyond the
            topic's own ``max_age_ms``; for commands, the longest of all outputs, for which one
            of them may still be on its way. Older messages are dropped, except the newest of
            them, which a ``hold`` stream may still need.
        """
        entries = contract.observations + contract.actions
        # A row is complete when the last of its commands is, and samples all of them then.
        command_ns = max(output.max_age_ns for output in contract.actions)
        ages_ns = {**{stream: stream.max_age_ns for stream in contract.observations},
                   **dict.fromkeys(contract.actions, command_ns)}
        self._buffers = {entry: _Buffer(entry, history_ns + ages_ns[entry]) for entry in entries}
        self._by_topic = {entry.topic: [] for entry in entries}
        for entry in entries:
            self._by_topic[entry.topic].append(self._buffers[entry])
        self._lock = Lock()

    def push(self, topic, message, receive_ns):
        """
        Keep a message; nothing is decoded or refused here.

        :param topic: Topic as the contract names it.
        :param message: Message of the contract's type; it must not change afterwards.
        :param receive_ns: When it arrived, ns, on the clock of the ticks.
        :raises ContractError: for a topic that the contract does not name.
        """
        if topic not in self._by_topic:
            raise ContractError(f'topic {topic!r} is not in the contract, which names: '
                                f'{", ".join(self._by_topic)}')
        with self._lock:
            for buffer in self._by_topic[topic]:
                buffer.add(message, receive_ns)

    def sample(self, stream, tick_ns, cut_ns) -> Sample:
        """
        Return what a stream showed at a tick.

        :param stream: ObservationStream or ActionOutput of the contract.
        :param tick_ns: Time of the tick, ns.
        :param cut_ns: Latest arrival that counts, ns.
        :return: The decoded sample with its stamp and age.
        :raises AlignmentError: where there is no such message, its stamp or its arrival is older
            than the contract's ``max_age_ms`` and the stream is not ``on_stale: hold``, or the
            stream is frozen.
        :raises DecodeError: where the message is malformed or its stamp cannot be used.
        """
        with self._lock:
            item = self._buffers[stream].newest(tick_ns, cut_ns)
        # Nothing is newer than its arrival, whatever a clock that runs ahead has stamped it.
        true_age_ns = tick_ns - min(item.stamp_ns, item.receive_ns)
        if true_age_ns > stream.max_age_ns and getattr(stream, 'on_stale', 'stop') == 'stop':
            raise AlignmentError(
                f'{_name(stream)} is {true_age_ns / 1e9:.3f} s old, limit '
                f'{stream.max_age_ns / 1e9:.3f} s (topic {stream.topic}); is its publisher '
                'running, and on the same clock?')
        frozen_after = getattr(stream, 'frozen_after', 0)
        if frozen_after and item.repeats >= frozen_after:
            raise AlignmentError(
                f'{_name(stream)} is frozen: {item.repeats} equal messages in a row, limit '
                f'{frozen_after} (topic {stream.topic}); restart its driver')
        return Sample(item.value(), item.stamp_ns, tick_ns - item.stamp_ns, item.receive_ns)

    def newest_stamp_ns(self, stream):
        """
        Return the newest stamp that a stream has reached, ns, or None without messages.

        :param stream: ObservationStream or ActionOutput of the contract.
        """
        with self._lock:
            return self._buffers[stream].newest_stamp_ns()

    def clear(self):
        """Forget all messages, as after a jump of the clock."""
        with self._lock:
            for buffer in self._buffers.values():
                buffer.clear()


class _Item:
    """One message of one stream, decoded when first asked for its value."""

    __slots__ = ('stamp_ns', 'receive_ns', 'repeats', '_message', '_stream', '_value')

    def __init__(self, message, stream, receive_ns):
        """Date the message; one that cannot be dated counts from its arrival, to fail on use."""
        self.receive_ns = receive_ns
        self.repeats = 1
        self._message = message
        self._stream = stream
        self._value = None
        try:
            self.stamp_ns = sample_stamp_ns(message, stream, receive_ns)
        except DecodeError:
            self.stamp_ns = receive_ns

    def count_repeats(self, before):
        """Note how many messages in a row, this one included, have shown the same."""
        if self._shows_what(before):
            self.repeats = before.repeats + 1

    def _shows_what(self, other):
        """Tell whether another message of the stream has the same content."""
        if self._stream.is_image:  # compared as it came: most pictures are never decoded
            return np.array_equal(*(np.frombuffer(item._message.data, np.uint8)
                                    for item in (self, other)))
        try:
            return np.array_equal(self.value(), other.value())
        except DecodeError:
            return False

    def value(self):
        """Return the decoded array."""
        if self._value is None:
            sample_stamp_ns(self._message, self._stream, self.receive_ns)
            value = decode(self._message, self._stream).view()
            value.setflags(write=False)
            self._value = value
        return self._value


class _Buffer:
    """The items of one stream in the order of (stamp, arrival)."""

    def __init__(self, stream, history_ns):
        self._stream = stream
        self._history_ns = history_ns
        self.clear()

    def add(self, message, receive_ns):
        """Insert a message, which is an append unless it came out of order, and drop old ones."""
        item = _Item(message, self._stream, receive_ns)
        if self._items and getattr(self._stream, 'frozen_after', 0):
            item.count_repeats(self._items[-1])
        insort_right(self._items, item, key=_order)
        self._latest_ns = max(self._latest_ns, receive_ns)
        limit_ns = self._latest_ns - self._history_ns
        # From limit_ns on this item wins over all before it, whatever the cut.
        base = self._index(limit_ns, limit_ns)
        if base > 0:
            del self._items[:base]

    def newest(self, tick_ns, cut_ns):
        """Return the newest item with stamp <= tick and arrival <= cut."""
        index = self._index(tick_ns, cut_ns)
        if index < 0:
            raise AlignmentError(f'{_name(self._stream)}: {self._why_none(tick_ns, cut_ns)} '
                                 f'(topic {self._stream.topic})')
        return self._items[index]

    def newest_stamp_ns(self):
        """Return the newest stamp, None without items."""
        return self._items[-1].stamp_ns if self._items else None

    def clear(self):
        self._items = []
        self._latest_ns = 0

    def _index(self, tick_ns, cut_ns):
        """Return the position of the newest item with stamp <= tick and arrival <= cut, or -1."""
        index = bisect_right(self._items, tick_ns, key=_stamp) - 1
        while index >= 0 and self._items[index].receive_ns > cut_ns:
            index -= 1
        return index

    def _why_none(self, tick_ns, cut_ns):
        """Say why no item can be used, with the nearest one's times."""
        if not self._items:
            return 'no message yet; check that it is published, and the QoS and name of the topic'
        oldest = self._items[0]
        if oldest.stamp_ns > tick_ns:
            return (f'no message from the time of the tick; the oldest is stamped '
                    f'{_duration(oldest.stamp_ns - tick_ns)} after it')
        return (f'no message had arrived in time; the oldest came '
                f'{_duration(oldest.receive_ns - cut_ns)} too late; check the clocks, or '
                'raise settle_ms')


def _order(item):
    """Order items by stamp, then by arrival."""
    return item.stamp_ns, item.receive_ns


def _stamp(item):
    """Return an item's stamp."""
    return item.stamp_ns


def _duration(time_ns):
    """Write a time so that it is not 0."""
    return f'{time_ns / 1e9:.3f} s' if time_ns >= 1_000_000 else f'{time_ns / 1e6:.6f} ms'


def _name(stream):
    """Name a stream or output in a message."""
    return f'observation {stream.key!r}' if hasattr(stream, 'key') else 'action'

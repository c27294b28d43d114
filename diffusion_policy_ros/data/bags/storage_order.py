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
The order in which a bag was written, which tells when the recorder's clock was set back.

Readers sort by arrival time. Where the clock of the recorder was set back, or a simulation began
anew, that lays what was recorded before and after on top of each other.
"""

from functools import partial
import heapq
from typing import NamedTuple

from diffusion_policy_ros.errors import BagError

# One topic's messages are recorded in the order of their arrival, but for this much of jitter.
JITTER_NS = 20_000_000
# Among each other, topics are recorded out of order by how far the recorder lags behind.
LAG_NS = 1_000_000_000


class SetBack(NamedTuple):
    """
    A moment at which a clock was set back, so that what follows is another pass.

    :ivar topic: Topic that shows it.
    :ivar before_ns: Its newest time until then, ns.
    :ivar after_ns: Its time from then on, ns.
    """

    topic: str
    before_ns: int
    after_ns: int

    @property
    def reason(self) -> str:
        """Return the sentence that tells it."""
        return (f'the clock was set back by {(self.before_ns - self.after_ns) / 1e9:.3f} s (topic '
                f'{self.topic})')


def stored_messages(reader, connections):
    """
    Yield messages in the order in which they were written.

    :param reader: An open rosbags ``Reader``.
    :param connections: Those of its connections that are wanted.
    :return: Iterator of ``(connection, receive_ns, data)``.
    """
    storages = getattr(reader.storage, 'storages', [reader.storage])
    for storage in storages:
        is_mcap = hasattr(storage, 'messages_scan')
        storage.messages = storage.messages_scan if is_mcap else partial(_table_rows, storage)
    try:
        yield from reader.messages(connections)
    finally:
        for storage in storages:
            del storage.messages


def is_set_back(stored) -> bool:
    """
    Tell whether the recorder's clock was set back.

    :param stored: Iterable of ``(connection, receive_ns, data)`` in the order of writing.
    """
    newest = {}
    return any(_step(newest, connection.topic, time_ns) for connection, time_ns, _ in stored)


def one_pass_after_the_other(stored, bag):
    """
    Sort messages by arrival between the moments at which the clock was set back.

    :param stored: Iterable of ``(connection, receive_ns, data)`` in the order of writing.
    :param bag: The bag's path, for the error.
    :return: Iterator of the same, and of a ``SetBack`` at each of those moments.
    :raises BagError: if topics were not written side by side, so that nobody can tell which of
        their messages belong together.
    """
    newest, waiting, sent_ns = {}, [], 0
    for number, (connection, receive_ns, data) in enumerate(stored):
        step = _step(newest, connection.topic, receive_ns)
        if step:
            yield from _sorted(waiting)
            yield step
            newest, waiting, sent_ns = {connection.topic: receive_ns}, [], 0
        if receive_ns < sent_ns:
            raise BagError(f'bag {bag}: the clock was set back while it was recorded, and topic '
                           f'{connection.topic} is stored more than {LAG_NS / 1e9:g} s apart from '
                           'the others, so that the passes cannot be told apart. Record it again')
        heapq.heappush(waiting, (receive_ns, number, connection, data))
        while waiting[0][0] < receive_ns - LAG_NS:
            sent_ns, _, sender, content = heapq.heappop(waiting)
            yield sender, sent_ns, content
    yield from _sorted(waiting)


def _step(newest, topic, time_ns):
    """Return the ``SetBack`` of a topic's time, None where there is none."""
    before_ns = newest.get(topic, time_ns)
    newest[topic] = max(before_ns, time_ns)
    return SetBack(topic, before_ns, time_ns) if time_ns < before_ns - JITTER_NS else None


def _sorted(waiting):
    """Yield all that waits, by arrival and then in the order of writing."""
    for receive_ns, _, connection, data in sorted(waiting, key=lambda item: item[:2]):
        yield connection, receive_ns, data


def _table_rows(storage, connections, start, stop):
    """Read the table of an sqlite3 storage from its first row to its last."""
    del start, stop
    by_id = {connection.id: connection for connection in connections}
    rows = storage.dbconn.execute('SELECT topic_id, timestamp, data FROM messages ORDER BY id')
    for topic_id, receive_ns, data in rows:
        if topic_id in by_id:
            yield by_id[topic_id], receive_ns, data

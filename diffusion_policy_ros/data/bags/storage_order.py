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

Messages are read sorted by arrival time. Where the clock of the recorder was set back, or a
simulation began anew, that would lay what was recorded before and after on top of each other.
"""

import heapq
from typing import NamedTuple

from diffusion_policy_ros.errors import BagError
import numpy as np

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


class Stretch(NamedTuple):
    """
    A part of a recording, and what is read around it because its rows may need it.

    :ivar begin_ns: The first arrival that belongs to it, ns.
    :ivar end_ns: The first arrival after it, ns; None goes on to the end.
    :ivar before_ns: From so long before on messages are read, ns.
    :ivar after_ns: For so long after they are read, ns.
    :ivar held: Topics as a contract names them, of which the newest message before all that is
        read too.
    """

    begin_ns: int
    end_ns: int = None
    before_ns: int = 0
    after_ns: int = 0
    held: tuple = ()

    def owns(self, receive_ns) -> bool:
        """Tell whether an arrival belongs to it."""
        return self.begin_ns <= receive_ns and (self.end_ns is None or receive_ns < self.end_ns)

    def chosen(self, times_ns, topics, names) -> np.ndarray:
        """
        Tell which messages are read.

        :param times_ns: Arrivals in the order of writing, int64 ``(messages,)``, ns.
        :param topics: Number of each one's topic, int ``(messages,)``.
        :param names: The topics by number, as a contract names them.
        :return: bool ``(messages,)``.
        """
        is_early = times_ns < self.begin_ns - self.before_ns
        found = ~is_early
        if self.end_ns is not None:
            found &= times_ns < self.end_ns + self.after_ns
        for topic in map(names.index, self.held):
            early = np.flatnonzero(is_early & (topics == topic))
            if len(early):
                newest = np.flatnonzero(times_ns[early] == times_ns[early].max())
                found[early[newest[-1]]] = True
        return found


def by_arrival(times_ns, topics, names, bag):
    """
    Sort messages by arrival between the moments at which the clock was set back.

    :param times_ns: Arrivals in the order of writing, int64 ``(messages,)``, ns.
    :param topics: Number of each one's topic, int ``(messages,)``.
    :param names: The topics' names by number.
    :param bag: The bag's path, for the error.
    :return: Iterator of the messages' numbers in the order of writing, and of a ``SetBack`` at
        each of those moments.
    :raises BagError: if topics were not written side by side, so that nobody can tell which of
        their messages belong together.
    """
    if not is_set_back(times_ns, topics):
        return iter(np.argsort(times_ns, kind='stable').tolist())
    return _one_pass_after_the_other(times_ns.tolist(), topics.tolist(), names, bag)


def is_set_back(times_ns, topics) -> bool:
    """
    Tell whether the recorder's clock was set back.

    :param times_ns: Arrivals in the order of writing, int64 ``(messages,)``, ns.
    :param topics: Number of each one's topic, int ``(messages,)``.
    """
    for topic in np.unique(topics):
        own_ns = times_ns[topics == topic]
        if np.any(own_ns < np.maximum.accumulate(own_ns) - JITTER_NS):
            return True
    return False


def first_set_back(times_ns, topics, names, bag):
    """
    Return the first ``SetBack`` of ``by_arrival``, which takes the same; None without any.

    :param times_ns: Arrivals in the order of writing, int64 ``(messages,)``, ns.
    :param topics: Number of each one's topic, int ``(messages,)``.
    :param names: The topics' names by number.
    :param bag: The bag's path, for the error.
    :raises BagError: as ``by_arrival``.
    """
    return next((item for item in by_arrival(times_ns, topics, names, bag)
                 if isinstance(item, SetBack)), None)


def _one_pass_after_the_other(times_ns, topics, names, bag):
    """Sort within each pass, holding back only what may still be overtaken."""
    newest, waiting, sent_ns = {}, [], 0
    for number, (receive_ns, topic) in enumerate(zip(times_ns, topics)):
        before_ns = newest.get(topic, receive_ns)
        newest[topic] = max(before_ns, receive_ns)
        if receive_ns < before_ns - JITTER_NS:
            yield from (waiter for _, waiter in sorted(waiting))
            yield SetBack(names[topic], before_ns, receive_ns)
            newest, waiting, sent_ns = {topic: receive_ns}, [], 0
        if receive_ns < sent_ns:
            raise BagError(f'bag {bag}: the clock was set back while it was recorded, and topic '
                           f'{names[topic]} is stored more than {LAG_NS / 1e9:g} s apart from '
                           'the others, so that the passes cannot be told apart. Record it again')
        heapq.heappush(waiting, (receive_ns, number))
        while waiting[0][0] < receive_ns - LAG_NS:
            sent_ns, waiter = heapq.heappop(waiting)
            yield waiter
    yield from (waiter for _, waiter in sorted(waiting))

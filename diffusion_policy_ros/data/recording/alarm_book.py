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


"""The alarms of one episode: how often, how bad, and the sentence that tells it."""

from dataclasses import dataclass

# What a recorder can warn of. The last is of the disk, the others of one stream each.
ALARMS = ('rate', 'age', 'gap', 'frozen', 'clock_skew', 'dropped', 'publishers', 'disk')
# A fault that was seen within this time is told as present.
PRESENT_NS = 2_000_000_000


@dataclass
class Entry:
    """
    One kind of fault.

    :ivar count: How often it was seen.
    :ivar worst: The largest number that came with it, in the unit of the sentence.
    :ivar last_ns: When it was seen last, ns.
    """

    count: int = 0
    worst: float = 0.0
    last_ns: int = 0


class AlarmBook:
    """Keeps count of the faults of one stream, or of the disk, since the episode began."""

    def __init__(self, place, sentences):
        """
        Begin without any.

        :param place: What has the faults, such as a topic; empty where the alarm says it all.
        :param sentences: (alarm, kind) to a format string with ``times`` or ``messages`` (both
            the count, in words), ``worst`` and the facts that ``sentences`` is given.
        """
        self._place = place
        self._texts = sentences
        self._entries = {}

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()

    def note(self, alarm, kind, now_ns, worst=0.0, times=1) -> None:
        """
        Note a fault.

        :param alarm: One of ``ALARMS``.
        :param kind: Its kind, as in the sentences.
        :param now_ns: When, ns.
        :param worst: How bad; the largest magnitude is kept.
        :param times: How many; 0 where one that goes on becomes worse.
        """
        entry = self._entries.setdefault((alarm, kind), Entry())
        entry.count += times
        entry.worst = max(entry.worst, worst, key=abs)
        entry.last_ns = now_ns

    def has(self, alarm, kind) -> bool:
        """
        Tell whether a fault was seen.

        :param alarm: One of ``ALARMS``.
        :param kind: Its kind, as in the sentences.
        """
        return (alarm, kind) in self._entries

    def counts(self) -> dict:
        """Return alarm to how often, of those that were seen; of several kinds the most."""
        found = {}
        for (alarm, _), entry in self._entries.items():
            found[alarm] = max(found.get(alarm, 0), entry.count)
        return found

    def sentences(self, facts) -> list:
        """
        Return one sentence for each kind of fault.

        :param facts: Name to value, for the format strings.
        """
        return [self._sentence(*key, entry, facts) for key, entry in self._entries.items()]

    def present(self, facts, now_ns) -> list:
        """
        Return the sentences of what is seen now.

        :param facts: As for ``sentences``.
        :param now_ns: The time, ns. What was seen later was seen before the clock was set back.
        """
        return [self._sentence(*key, entry, facts) for key, entry in self._entries.items()
                if 0 <= now_ns - entry.last_ns <= PRESENT_NS]

    def _sentence(self, alarm, kind, entry, facts):
        """Fill the text of one entry."""
        is_one = entry.count == 1
        text = self._texts[alarm, kind].format(
            times='once' if is_one else f'{entry.count} times', worst=entry.worst,
            messages=f'{entry.count} message{"" if is_one else "s"}', **facts)
        return f'{alarm} on {self._place}: {text}' if self._place else f'{alarm}: {text}'

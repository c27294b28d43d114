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

"""How much of a recording gave no rows, and why."""


class Losses:
    """The gaps of one bag, each as long as it lasted."""

    def __init__(self):
        """Begin without any."""
        self._gap = None
        self._head = []  # of (duration in s, Gap) before the first row
        self._has_rows = False
        self._since_last_row = []  # of (duration in s, Gap)
        self._longest = []  # the longest of those before, if there is one

    def begin(self, gap, now_ns) -> None:
        """
        Note that a gap begins.

        :param gap: The ``Gap``.
        :param now_ns: When the gap before it ended, if there is one, ns.
        """
        self._close(now_ns)
        self._gap = gap

    def end(self, tick_ns) -> float:
        """
        Note that there is a row.

        :param tick_ns: Time of the row, ns.
        :return: For how long there was none, s.
        """
        self._close(tick_ns)
        if not self._has_rows:
            self._has_rows, self._head = True, list(self._since_last_row)
        lost_s = self.tail_s
        if self._since_last_row:
            self._longest = [max(self._longest + self._since_last_row, key=_duration)]
            self._since_last_row = []
        return lost_s

    def finish(self, last_ns) -> None:
        """
        Note that the bag is over.

        :param last_ns: Arrival of its last message, ns.
        """
        self._close(last_ns)

    @property
    def reason(self) -> str:
        """Return when the longest gap began, and why; empty without any."""
        return _why(self._longest + self._since_last_row)

    @property
    def head_s(self) -> float:
        """Return for how long there was no row at the beginning, s."""
        return _sum(self._head)

    @property
    def head_reason(self) -> str:
        """Return when the longest gap before the first row began, and why."""
        return _why(self._head)

    @property
    def tail_s(self) -> float:
        """Return for how long there was no row at the end, s."""
        return _sum(self._since_last_row)

    @property
    def tail_reason(self) -> str:
        """Return when the longest gap since the last row began, and why."""
        return _why(self._since_last_row)

    def _close(self, now_ns):
        """Keep the gap that is open; one that a clock was set back in lasted no time."""
        if self._gap:
            duration_s = max(0, now_ns - self._gap.tick_ns) / 1e9
            self._since_last_row.append((duration_s, self._gap))
        self._gap = None


def place(gap) -> str:
    """
    Say when a gap began, and why.

    :param gap: The ``Gap``.
    """
    return f'at {gap.tick_ns / 1e9:.3f} s: {gap.reason}'


def _sum(losses):
    """Return how long losses lasted together, s."""
    return sum(duration_s for duration_s, _ in losses)


def _why(losses):
    """Return when the longest loss began, and why; empty without any."""
    return place(max(losses, key=_duration)[1]) if losses else ''


def _duration(loss):
    """Return how long a loss lasted, s."""
    return loss[0]

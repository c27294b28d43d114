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

    def __init__(self, begin_ns):
        """
        Begin without any.

        :param begin_ns: When the bag begins, ns.
        """
        self._begin_ns = begin_ns
        self._gap = None
        self._head = []  # of (duration in s, Gap) before the first row, one of each kind
        self._has_rows = False
        self._since_last_row = {}  # {kind: (duration in s, first Gap)}
        self._before_rows = {}  # the same of all gaps after which there were rows

    def begin(self, gap, now_ns) -> None:
        """
        Note that a gap begins.

        :param gap: The ``Gap``.
        :param now_ns: When the gap before it ended, if there is one and the clock was set back.
        """
        if self._gap:
            self._close(gap.tick_ns if gap.tick_ns > self._gap.tick_ns else now_ns)
        self._gap = gap

    def end(self, tick_ns) -> float:
        """
        Note that there is a row.

        :param tick_ns: Time of the row, ns.
        :return: For how long there was none, s.
        """
        self._close(tick_ns)
        lost_s, ended = self.tail_s, list(self._since_last_row.values())
        if not self._has_rows:
            self._has_rows, self._head = True, ended
        for lasted_s, gap in ended:
            _add(self._before_rows, gap, lasted_s)
        self._since_last_row = {}
        return lost_s

    def finish(self, last_ns) -> None:
        """
        Note that the bag is over.

        :param last_ns: Arrival of its last message, ns.
        """
        self._close(last_ns)

    @property
    def reason(self) -> str:
        """Return what took the most time without rows, and since when; empty without any."""
        found = dict(self._before_rows)
        for lasted_s, gap in self._since_last_row.values():
            _add(found, gap, lasted_s)
        return self._why(list(found.values()))

    @property
    def head_s(self) -> float:
        """Return for how long there was no row at the beginning, s."""
        return _sum(self._head)

    @property
    def head_reason(self) -> str:
        """Return what took the most time before the first row, and since when."""
        return self._why(self._head)

    @property
    def tail_s(self) -> float:
        """Return for how long there was no row at the end, s."""
        return _sum(self._since_last_row.values())

    @property
    def tail_reason(self) -> str:
        """Return what took the most time since the last row, and since when."""
        return self._why(list(self._since_last_row.values()))

    def _why(self, losses):
        """Return when the longest loss began, and why; empty without any."""
        return place(max(losses, key=_duration)[1], self._begin_ns) if losses else ''

    def _close(self, now_ns):
        """Keep the gap that is open; one that a clock was set back in lasted no time."""
        gap, self._gap = self._gap, None
        if gap:
            _add(self._since_last_row, gap, max(0, now_ns - gap.tick_ns) / 1e9)


def _add(losses, gap, lasted_s):
    """Add a gap to {kind: (duration in s, first Gap)}."""
    before_s, first = losses.get(gap.kind, (0, gap))
    losses[gap.kind] = before_s + lasted_s, first


def place(gap, begin_ns) -> str:
    """
    Say when a gap began, and why.

    :param gap: The ``Gap``.
    :param begin_ns: When the bag begins, ns.
    """
    return f'at {moment(gap.tick_ns, begin_ns)}: {gap.reason}'


def moment(time_ns, begin_ns) -> str:
    """
    Say when something was, on the recorder's clock and from the beginning of the bag.

    :param time_ns: The time, ns.
    :param begin_ns: When the bag begins, ns.
    """
    since_s = round((time_ns - begin_ns) / 1e9, 3) + 0.0  # without the sign of a zero
    return f'{time_ns / 1e9:.3f} s ({since_s:.3f} s into the bag)'


def _sum(losses):
    """Return how long losses lasted together, s."""
    return sum(duration_s for duration_s, _ in losses)


def _duration(loss):
    """Return how long a loss lasted, s."""
    return loss[0]

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
Whether a stream that is being recorded makes good data: its rate, ages, gaps, stamps, pictures.

Times are those of the ROS clock, so that a simulation that is paused raises no alarm. What is
usual for the stream is learned from what came before the episode, and held against it.
"""

from collections import deque
from dataclasses import dataclass

from diffusion_policy_ros.data.bags.storage_order import JITTER_NS
from diffusion_policy_ros.data.recording.alarm_book import AlarmBook
from diffusion_policy_ros.data.recording.cdr_header import read_header
from diffusion_policy_ros.data.recording.stamp_watch import StampWatch

NS = 1e9
BASELINE_NS = 5_000_000_000  # what is usual is what was seen in this time before the start
MIN_SEEN = 5  # messages, to call a rate usual
MIN_WINDOW_S, MIN_PER_WINDOW = 2.0, 10  # over which a rate is taken
SENTENCES = {
    ('rate', 'low'): 'up to {worst:.1f} Hz below the {usual_hz:.1f} Hz {whence}, {times}',
    ('rate', 'high'): 'up to {worst:.1f} Hz above the {usual_hz:.1f} Hz {whence}, {times}',
    ('age', ''): '{messages} older than {max_age_ms:g} ms on arrival, the oldest {worst:.0f} ms',
    ('gap', ''): 'silent for more than {max_age_ms:g} ms {times}, at most {worst:.0f} ms',
    ('frozen', ''): '{frozen_count} or more equal messages in a row {times}, at most {worst:.0f}',
    ('clock_skew', 'ahead'): '{messages} stamped after the arrival, by up to {worst:.0f} ms',
    ('clock_skew', 'drift'): 'arrival minus header stamp moved by {worst:+.0f} ms since the '
                             'start, limit {max_skew_ms:g} ms',
    ('clock_skew', 'set back'): "the recorder's clock was set back {times}, by up to "
                                '{worst:.0f} ms',
    ('clock_skew', 'unstamped'): '{messages} without a time in the header',
    ('dropped', 'lost'): 'the middleware lost {messages}',
    ('dropped', 'skipped'): 'the header stamps skip {messages}, where one comes every '
                            '{period_ms:.0f} ms',
}


@dataclass(frozen=True)
class QualityLimits:
    """
    From where on a stream is told to be bad.

    :ivar rate_tolerance: Share by which the rate may differ from the usual one, no unit.
    :ivar max_skew_ms: How far header stamps may be ahead of the arrival, or drift, ms.
    :ivar frozen_count: Pictures of equal content in a row that are too many; 0 for never. The
        contract's ``frozen_after`` wins over it.
    """

    rate_tolerance: float = 0.3
    max_skew_ms: float = 50.0
    frozen_count: int = 30


@dataclass(frozen=True)
class StreamFacts:
    """
    What the contract says about a stream.

    :ivar topic: Full name of the topic.
    :ivar max_age_ms: Age and silence that are too long, ms.
    :ivar rate_hz: Rate that is needed where none was seen before, Hz.
    :ivar is_dated: Whether its header stamps say when the content was true.
    :ivar has_header: Whether its messages begin with a header.
    :ivar is_image: Whether it carries pictures.
    :ivar is_command: Whether it may begin late and end early, and come when it likes.
    :ivar frozen_after: As in the contract, 0 where it says nothing.
    """

    topic: str
    max_age_ms: float
    rate_hz: float
    is_dated: bool = True
    has_header: bool = True
    is_image: bool = False
    is_command: bool = False
    frozen_after: int = 0


class StreamQuality:
    """Watches one stream; counts its faults from ``begin`` to ``end``."""

    def __init__(self, facts):
        """
        Begin to learn what is usual.

        :param facts: ``StreamFacts``.
        """
        self._facts = facts
        self._limits = QualityLimits()
        self._book = AlarmBook(facts.topic, SENTENCES)
        self._arrivals = deque()
        self._stamps = StampWatch(self._note)
        self._begin_ns = None
        self._usual_hz = self._whence = None
        self._forget()

    @property
    def is_judging(self) -> bool:
        """Tell whether faults are counted."""
        return self._begin_ns is not None

    def begin(self, now_ns, limits) -> None:
        """
        Count faults from now on, against what was usual until now.

        :param now_ns: The time, ns.
        :param limits: ``QualityLimits``.
        """
        self._book.clear()
        self._limits, self._begin_ns = limits, now_ns
        self._usual_hz = self._seen_hz(now_ns)
        self._whence = 'seen before the start'
        if self._usual_hz is None and not self._facts.is_command:
            self._usual_hz, self._whence = self._facts.rate_hz, 'in the contract'
        self._equal, self._is_gap, self._is_off = 1, False, False
        self._stamps.begin()

    def end(self) -> None:
        """Count no more; what was counted stays until the next ``begin``."""
        self._begin_ns = None

    def add(self, receive_ns, data) -> None:
        """
        Take a message in.

        :param receive_ns: When it arrived, ns; 0 where there is no clock yet.
        :param data: The serialized message, bytes.
        """
        if not receive_ns:
            return
        last_ns = self._arrivals[-1] if self._arrivals else None
        if last_ns is not None and receive_ns < last_ns - JITTER_NS:
            self._note('clock_skew', 'set back', receive_ns, (last_ns - receive_ns) / 1e6)
            self._forget()
            last_ns = None
        self._arrivals.append(receive_ns)
        while receive_ns - self._arrivals[0] > self._window_ns():
            self._arrivals.popleft()
        if last_ns is not None:
            self._check_gap(receive_ns, last_ns)
        self._is_gap = False
        header = read_header(data) if self._facts.has_header else None
        if header and self._facts.is_dated:
            self._check_stamp(receive_ns, header[0])
        self._check_frozen(receive_ns, data, header[1] if header else 4)

    def lost(self, now_ns, count) -> None:
        """
        Note that the middleware lost messages.

        :param now_ns: The time, ns.
        :param count: How many.
        """
        self._note('dropped', 'lost', now_ns, times=count)

    def watch(self, now_ns) -> None:
        """
        Look at what only time shows: silence, and a rate that is not the usual one.

        :param now_ns: The time, ns.
        """
        if not self.is_judging or self._facts.is_command:
            return
        self._check_gap(now_ns, self._arrivals[-1] if self._arrivals else self._begin_ns)
        window_ns = max(MIN_WINDOW_S, MIN_PER_WINDOW / self._usual_hz) * NS
        if now_ns - self._begin_ns < window_ns:
            return
        count = sum(1 for arrival_ns in self._arrivals if now_ns - window_ns < arrival_ns)
        excess_hz = count / window_ns * NS - self._usual_hz
        is_low = excess_hz < -self._limits.rate_tolerance * self._usual_hz
        is_high = (excess_hz > self._limits.rate_tolerance * self._usual_hz
                   and self._whence != 'in the contract')
        if is_low or is_high:
            self._note('rate', 'low' if is_low else 'high', now_ns, abs(excess_hz),
                       times=int(not self._is_off))
        self._is_off = is_low or is_high

    def counts(self) -> dict:
        """Return alarm to how often it was seen in this episode, or the last."""
        return self._book.counts()

    def sentences(self) -> list:
        """Return a sentence for each kind of fault of this episode, or the last."""
        return self._book.sentences(self._numbers())

    def present(self, now_ns) -> list:
        """
        Return the sentences of the faults that are there now.

        :param now_ns: The time, ns.
        """
        return self._book.present(self._numbers(), now_ns) if self.is_judging else []

    def _numbers(self):
        """Return what the sentences need."""
        return {'usual_hz': self._usual_hz or 0.0, 'whence': self._whence,
                'max_age_ms': self._facts.max_age_ms, 'frozen_count': self._too_many(),
                'max_skew_ms': self._limits.max_skew_ms, 'period_ms': self._stamps.period_ms}

    def _note(self, alarm, kind, now_ns, worst=0.0, times=1):
        """Note a fault, if they are counted."""
        if self.is_judging:
            self._book.note(alarm, kind, now_ns, worst, times)

    def _forget(self):
        """Begin to learn anew."""
        self._arrivals.clear()
        self._stamps.forget()
        self._payload, self._equal, self._is_gap, self._is_off = None, 1, False, False

    def _window_ns(self):
        """Return how far back arrivals are needed."""
        slow = MIN_PER_WINDOW / (self._usual_hz or self._facts.rate_hz) * NS
        return max(BASELINE_NS, slow)

    def _seen_hz(self, now_ns):
        """Return the rate until now; None where too few came, or none any more."""
        seen = [arrival_ns for arrival_ns in self._arrivals if now_ns - arrival_ns <= BASELINE_NS]
        if len(seen) < MIN_SEEN or seen[-1] == seen[0]:
            return None
        rate_hz = (len(seen) - 1) / (seen[-1] - seen[0]) * NS
        return rate_hz if (now_ns - seen[-1]) / NS * rate_hz < MIN_SEEN else None

    def _check_gap(self, now_ns, last_ns):
        """Look at the time without a message; a gap that goes on is counted once."""
        if not self.is_judging or (self._facts.is_command and last_ns <= self._begin_ns):
            return
        silence_ms = (now_ns - max(last_ns, self._begin_ns)) / 1e6
        if silence_ms > self._facts.max_age_ms:
            self._note('gap', '', now_ns, silence_ms, times=int(not self._is_gap))
            self._is_gap = True

    def _check_stamp(self, receive_ns, stamp_ns):
        """Look at when the content was true."""
        if stamp_ns == 0:
            self._note('clock_skew', 'unstamped', receive_ns)
            return
        age_ms = (receive_ns - stamp_ns) / 1e6
        if age_ms > self._facts.max_age_ms:
            self._note('age', '', receive_ns, age_ms)
        if age_ms < -self._limits.max_skew_ms:
            self._note('clock_skew', 'ahead', receive_ns, -age_ms)
        self._stamps.add(receive_ns, stamp_ns, self._limits.max_skew_ms,
                         is_regular=not self._facts.is_command)

    def _too_many(self):
        """Return from how many equal messages on the stream is frozen, 0 for never."""
        usual = self._limits.frozen_count if self._facts.is_image else 0
        return self._facts.frozen_after or usual

    def _check_frozen(self, receive_ns, data, offset):
        """Compare the content with that of the message before."""
        limit = self._too_many()
        if not limit:
            return
        payload, self._payload = self._payload, (data, offset)
        is_equal = payload is not None and _are_equal(*payload, data, offset)
        self._equal = self._equal + 1 if is_equal else 1
        if self._equal >= limit:
            self._note('frozen', '', receive_ns, self._equal, times=int(self._equal == limit))


def _are_equal(data, offset, other, other_offset):
    """Compare from the offsets on; pictures of a camera differ early, by their noise."""
    early = 1024
    return (len(data) - offset == len(other) - other_offset
            and data[offset:offset + early] == other[other_offset:other_offset + early]
            and data[offset:] == other[other_offset:])

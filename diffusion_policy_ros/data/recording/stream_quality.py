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

from diffusion_policy_ros.data.bags.storage_order import JITTER_NS
from diffusion_policy_ros.data.recording.alarm_book import AlarmBook
from diffusion_policy_ros.data.recording.cdr_header import read_header
from diffusion_policy_ros.data.recording.frozen_watch import FrozenWatch
from diffusion_policy_ros.data.recording.stamp_watch import StampWatch
from diffusion_policy_ros.data.recording.stream_facts import QualityLimits

NS = 1e9
BASELINE_NS = 5_000_000_000  # what is usual is what was seen in this time before the start
MIN_SEEN = 5  # messages, to call a rate usual
# A driver that has just begun sends what had piled up, and so for a moment faster than it will.
MIN_LEARNED_NS = 2_000_000_000
MOST_ARRIVALS = 20_000  # kept, also where a clock stands still
MOST_BEFORE = 10_000  # faults that are kept for an episode that may begin before them
MIN_WINDOW_S, MIN_PER_WINDOW = 2.0, 10  # over which a rate is taken
SENTENCES = {
    ('rate', 'low'): 'up to {worst:.1f} Hz below the {usual_hz:.1f} Hz {whence}, {times}',
    ('rate', 'high'): 'up to {worst:.1f} Hz above the {usual_hz:.1f} Hz {whence}, {times}',
    ('age', ''): '{messages} older than {max_age_ms:g} ms on arrival, the oldest {worst:.0f} ms',
    ('gap', ''): 'silent for more than {max_age_ms:g} ms {times}, at most {worst:.0f} ms',
    ('gap', 'whole'): 'not one message in the episode',
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
    ('publishers', ''): 'the messages of {publishers} are recorded as one stream',
}


class StreamQuality:
    """
    Watches one stream; counts its faults from ``begin`` to ``end``.

    :ivar limits: ``QualityLimits`` that hold from now on.
    """

    def __init__(self, facts):
        """
        Begin to learn what is usual.

        :param facts: ``StreamFacts``.
        """
        self._facts = facts
        self.limits = QualityLimits()
        self._book = AlarmBook(facts.topic, SENTENCES)
        self._before = deque(maxlen=MOST_BEFORE)
        self._arrivals = deque(maxlen=MOST_ARRIVALS)
        self._stamps, self._contents = StampWatch(self._note), FrozenWatch(self._note)
        self._begin_ns, self._is_empty = None, True
        self._publishers = ()
        self._usual_hz = self._whence = None
        self._forget()

    def begin(self, now_ns, since_ns=None) -> None:
        """
        Count faults from now on, against what was usual until now.

        :param now_ns: The time, ns.
        :param since_ns: When the pre-roll began, ns; what was bad since then counts too. None
            where there is none.
        """
        self._book.clear()
        self._begin_ns = now_ns if since_ns is None else since_ns
        self._is_empty, self._publishers = self._newest_ns() <= self._begin_ns, ()
        self._usual_hz = self._seen_hz(now_ns)
        self._whence = 'seen before the start'
        needed_hz = self._facts.rate_hz
        is_unknown = self._usual_hz is None and not self._facts.is_command
        if is_unknown or (self._facts.is_needed_each_row and self._usual_hz < needed_hz):
            self._usual_hz, self._whence = needed_hz, 'in the contract'
        self._is_gap, self._is_off, self._seen_ns = False, False, None
        self._stamps.begin()
        self._contents.begin()
        for began_ns, alarm, kind, *how in self._before:
            if began_ns > self._begin_ns:
                times = max(how.pop(), not self._book.has(alarm, kind))
                self._book.note(alarm, kind, *how, times)
        self._before.clear()

    def end(self, now_ns) -> None:
        """
        Count no more; what was counted stays until the next ``begin``.

        :param now_ns: The time, ns.
        """
        self.watch(now_ns)
        self._stamps.end(now_ns)
        if self._facts.is_command and self._is_empty:
            self._note('gap', 'whole', now_ns)
        self._begin_ns = None

    def add(self, receive_ns, data) -> None:
        """
        Take a message in.

        :param receive_ns: When it arrived, ns; 0 where there is no clock yet.
        :param data: The serialized message, bytes.
        """
        if not receive_ns:
            return
        self._look_at_clock(receive_ns, self._newest_ns())
        last_ns, self._first_ns = self._newest_ns(), self._first_ns or receive_ns
        self._arrivals.append(receive_ns)
        while receive_ns - self._arrivals[0] > self._window_ns():
            self._arrivals.popleft()
        self._is_empty = self._is_empty and receive_ns < (self._begin_ns or 0)
        if last_ns:
            self._check_gap(receive_ns, last_ns)
        is_after_gap, self._is_gap = self._is_gap, False
        header = read_header(data) if self._facts.has_header else None
        if header and self._facts.is_dated:
            self._check_stamp(receive_ns, header[0], is_after_gap)
        self._contents.add(receive_ns, data, header[1] if header else 4, self._too_many())

    def lost(self, now_ns, count) -> None:
        """
        Note that the middleware lost messages.

        :param now_ns: The time, ns.
        :param count: How many.
        """
        self._note('dropped', 'lost', now_ns, times=count)

    def name_publishers(self, now_ns, names) -> None:
        """
        Note whose messages come as one stream.

        :param now_ns: The time, ns.
        :param names: Those who publish; one alone is as it should be.
        """
        if self._begin_ns is not None and len(names) > 1:
            self._note('publishers', '', now_ns, times=int(not self._publishers))
            self._publishers = names

    def watch(self, now_ns) -> None:
        """
        Look at what only time shows: silence, and a rate that is not the usual one.

        :param now_ns: The time, ns.
        """
        if self._begin_ns is None:
            return
        self._look_at_clock(now_ns, max(self._begin_ns, self._newest_ns()))
        if self._facts.is_command or self._facts.is_held:
            return
        # What came since the last look may be the first of many that wait to be taken in.
        seen_ns, self._seen_ns = self._seen_ns, self._newest_ns()
        if seen_ns == self._seen_ns:
            self._check_gap(now_ns, seen_ns)
        window_ns = max(MIN_WINDOW_S, MIN_PER_WINDOW / self._usual_hz) * NS
        if now_ns - max(self._begin_ns, self._first_ns or 0) < window_ns:
            return
        count = sum(1 for arrival_ns in self._arrivals if now_ns - window_ns < arrival_ns)
        excess_hz = count / window_ns * NS - self._usual_hz
        is_low = excess_hz < -self.limits.rate_tolerance * self._usual_hz
        is_high = (excess_hz > self.limits.rate_tolerance * self._usual_hz
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
        return self._book.present(self._numbers(), now_ns) if self._begin_ns is not None else []

    def _numbers(self):
        """Return what the sentences need."""
        return {'usual_hz': self._usual_hz or 0.0, 'whence': self._whence,
                'max_age_ms': self._facts.max_age_ms, 'frozen_count': self._too_many(),
                'max_skew_ms': self.limits.max_skew_ms, 'period_ms': self._stamps.period_ms,
                'publishers': ' and '.join(self._publishers)}

    def _note(self, alarm, kind, now_ns, worst=0.0, times=1, began_ns=None):
        """Note a fault that began just now, or earlier; or keep it for an episode to come."""
        began_ns = now_ns if began_ns is None else began_ns
        if self._begin_ns is None:
            self._before.append((began_ns, alarm, kind, now_ns, worst, times))
        elif began_ns >= self._begin_ns:
            self._book.note(alarm, kind, now_ns, worst, times)

    def _look_at_clock(self, now_ns, newest_ns):
        """Begin anew where the clock was set back."""
        if now_ns >= newest_ns - JITTER_NS:
            return
        if self._begin_ns is not None:
            self._begin_ns = now_ns
        self._note('clock_skew', 'set back', now_ns, (newest_ns - now_ns) / 1e6)
        self._forget()

    def _forget(self):
        """Begin to learn anew."""
        self._first_ns = None
        self._arrivals.clear()
        self._stamps.forget()
        self._contents.forget()
        self._before.clear()
        self._is_gap, self._is_off, self._seen_ns = False, False, None

    def _newest_ns(self):
        """Return when the newest message arrived, 0 where there is none."""
        return self._arrivals[-1] if self._arrivals else 0

    def _window_ns(self):
        """Return how far back arrivals are needed."""
        slow = MIN_PER_WINDOW / (self._usual_hz or self._facts.rate_hz) * NS
        return max(BASELINE_NS, slow)

    def _seen_hz(self, now_ns):
        """Return the rate until now; None where too few came, or none any more."""
        seen = [arrival_ns for arrival_ns in self._arrivals if now_ns - arrival_ns <= BASELINE_NS]
        if len(seen) < MIN_SEEN or seen[-1] - seen[0] < MIN_LEARNED_NS:
            return None
        rate_hz = (len(seen) - 1) / (seen[-1] - seen[0]) * NS
        return rate_hz if (now_ns - seen[-1]) / NS * rate_hz < MIN_SEEN else None

    def _check_gap(self, now_ns, last_ns):
        """Look at the time without a message; a gap that goes on is counted once."""
        since_ns = max(last_ns, self._begin_ns or 0)
        is_not_begun = self._facts.is_command and last_ns <= (self._begin_ns or 0)
        if is_not_begun or self._facts.is_held:
            return
        silence_ms = (now_ns - since_ns) / 1e6
        if silence_ms > self._facts.max_age_ms:
            self._note('gap', '', now_ns, silence_ms, int(not self._is_gap), since_ns)
            self._is_gap = True

    def _check_stamp(self, receive_ns, stamp_ns, is_after_gap):
        """Look at when the content was true."""
        if stamp_ns == 0:
            self._note('clock_skew', 'unstamped', receive_ns)
            return
        age_ms = (receive_ns - stamp_ns) / 1e6
        if age_ms > self._facts.max_age_ms:
            self._note('age', '', receive_ns, age_ms)
        if age_ms < -self.limits.max_skew_ms:
            self._note('clock_skew', 'ahead', receive_ns, -age_ms)
        self._stamps.add(receive_ns, stamp_ns, self.limits.max_skew_ms,
                         is_regular=not (self._facts.is_command or self._facts.is_held),
                         is_after_gap=is_after_gap)

    def _too_many(self):
        """Return from how many equal messages on the stream is frozen, 0 for never."""
        usual = self.limits.frozen_count if self._facts.is_image else 0
        return self._facts.frozen_after or usual

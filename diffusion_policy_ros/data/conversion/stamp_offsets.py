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

"""How far the headers of a recording lie from the arrivals, and how the two clocks drift apart."""

from dataclasses import dataclass, field
import math

from diffusion_policy_ros.data.bags.stored import LARGEST_NS
from diffusion_policy_ros.data.datasets.histogram import Histogram
from diffusion_policy_ros.data.recorded import CLOCK_SKEW_NS
from diffusion_policy_ros.message_types import UNDATED_TYPES
from diffusion_policy_ros.messages import nanoseconds
import numpy as np

# Over less time, the jitter of single messages looks like drift.
MIN_DRIFT_S = 5.0
MIN_DRIFT_COUNT = 20
# From one message to the next, the offset of a clock that was not set changes by less.
MAX_STEP_NS = 1_000_000_000
# So many offsets are counted at once, which is much quicker than one after the other.
BLOCK = 1000


@dataclass
class StampOffsets:
    """
    Header minus receive time of one topic.

    :ivar offsets: ``Histogram`` of the differences, ns, but for the newest, which ``settle``
        counts; header before arrival is negative.
    :ivar unstamped: Messages whose header says 0.
    :ivar span_s: The longest stretch on one pair of clocks, s.
    """

    offsets: Histogram = field(default_factory=lambda: Histogram(1, is_whole=True))
    unstamped: int = 0
    span_s: float = 0.0
    # Sums about the means of each stretch: a clock that was set, or another bag, begins a new one.
    _sums: list = field(default_factory=lambda: [0.0, 0.0, 0.0])
    _line: list = field(default_factory=list)  # count, mean time, mean offset, three sums, first
    _last_ns: int = 0  # the newest offset
    _fresh: list = field(default_factory=list)  # offsets that are not counted yet

    def add(self, stamp_ns, receive_ns) -> None:
        """
        Count one message.

        :param stamp_ns: Time in its header, ns; 0 is unset.
        :param receive_ns: When it arrived, ns.
        """
        if stamp_ns == 0:
            self.unstamped += 1
            return
        offset_ns = max(stamp_ns - receive_ns, -LARGEST_NS)
        self._fresh.append(offset_ns)
        if len(self._fresh) == BLOCK:
            self._count()
        if abs(offset_ns - self._last_ns) > MAX_STEP_NS:
            self.begin()
        self._last_ns = offset_ns
        if not self._line:
            self._line = [0, 0.0, 0.0, 0.0, 0.0, 0.0, receive_ns, offset_ns]
        line = self._line
        time_s, offset_s = (receive_ns - line[6]) / 1e9, (offset_ns - line[7]) / 1e9
        line[0] += 1
        dt, dx = time_s - line[1], offset_s - line[2]
        line[1] += dt / line[0]
        line[2] += dx / line[0]
        line[3] += dt * (time_s - line[1])
        line[4] += dt * (offset_s - line[2])
        line[5] += dx * (offset_s - line[2])
        self.span_s = max(self.span_s, time_s)

    def begin(self) -> None:
        """Begin a new stretch: a clock was set, or this is the end of the recording."""
        if self._line:
            self._sums = [a + b for a, b in zip(self._sums, self._line[3:6])]
            self._line = []

    def settle(self) -> None:
        """Count all messages there were; those that follow are another stretch."""
        self.begin()
        self._count()

    def merge(self, other) -> None:
        """
        Count the messages of another recording of the same topic.

        :param other: ``StampOffsets``.
        """
        self.settle()
        other.settle()
        self.offsets.merge(other.offsets)
        self.unstamped += other.unstamped
        self.span_s = max(self.span_s, other.span_s)
        self._sums = [a + b for a, b in zip(self._sums, other._sums)]

    def drift_ppm(self):
        """
        Return how fast the header's clock runs away from the receiver's, in parts per million.

        :return: (drift, its standard error) by least squares over each stretch; None where the
            recording is too short to tell.
        """
        self.settle()
        time_time, time_offset, offset_offset = self._sums
        if self.span_s < MIN_DRIFT_S or self.offsets.count < MIN_DRIFT_COUNT or not time_time:
            return None
        slope = time_offset / time_time
        rest = max(0.0, offset_offset - slope * time_offset)
        error = math.sqrt(rest / (self.offsets.count - 2) / time_time)
        return slope * 1e6, error * 1e6

    def are_ahead(self) -> bool:
        """Tell whether more than 5 % of the headers lie clearly after the arrival."""
        self.settle()
        return bool(self.offsets.count) and self.offsets.quantile(0.95)[0] > CLOCK_SKEW_NS

    def figures(self) -> dict:
        """Return median, 5th and 95th percentile and extremes in ms, drift in ppm, and counts."""
        drift = self.drift_ppm()
        shown = {'count': self.offsets.count, 'unstamped': self.unstamped}
        if self.offsets.count:
            shown.update({name: float(self.offsets.quantile(share)[0]) / 1e6 for name, share in (
                ('median_ms', 0.5), ('p5_ms', 0.05), ('p95_ms', 0.95))})
            shown.update(min_ms=int(self.offsets.low[0]) / 1e6,
                         max_ms=int(self.offsets.high[0]) / 1e6)
        if drift:
            shown.update(drift_ppm=drift[0], drift_error_ppm=drift[1])
        return shown

    def sentence(self) -> str:
        """Say the figures in one line."""
        found = self.figures()
        if not self.offsets.count:
            return f'no header has a time ({self.unstamped} messages)' if self.unstamped \
                else 'no message'
        drift = 'drift unknown (too short)' if 'drift_ppm' not in found else \
            f'drift {found["drift_ppm"]:+.1f} (+-{found["drift_error_ppm"]:.1f}) ppm'
        unset = f', {self.unstamped} unstamped' if self.unstamped else ''
        return (f'median {found["median_ms"]:.1f} ms, 5 % {found["p5_ms"]:.1f}, 95 % '
                f'{found["p95_ms"]:.1f}, max {found["max_ms"]:.1f} ms, {drift}{unset}')

    def to_dict(self) -> dict:
        """Return what JSON can hold and ``from_dict`` reads."""
        self.settle()
        return {'offsets': self.offsets.to_dict(), 'unstamped': self.unstamped,
                'span_s': self.span_s, 'sums': self._sums}

    @classmethod
    def from_dict(cls, stored):
        """
        Read what ``to_dict`` returned.

        :param stored: The dict.
        """
        return cls(Histogram.from_dict(stored['offsets']), stored['unstamped'],
                   stored['span_s'], list(stored['sums']))

    def _count(self):
        """Count the newest offsets."""
        if self._fresh:
            self.offsets.add(np.array(self._fresh)[:, None])
            self._fresh = []


class OffsetWatch:
    """
    Watches the headers of a contract's topics go by.

    :ivar topics: ``{topic: StampOffsets}`` of those whose headers say when they were made.
    """

    def __init__(self, topics):
        """
        Begin.

        :param topics: ``{topic: message type}``.
        """
        self.topics = {topic: StampOffsets() for topic, kind in topics.items()
                       if kind not in UNDATED_TYPES}

    def see(self, topic, message, receive_ns) -> None:
        """
        Count one message.

        :param topic: Its topic.
        :param message: The message.
        :param receive_ns: When it arrived, ns.
        """
        offsets = self.topics.get(topic)
        if offsets is not None:
            offsets.add(nanoseconds(message.header.stamp), receive_ns)

    def clock_was_set(self) -> None:
        """Begin new stretches."""
        for offsets in self.topics.values():
            offsets.begin()

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

"""How regularly commands arrived, and whether that is regular enough for a robot."""

from dataclasses import asdict, dataclass
from typing import Optional

import numpy as np

# Share of the wanted commands that must come, and how far, as a share of the period, the interval
# between two of them may be off in 99 of 100 cases.
MIN_RATE_SHARE = 0.95
MAX_DEVIATION_SHARE = 0.2
# From this share of withheld CPU time on, stalls are more frequent than one command in a hundred.
MUCH_WITHHELD = 0.05


@dataclass(frozen=True)
class Span:
    """
    A stretch of time in which commands were expected without a break.

    :ivar stamps_ns: Arrival of each command, int64 ``(n,)``, increasing, ns; the first one begins
        the stretch.
    :ivar end_ns: End of the stretch, not before the last command, ns.
    """

    stamps_ns: np.ndarray
    end_ns: int


@dataclass(frozen=True)
class LoopTiming:
    """
    The regularity of the commands over some spans.

    :ivar wanted_hz: Commands per second that were wanted.
    :ivar commands: Commands after the first one of each span.
    :ivar seconds: Length of all spans, s.
    :ivar interval_p50_ms, interval_p99_ms, interval_max_ms: Spread of the intervals between
        commands, ms; None where no two commands came.
    :ivar deviation_p99_ms: 99th percentile of how far an interval is from the period, ms; None
        likewise.
    """

    wanted_hz: float
    commands: int
    seconds: float
    interval_p50_ms: Optional[float] = None
    interval_p99_ms: Optional[float] = None
    interval_max_ms: Optional[float] = None
    deviation_p99_ms: Optional[float] = None

    @property
    def commands_per_s(self) -> float:
        """Return the rate over the whole length, pauses included."""
        return self.commands / self.seconds if self.seconds > 0 else 0.0

    def to_dict(self) -> dict:
        """Return all figures, ready for JSON."""
        return {**asdict(self), 'commands_per_s': self.commands_per_s}


@dataclass(frozen=True)
class Check:
    """
    One requirement and what was measured.

    :ivar name: What is required, with its unit.
    :ivar measured: The figure; None where there was nothing to measure.
    :ivar wanted: The limit, as it is printed.
    :ivar passed: Whether it was met; None where a miss says nothing.
    """

    name: str
    measured: Optional[float]
    wanted: str
    passed: Optional[bool]

    def __str__(self):
        """Return the line as it is printed."""
        measured = 'nothing measured' if self.measured is None else f'{self.measured:.2f}'
        word = {True: 'PASS', False: 'FAIL', None: 'UNSURE'}[self.passed]
        return f'{word}  {self.name}: {measured}, wanted {self.wanted}'


def intervals_ms(spans) -> np.ndarray:
    """
    Return the times between neighbouring commands of each span.

    :param spans: Sequence of ``Span``.
    :return: float64 ``(n,)``, ms.
    """
    parts = [np.diff(span.stamps_ns) / 1e6 for span in spans]
    return np.concatenate(parts) if parts else np.empty(0)


def measure_timing(spans, wanted_hz) -> LoopTiming:
    """
    Measure how regularly commands came.

    :param spans: Sequence of ``Span``; nothing is expected between them.
    :param wanted_hz: Commands per second that were wanted, above 0.
    :return: ``LoopTiming``.
    """
    spans = [span for span in spans if len(span.stamps_ns)]
    found = intervals_ms(spans)
    seconds = sum((span.end_ns - int(span.stamps_ns[0])) / 1e9 for span in spans)
    timing = LoopTiming(wanted_hz, len(found), seconds)
    if not len(found):
        return timing
    p50, p99 = np.percentile(found, (50, 99))
    deviation = np.percentile(np.abs(found - 1e3 / wanted_hz), 99)
    return LoopTiming(wanted_hz, len(found), seconds, float(p50), float(p99), float(found.max()),
                      float(deviation))


def check_timing(timing, withheld=0.0) -> tuple:
    """
    Compare the regularity with what a robot needs.

    A virtual machine whose host gives its CPU time to others stands still for many milliseconds
    at a time, which no program in it can prevent: there, late commands are counted but not judged.

    :param timing: ``LoopTiming``.
    :param withheld: Share of the CPU time asked for that a host withheld, in [0, 1].
    :return: Two ``Check``: the rate, and the deviation of the interval from the period.
    """
    period_ms = 1e3 / timing.wanted_hz
    least_hz = MIN_RATE_SHARE * timing.wanted_hz
    most_ms = MAX_DEVIATION_SHARE * period_ms
    deviation = timing.deviation_p99_ms
    is_punctual = deviation is not None and bool(deviation <= most_ms)
    if not is_punctual and deviation is not None and withheld >= MUCH_WITHHELD:
        is_punctual = None
    return (
        Check('commands per second', timing.commands_per_s, f'{least_hz:.2f} or more',
              bool(timing.commands_per_s >= least_hz)),
        Check(f'p99 of the deviation of the command interval from {period_ms:.1f} ms, in ms',
              deviation, f'{most_ms:.2f} or less', is_punctual))

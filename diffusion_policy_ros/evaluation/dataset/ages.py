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

"""How old the sample behind each row was, and how often each stream had a new one."""

from dataclasses import dataclass, field

from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.recorded import age_limits
from diffusion_policy_ros.evaluation.dataset.finding import ERROR, Finding, Places, WARNING
import numpy as np

# More rows than this that repeat the sample of the row before make a stream slower than the rows.
MOST_REPEATS = 0.2
# One bin per ms up to here; what is older counts in the last one.
MOST_MS = 2000


@dataclass
class StreamAges:
    """
    What all rows say about one topic.

    :ivar histogram: Rows by age, one bin per ms, int64 ``(MOST_MS + 1,)``.
    :ivar rates_hz: New samples per second of each episode, as the rows show them.
    :ivar repeats: Rows whose sample was that of the row before.
    :ivar steps: Rows that have one before them.
    :ivar too_old: Places beyond the contract's limit.
    :ivar negative: Places where a sample is newer than its tick.
    """

    histogram: np.ndarray = field(default_factory=lambda: np.zeros(MOST_MS + 1, np.int64))
    rates_hz: list = field(default_factory=list)
    repeats: int = 0
    steps: int = 0
    too_old: Places = field(default_factory=Places)
    negative: Places = field(default_factory=Places)

    def quantile_ms(self, share) -> float:
        """
        Return the age that a share of the rows does not exceed, to 1 ms.

        :param share: From 0 to 1.
        """
        return float(np.searchsorted(self.histogram.cumsum(), share * self.histogram.sum()))


class AgesCheck:
    """
    Look at the ages of every row.

    :ivar streams: ``{topic: StreamAges}``; empty for a dataset that holds no ages.
    :ivar limits_ms: ``{topic: max_age_ms}`` of the contract, of topics whose samples may not be
        held.
    """

    def __init__(self, source):
        """
        Begin with no episode.

        :param source: What ``open_source`` returned.
        """
        feature = source.features.get(layout.AGE_KEY) or {}
        self._rate_hz = source.rate_hz
        self.streams = {topic: StreamAges() for topic in feature.get('names') or ()}
        self._held, self.limits_ms = age_limits(source.contract) if source.contract \
            else (set(), {})

    def look(self, rows) -> None:
        """
        Look at one episode.

        :param rows: ``StoredRows``.
        """
        if layout.AGE_KEY not in rows.columns or not rows.count:
            return
        ages, ticks = rows.columns[layout.AGE_KEY], rows.columns.get(layout.TICK_KEY)
        for (topic, stream), age_ns in zip(self.streams.items(), ages.T):
            age_ms = age_ns / 1e6
            stream.histogram += np.bincount(
                np.clip(age_ms, 0, MOST_MS).astype(np.int64), minlength=MOST_MS + 1)
            limit_ms = self.limits_ms.get(topic, np.inf)
            for places, is_wrong in ((stream.too_old, age_ms > limit_ms),
                                     (stream.negative, age_ns < 0)):
                if is_wrong.any():
                    row = int(is_wrong.argmax())
                    places.add(f'episode {rows.episode.index} row {row} ({age_ms[row]:.1f} ms)',
                               int(is_wrong.sum()))
            if ticks is not None and rows.count > 1:
                self._count(stream, ticks[:, 0] - age_ns, rows.count)

    def findings(self) -> list:
        """Return what was found."""
        found = []
        for topic, stream in self.streams.items():
            if stream.too_old:
                found.append(Finding(
                    ERROR, 'ages', f'{topic}: {stream.too_old.count} rows are older than '
                    f'max_age_ms {self.limits_ms[topic]:g}: {stream.too_old}',
                    'the contract inside was changed after the conversion; convert again'))
            if stream.negative:
                found.append(Finding(
                    ERROR, 'ages', f'{topic}: {stream.negative.count} samples are newer than '
                    f'their rows: {stream.negative}', 'the rows saw the future; convert again'))
            is_slow = stream.steps and stream.repeats > MOST_REPEATS * stream.steps
            if is_slow and topic not in self._held:
                share = stream.repeats / stream.steps
                found.append(Finding(
                    WARNING, 'rates', f'{topic} has no new sample in {share:.0%} of the rows: it '
                    f'brings {np.median(stream.rates_hz):.1f} per second, a dataset of '
                    f'{self._rate_hz:g} Hz wants more', 'speed its publisher up, lower rate_hz '
                    'of the contract, or accept that it is held between samples'))
        return found

    def _count(self, stream, stamps_ns, rows):
        """Count new samples, which the stamps behind the rows tell."""
        fresh = np.diff(stamps_ns) != 0
        stream.steps += len(fresh)
        stream.repeats += int((~fresh).sum())
        stream.rates_hz.append((1 + int(fresh.sum())) * self._rate_hz / rows)

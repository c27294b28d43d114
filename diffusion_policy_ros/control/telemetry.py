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
"""What a running policy measures of itself: rates, ages, latencies and misses."""

from collections import deque
from dataclasses import dataclass, fields
import threading

import numpy as np

RATE_WINDOW_S = 5.0
# A stream that is silent for so many of its mean intervals has stopped.
SILENT_INTERVALS = 5
SAMPLES_KEPT = 512


@dataclass(frozen=True)
class Latency:
    """
    Where the time went from what the robot showed to the first command that answers it.

    The parts follow each other; they are those of the oldest sample of the newest row.

    :ivar capture_ms: From its stamp to its arrival: exposure, driver and middleware, ms.
    :ivar receive_ms: From its arrival until it was looked at: the wait for the tick, the settling
        time and the executor, ms.
    :ivar decode_ms: Decoding and aligning all streams, ms.
    :ivar encode_ms: Waiting for the inference thread, and encoding the observations, ms.
    :ivar sample_ms: Sampling the chunk, ms.
    :ivar publish_ms: From the finished plan to its first command, ms.
    """

    capture_ms: float
    receive_ms: float
    decode_ms: float
    encode_ms: float
    sample_ms: float
    publish_ms: float

    @property
    def total_ms(self) -> float:
        """Return the time from the sample's stamp to the first command, ms."""
        return sum(getattr(self, f.name) for f in fields(self))

    def named(self) -> dict:
        """Return all parts and the total by name, in ms."""
        return {**{f.name: getattr(self, f.name) for f in fields(self)},
                'total_ms': self.total_ms}


class RateMeter:
    """Counts events, and says how many came per second lately."""

    def __init__(self):
        """Start without events."""
        self.count = 0
        self._times = deque(maxlen=SAMPLES_KEPT)

    def add(self, now_s):
        """
        Count an event.

        :param now_s: The time on a clock that never steps, s.
        """
        self.count += 1
        self._times.append(now_s)

    def rate_hz(self, now_s) -> float:
        """
        Return events per second over the last seconds, 0 when nothing comes any more.

        :param now_s: The time, s.
        """
        recent = [t for t in tuple(self._times) if now_s - t <= RATE_WINDOW_S]
        if len(recent) < 2 or recent[-1] == recent[0]:
            return 0.0
        rate_hz = (len(recent) - 1) / (recent[-1] - recent[0])
        return rate_hz if (now_s - recent[-1]) * rate_hz <= SILENT_INTERVALS else 0.0

    def age_s(self, now_s):
        """
        Return the time since the last event, None where there was none.

        :param now_s: The time, s.
        """
        times = tuple(self._times)[-1:]
        return now_s - times[0] if times else None

    def intervals_ms(self):
        """Return the times between the events kept, float64 ``(n,)``, ms."""
        return np.diff(tuple(self._times)) * 1e3


def spread(values) -> dict:
    """
    Summarise measurements.

    :param values: Numbers, at least one for a result.
    :return: ``{'p50': .., 'p95': .., 'p99': .., 'max': ..}``, or empty.
    """
    if not len(values):
        return {}
    p50, p95, p99 = np.percentile(values, (50, 95, 99))
    return {'p50': float(p50), 'p95': float(p95), 'p99': float(p99), 'max': float(np.max(values))}


class Telemetry:
    """
    The measurements of one activation; methods may be called from several threads.

    :ivar missed: Command slots, after a first command, at which nothing could be sent although
        nothing was wrong with the observations: the next plan was late.
    :ivar unfinished: Plans for which there was no time for all evaluations.
    :ivar late: Plans that were sampled after their deadline all the same.
    """

    def __init__(self, topics):
        """
        Start empty.

        :param topics: Topics of the observed streams.
        """
        self.inputs = {topic: RateMeter() for topic in topics}
        self.commands = RateMeter()
        self.plans = RateMeter()
        self.missed = self.unfinished = self.late = 0
        self._evaluations = deque(maxlen=SAMPLES_KEPT)
        self._spreads = deque(maxlen=SAMPLES_KEPT)
        self._ages_ms = {}
        self._latencies = deque(maxlen=SAMPLES_KEPT)
        self._lock = threading.Lock()

    def saw_ages(self, ages_ns):
        """
        Keep how old the newest samples were at a tick.

        :param ages_ns: Topic to age, ns.
        """
        with self._lock:
            self._ages_ms = {topic: age / 1e6 for topic, age in ages_ns.items()}

    def planned(self, evaluations, is_complete, is_late, spread):
        """
        Count a plan.

        :param evaluations: Denoiser calls that it took.
        :param is_complete: Whether there was time for all of them.
        :param is_late: Whether it was sampled after its deadline.
        :param spread: How far its candidates are apart, normalized units.
        """
        with self._lock:
            self.unfinished += not is_complete
            self.late += is_late
            self._evaluations.append(evaluations)
            self._spreads.append(spread)

    def answered(self, latency, now_s):
        """
        Count a plan whose first command was sent.

        :param latency: Its ``Latency``.
        :param now_s: The time, s.
        """
        self.plans.add(now_s)
        with self._lock:
            self._latencies.append(latency)

    def input_facts(self, now_s) -> dict:
        """Return rate and last age of each stream by name, as text."""
        facts = {}
        for topic, meter in self.inputs.items():
            facts[f'{topic} rate (Hz)'] = f'{meter.rate_hz(now_s):.1f}'
            if topic in self._ages_ms:
                facts[f'{topic} age at the tick (ms)'] = f'{self._ages_ms[topic]:.1f}'
        return facts

    def command_facts(self, now_s) -> dict:
        """Return rate, regularity and misses of the commands by name, as text."""
        facts = {'rate (Hz)': f'{self.commands.rate_hz(now_s):.2f}',
                 'sent': str(self.commands.count), 'missed': str(self.missed)}
        for name, value in spread(self.commands.intervals_ms()).items():
            facts[f'interval {name} (ms)'] = f'{value:.2f}'
        return facts

    def plan_facts(self, now_s) -> dict:
        """Return rate and latency of the plans by name, as text."""
        facts = {'plans per second (Hz)': f'{self.plans.rate_hz(now_s):.2f}',
                 'plans': str(self.plans.count),
                 'plans cut short by the deadline': str(self.unfinished),
                 'plans after the deadline': str(self.late)}
        with self._lock:
            rows = [latency.named() for latency in self._latencies]
            if self._evaluations:
                facts['evaluations of the last plan'] = str(self._evaluations[-1])
                facts['spread of the candidates p95'] = f'{spread(self._spreads)["p95"]:.3f}'
        for part in rows[-1] if rows else ():
            for name, value in spread([row[part] for row in rows]).items():
                facts[f'{part[:-3]} {name} (ms)'] = f'{value:.1f}'
        return facts

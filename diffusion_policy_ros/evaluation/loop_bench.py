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

"""The quality of a control loop over some minutes: punctuality, CPU time, growth of memory."""

from collections import Counter
from dataclasses import asdict, dataclass
import math
from typing import Optional

from diffusion_policy_ros.control.telemetry import spread
from diffusion_policy_ros.evaluation.loop_timing import (
    Check, check_timing, measure_timing, MUCH_WITHHELD, Span)
import numpy as np

MIB = 1024 * 1024
MAX_GAP_PERIODS = 2.0
MAX_GROWTH_MIB_PER_MIN = 1.0
# Memory rises while buffers fill and caches form: not counted for so long, or a third of the run.
MEMORY_WARM_UP_S = 60.0
# Over less than this a single new buffer looks like a leak, and a leak may not show.
SHORTEST_JUDGED_S = 60.0
# All pairs of so many samples are half a million slopes.
MAX_SAMPLES = 1000


@dataclass(frozen=True)
class LoopSetting:
    """
    What was run, and where.

    :ivar model: What identifies the policy.
    :ivar rate_hz: Rows per second of the policy.
    :ivar command_rate_hz: Commands per second that were wanted.
    :ivar streams: What the robot showed, and how often.
    :ivar parameters: Of the policy server, where they were set: name to value.
    :ivar machine: Facts about the machine, text by name.
    :ivar versions: Versions of the software, text by name.
    :ivar withheld: Share of the CPU time asked for that a virtual machine's host withheld.
    """

    model: str
    rate_hz: float
    command_rate_hz: float
    streams: str
    parameters: dict
    machine: dict
    versions: dict
    withheld: float = 0.0


@dataclass(frozen=True)
class LoopRecord:
    """
    What was seen of a running loop; times are ns of the ROS clock.

    :ivar end_ns: When the watching ended; it began with the first command.
    :ivar received_ns: Arrival of each command at another process, stamped by the middleware,
        int64 ``(n,)``.
    :ivar sent_ns: When the middleware took each command from the policy server, int64 ``(n,)``.
    :ivar due_ns: When each command was due by its own stamp, int64 ``(n,)``; empty where commands
        do not say so.
    :ivar latency_ms: Latencies of the plans, float64 ``(m,)``, ms, by the name of their part.
    :ivar usage_ns: When processes were looked at, int64 ``(s,)``.
    :ivar usage: Process to the fields of ``ProcessUsage``, each ``(s,)``.
    :ivar notes: What the policy server gave as reasons for not commanding, in order.
    :ivar diagnostics: What it said last in its diagnostics: section to facts.
    """

    end_ns: int
    received_ns: np.ndarray
    sent_ns: np.ndarray
    due_ns: np.ndarray
    latency_ms: dict
    usage_ns: np.ndarray
    usage: dict
    notes: tuple
    diagnostics: dict

    @classmethod
    def from_rows(cls, rows):
        """
        Put together what an observer told bit by bit.

        :param rows: At least one dict of ``until_ns``, ``commands`` (lists of received, sent and
            due time in ns, the last one None where it is unknown), ``latencies`` (dicts of part
            to ms), ``usage`` (process to the fields of ``ProcessUsage``), ``notes`` and
            ``diagnostics``, in the order of time.
        """
        received, sent, due = zip(*(c for row in rows for c in row['commands'])) if any(
            row['commands'] for row in rows) else ((), (), ())
        latencies = [latency for row in rows for latency in row['latencies']]
        return cls(
            end_ns=rows[-1]['until_ns'], received_ns=np.array(received, np.int64),
            sent_ns=np.array(sent, np.int64),
            due_ns=np.array([] if None in due else due, np.int64),
            latency_ms=_columns(latencies), usage_ns=np.array([row['until_ns'] for row in rows]),
            usage={process: _columns([row['usage'][process] for row in rows])
                   for process in rows[0]['usage']},
            notes=tuple(note for row in rows for note in row['notes']),
            diagnostics=rows[-1]['diagnostics'])

    @property
    def span(self) -> Span:
        """Return the commands as they arrived."""
        return Span(self.received_ns, self.end_ns)

    @property
    def due_to_sent_ms(self) -> np.ndarray:
        """Return how long after its date each command left, ms; empty where none is known."""
        return (self.sent_ns - self.due_ns) / 1e6 if len(self.due_ns) else np.array([])

    @property
    def worst_gap_ms(self) -> Optional[float]:
        """Return the longest time without a command, the end included, ms; None without any."""
        if not len(self.received_ns):
            return None
        return float(np.diff(self.received_ns, append=self.end_ns).max() / 1e6)

    @property
    def usage_s(self) -> np.ndarray:
        """Return when processes were looked at, float64 ``(s,)``, s since the first time."""
        return (self.usage_ns - self.usage_ns[0]) / 1e9

    def cpu_cores(self, process) -> np.ndarray:
        """
        Return how many cores a process kept busy between neighbouring looks.

        :param process: Its name in ``usage``.
        :return: float64 ``(s - 1,)``.
        """
        return np.diff(self.usage[process]['cpu_s']) / np.diff(self.usage_s)


def loop_figures(record, setting) -> dict:
    """
    Return all figures of a run, ready for JSON.

    :param record: ``LoopRecord``.
    :param setting: ``LoopSetting``.
    """
    timing = measure_timing([record.span], setting.command_rate_hz)
    server = usage_figures(record, 'server')
    checks = (*check_timing(timing, setting.withheld),
              check_gap(record.worst_gap_ms, setting.command_rate_hz, setting.withheld),
              check_growth(server['growth_mib_per_min'], server['growth_over_s']))
    due_to_sent_ms = record.due_to_sent_ms
    return {
        'passed': all(check.passed is not False for check in checks),
        'checks': [asdict(check) for check in checks],
        'timing': timing.to_dict(), 'worst_gap_ms': record.worst_gap_ms,
        'own_ms': spread(own_times(record.latency_ms, due_to_sent_ms)),
        'due_to_sent_ms': spread(due_to_sent_ms),
        'sent_to_received_ms': spread((record.received_ns - record.sent_ns) / 1e6),
        'plan_latency': {part: spread(values) for part, values in record.latency_ms.items()},
        'plans': max(map(len, record.latency_ms.values()), default=0),
        'server': server, 'robot': usage_figures(record, 'robot'),
        'not_commanding': dict(Counter(record.notes).most_common()),
        'diagnostics': record.diagnostics, **asdict(setting)}


def own_times(latency_ms, due_to_sent_ms) -> np.ndarray:
    """
    Return what arrival, decoding and sending take on the way from a sample's stamp to a command.

    Left out are the policy, the waits for the tick, the settling time and the date of the
    command, and those of the threads for each other. The two halves of the way do not depend on
    each other: each time of one half is added to each of the other.

    :param latency_ms: Latencies of the plans, ms, by the name of their part.
    :param due_to_sent_ms: How long after its date each command left, ms.
    :return: float64 ``(n,)``, ms; empty where a half was not measured.
    """
    if not {'capture_ms', 'decode_ms'} <= latency_ms.keys():
        return np.array([])
    there = _evenly(latency_ms['capture_ms'] + latency_ms['decode_ms'])
    return np.add.outer(there, _evenly(due_to_sent_ms)).ravel()


def _evenly(values):
    """Return at most ``MAX_SAMPLES`` of a series, evenly spread."""
    return values[::max(1, math.ceil(len(values) / MAX_SAMPLES))]


def usage_figures(record, process) -> dict:
    """
    Return what a process used, ready for JSON.

    :param record: ``LoopRecord``.
    :param process: Its name in ``usage``.
    """
    usage, time_s = record.usage[process], record.usage_s
    steady = time_s >= min(MEMORY_WARM_UP_S, time_s[-1] / 3)
    growth = {name: _growth_mib_per_min(time_s[steady], usage[f'{name}_bytes'][steady])
              for name in ('resident', 'private')}
    return {
        'cpu_cores': _per_second(time_s, usage['cpu_s']),
        'resident_mib': float(usage['resident_bytes'][-1] / MIB),
        'private_mib': float(usage['private_bytes'][-1] / MIB),
        'growth_mib_per_min': growth['resident'], 'private_growth_mib_per_min': growth['private'],
        'growth_over_s': float(np.ptp(time_s[steady])), 'threads': int(usage['threads'].max()),
        'involuntary_switches_per_s': _per_second(time_s, usage['involuntary_switches'])}


def median_slope(times, values) -> Optional[float]:
    """
    Return the trend of a series that a few jumps and outliers do not move.

    The median of the slopes between all pairs of points (Sen 1968, doi:10.2307/2285891), of at
    most ``MAX_SAMPLES`` of them, evenly spread.

    :param times: Increasing numbers, ``(n,)``.
    :param values: Numbers, ``(n,)``.
    :return: Change per unit of time; None for fewer than two points.
    """
    if len(times) < 2:
        return None
    times, values = (_evenly(np.asarray(series, float)) for series in (times, values))
    first, second = np.triu_indices(len(times), 1)
    return float(np.median((values[second] - values[first]) / (times[second] - times[first])))


def check_gap(worst_gap_ms, wanted_hz, withheld=0.0) -> Check:
    """
    Compare the longest time without a command with what a robot bears.

    :param worst_gap_ms: The figure, ms; None where nothing came.
    :param wanted_hz: Commands per second that were wanted.
    :param withheld: Share of the CPU time asked for that a host withheld; where it is much, a
        miss says nothing about the program.
    """
    limit_ms = MAX_GAP_PERIODS * 1e3 / wanted_hz
    is_met = worst_gap_ms is not None and bool(worst_gap_ms <= limit_ms)
    if not is_met and worst_gap_ms is not None and withheld >= MUCH_WITHHELD:
        is_met = None
    return Check('longest time without a command, in ms', worst_gap_ms,
                 f'{limit_ms:.2f} or less', is_met)


def check_growth(mib_per_min, over_s) -> Check:
    """
    Compare the trend of the server's memory with none.

    :param mib_per_min: The trend, MiB per minute; None where nothing was measured.
    :param over_s: How long it was watched, s; too short a time proves nothing.
    """
    is_met = None if over_s < SHORTEST_JUDGED_S else mib_per_min < MAX_GROWTH_MIB_PER_MIN
    return Check("growth of the server's memory, in MiB per minute", mib_per_min,
                 f'less than {MAX_GROWTH_MIB_PER_MIN:g}', is_met)


def _growth_mib_per_min(time_s, used_bytes):
    """Return the trend of a memory, None where it was seen less than twice."""
    slope = median_slope(time_s, used_bytes)
    return None if slope is None else 60 * slope / MIB


def _per_second(time_s, counts):
    """Return how fast a counter rose from the first look to the last, None for one look."""
    return float((counts[-1] - counts[0]) / time_s[-1]) if len(counts) > 1 else None


def _columns(dicts):
    """Turn dicts of the same keys into a dict of arrays."""
    return {key: np.array([values[key] for values in dicts if key in values])
            for key in dict.fromkeys(key for values in dicts for key in values)}

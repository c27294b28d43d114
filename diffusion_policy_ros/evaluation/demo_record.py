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

"""What was seen of a Push-T episode that ran live over ROS, and its figures."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from zipfile import BadZipFile

from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.loop_timing import measure_timing, Span
from diffusion_policy_ros.sim.pusht import SUCCESS_COVERAGE
import numpy as np


@dataclass(frozen=True)
class EpisodeRecord:
    """
    One episode; all times are ns of the ROS clock.

    :ivar number: Number of the episode from 0.
    :ivar seed: Seed of its start.
    :ivar end_ns: When it ended; it began with the first command.
    :ivar received_ns: Arrival of each command at another process, stamped by the middleware,
        int64 ``(n,)``.
    :ivar sent_ns: When the middleware took each command from the policy server, int64 ``(n,)``.
    :ivar coverage_ns: Times of the coverages, int64 ``(c,)``.
    :ivar coverage: Share of the goal covered now, and the maximum so far, float64 ``(c, 2)``.
    :ivar latency_ns: Times of the latencies, int64 ``(m,)``.
    :ivar latency_ms: From the picture's stamp to the finished plan, float64 ``(m,)``, ms.
    :ivar plan_ns: Arrival of the plans, int64 ``(p,)``.
    :ivar plan_due_ns: When each row of the plans is due, int64 ``(p, rows)``.
    :ivar plans: The rows, x and y of the finger, float64 ``(p, rows, 2)``, m.
    :ivar frame_ns: When the pictures were kept, int64 ``(f,)``.
    :ivar pictures: What the camera saw, uint8 ``(f, H, W, 3)``, RGB.
    :ivar poses: Finger x, y, block x, y in m, block angle in rad, float64 ``(f, 5)``.
    :ivar notes: What the policy server gave as reasons for not commanding, text ``(k,)``.
    """

    number: int
    seed: int
    end_ns: int
    received_ns: np.ndarray
    sent_ns: np.ndarray
    coverage_ns: np.ndarray
    coverage: np.ndarray
    latency_ns: np.ndarray
    latency_ms: np.ndarray
    plan_ns: np.ndarray
    plan_due_ns: np.ndarray
    plans: np.ndarray
    frame_ns: np.ndarray
    pictures: np.ndarray
    poses: np.ndarray
    notes: np.ndarray

    @property
    def start_ns(self) -> int:
        """Return when the first command arrived, the end where none did."""
        return int(self.received_ns[0]) if len(self.received_ns) else self.end_ns

    @property
    def span(self) -> Span:
        """Return the commands as they arrived."""
        return Span(self.received_ns, self.end_ns)

    @property
    def max_coverage(self) -> float:
        """Return the largest coverage, in [0, 1]."""
        return float(self.coverage[:, 1].max()) if len(self.coverage) else 0.0

    def figures(self, wanted_hz) -> dict:
        """
        Return what a table shows of the episode, ready for JSON.

        :param wanted_hz: Commands per second that were wanted.
        """
        latency = percentiles(self.latency_ms)
        return {
            'episode': self.number, 'seed': self.seed,
            'seconds': (self.end_ns - self.start_ns) / 1e9,
            'solved': self.max_coverage >= SUCCESS_COVERAGE,
            'coverage': float(self.coverage[-1, 0]) if len(self.coverage) else 0.0,
            'max_coverage': self.max_coverage,
            'latency_p50_ms': latency[0], 'latency_p99_ms': latency[1],
            'plans': len(self.plan_ns),
            **measure_timing([self.span], wanted_hz).to_dict(),
            'notes': [str(note) for note in self.notes]}

    def save(self, path):
        """
        Write the record to a file.

        :param path: File to write, ending in .npz.
        :raises DatasetError: if it cannot be written.
        """
        try:
            np.savez(path, **asdict(self))
        except OSError as error:
            raise DatasetError(f'cannot keep the recorded episode {path}: {error}') from error


def load_record(path) -> EpisodeRecord:
    """
    Read a record.

    :param path: File that ``EpisodeRecord.save`` wrote.
    :raises DatasetError: naming the file, if it cannot be read.
    """
    try:
        with np.load(Path(path), allow_pickle=False) as file:
            values = {f.name: file[f.name] for f in fields(EpisodeRecord)}
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise DatasetError(f'cannot read the recorded episode {path}: {error}; run the demo '
                           'again') from error
    return EpisodeRecord(**{name: value.item() if value.ndim == 0 else value
                            for name, value in values.items()})


def percentiles(values, ranks=(50, 99)) -> list:
    """
    Return percentiles of measurements.

    :param values: Numbers, float ``(n,)``.
    :param ranks: Which percentiles, in [0, 100].
    :return: List of floats; of None where there are no numbers.
    """
    return np.percentile(values, ranks).tolist() if len(values) else [None] * len(ranks)


def number(value, digits=1) -> str:
    """
    Write a figure that may be missing.

    :param value: Number, or None.
    :param digits: Digits after the point.
    """
    return '-' if value is None else f'{value:.{digits}f}'

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

"""What was seen of an episode of a simulated robot that ran live over ROS, and its figures."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from zipfile import BadZipFile

from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.live_simulations import LIVE
from diffusion_policy_ros.evaluation.loop_timing import measure_timing, Span
from diffusion_policy_ros.sim.pacing import SCORE_RATE_HZ
import numpy as np


@dataclass(frozen=True)
class EpisodeRecord:
    """
    One episode; all times are ns of the system's clock.

    :ivar sim: Name of the simulation, a key of ``LIVE``.
    :ivar number: Number of the episode from 0.
    :ivar seed: Seed of its start.
    :ivar end_ns: When it ended; it began with the first command.
    :ivar received_ns: Arrival of each command at another process, stamped by the middleware,
        int64 ``(n,)``.
    :ivar sent_ns: When the middleware took each command from the policy server, int64 ``(n,)``.
    :ivar score_ns: Arrival of the scores, int64 ``(c,)``.
    :ivar score: Score of that moment and the best so far, as the simulation tells them, float64
        ``(c, 2)`` in [0, 1].
    :ivar latency_ns: Times of the latencies, int64 ``(m,)``.
    :ivar latency_ms: From the picture's stamp to the finished plan, float64 ``(m,)``, ms.
    :ivar plan_ns: Arrival of the plans, int64 ``(p,)``.
    :ivar plan_due_ns: When each row of the plans is due, int64 ``(p, rows)``.
    :ivar plans: The rows, float64 ``(p, rows, action_dim)`` in robot units.
    :ivar frame_ns: When the pictures were kept, int64 ``(f,)``.
    :ivar pictures: What the cameras took, in the order of the simulation's contract, uint8
        ``(f, cameras, H, W, 3)``, RGB.
    :ivar states: What its other streams showed then, in that order, float64 ``(f, entries)``.
    :ivar notes: What the policy server gave as reasons for not commanding, text ``(k,)``.
    """

    sim: str
    number: int
    seed: int
    end_ns: int
    received_ns: np.ndarray
    sent_ns: np.ndarray
    score_ns: np.ndarray
    score: np.ndarray
    latency_ns: np.ndarray
    latency_ms: np.ndarray
    plan_ns: np.ndarray
    plan_due_ns: np.ndarray
    plans: np.ndarray
    frame_ns: np.ndarray
    pictures: np.ndarray
    states: np.ndarray
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
    def best_score(self) -> float:
        """Return the best score, in [0, 1]."""
        return float(self.score[:, 1].max()) if len(self.score) else 0.0

    @property
    def solved(self) -> bool:
        """Tell whether the task was solved."""
        return self.best_score >= LIVE[self.sim].goal

    def plan_at(self, now_ns) -> np.ndarray:
        """
        Return what was still to come of the newest plan, from the row that is due on.

        :param now_ns: The time, ns.
        :return: float64 ``(n, action_dim)``; no rows where there was no plan yet.
        """
        known = np.searchsorted(self.plan_ns, now_ns, side='right')
        if not known:
            return np.empty((0, 0))
        first = np.searchsorted(self.plan_due_ns[known - 1], now_ns, side='right') - 1
        return self.plans[known - 1][max(first, 0):]

    def figures(self, wanted_hz) -> dict:
        """
        Return what a table shows of the episode, ready for JSON.

        :param wanted_hz: Commands per second that were wanted.
        """
        latency = percentiles(self.latency_ms)
        return {
            'episode': self.number, 'seed': self.seed,
            'seconds': (self.end_ns - self.start_ns) / 1e9,
            'solved': self.solved,
            'score': float(self.score[-1, 0]) if len(self.score) else 0.0,
            'best_score': self.best_score,
            'latency_p50_ms': latency[0], 'latency_p99_ms': latency[1],
            'plans': len(self.plan_ns),
            **measure_timing([self.span], wanted_hz).to_dict(),
            'notes': [str(note) for note in self.notes]}

    def save(self, path):
        """
        Write the record to a file, whose pictures are compressed: an evaluation keeps hundreds.

        :param path: File to write, ending in .npz.
        :raises DatasetError: if it cannot be written.
        """
        try:
            np.savez_compressed(path, **asdict(self))
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


def real_time_factor(records):
    """
    Return how fast the simulation ran: its seconds, told by the scores, per second.

    :param records: ``EpisodeRecord`` objects.
    :return: The factor; None where there are not two scores.
    """
    told = [record.score_ns for record in records if len(record.score_ns) > 1]
    seconds = sum(stamps_ns[-1] - stamps_ns[0] for stamps_ns in told) / 1e9
    simulated = sum(len(stamps_ns) - 1 for stamps_ns in told) / SCORE_RATE_HZ
    return simulated / seconds if told else None


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

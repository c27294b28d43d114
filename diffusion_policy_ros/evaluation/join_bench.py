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
"""How plans follow each other, compared: success and smoothness under inference delays."""

from dataclasses import dataclass
from typing import Optional

from diffusion_policy_ros.control.joins import JoinSettings
from diffusion_policy_ros.control.replan import ReplanSettings
from diffusion_policy_ros.evaluation.evaluate import evaluate
from diffusion_policy_ros.evaluation.intervals import mean_interval, normal_interval
from diffusion_policy_ros.evaluation.rollout import LoopSettings
from diffusion_policy_ros.policy.planner import PlanOptions
import numpy as np

# Commands up to this many rows after a border take part in a third difference across it.
JERK_REACH = 3


@dataclass(frozen=True)
class Smoothness:
    """
    How commands move where a new plan takes over, and elsewhere.

    :ivar border_step: Mean distance between the commands before and at a border, robot units.
    :ivar step: The same between all other neighbours.
    :ivar border_jerk: Root mean square third difference per period cubed of the commands around
        borders, robot units per s^3.
    :ivar jerk: The same of all other commands.
    """

    border_step: float
    step: float
    border_jerk: float
    jerk: float


@dataclass(frozen=True)
class JoinRow:
    """
    One join under one delay.

    :ivar join: One of ``choices.JOINS``.
    :ivar delay_ms: Injected delay, ms.
    :ivar evaluation: The ``Evaluation``.
    :ivar loss: Mean score lost against the join ``none`` without delay, same episodes; positive
        is worse.
    :ivar loss_95: Its 95 % interval; None where the episodes do not tell.
    :ivar smoothness: ``Smoothness`` over all episodes.
    """

    join: str
    delay_ms: float
    evaluation: object
    loss: float
    loss_95: Optional[tuple]
    smoothness: Smoothness


class JoinBench:
    """Compares joins on the same seeded episodes; all are held against the first row."""

    def __init__(self, run, rate_hz):
        """
        Prepare; nothing is measured yet.

        :param run: ``(join, delay_ms, progress)`` to an ``Evaluation`` of all episodes;
            ``progress`` is called with the number of newly finished ones.
        :param rate_hz: Commands per second, Hz.
        """
        self._run, self._period_s = run, 1 / rate_hz
        self._base = None

    def measure(self, join, delay_ms, progress=lambda count: None) -> JoinRow:
        """
        Run all episodes under one join and one delay.

        :param join: One of ``choices.JOINS``.
        :param delay_ms: Injected delay, ms.
        :param progress: Called with the number of newly finished episodes.
        """
        evaluation = self._run(join, delay_ms, progress)
        scores = np.array([episode.score for episode in evaluation.episodes])
        if self._base is None:
            self._base = scores
        lost = self._base - scores
        return JoinRow(join, delay_ms, evaluation, float(lost.mean()), normal_interval(lost),
                       smoothness(evaluation.traces, self._period_s))


def simulated_runs(policy, make_environment, seeds, *, execute_horizon, num_candidates,
                   max_steps):
    """
    Return what runs episodes in simulated time, for ``JoinBench``.

    :param policy: The policy, on its device.
    :param make_environment: Called with the contract for each concurrent episode.
    :param seeds: Seeds of the episodes.
    :param execute_horizon: Rows executed between two plans.
    :param num_candidates: Candidates of ``coherent``.
    :param max_steps: Rows per episode at most.
    """
    def run(join, delay_ms, progress):
        count = num_candidates if join == 'coherent' else 1
        return evaluate(
            policy, make_environment, seeds, max_steps=max_steps, progress=progress,
            options=PlanOptions(policy.sampler, join, count),
            loop=LoopSettings(ReplanSettings(execute_horizon), JoinSettings(join), delay_ms))

    return run


def smoothness(traces, period_s) -> Smoothness:
    """
    Measure how commands move.

    :param traces: ``(commands, borders)`` of each episode, as ``Rollout`` keeps them.
    :param period_s: Time between commands, s.
    :return: ``Smoothness``; NaN for what no episode was long enough for.
    """
    steps, jerks = ([], []), ([], [])  # elsewhere, at borders
    for commands, borders in traces:
        rows, borders = _followed(commands, borders)
        for distances, reach, found in ((_distances(rows, 1), 1, steps),
                                        (_distances(rows, 3) / period_s ** 3, JERK_REACH, jerks)):
            is_border = np.zeros(len(distances) + reach, bool)
            for border in borders:
                is_border[border:border + reach] = True
            # Difference k is that of row k + reach and the ones before it.
            for which in (False, True):
                found[which].extend(distances[is_border[reach:] == which])
    return Smoothness(_mean(steps[1]), _mean(steps[0]), _rms(jerks[1]), _rms(jerks[0]))


def _followed(commands, borders):
    """Return the commands from the first one on, gaps filled by the last one, and its borders."""
    first = next((k for k, command in enumerate(commands) if command is not None), len(commands))
    rows = []
    for command in commands[first:]:
        rows.append(rows[-1] if command is None else command)
    # The first plan takes over from nothing.
    return np.array(rows), [border - first for border in borders if border > first]


def _distances(rows, order):
    """Return the norms of the differences of some order, (rows - order,)."""
    return np.linalg.norm(np.diff(rows, order, axis=0), axis=-1) if len(rows) > order \
        else np.zeros(0)


def _mean(values):
    """Return the mean, NaN of nothing."""
    return float(np.mean(values)) if values else float('nan')


def _rms(values):
    """Return the root mean square, NaN of nothing."""
    return float(np.sqrt(np.mean(np.square(values)))) if values else float('nan')


def score_interval(row):
    """
    Return the 95 % interval of a row's mean score; None where its episodes do not tell.

    :param row: ``JoinRow``.
    """
    return mean_interval([episode.score for episode in row.evaluation.episodes])

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

"""How far episodes had come after so much time."""

from dataclasses import dataclass
import math

from diffusion_policy_ros.evaluation.intervals import bootstrap_intervals, success_interval
import numpy as np


@dataclass(frozen=True)
class Curves:
    """
    Share of solved episodes and mean score over time, with 95 % bands.

    :ivar seconds: Time since the start, s, float64 (n,).
    :ivar success: Share solved by then, and its Wilson interval, float64 (n, 3).
    :ivar score: Mean of the best score so far, and its bootstrap interval, float64 (n, 3); the
        last one is that of the mean score. NaN where the episodes do not tell it.
    """

    seconds: np.ndarray
    success: np.ndarray
    score: np.ndarray

    def to_dict(self) -> dict:
        """Return all numbers, ready for JSON."""
        score = [[None if math.isnan(value) else value for value in instant]
                 for instant in self.score.round(6).tolist()]
        return {'seconds': self.seconds.round(6).tolist(),
                'success': self.success.round(6).tolist(), 'score': score}


def curves(results, courses, *, rate_hz, max_steps) -> Curves:
    """
    Count solved episodes and average scores at every step.

    An episode ends when it is solved, and keeps its score from then on.

    :param results: ``EpisodeResult`` objects.
    :param courses: Best score so far of each episode, before the first step and after each.
    :param rate_hz: Steps per second, Hz.
    :param max_steps: Steps of an episode at most.
    :return: ``Curves`` of ``max_steps + 1`` instants.
    """
    reached = np.stack([_filled(course, max_steps + 1) for course in courses])
    end = np.array([r.steps if r.success else np.inf for r in results])
    success = []
    for step in range(max_steps + 1):
        solved = int(np.sum(end <= step))
        success.append((solved / len(results), *success_interval(solved, len(results))))
    score = np.column_stack([reached.mean(axis=0), bootstrap_intervals(reached)])
    return Curves(np.arange(max_steps + 1) / rate_hz, np.array(success), score)


def _filled(course, count):
    """Return a course of a certain length; its last score stays."""
    course = np.asarray(course, dtype=np.float64)[:count]
    return np.concatenate([course, np.full(count - len(course), course[-1])])


def look_at_score(environment) -> tuple:
    """
    Return what curves need of a simulated robot at each step.

    :param environment: Any ``Environment``.
    :return: Its score so far.
    """
    return (environment.score(),)

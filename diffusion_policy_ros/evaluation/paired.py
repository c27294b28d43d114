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
Which of two is better, from the same seeded episodes of both.

Where one episode is hard for both, a pair of results tells more than two independent ones. Success
is compared with McNemar's exact test, the score with a permutation of signs.
"""

from dataclasses import asdict, dataclass
import math
from typing import Optional

from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.intervals import bootstrap_interval, interval_text
import numpy as np

# Two questions are asked of the same episodes; half of 5 % for each keeps a wrong answer to either
# below 5 % (Bonferroni).
ALPHA = 0.025
PERMUTATIONS = 20_000
CHUNK = 1000
MOST_ENUMERATED = 14  # differences whose 2^n signs are all tried


@dataclass(frozen=True)
class PairedTest:
    """
    One figure of two, episode by episode.

    :ivar first, second: The mean of each.
    :ivar difference: ``first - second``.
    :ivar difference_95: Its 95 % interval, by bootstrap over episodes; None where they do not
        tell.
    :ivar p: How often chance alone gives a difference as large, in (0, 1].
    """

    first: float
    second: float
    difference: float
    difference_95: Optional[tuple]
    p: float

    @property
    def is_clear(self) -> bool:
        """Tell whether chance is no explanation."""
        return self.p < ALPHA

    @property
    def p_text(self) -> str:
        """Return the p-value as text."""
        return f'{self.p:.3f}' if self.p >= 0.001 else 'below 0.001'


@dataclass(frozen=True)
class Comparison:
    """
    Two models or two settings on the same episodes.

    :ivar names: Names of both.
    :ivar seeds: Seeds of the episodes that both ran.
    :ivar success: ``PairedTest`` of the success rate.
    :ivar only: Episodes that only the first solved, and that only the second did.
    :ivar score: ``PairedTest`` of the mean score.
    :ivar settings: In which settings they differ, in words; empty where they do not.
    """

    names: tuple
    seeds: tuple
    success: PairedTest
    only: tuple
    score: PairedTest
    settings: str = ''

    def sentence(self) -> str:
        """Say which is better, by how much, or that the episodes do not tell."""
        clear = [test.difference for test in (self.success, self.score) if test.is_clear]
        first, second = self.names
        if not clear:
            said = f'the episodes do not tell whether {first} or {second} is better'
        elif min(clear) < 0 < max(clear):
            said = f'{first} and {second} are each better at one of the two'
        else:
            better, other = (first, second) if clear[0] > 0 else (second, first)
            said = f'{better} is better than {other}'
        settings = f'; settings: {self.settings}' if self.settings else ''
        return (f'{len(self.seeds)} paired episodes: {said}; {first} against {second}: success '
                f'{_written(self.success, 100, 1, " points")}, mean score '
                f'{_written(self.score, 1, 3)}{settings}')

    def to_dict(self) -> dict:
        """Return everything, ready for JSON."""
        return {**asdict(self), 'sentence': self.sentence()}


def compare(names, first, second, settings='') -> Comparison:
    """
    Compare the results of the episodes that both ran.

    :param names: Names of both, for people.
    :param first: ``EpisodeResult`` objects.
    :param second: The same of the other.
    :param settings: In which settings they differ, in words.
    :return: ``Comparison``, positive where the first is better.
    :raises DatasetError: if they have no seed in common.
    """
    pairs = _pairs(names, first, second)
    scores = np.array([(a.score, b.score) for a, b in pairs])
    solved = np.array([(a.success, b.success) for a, b in pairs], dtype=np.float64)
    only = tuple(int(np.sum(solved @ (sign, -sign) > 0)) for sign in (1, -1))
    return Comparison(tuple(names), tuple(a.seed for a, _ in pairs),
                      _test(solved, mcnemar(*only)), only,
                      _test(scores, sign_permutation(scores[:, 0] - scores[:, 1])), settings)


def mcnemar(only_first, only_second) -> float:
    """
    Return McNemar's exact two-sided p-value.

    McNemar 1947, Psychometrika 12: episodes that both solve, or neither, say nothing; of the
    others chance gives half to each, so that the p-value is a binomial tail.

    :param only_first: Episodes that only the first solved.
    :param only_second: Episodes that only the second solved.
    """
    count, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(count, k) for k in range(fewer + 1))
    return min(1.0, 2 * tail / 2**count)


def sign_permutation(differences, *, permutations=PERMUTATIONS, seed=0) -> float:
    """
    Return the two-sided p-value of a mean difference under random signs (Fisher 1935, Sec. 21).

    All signs are tried where there are few; else so many are drawn, and the observed ones count
    as one of them, so that the p-value is never 0.

    :param differences: Differences of the pairs, ``(n,)``.
    :param permutations: Number of drawn signs.
    :param seed: Seed of the drawing.
    """
    differences = np.asarray(differences, dtype=np.float64)
    differences = differences[differences != 0]
    wanted = abs(differences.sum()) * (1 - 1e-9)  # equal sums differ by rounding
    count = len(differences)
    if count <= MOST_ENUMERATED:
        signs = 1 - 2 * (np.arange(2**count)[:, None] >> np.arange(count) & 1)
        return float(np.mean(np.abs(signs @ differences) >= wanted))
    random, beyond = np.random.default_rng(seed), 0
    for start in range(0, permutations, CHUNK):
        signs = 1 - 2 * random.integers(0, 2, (min(CHUNK, permutations - start), count))
        beyond += int(np.sum(np.abs(signs @ differences) >= wanted))
    return (beyond + 1) / (permutations + 1)


def _pairs(names, first, second):
    """Return the results of the same seeds side by side, in the first's order."""
    known = {result.seed: result for result in second}
    pairs = [(result, known[result.seed]) for result in first if result.seed in known]
    if not pairs:
        raise DatasetError(f'{names[0]} and {names[1]} have no seed in common, so that no episode '
                           'can be compared; run both with the same --seed')
    return pairs


def _test(pairs, p):
    """Return the means of both columns, and the difference with its interval."""
    differences = pairs[:, 0] - pairs[:, 1]
    first, second = pairs.mean(axis=0).tolist()
    return PairedTest(first, second, float(differences.mean()), bootstrap_interval(differences),
                      float(p))


def _written(test, factor, digits, unit=''):
    """Write a difference with its interval and its p-value."""
    interval = interval_text(test.difference_95, factor, digits, '+')
    return (f'{factor * test.difference:+.{digits}f}{unit} (95 % {interval}, p {test.p_text})')

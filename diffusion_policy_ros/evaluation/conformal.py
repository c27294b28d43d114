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
Thresholds from held-out episodes, with a promise about episodes to come.

Conformal prediction with one score per episode (Vovk, Gammerman and Shafer 2005, Algorithmic
Learning in a Random World, chapter 4): of M + 1 exchangeable scores each is the l-th largest
equally often. A limit at the l-th largest of M is therefore exceeded by the next score with a
chance of at most ``l / (M + 1)``, whatever the scores' distribution.
"""

from decimal import Context, Decimal, ROUND_CEILING
from fractions import Fraction
import math

from diffusion_policy_ros.errors import ConfigError
import numpy as np

BISECTIONS = 60


def needed_episodes(false_alarms) -> int:
    """
    Return how many episodes a threshold needs at least: ``M >= 1 / false_alarms - 1``.

    :param false_alarms: Share of episodes that may exceed the threshold, in (0, 1).
    :raises ConfigError: if it lies elsewhere.
    """
    return math.ceil(1 / _exact(false_alarms)) - 1


def conformal_threshold(scores, false_alarms) -> float:
    """
    Return the ``ceil((M + 1) (1 - false_alarms))``-th smallest of M scores.

    :param scores: One finite score per held-out episode, (M,); large is suspicious.
    :param false_alarms: Share of episodes like these that may exceed it, in (0, 1).
    :return: The threshold, in the scores' unit.
    :raises ConfigError: if there are too few scores for such a share, or it is none.
    """
    check_count(len(scores), false_alarms)
    return float(np.sort(scores)[len(scores) - _allowed(len(scores), false_alarms)])


def check_count(count, false_alarms):
    """
    Refuse too few episodes for a threshold.

    :param count: How many good episodes there are.
    :param false_alarms: As for ``conformal_threshold``.
    :raises ConfigError: saying how many it takes, or that the share is none.
    """
    if not _allowed(count, false_alarms):
        remedy = f', or allow {rounded_up(1 / (count + 1), 2):g}' if count else ''
        raise ConfigError(
            f'{count} episodes are too few for a share of {false_alarms:g} false alarms, which '
            f'takes at least {needed_episodes(false_alarms)}; measure more episodes{remedy}')


def false_alarm_range(count, false_alarms, probability=0.95):
    """
    Return where the true share of false alarms lies, given that the threshold was drawn.

    The threshold from M continuous scores covers a share of episodes to come that is distributed
    as Beta(M + 1 - l, l) with ``l = floor((M + 1) false_alarms)`` (Vovk 2012, Proc. ACML, section
    2): it is l / (M + 1) on average, and varies the more the fewer episodes there were.

    :param count: Number M of scores that the threshold came from.
    :param false_alarms: As for ``conformal_threshold``.
    :param probability: Chance that the share lies in the range, the rest being split evenly.
    :return: ``(low, high)``, shares in [0, 1].
    """
    allowed, tail = _allowed(count, false_alarms), (1 - probability) / 2
    return tuple(_beta_quantile(allowed, count + 1 - allowed, chance)
                 for chance in (tail, 1 - tail))


def rounded_up(value, digits=4) -> float:
    """
    Round towards more, so that a limit that people type in raises no further alarm.

    :param value: Finite number.
    :param digits: Significant digits to keep.
    """
    context = Context(prec=digits, rounding=ROUND_CEILING)
    return float(context.create_decimal(Decimal(float(value))))


def _exact(false_alarms):
    """Return a share as it was written: 29 of 100 is 0.29, though 0.29 * 100 is a little less."""
    if not 0 < false_alarms < 1:
        raise ConfigError(f'the share of false alarms is {false_alarms:g}; it must lie between 0 '
                          'and 1, without them')
    return Fraction(str(float(false_alarms)))


def _allowed(count, false_alarms):
    """Return the rank of the threshold from above, ``M + 1 - ceil((M + 1) (1 - share))``."""
    return math.floor((count + 1) * _exact(false_alarms))


def _beta_quantile(a, b, chance):
    """
    Return the quantile of a Beta distribution with whole parameters.

    Its distribution function at p is the chance of at least a successes in a + b - 1 trials of
    chance p each (Abramowitz and Stegun, 26.5.24), which grows with p.
    """
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        fewer = _binomial(a + b - 1, middle, a - 1)
        low, high = (middle, high) if 1 - fewer < chance else (low, middle)
    return (low + high) / 2


def _binomial(trials, p, most):
    """Return the chance of at most so many successes, with 0 < p < 1."""
    k = np.arange(1, most + 1)
    # log C(n, k) = sum of log((n - k + 1) / k)
    log_counts = np.concatenate([[0.0], np.cumsum(np.log((trials - k + 1) / k))])
    k = np.arange(most + 1)
    return float(np.exp(log_counts + k * math.log(p) + (trials - k) * math.log1p(-p)).sum())

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
95 % confidence intervals for a success rate and for a mean.

A mean is given one only where its values can tell: from ``LEAST_EPISODES`` on, and where they are
not all the same. Of fewer episodes the rare bad one is mostly missing, so that an interval of what
was seen is too narrow; of equal ones it would have no width, as if nothing else could come.
"""

import math
from statistics import NormalDist

import numpy as np

Z95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution
RESAMPLES = 10_000
LEAST_EPISODES = 20
CHUNK = 1000  # resamples that are in memory at a time
ROUNDING = 1e-12  # relative; by so much equal values and equal means may differ


def success_interval(successes, episodes):
    """
    Return Wilson's 95 % interval of a success rate.

    Wilson 1927, J. Am. Stat. Assoc. 22, Eq. (7): unlike the usual ``p +- z s``, it stays inside
    [0, 1] and is right for rates near the ends.

    :param successes: Number of successful episodes.
    :param episodes: Number of episodes, at least 1.
    :return: ``(low, high)``, shares in [0, 1].
    :raises ValueError: if the counts are impossible.
    """
    if episodes < 1 or not 0 <= successes <= episodes:
        raise ValueError(f'{successes} successes in {episodes} episodes is not possible')
    rate = successes / episodes
    scale = 1 + Z95**2 / episodes
    centre = rate + Z95**2 / (2 * episodes)
    spread = Z95 * math.sqrt(rate * (1 - rate) / episodes + Z95**2 / (4 * episodes**2))
    # The rate itself always lies inside; min and max only undo rounding at 0 and 1.
    return (max(0.0, min(rate, (centre - spread) / scale)),
            min(1.0, max(rate, (centre + spread) / scale)))


def mean_interval(values):
    """
    Return the normal 95 % interval of a mean score, ``mean +- z * s / sqrt(n)``, cut to [0, 1].

    The cut takes away only what no mean of scores can be, so that the interval holds the true
    mean as often as without it.

    :param values: Scores in [0, 1], one per independent episode.
    :return: ``(low, high)``, in [0, 1], or None where the scores do not tell.
    :raises ValueError: if there is no value, or one outside [0, 1].
    """
    values = np.asarray(values, dtype=np.float64)
    if values.size == 0:
        raise ValueError('the mean of no values has no interval')
    if not np.all((values >= 0) & (values <= 1)):
        raise ValueError(f'scores from {values.min():g} to {values.max():g} are not possible; '
                         'they lie in [0, 1]')
    interval = normal_interval(values)
    return interval and (max(0.0, interval[0]), min(1.0, interval[1]))


def normal_interval(values):
    """
    Return the normal 95 % interval of a mean, ``mean +- z * s / sqrt(n)``.

    :param values: Numbers, one per independent episode, at least one.
    :return: ``(low, high)``, or None where the values do not tell.
    """
    values = np.asarray(values, dtype=np.float64)
    if not _do_tell(values):
        return None
    half = Z95 * values.std(ddof=1) / math.sqrt(values.size)
    return float(values.mean() - half), float(values.mean() + half)


def bootstrap_interval(values, *, resamples=RESAMPLES, seed=0):
    """
    Return the bootstrap's 95 % interval of a mean, bias-corrected and accelerated (BCa).

    Efron 1987, J. Am. Stat. Assoc. 82, Sec. 3: percentiles of the means of resampled values,
    moved for bias and for skewness. Unlike ``mean +- z s / sqrt(n)`` it is lopsided where the
    values are, as scores that crowd at 1 are.

    :param values: Numbers, one per independent episode.
    :param resamples: Number of resampled means.
    :param seed: Seed of the resampling: equal values give equal intervals.
    :return: ``(low, high)``, or None where the values do not tell.
    :raises ValueError: if there is no value.
    """
    columns = np.asarray(values, dtype=np.float64)[:, None]
    low, high = bootstrap_intervals(columns, resamples=resamples, seed=seed)[0].tolist()
    return None if math.isnan(low) else (low, high)


def bootstrap_intervals(columns, *, resamples=RESAMPLES, seed=0):
    """
    Return the interval of ``bootstrap_interval`` for several columns, from the same resamples.

    :param columns: Numbers, float (episodes, columns).
    :param resamples: As for ``bootstrap_interval``.
    :param seed: As for ``bootstrap_interval``.
    :return: float64 (columns, 2): low and high, NaN where the values of a column do not tell.
    :raises ValueError: if there is no episode.
    """
    columns = np.asarray(columns, dtype=np.float64)
    if not len(columns):
        raise ValueError('the mean of no values has no interval')
    if len(columns) < LEAST_EPISODES:
        return np.full((columns.shape[1], 2), np.nan)
    means = _resampled_means(columns, resamples, seed)
    return np.array([_bias_corrected(values, np.sort(resampled))
                     for values, resampled in zip(columns.T, means.T)])


def _do_tell(values):
    """Tell whether values are enough, and different enough, for an interval of their mean."""
    return len(values) >= LEAST_EPISODES and \
        np.ptp(values) > ROUNDING * np.abs(values).max()


def _resampled_means(columns, resamples, seed):
    """Return the means of resampled episodes, (resamples, columns)."""
    count, random, means = len(columns), np.random.default_rng(seed), []
    for start in range(0, resamples, CHUNK):
        size = min(CHUNK, resamples - start)
        chosen = random.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        drawn = np.bincount(chosen.ravel(), minlength=size * count).reshape(size, count)
        means.append(drawn @ columns / count)
    return np.concatenate(means)


def _bias_corrected(values, means):
    """Return the BCa interval of a mean from its sorted resampled means."""
    if not _do_tell(values):
        return math.nan, math.nan
    mean, normal, centred = values.mean(), NormalDist(), values - values.mean()
    tie = ROUNDING * np.abs(values).max()
    low, high = np.searchsorted(means, (mean - tie, mean + tie))
    below = (low + high) / 2 / len(means)
    bias = normal.inv_cdf(float(np.clip(below, 1 / len(means), 1 - 1 / len(means))))
    acceleration = np.sum(centred**3) / (6 * np.sum(centred**2)**1.5)
    moved = (bias - Z95, bias + Z95)
    return np.quantile(means, [normal.cdf(float(bias + z / (1 - acceleration * z)))
                               for z in moved])


def interval_text(interval, factor, digits, sign='') -> str:
    """
    Write an interval for people.

    :param interval: ``(low, high)``, or None for one that is not known: ``-``.
    :param factor: What both are multiplied by, such as 100 for per cent.
    :param digits: Digits after the point.
    :param sign: ``+`` where numbers above zero get a sign.
    """
    if interval is None:
        return '-'
    low, high = (factor * end for end in interval)
    return f'{low:{sign}.{digits}f} to {high:{sign}.{digits}f}'

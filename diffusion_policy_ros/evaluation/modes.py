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
Whether sampled chunks fall into one group or into two, and how large the two are.

Two means on the two principal axes of the chunks propose a split; the folding test of Siffer et
al. 2018 ("Are your data gathered?", KDD) decides whether it is one. Folded at the right place, two
groups come to lie on each other, so that the spread shrinks by more than that of any single heap.
"""

from dataclasses import dataclass
from functools import lru_cache

from diffusion_policy_ros.evaluation.intervals import success_interval
import numpy as np

LEAST_SAMPLES = 10
# What is folded is compared with so many samples of the uniform distribution, the widest heap.
REFERENCES = 1999
ALPHA = 0.01
LEAST_SHARE = 0.05  # fewer are outliers, not a mode
DIRECTIONS = 8
ROUNDS = 100


@dataclass(frozen=True, eq=False)
class Split:
    """
    The best split of K samples in two, and whether there is one.

    :ivar labels: 0 or 1 for each sample, int (K,); 0 is the larger group.
    :ivar share: Share of the larger group, in [0.5, 1).
    :ivar share_95: Its Wilson interval.
    :ivar separation: Distance of the groups' means in their common standard deviation, along the
        line through both.
    :ivar p: How often a uniform sample is as much like two groups, in (0, 1].
    :ivar plane: The samples on their two principal axes, float64 (K, 2).
    :ivar explained: Share of the variance that these axes hold, in [0, 1].
    """

    labels: np.ndarray
    share: float
    share_95: tuple
    separation: float
    p: float
    plane: np.ndarray
    explained: float

    @property
    def is_two(self) -> bool:
        """Tell whether one heap with a few outliers is no explanation."""
        return self.p < ALPHA and self.share <= 1 - LEAST_SHARE

    def sentence(self) -> str:
        """Say whether there are two modes, how large and how far apart."""
        p = f'p {self.p:.4f}'
        if not self.is_two:
            return f'one mode ({p} for two)'
        larger = int(np.sum(self.labels == 0))
        low, high = (100 * end for end in self.share_95)
        return (f'two modes of {larger} and {len(self.labels) - larger} (the larger '
                f'{100 * self.share:.1f} %, 95 % {low:.1f} to {high:.1f}), '
                f'{self.separation:.1f} standard deviations apart ({p})')

    def to_dict(self) -> dict:
        """Return figures and labels, ready for JSON."""
        return {'two_modes': bool(self.is_two), 'share': self.share, 'share_95': self.share_95,
                'separation': self.separation, 'p': self.p, 'explained': self.explained,
                'labels': self.labels.tolist()}


def split_in_two(samples) -> Split:
    """
    Split samples in two, and find out whether they are two groups.

    :param samples: float (K, ...), K at least 10, in units in which entries can be compared.
    :return: ``Split``.
    :raises ValueError: if there are too few.
    """
    flat = np.asarray(samples, dtype=np.float64).reshape(len(samples), -1)
    if len(flat) < LEAST_SAMPLES:
        raise ValueError(f'{len(flat)} samples; it takes {LEAST_SAMPLES} to tell modes')
    plane, explained = _principal_plane(flat)
    labels = _two_means(plane)
    across = _across(plane, labels)
    first, second = across[labels == 0], across[labels == 1]
    share, separation = len(first) / len(across), 0.0
    if len(second):
        within = np.sqrt(share * first.var() + (1 - share) * second.var())
        separation = abs(float(first.mean() - second.mean())) / max(float(within), 1e-12)
    return Split(labels, share, success_interval(len(first), len(across)), separation,
                 _folding_p(across), plane, explained)


def folding_ratio(values) -> np.ndarray:
    """
    Return the spread of values after folding relative to before: the smaller, the more like two.

    ``Var |x - s| / Var x`` with ``s = Cov(x, x^2) / (2 Var x)``. It is 1/4 for a uniform
    distribution, 1 - 2/pi for a normal one, and goes to 0 for two points, however many values are
    on either.

    :param values: float64 (..., K).
    :return: float64 (...).
    """
    centred = values - values.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    pivot = (centred**3).mean(axis=-1, keepdims=True) / np.maximum(2 * variance, 1e-300)
    return np.abs(centred - pivot).var(axis=-1) / np.maximum(variance[..., 0], 1e-300)


def _folding_p(values):
    """Return how often a uniform sample of the same size folds at least as well."""
    if np.ptp(values) == 0:
        return 1.0
    better = int(np.sum(_uniform_ratios(len(values)) <= folding_ratio(values)))
    return (better + 1) / (REFERENCES + 1)


@lru_cache(maxsize=4)
def _uniform_ratios(count):
    """Return the folding ratios of many uniform samples of a size."""
    random = np.random.default_rng(0)
    return np.array([folding_ratio(random.random(count)) for _ in range(REFERENCES)])


def _principal_plane(flat):
    """Return the samples on their two principal axes, and the share of variance on these."""
    centred = flat - flat.mean(axis=0)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    plane = centred @ axes[:2].T
    plane = np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))
    total = float(np.sum(lengths**2))
    return plane, float(np.sum(lengths[:2]**2)) / total if total else 1.0


def _two_means(plane):
    """Return the labels of the split with the least distances to two means (Lloyd 1982)."""
    best, least = np.zeros(len(plane), dtype=np.int64), np.inf
    for angle in np.arange(DIRECTIONS) * np.pi / DIRECTIONS:
        along = plane @ (np.cos(angle), np.sin(angle))
        labels = (along > 0).astype(np.int64)
        for _ in range(ROUNDS):
            if labels.min() == labels.max():
                break
            means = np.stack([plane[labels == group].mean(axis=0) for group in (0, 1)])
            away = np.square(plane[:, None] - means).sum(axis=-1)  # (K, 2)
            before, labels = labels, away.argmin(axis=1)
            if np.array_equal(before, labels):
                if away.min(axis=1).sum() < least:
                    best, least = labels, away.min(axis=1).sum()
                break
    return best if np.sum(best == 0) * 2 >= len(best) else 1 - best


def _across(plane, labels):
    """Return the samples on the line through the means of both groups."""
    if labels.min() == labels.max():
        return plane[:, 0]
    line = plane[labels == 1].mean(axis=0) - plane[labels == 0].mean(axis=0)
    return plane @ (line / np.linalg.norm(line))

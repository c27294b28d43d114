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

"""The per-feature statistics of a dataset: minimum, maximum, mean, deviation and quantiles."""

import numpy as np

QUANTILES = {'q01': 0.01, 'q10': 0.1, 'q50': 0.5, 'q90': 0.9, 'q99': 0.99}
# Pictures are counted on a grid of about this many rows or columns; more changes no digit.
PICTURE_GRID = 150


def vector_statistics(values):
    """
    Compute the statistics of one feature over some rows.

    :param values: ``(rows, D)`` or ``(rows,)``, at least one row, integers or floats.
    :return: Dict of arrays ``(D,)``: ``min`` and ``max`` in the input's kind (int64 or float64),
        ``mean``, ``std`` (population) and the quantiles ``q01 .. q99`` as float64; ``count`` as
        int64 ``(1,)``.
    """
    values = np.asarray(values).reshape(len(values), -1)
    kind = np.int64 if np.issubdtype(values.dtype, np.integer) else np.float64
    exact = values.astype(np.float64)
    quantiles = np.quantile(exact, list(QUANTILES.values()), axis=0)
    return {
        'min': values.min(axis=0).astype(kind), 'max': values.max(axis=0).astype(kind),
        'mean': exact.mean(axis=0), 'std': exact.std(axis=0), 'count': np.array([len(values)]),
        **dict(zip(QUANTILES, quantiles))}


class PictureStatistics:
    """Count the values of pictures per channel, from which every statistic follows exactly."""

    def __init__(self, channels):
        """
        Begin with no picture.

        :param channels: Number of channels.
        """
        self._histogram = np.zeros((channels, 256), dtype=np.int64)
        self._count = 0

    def add(self, picture) -> None:
        """
        Count one picture.

        :param picture: uint8 ``(height, width, channels)``.
        """
        step = max(1, min(picture.shape[:2]) // PICTURE_GRID)
        grid = picture[::step, ::step]
        for channel, histogram in enumerate(self._histogram):
            histogram += np.bincount(grid[:, :, channel].ravel(), minlength=256)
        self._count += 1

    def result(self):
        """
        Return the statistics of all pictures added.

        :return: Dict like ``vector_statistics``, in [0, 1] (255 is 1), each of shape
            ``(channels, 1, 1)``; ``count`` is the number of pictures, ``(1,)``.
        """
        levels = np.arange(256) / 255.0
        share = self._histogram / self._histogram.sum(axis=1, keepdims=True)  # (C, 256)
        mean = share @ levels
        cumulative = share.cumsum(axis=1)
        seen = self._histogram > 0
        found = {
            'min': levels[seen.argmax(axis=1)], 'max': levels[255 - seen[:, ::-1].argmax(axis=1)],
            'mean': mean, 'std': np.sqrt((share * (levels - mean[:, None]) ** 2).sum(axis=1)),
            **{name: levels[np.minimum((cumulative < q - 1e-12).sum(axis=1), 255)]
               for name, q in QUANTILES.items()}}
        shaped = {name: value.reshape(-1, 1, 1) for name, value in found.items()}
        return {**shaped, 'count': np.array([self._count])}


def merge_statistics(first, second):
    """
    Merge the statistics of two sets of rows of one feature.

    Means and deviations are exact (Chan et al. 1979, updating formulae for variances). Quantiles
    are averaged by count, which is what LeRobot stores too; they are approximate.

    :param first: Result of ``vector_statistics`` or ``PictureStatistics.result``.
    :param second: The same of other rows.
    :return: The statistics of both together.
    """
    n, m = int(first['count'][0]), int(second['count'][0])
    share = m / (n + m)
    delta = second['mean'] - first['mean']
    variance = (1 - share) * first['std'] ** 2 + share * second['std'] ** 2 \
        + share * (1 - share) * delta ** 2
    averaged = {name: (1 - share) * first[name] + share * second[name] for name in QUANTILES}
    return {
        'min': np.minimum(first['min'], second['min']),
        'max': np.maximum(first['max'], second['max']),
        'mean': first['mean'] + share * delta, 'std': np.sqrt(variance),
        'count': np.array([n + m]), **averaged}

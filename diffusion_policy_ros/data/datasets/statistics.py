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

from diffusion_policy_ros.data.datasets.histogram import Histogram
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
    quantiles = np.quantile(values.astype(np.float64), list(QUANTILES.values()), axis=0)
    return {**moments(values), **dict(zip(QUANTILES, quantiles))}


def moments(values):
    """
    Compute what ``vector_statistics`` does, without the quantiles.

    :param values: ``(rows, D)``, at least one row, integers or floats.
    """
    kind = counted_kind(values.dtype)
    exact = values.astype(np.float64)
    return {
        'min': values.min(axis=0).astype(kind), 'max': values.max(axis=0).astype(kind),
        'mean': exact.mean(axis=0), 'std': exact.std(axis=0), 'count': np.array([len(values)])}


def counted_kind(dtype):
    """
    Return the kind in which numbers are counted: int64 where all of it fit, else float64.

    :param dtype: Kind of the numbers. Those of uint64 may be too large for int64.
    """
    return np.int64 if np.can_cast(dtype, np.int64) else np.float64


class RunningStatistics:
    """
    The statistics of rows that come in blocks, in memory that does not grow with them.

    Exact but for the quantiles, which a ``Histogram`` gives to within two bins of 4096.

    :ivar histogram: The ``Histogram`` of all values.
    """

    def __init__(self, shape, dtype):
        """
        Begin with no row.

        :param shape: Shape of one row.
        :param dtype: Kind of its numbers.
        """
        self._shape = tuple(shape)
        self._kind = counted_kind(dtype)
        self.histogram = Histogram(int(np.prod(shape, dtype=int)), self._kind is np.int64)
        self._moments = None

    def add(self, values) -> None:
        """
        Take some rows in.

        :param values: Finite ``(rows, *shape)``, at least one row.
        """
        values = np.asarray(values).reshape(len(values), -1).astype(self._kind)
        self.histogram.add(values)
        found = moments(values)
        self._moments = merge_statistics(self._moments, found) if self._moments else found

    def result(self) -> dict:
        """Return them as ``vector_statistics`` does, in the shape of a row."""
        return shaped({**self._moments, **quantiles_of(self.histogram)}, self._shape)


def quantiles_of(histogram) -> dict:
    """Return ``{q01 .. q99: float64 (entries,)}`` of a ``Histogram``."""
    return {name: histogram.quantile(share) for name, share in QUANTILES.items()}


def shaped(found, shape) -> dict:
    """
    Give statistics the shape of a row.

    :param found: Statistics of the entries of a row, each ``(entries,)`` but ``count``.
    :param shape: Shape of a row; a single number becomes ``(1,)``.
    """
    return {name: value if name == 'count' else value.reshape(shape or (1,))
            for name, value in found.items()}


class PictureStatistics:
    """
    Count the values of pictures of whole numbers, from which every statistic follows exactly.

    8-bit pictures are given in [0, 1] (255 is 1), 16-bit depth in its unit, mm.
    """

    def __init__(self, channels, dtype=np.uint8):
        """
        Begin with no picture.

        :param channels: Number of channels.
        :param dtype: ``uint8`` or ``uint16``.
        """
        levels = np.iinfo(dtype).max + 1
        self._levels = np.arange(levels) / (255.0 if levels == 256 else 1.0)
        self._histogram = np.zeros((channels, levels), dtype=np.int64)
        self._count = 0

    def add(self, picture) -> None:
        """
        Count one picture.

        :param picture: ``(height, width, channels)`` of the dtype.
        """
        grid = thinned(picture)
        for channel, histogram in enumerate(self._histogram):
            histogram += np.bincount(grid[:, :, channel].ravel(), minlength=len(self._levels))
        self._count += 1

    def result(self) -> dict:
        """
        Return the statistics of all pictures added.

        :return: Dict like ``vector_statistics``, each of shape ``(channels, 1, 1)``; ``count`` is
            the number of pictures, ``(1,)``.
        """
        levels, last = self._levels, len(self._levels) - 1
        share = self._histogram / self._histogram.sum(axis=1, keepdims=True)  # (C, levels)
        mean = share @ levels
        cumulative = share.cumsum(axis=1)
        seen = self._histogram > 0
        found = {
            'min': levels[seen.argmax(axis=1)], 'max': levels[last - seen[:, ::-1].argmax(axis=1)],
            'mean': mean, 'std': np.sqrt((share * (levels - mean[:, None]) ** 2).sum(axis=1)),
            **{name: levels[np.minimum((cumulative < q - 1e-12).sum(axis=1), last)]
               for name, q in QUANTILES.items()}, 'count': np.array([self._count])}
        return shaped(found, (-1, 1, 1))


class MetricDepthStatistics:
    """The statistics of float32 depth pictures, m, like ``PictureStatistics``."""

    def __init__(self):
        """Begin with no picture."""
        self._pixels = RunningStatistics((1, 1, 1), np.float32)
        self._count = 0

    def add(self, picture) -> None:
        """
        Take one picture in.

        :param picture: float32 ``(height, width, 1)``.
        """
        self._pixels.add(thinned(picture).reshape(-1, 1))
        self._count += 1

    def result(self) -> dict:
        """Return the statistics of all pictures added, each of shape ``(1, 1, 1)``."""
        return {**self._pixels.result(), 'count': np.array([self._count])}


class DatasetStatistics:
    """
    The statistics of a dataset, from those of its episodes and the values of its columns.

    Quantiles of columns come from histograms over all rows. Those of pictures, whose values are
    not read again when datasets are edited, are averaged over episodes by their number of rows,
    as LeRobot does; they are approximate.
    """

    def __init__(self):
        """Begin with no episode."""
        self._found = {}
        self._histograms = {}

    def add_episode(self, statistics, histograms=None) -> None:
        """
        Take the statistics of an episode in.

        :param statistics: ``{key: statistics of the episode}``.
        :param histograms: As ``add_values``; None where they are given there.
        """
        for key, found in statistics.items():
            before = self._found.get(key)
            self._found[key] = merge_statistics(before, found) if before else found
        self.add_values(histograms or {})

    def add_values(self, histograms) -> None:
        """
        Take the values of some rows in.

        :param histograms: ``{key: Histogram}`` of the columns.
        """
        for key, histogram in histograms.items():
            if key not in self._histograms:
                self._histograms[key] = histogram
            else:
                self._histograms[key].merge(histogram)

    def result(self) -> dict:
        """Return ``{key: statistics}`` over all episodes."""
        return {key: {**found, **(shaped(quantiles_of(self._histograms[key]), found['min'].shape)
                                  if key in self._histograms else {})}
                for key, found in self._found.items()}


def picture_statistics(feature, dtype):
    """
    Begin the statistics of a camera.

    :param feature: How a dataset describes it.
    :param dtype: Kind of its pixels: ``uint8``, ``uint16`` or ``float32``.
    """
    if np.issubdtype(dtype, np.floating):
        return MetricDepthStatistics()
    return PictureStatistics(feature['shape'][2], dtype)


def merge_statistics(first, second):
    """
    Merge the statistics of two sets of rows of one feature.

    Means and deviations are exact (Chan et al. 1979, updating formulae for variances). Quantiles,
    where both have them, are averaged by count; they are approximate.

    :param first: Result of ``vector_statistics`` or ``PictureStatistics.result``.
    :param second: The same of other rows.
    :return: The statistics of both together.
    """
    n, m = int(first['count'][0]), int(second['count'][0])
    share = m / (n + m)
    delta = second['mean'] - first['mean']
    variance = (1 - share) * first['std'] ** 2 + share * second['std'] ** 2 \
        + share * (1 - share) * delta ** 2
    averaged = {name: (1 - share) * first[name] + share * second[name] for name in QUANTILES
                if name in first and name in second}
    return {
        'min': np.minimum(first['min'], second['min']),
        'max': np.maximum(first['max'], second['max']),
        'mean': first['mean'] + share * delta, 'std': np.sqrt(variance),
        'count': np.array([n + m]), **averaged}


def thinned(picture):
    """
    Return every n-th row and column of a picture, so that large ones cost no more.

    :param picture: ``(height, width, channels)``.
    """
    step = max(1, min(picture.shape[:2]) // PICTURE_GRID)
    return picture[::step, ::step]

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

"""Quantiles of many numbers in little memory: counts in bins that widen by powers of two."""

import numpy as np

MAX_BINS = 4096
MIN_BINS = 64
# Together the bins of all entries of a column take at most this many counters.
MAX_COUNTERS = 2**22
# Half a million times finer than float32, and the bin numbers stay exact.
FLOAT_BITS = 52


class Histogram:
    """
    Counts of the entries of a vector, however many and in whatever order they come.

    A bin is ``2**power`` wide and starts at a multiple of that, so bins merge without moving a
    count to a wrong place: the result depends on the values only, not on how they were cut into
    blocks. A quantile is off by less than one bin, which is at most ``2 / bins`` of the range.

    :ivar bins: Number of bins of each entry: 4096, fewer where a row has over 1024 entries.
    :ivar low: The least value of each entry, None while nothing is counted.
    :ivar high: The greatest value of each entry, as ``low``.
    """

    def __init__(self, entries, is_whole):
        """
        Begin empty.

        :param entries: Numbers in one row.
        :param is_whole: Whether they are whole numbers, whose bins are never under 1 wide.
        """
        self.bins = int(np.clip(2 ** (MAX_COUNTERS // entries).bit_length() // 2, MIN_BINS,
                                MAX_BINS))
        self._entries = entries
        self._is_whole = is_whole
        self.low = self.high = None

    def add(self, values) -> None:
        """
        Count some rows.

        :param values: Finite ``(rows, entries)``, at least one row; int64 where whole.
        """
        self._widen(values.min(axis=0), values.max(axis=0))
        self._count(self._bin_of(values, self._power) - self._base)

    def merge(self, other) -> None:
        """
        Count everything that another histogram of such rows has counted.

        :param other: A ``Histogram``.
        """
        if other.low is None:
            return
        self._widen(other.low, other.high)
        self._move(other._counts, other._base, other._power)

    @property
    def count(self) -> int:
        """Return how many rows were counted."""
        return 0 if self.low is None else int(self._counts[0].sum())

    def quantile(self, share):
        """
        Return a quantile of each entry, float64 ``(entries,)``; something must be counted.

        Between two values in the order of size it lies on the line that joins them, as numpy's.

        :param share: From 0 (the least value) to 1 (the greatest).
        """
        cumulative = self._counts.cumsum(axis=1)
        rank = share * (cumulative[:, -1:] - 1)
        below = self._place_of(np.floor(rank), cumulative)
        above = self._place_of(np.ceil(rank), cumulative)
        place = below + (above - below) * (rank % 1)[:, 0]
        return np.clip(np.ldexp(self._base + place, self._power), self.low, self.high)

    def to_dict(self) -> dict:
        """Return what JSON can hold and ``from_dict`` reads."""
        shape = {'entries': self._entries, 'is_whole': self._is_whole}
        if self.low is None:
            return shape
        row, place = np.nonzero(self._counts)
        return {**shape, 'low': self.low.tolist(), 'high': self.high.tolist(),
                'bins': [row.tolist(), place.tolist(), self._counts[row, place].tolist()]}

    @classmethod
    def from_dict(cls, stored):
        """
        Read what ``to_dict`` returned.

        :param stored: The dict.
        """
        found = cls(stored['entries'], stored['is_whole'])
        if 'low' in stored:
            found._widen(np.array(stored['low']), np.array(stored['high']))
            row, place, counts = stored['bins']
            found._counts[row, place] = counts
        return found

    def _place_of(self, rank, cumulative):
        """Return where the value of a rank lies, in bins from the first one, ``(entries,)``."""
        place = (cumulative <= rank).sum(axis=1)[:, None]  # bin that holds the rank
        count = np.take_along_axis(self._counts, place, axis=1)
        before = np.take_along_axis(cumulative, place, axis=1) - count
        inside = ((rank - before + 0.5) / count)[:, 0]
        if self._is_whole:
            inside = np.where(self._power > 0, inside, 0.0)
        return place[:, 0] + inside

    def _bin_of(self, values, power):
        """Return the number of the bin that starts at or below each value."""
        if self._is_whole:
            return values >> power
        scaled = np.floor(np.ldexp(values.astype(np.float64), -power))
        scaled[(scaled == 0) & (values < 0)] = -1  # too small for a float64
        return scaled.astype(np.int64)

    def _widen(self, low, high):
        """Make the bins cover a range, merging neighbours where they are too narrow."""
        if self.low is None:
            counts = np.zeros((self._entries, 1), dtype=np.int64)
            old = (counts, np.zeros(self._entries, np.int64), np.zeros(self._entries, np.int64))
        else:
            low, high = np.minimum(self.low, low), np.maximum(self.high, high)
            if np.array_equal(low, self.low) and np.array_equal(high, self.high):
                return
            old = self._counts, self._base, self._power
        self.low, self.high = low, high
        self._power = self._least_power()
        self._base = self._bin_of(low, self._power)
        self._counts = np.zeros((self._entries, self.bins), dtype=np.int64)
        if old[0].any():
            self._move(*old)

    def _least_power(self):
        """Return the smallest power whose bins cover the range."""
        low, high = self.low.astype(np.float64), self.high.astype(np.float64)
        half = high / 2 - low / 2  # the range itself may overflow
        size = np.maximum(np.abs(low), np.abs(high))
        finest = np.where(size > 0, np.frexp(size)[1] - FLOAT_BITS, -1000)
        if self._is_whole:
            finest = np.zeros_like(finest)
        bits = self.bins.bit_length() - 1
        power = np.maximum(finest, np.where(half > 0, np.frexp(half)[1] + 1 - bits, -1000))
        span = self._bin_of(self.high, power) - self._bin_of(self.low, power)
        return (power + (span >= self.bins)).astype(np.int64)

    def _move(self, counts, base, power):
        """Add counts of bins that are as wide as ours or narrower."""
        row, place = np.nonzero(counts)
        target = (base[row] + place) >> (self._power - power)[row]
        np.add.at(self._counts, (row, target - self._base[row]), counts[row, place])

    def _count(self, places):
        """Add one to the bins of some rows."""
        flat = (places + np.arange(self._entries) * self.bins).ravel()
        counted = np.bincount(flat, minlength=self._counts.size)
        self._counts += counted.reshape(self._counts.shape)

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

"""Percentiles of a stream of times in little memory, however long the stream is."""

from collections import Counter

# Counted values never take more places than this; a percentile is wrong by half a place at most.
MAX_PLACES = 4096


class Distribution:
    """
    How often which values came, counted on a grid that grows coarser with their range.

    :ivar count: Number of values.
    :ivar low: The least value, ns; 0 without values.
    :ivar high: The greatest value, ns; 0 without values.
    :ivar step: Width of a place, ns: 1 us times a power of two.
    """

    def __init__(self):
        """Begin without values."""
        self.count = 0
        self.low = self.high = 0
        self.step = 1000
        self._places = Counter()

    def add(self, value) -> None:
        """
        Count one value.

        :param value: Whole number, ns.
        """
        self.low = min(self.low, value) if self.count else value
        self.high = max(self.high, value) if self.count else value
        self.count += 1
        self._places[_place(value, self.step)] += 1
        if len(self._places) > MAX_PLACES:
            self._coarsen(2 * self.step)

    def merge(self, other) -> None:
        """
        Count all values of another distribution.

        :param other: ``Distribution``.
        """
        if not other.count:
            return
        self.low = min(self.low, other.low) if self.count else other.low
        self.high = max(self.high, other.high) if self.count else other.high
        self.count += other.count
        self._coarsen(max(self.step, other.step))
        for place, number in other._places.items():
            self._places[_place(place * other.step, self.step)] += number
        while len(self._places) > MAX_PLACES:
            self._coarsen(2 * self.step)

    def percentile(self, percent) -> int:
        """
        Return the value that so much of all values reaches, ns (nearest rank).

        :param percent: 0 to 100.
        """
        rank, passed = percent / 100 * self.count, 0
        for place in sorted(self._places):
            passed += self._places[place]
            if passed >= rank:
                return min(max(place * self.step, self.low), self.high)
        return 0

    def to_dict(self) -> dict:
        """Return what JSON can hold and ``from_dict`` reads."""
        return {'count': self.count, 'low': self.low, 'high': self.high, 'step': self.step,
                'places': sorted(self._places.items())}

    @classmethod
    def from_dict(cls, stored):
        """
        Read what ``to_dict`` returned.

        :param stored: The dict.
        """
        found = cls()
        found.count, found.low, found.high = stored['count'], stored['low'], stored['high']
        found.step = stored['step']
        found._places = Counter({place: number for place, number in stored['places']})
        return found

    def _coarsen(self, step):
        """Count on places of another width."""
        if step != self.step:
            places = Counter()
            for place, number in self._places.items():
                places[_place(place * self.step, step)] += number
            self.step, self._places = step, places


def _place(value, step):
    """Return the place that a value counts in: that of the nearest multiple of the step."""
    return (value + step // 2) // step

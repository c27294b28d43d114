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

"""How old the samples are in the rows that are kept."""

from diffusion_policy_ros.data.datasets.histogram import Histogram
import numpy as np

# So many rows are counted at once, which is much quicker than one after the other.
BLOCK = 1000


class Ages:
    """Ages of each topic's samples; those of rows in flight wait for what becomes of them."""

    def __init__(self, topics):
        """
        Begin.

        :param topics: Names of the topics.
        """
        self._topics = list(topics)
        self._kept = self._nothing()
        self._pending, self._fresh = self._nothing(), []

    def add(self, ages_ns) -> None:
        """
        Note the ages of a row.

        :param ages_ns: ``{topic: age}``, ns.
        """
        self._fresh.append(ages_ns)
        if len(self._fresh) == BLOCK:
            self._count()

    def end(self, is_kept) -> None:
        """
        Count the rows in flight, or forget them.

        :param is_kept: Whether they are in the dataset.
        """
        if is_kept:
            self._count()
            for topic, ages in self._pending.items():
                self._kept[topic].merge(ages)
        self._pending, self._fresh = self._nothing(), []

    def to_dict(self) -> dict:
        """Return what is kept, as JSON can hold it: a stored ``Histogram`` in ns per topic."""
        return {topic: ages.to_dict() for topic, ages in self._kept.items()}

    def _nothing(self):
        """Return histograms without values."""
        return {topic: Histogram(1, is_whole=True) for topic in self._topics}

    def _count(self):
        """Count the newest rows in flight."""
        for topic, counted in self._pending.items():
            ages = [row[topic] for row in self._fresh if topic in row]
            if ages:
                counted.add(np.array(ages)[:, None])
        self._fresh = []

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
"""How many denoiser calls fit into a budget of time, from what they cost lately."""

from collections import deque

import numpy as np

PLANS_REMEMBERED = 30
# A plan that meets one of the slower moments ends early instead, with its best estimate so far.
QUANTILE = 0.9


class EvaluationBudget:
    """
    Learns what a plan costs, ``fixed + evaluations * each``, and how much of it can be afforded.

    Costs of plans that were cut short count too.
    """

    def __init__(self):
        """Start without a measurement."""
        self._fixed_s = deque(maxlen=PLANS_REMEMBERED)
        self._each_s = deque(maxlen=PLANS_REMEMBERED)

    @property
    def each_s(self) -> float:
        """Return what an evaluation costs, s; 0 before the first measurement."""
        return _quantile(self._each_s)

    def add(self, fixed_s, sampling_s, evaluations):
        """
        Note what a plan cost.

        :param fixed_s: Everything but the sampling loop, s.
        :param sampling_s: The sampling loop, s.
        :param evaluations: Denoiser calls in it, at least 1.
        """
        self._fixed_s.append(fixed_s)
        self._each_s.append(sampling_s / evaluations)

    def evaluations(self, budget_s):
        """
        Return how many evaluations fit.

        :param budget_s: Time for the whole plan, s.
        :return: Whole number, at least 1; infinity before the first measurement.
        """
        if not self._each_s:
            return float('inf')
        return max(int((budget_s - _quantile(self._fixed_s)) / self.each_s), 1)


def _quantile(values):
    """Return the slow end of some measurements, 0 for none."""
    return float(np.quantile(values, QUANTILE)) if values else 0.0

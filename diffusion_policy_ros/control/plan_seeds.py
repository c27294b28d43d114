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
"""The seeds of successive plans, each of which can be repeated alone."""

import numpy as np

SEEDS = 2**63


class PlanSeeds:
    """
    Draws a seed for every plan, the same sequence for the same seed of the whole run.

    With a seed for each plan, instead of one stream of noise, a recorded plan can be computed
    again without those before it.
    """

    def __init__(self):
        """Start without a seed; ``start_over`` gives one."""
        self._random = self._shared = None

    def start_over(self, seed):
        """
        Begin the sequence.

        :param seed: From 0 on the same sequence every time; below 0 another one every time.
        """
        self._random = np.random.default_rng(seed if seed >= 0 else None)
        self._shared = self._draw()

    def next(self, *, is_shared) -> int:
        """
        Return the seed of the next plan.

        :param is_shared: Whether all plans since the start shall have the same one.
        """
        return self._shared if is_shared else self._draw()

    def _draw(self):
        """Draw a seed that torch and numpy take."""
        return int(self._random.integers(SEEDS))

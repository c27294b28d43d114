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
"""How long plans take to arrive, measured in the only unit that counts: actions consumed."""

from collections import deque
import math

PLANS_REMEMBERED = 10


def expected_rows(contract, plan_ms) -> int:
    """
    Return how many rows a plan is expected to take.

    :param contract: ``RobotContract``, whose messages take some time to settle.
    :param plan_ms: What the plan itself takes, ms.
    """
    return math.ceil((contract.settle_ms + plan_ms) * contract.rate_hz / 1e3)


class DelayForecast:
    """
    Expects the next plan to take as many rows as the slowest of the last ones.

    The delay of a plan is the number of rows that were due from its observation until its first
    own row was sent: waiting, inference and the phase of the grid included, which a latency in
    milliseconds would miss (Black et al. 2025, arXiv:2506.07339, Sec. IV).
    """

    def __init__(self, expected_rows):
        """
        Start from an expectation, which the first measurement replaces.

        :param expected_rows: Rows that a plan is expected to take, at least 0.
        """
        self._expected = expected_rows
        self._measured = deque(maxlen=PLANS_REMEMBERED)

    @property
    def rows(self) -> int:
        """Return the rows that the next plan is expected to take."""
        return max(self._measured, default=self._expected)

    def add(self, rows):
        """
        Note how many rows a plan took.

        :param rows: Rows, at least 0.
        """
        self._measured.append(rows)

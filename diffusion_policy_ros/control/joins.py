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
"""How the commands of successive plans are joined while they are followed."""

from dataclasses import dataclass
import math

from diffusion_policy_ros.checks import check_choice, is_count, is_number, shown
from diffusion_policy_ros.choices import JOINS
from diffusion_policy_ros.errors import ConfigError


@dataclass(frozen=True)
class JoinSettings:
    """
    How a plan follows the one before it.

    ``none`` follows the newest plan from its arrival on, and so do the joins that make the plan
    itself agree with what is promised (see ``policy.planner``). Two mix plans while they are
    followed: ``blend`` moves over to the newest plan within some rows, and ``ensemble`` averages
    all plans that say something about an instant (Zhao et al. 2023, arXiv:2304.13705, Sec. IV-B).
    ``naive`` follows every plan from its first row on, however late that is: what a loop without
    due times does.

    :ivar name: One of ``choices.JOINS``.
    :ivar blend_rows: Rows within which ``blend`` moves over, at least 1; fewer where the plan
        before ends earlier.
    :ivar ensemble_decay: ``m`` of the weights ``exp(-m age)`` of ``ensemble``, with the age from
        the oldest plan on in rows, per row; above 0 prefers old plans, below 0 new ones.
    :raises ConfigError: naming the field and what it may be.
    """

    name: str = 'none'
    blend_rows: int = 4
    ensemble_decay: float = 0.01

    def __post_init__(self):
        """Check every field."""
        check_choice('join', self.name, JOINS, ConfigError)
        if not is_count(self.blend_rows, most=1000):
            raise ConfigError(f'blend_rows is {shown(self.blend_rows)}; it must be a whole number '
                              'from 1 to 1000')
        if not is_number(self.ensemble_decay) or not -10 <= self.ensemble_decay <= 10:
            raise ConfigError(f'ensemble_decay is {shown(self.ensemble_decay)}; it must be a '
                              'number from -10 to 10')

    @property
    def ignores_delay(self) -> bool:
        """Tell whether a plan is followed from its first row on although others are due."""
        return self.name == 'naive'

    def is_mixed(self, plan, now_ns) -> bool:
        """
        Tell whether plans before this one have a share in the command of an instant.

        :param plan: ``FollowedPlan`` that has a row due.
        :param now_ns: The time of the command, ns.
        """
        if self.name == 'blend':
            return plan.joined_share(now_ns) < 1
        return self.name == 'ensemble'

    def share(self, plan, older_ns, now_ns, rate_hz) -> float:
        """
        Return how much of a command comes from a plan, and not from the plans before it.

        :param plan: ``FollowedPlan`` for which ``is_mixed`` holds.
        :param older_ns: When the plans before it that also have a row due were observed, ns,
            oldest first, at least one.
        :param now_ns: The time of the command, ns.
        :param rate_hz: Rows per second, Hz.
        :return: Share in [0, 1].
        """
        if self.name == 'blend':
            return smooth_step(plan.joined_share(now_ns))
        ages = [(obs_ns - older_ns[0]) * rate_hz / 1e9 for obs_ns in (*older_ns, plan.obs_ns)]
        exponents = [-self.ensemble_decay * age for age in ages]
        largest = max(exponents)  # taken out, so that none overflows
        weights = [math.exp(exponent - largest) for exponent in exponents]
        return weights[-1] / sum(weights)


def smooth_step(u) -> float:
    """
    Return ``10 u^3 - 15 u^4 + 6 u^5``, whose first two derivatives are 0 at both ends.

    Position, velocity and acceleration of a blend are therefore continuous where it begins and
    ends.

    :param u: Part of the way, in [0, 1].
    """
    return u ** 3 * (10 + u * (6 * u - 15))

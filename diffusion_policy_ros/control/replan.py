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
"""When the next plan is asked for."""

from dataclasses import dataclass

from diffusion_policy_ros.checks import check_choice, is_count, shown
from diffusion_policy_ros.choices import REPLAN_TRIGGERS
from diffusion_policy_ros.errors import ConfigError


@dataclass(frozen=True)
class ReplanSettings:
    """
    When the next plan is asked for, while one is being followed.

    :ivar execute_horizon: Rows of a plan after which ``executed`` asks for the next, at least 1;
        1 plans from every observation. Later rows serve while the next plan is computed.
    :ivar trigger: ``executed``; ``low``, when only ``low_rows`` rows are left; or
        ``continuous``, whenever no plan is being computed.
    :ivar low_rows: Rows left at which ``low`` asks, at least 1.
    :raises ConfigError: naming the field and what it may be.
    """

    execute_horizon: int
    trigger: str = 'executed'
    low_rows: int = 4

    def __post_init__(self):
        """Check every field."""
        check_choice('replan', self.trigger, REPLAN_TRIGGERS, ConfigError)
        for name in ('execute_horizon', 'low_rows'):
            if not is_count(getattr(self, name), most=1000):
                raise ConfigError(f'{name} is {shown(getattr(self, name))}; it must be a whole '
                                  'number from 1 to 1000')

    def is_due(self, executed, left) -> bool:
        """
        Tell whether it is time.

        :param executed: Rows of the newest plan that have been executed; on the grid of ticks
            a whole number but for rounding.
        :param left: Rows of it that are left.
        """
        if self.trigger == 'continuous':
            return True
        if self.trigger == 'low':
            return left < self.low_rows + 0.5
        return executed > self.execute_horizon - 0.5

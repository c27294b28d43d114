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

"""What ``dpr doctor`` finds: the lines of its report."""

from dataclasses import dataclass

LEVELS = ('OK', 'WARN', 'ERROR')


@dataclass(frozen=True)
class Finding:
    """
    One line of the report.

    :ivar level: ``OK``, ``WARN`` (works, but not all of it) or ``ERROR`` (will not work).
    :ivar name: What was looked at.
    :ivar value: What was found.
    :ivar remedy: What to do about it; empty when the level is OK.
    """

    level: str
    name: str
    value: str
    remedy: str = ''

    def __str__(self):
        """Return the line as it is printed."""
        remedy = f'\n{"":24}-> {self.remedy}' if self.level != 'OK' and self.remedy else ''
        return f'{self.level:<6}{self.name:<17} {self.value}{remedy}'


def summary(findings) -> str:
    """
    Count the findings of each level, in one line.

    :param findings: ``Finding`` objects.
    """
    counts = {level: sum(f.level == level for f in findings) for level in LEVELS}
    return ', '.join(f'{count} {level}' for level, count in counts.items())

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

"""What an audit of a dataset finds: a level, a sentence with the place, and what to do."""

from dataclasses import dataclass

ERROR, WARNING, NOTE = LEVELS = ('ERROR', 'WARNING', 'NOTE')
MOST_PLACES = 3


@dataclass(frozen=True)
class Finding:
    """
    One thing that a person should know about a dataset.

    :ivar level: ``ERROR`` (it cannot be used, or does not hold what it says), ``WARNING`` (look
        at it before training) or ``NOTE`` (good to know).
    :ivar check: Name of the check, one or two words.
    :ivar text: What was found and where, one sentence.
    :ivar remedy: What to do about it.
    """

    level: str
    check: str
    text: str
    remedy: str = ''

    def __str__(self):
        """Return the finding as it is printed."""
        remedy = f'\n{"":9}-> {self.remedy}' if self.remedy else ''
        return f'{self.level:<8} {self.check}: {self.text}{remedy}'


class Places:
    """Where something was found: how often, and the first places in words."""

    def __init__(self):
        """Begin without any."""
        self.count = 0
        self._first = []

    def add(self, text, count=1) -> None:
        """
        Note a place.

        :param text: The place in words.
        :param count: How many it stands for.
        """
        self.count += count
        if len(self._first) < MOST_PLACES:
            self._first.append((text, count))

    def __bool__(self):
        """Tell whether there is any."""
        return self.count > 0

    def __str__(self):
        """Return the first places, and how many more there are."""
        more = self.count - sum(count for _, count in self._first)
        return ', '.join(text for text, _ in self._first) + (f' and {more} more' if more else '')


def sorted_findings(findings) -> list:
    """
    Put the worst first; findings of one level stay in their order.

    :param findings: ``Finding`` objects.
    """
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def count_levels(findings) -> dict:
    """
    Return how many findings of each level there are.

    :param findings: ``Finding`` objects.
    """
    return {level: sum(finding.level == level for finding in findings) for level in LEVELS}

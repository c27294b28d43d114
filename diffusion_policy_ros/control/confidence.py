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

"""When plans are trusted again after one that was in doubt."""


class ConfidenceGate:
    """
    Asks for some plans in a row within the limits before a hold ends.

    A single one may be luck: with the shipped policy and half the light, a fifth of the plans are.
    """

    def __init__(self):
        """Start with trust."""
        self.start_over()

    def start_over(self):
        """Forget doubts."""
        self._owed = 0

    def objection(self, doubt, plans_needed) -> str:
        """
        Judge the newest plan.

        :param doubt: Why it is not to be trusted, empty where nothing is against it.
        :param plans_needed: Plans in a row without doubt that end a hold; the last one of them is
            followed.
        :return: Why it must not be followed, empty when it may.
        """
        self._owed = plans_needed if doubt else max(min(self._owed, plans_needed) - 1, 0)
        return doubt or (f'the policy was not sure a moment ago; plans within the limits that are '
                         f'still needed: {self._owed}' if self._owed else '')

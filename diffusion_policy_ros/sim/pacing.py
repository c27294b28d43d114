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

"""Keep a simulation in step with a clock: which steps are due, and what falls due at each."""

import math

# How often a live robot tells the score of its task, per simulated second.
SCORE_RATE_HZ = 10.0


class StepCounter:
    """
    Counts the physics steps that a clock demands, and forgives a backlog that grew too long.

    Step n is due at ``start + n * step / speed``, without drift.

    :ivar dropped_ns: Clock time given up so far because the caller came too late, ns.
    """

    def __init__(self, step_ns, now_ns, *, speed=1.0, max_lag_ns=250_000_000):
        """
        Start counting.

        :param step_ns: Simulated time of one step, ns.
        :param now_ns: Present time of the clock, ns.
        :param speed: Simulated seconds per second of the clock.
        :param max_lag_ns: Longest backlog that is caught up, in simulated time, ns.
        """
        self._interval_ns = step_ns / speed
        self._max_lag_ns = round(max_lag_ns / speed)
        self._start_ns = now_ns
        self._done = 0
        self.dropped_ns = 0

    @property
    def next_ns(self):
        """Return the clock time at which the next step is due, ns."""
        return self._instant_ns(self._done + 1)

    def is_ahead_of(self, now_ns) -> bool:
        """
        Tell whether the clock went back, behind the step that was made last.

        :param now_ns: Present time of the same clock, ns.
        """
        return now_ns < self._instant_ns(self._done)

    def due(self, now_ns):
        """
        Yield the steps to make now; each counts as made when the caller comes back from it.

        :param now_ns: Present time of the same clock, ns.
        :return: Iterator of (number of the step from 1, the instant at which it was due in ns).
        """
        late_ns = now_ns - self.next_ns
        if late_ns > self._max_lag_ns:
            self._start_ns += late_ns - self._max_lag_ns
            self.dropped_ns += late_ns - self._max_lag_ns
        while self.next_ns <= now_ns:
            yield self._done + 1, self.next_ns
            self._done += 1

    def _instant_ns(self, step):
        """Return the clock time at which a step is due."""
        return self._start_ns + round(step * self._interval_ns)


def falls_due(step, rate_hz, step_rate_hz):
    """
    Tell whether something with a rate of its own happens at a step.

    :param step: Number of the step, from 1.
    :param rate_hz: Rate of the event in Hz, at most the steps' rate.
    :param step_rate_hz: Rate of the steps in Hz.
    """
    return (math.floor(step * rate_hz / step_rate_hz)
            > math.floor((step - 1) * rate_hz / step_rate_hz))

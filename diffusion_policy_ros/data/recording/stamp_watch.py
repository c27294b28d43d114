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


"""What header stamps tell: messages that are missing between them, and a clock that drifts."""

from collections import deque
import math

import numpy as np

STEPS_KEPT = 50
SET_BACK_NS = 1_000_000_000  # a stamp that is so far back is of another clock, not out of order
MIN_STEPS = 10  # from so many on, a period is known
REGULAR = 0.3  # steps within this share of the median are regular ones ...
MOST = 0.7  # ... and a stream is, when this share of them is
SKIPPED = 1.6  # periods between two stamps, from which on a message may be missing ...
# ... unless the sender was only held up, and catches up in so many steps per period of waiting.
STEPS_TO_CATCH_UP = 2
# The smallest delay in this time is that of the clocks and the way, without anyone's waiting.
BIN_NS = 1_000_000_000
BINS_KEPT = 5
MIN_BINS = 3


class StampWatch:
    """
    Watches the header stamps of one stream.

    :ivar period_ms: The usual time between two stamps, ms; 0 where there is none.
    """

    def __init__(self, note):
        """
        Begin to learn.

        :param note: Called with (alarm, kind, time in ns, how bad, ``times=``) for each fault,
            and with ``began_ns=`` where that was earlier.
        """
        self._note, self._is_recorded = note, False
        self.forget()

    def forget(self) -> None:
        """Begin to learn anew."""
        self.period_ms = 0.0
        self._last_ns = self._arrival_ns = None
        self._steps = deque(maxlen=STEPS_KEPT)
        self._delays = deque(maxlen=BINS_KEPT)
        self._bin_ns, self._least_ns = None, None
        self._usual_ns, self._has_drifted = None, False
        self._suspect, self._suspect_ns = [], 0

    def begin(self) -> None:
        """Hold what comes against what was usual until now."""
        self.period_ms = self._usual_period_ms()
        self._usual_ns = self._usual_delay_ns()
        self._bin_ns, self._has_drifted = None, False
        self._suspect, self._is_recorded = [], True

    def end(self, now_ns) -> None:
        """
        Count what is missing for certain, and compare with what was usual no more.

        :param now_ns: The time, ns.
        """
        self._settle_what_is_certain(now_ns)
        self._is_recorded = False

    def _settle_what_is_certain(self, now_ns):
        """Count what is missing for certain, though the wait for it is not over."""
        if len(self._suspect) > 1 and self._suspect[-1] >= (1 - REGULAR) * self.period_ms:
            self._settle(now_ns)  # the sender no longer catches up

    def add(self, receive_ns, stamp_ns, max_skew_ms, *, is_regular, is_after_gap=False) -> None:
        """
        Take the stamp of a message in.

        :param receive_ns: When it arrived, ns.
        :param stamp_ns: What its header says, ns.
        :param max_skew_ms: How far the delay may move, ms.
        :param is_regular: Whether a message comes every period, so that one can be missing.
        :param is_after_gap: Whether it ends a silence that is told as such.
        """
        if is_after_gap:
            self._settle_what_is_certain(receive_ns)
            self._suspect = []
        elif self._last_ns is not None and is_regular:
            self._step(receive_ns, (stamp_ns - self._last_ns) / 1e6)
        is_early = self._last_ns is not None and 0 < self._last_ns - stamp_ns < SET_BACK_NS
        self._last_ns = self._last_ns if is_early else stamp_ns
        self._arrival_ns = receive_ns
        self._delay(receive_ns, receive_ns - stamp_ns, max_skew_ms)

    def _step(self, receive_ns, step_ms):
        """Look for messages that are missing before this one."""
        if step_ms <= 0:
            return
        self._steps.append(step_ms)
        if not self.period_ms and len(self._steps) >= MIN_STEPS:
            self.period_ms = self._usual_period_ms()
        if self.period_ms and (self._suspect or step_ms > SKIPPED * self.period_ms):
            self._suspect_ns = self._suspect_ns if self._suspect else self._arrival_ns
            self._suspect.append(step_ms)
        if self._suspect and len(self._suspect) > self._patience():
            self._settle(receive_ns)

    def _settle(self, now_ns):
        """Count what is missing since the message before the steps that are looked at."""
        missing = round(sum(self._suspect) / self.period_ms) - len(self._suspect)
        if missing > 0:
            self._note('dropped', 'skipped', now_ns, times=missing, began_ns=self._suspect_ns)
        self._suspect = []

    def _patience(self):
        """Return in how many steps a sender that was held up has caught up."""
        return min(STEPS_KEPT,
                   STEPS_TO_CATCH_UP * math.ceil(self._suspect[0] / self.period_ms))

    def _usual_period_ms(self):
        """Return the median step, 0 where there are too few or they are irregular."""
        if len(self._steps) < MIN_STEPS:
            return 0.0
        steps = np.array(self._steps)
        median = float(np.median(steps))
        is_regular = np.mean(np.abs(steps - median) <= REGULAR * median) >= MOST
        return median if is_regular else 0.0

    def _delay(self, receive_ns, delay_ns, max_skew_ms):
        """Take the smallest delay of each second, and compare it with the usual one."""
        if self._bin_ns is None:
            self._bin_ns, self._least_ns = receive_ns, delay_ns
        elif receive_ns - self._bin_ns < BIN_NS:
            self._least_ns = min(self._least_ns, delay_ns)
        else:
            self._close_bin(receive_ns, max_skew_ms)
            self._bin_ns, self._least_ns = receive_ns, delay_ns

    def _usual_delay_ns(self):
        """Return the smallest delay lately; None where that was too short a time to tell."""
        return min(self._delays) if len(self._delays) >= MIN_BINS else None

    def _close_bin(self, receive_ns, max_skew_ms):
        """Note a drift, once for as long as it lasts."""
        self._delays.append(self._least_ns)
        if not self._is_recorded:
            return
        if self._usual_ns is None:
            self._usual_ns = self._usual_delay_ns()
            return
        moved_ms = (self._least_ns - self._usual_ns) / 1e6
        has_drifted = abs(moved_ms) > max_skew_ms
        if has_drifted:
            self._note('clock_skew', 'drift', receive_ns, moved_ms,
                       times=int(not self._has_drifted))
        self._has_drifted = has_drifted

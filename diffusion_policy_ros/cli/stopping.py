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

"""Let Ctrl-C, SIGTERM and SIGHUP end a run in order: at its next safe point, or at once."""

from contextlib import contextmanager
import os
import signal
import time

STDERR = 2
# Ctrl-C, ``kill``, and a terminal that is closed.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _take_over(numbers, handler):
    """Handle signals, but for a SIGHUP that is ignored, as under nohup; return who did before."""
    return {number: signal.signal(number, handler) for number in numbers
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN}


@contextmanager
def interrupting_signals():
    """Within it SIGTERM and SIGHUP act like Ctrl-C, so that what a run leaves is cleaned up."""
    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = _take_over(SIGNALS[1:], interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class StopRequest:
    """
    Within its ``with`` block the first signal sets a flag; the second one interrupts at once.

    Calling the object tells whether a stop was requested. Before the first call nothing waits to
    be saved, and the first signal interrupts at once.
    """

    def __init__(self, *, is_quiet=False, passed_on_within_s=0.0):
        """
        Start with no request.

        :param is_quiet: Say nothing about a request.
        :param passed_on_within_s: Further signals within this time after the first are the same
            one, which a launcher has passed on, s.
        """
        self._is_quiet, self._passed_on_within_s = is_quiet, passed_on_within_s
        self._requested = False
        self._requested_s = 0.0
        self._is_heeded = False
        self._previous = {}

    def __enter__(self):
        """Take over the signals."""
        self._previous = _take_over(SIGNALS, self._handle)
        return self

    def __exit__(self, *_):
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        """Tell whether a stop was requested."""
        self._is_heeded = True
        return self._requested

    def _handle(self, number, _frame):
        """Note the first request; obey the second."""
        now_s = time.monotonic()
        if self._requested and now_s - self._requested_s < self._passed_on_within_s:
            return
        if self._requested or not self._is_heeded:
            raise KeyboardInterrupt
        self._requested, self._requested_s = True, now_s
        if self._is_quiet:
            return
        name = signal.Signals(number).name
        text = f'\nstopping after this step ({name}); again to stop at once\n'
        # Not print(): the signal may have come while the progress bar was writing to sys.stderr,
        # which refuses to be entered twice.
        os.write(STDERR, text.encode())

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

"""A thread that works at given instants of the steady clock, whatever the executor is doing."""

import threading
import time


class Clockwork:
    """
    Calls back again and again, each time at the instant that the last call asked for.

    Measured: a 100 Hz timer in an rclpy executor costs more than the whole simulation behind it.
    """

    def __init__(self, on_wake, on_error):
        """
        Prepare; ``start`` begins.

        :param on_wake: Called with the time in ns; returns when to be called next, in ns.
        :param on_error: Called with an exception that it lets out; the clockwork stands still.
        """
        self._on_wake = on_wake
        self._on_error = on_error
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name='clockwork', daemon=True)

    @staticmethod
    def now_ns():
        """Return the steady time in ns."""
        return time.monotonic_ns()

    def start(self):
        """Begin."""
        self._thread.start()

    def stop(self):
        """End, and wait for a call in progress."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self):
        """Wait and call until told to stop."""
        try:
            while not self._stopping.is_set():
                next_ns = self._on_wake(self.now_ns())
                self._stopping.wait(max(0, next_ns - self.now_ns()) / 1e9)
        except Exception as error:  # handed on: nobody else hears of an error in this thread
            self._on_error(error)

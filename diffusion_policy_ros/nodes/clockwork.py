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

"""A thread that works at instants of its own choice, whatever the executor is doing."""

import threading

from diffusion_policy_ros.real_time import claim_real_time


class Clockwork:
    """
    Calls back again and again, each time after the pause that the last call asked for.

    Its thread runs at real-time priority where that is permitted.

    Measured: a 100 Hz timer in an rclpy executor costs more than the whole simulation behind it.
    """

    def __init__(self, on_wake, on_error, name='clockwork', *, on_end=lambda: None):
        """
        Prepare; ``start`` begins.

        :param on_wake: Called without arguments; returns how long to pause, s, at least 0.
        :param on_error: Called with an exception that it lets out; the clockwork stands still.
        :param name: Name of the thread.
        :param on_end: Called without arguments when all is over, for what belongs to the thread.
        """
        self._on_wake = on_wake
        self._on_error, self._on_end = on_error, on_end
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self):
        """Begin."""
        self._thread.start()

    def stop(self):
        """End, and wait for a call in progress."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def is_stopping(self) -> bool:
        """Tell whether it was told to end: a call that has much to do had better come back."""
        return self._stopping.is_set()

    def _run(self):
        """Wait and call until told to stop."""
        claim_real_time()
        try:
            while not self._stopping.is_set():
                self._stopping.wait(self._on_wake())
        except Exception as error:  # handed on: nobody else hears of an error in this thread
            self._on_error(error)
        finally:
            self._on_end()

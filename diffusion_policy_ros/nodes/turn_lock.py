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
"""A lock that whoever holds it most of the time must share."""

import threading


class TurnLock:
    """
    A lock for ``with``: who waits comes before who had it last.

    A thread that takes a ``threading.Lock`` again as soon as it let go keeps others waiting for
    seconds: they would have to be awake in between. Here they wait holding the turn, without which
    nobody begins to wait.
    """

    def __init__(self):
        """Begin open."""
        self._turn, self._lock = threading.Lock(), threading.Lock()

    def __enter__(self):
        """Wait for the turn, then for the lock."""
        with self._turn:
            self._lock.acquire()
        return self

    def __exit__(self, *_):
        """Let go."""
        self._lock.release()

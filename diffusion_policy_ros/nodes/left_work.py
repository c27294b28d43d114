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

"""What other threads leave to the thread of a node's executor."""

from threading import Lock


class LeftWork:
    """The newest tick that nobody has looked at, and why the plan that is shown is over."""

    def __init__(self, node, do):
        """
        Start with nothing.

        :param node: The node, whose executor is asked to do it.
        :param do: Called without arguments in the executor's thread, once or more often for all
            that was left.
        """
        self._node, self._do, self._lock = node, do, Lock()
        self._tick_ns, self._gone = None, ''

    @property
    def has_tick(self) -> bool:
        """Tell whether a tick waits."""
        return self._tick_ns is not None

    def tick(self, tick_ns):
        """
        Leave a tick, unless a later one waits.

        :param tick_ns: The tick, ns of the ROS clock.
        """
        with self._lock:
            self._tick_ns = tick_ns if self._tick_ns is None else max(tick_ns, self._tick_ns)
        self.wake()

    def gone(self, reason):
        """
        Leave to say why the plan that is shown is followed no more.

        :param reason: Why, for people.
        """
        with self._lock:
            self._gone = reason
        self.wake()

    def forget_tick(self):
        """Let no tick wait: it was one of another time."""
        with self._lock:
            self._tick_ns = None

    def take(self) -> tuple:
        """Return the reason, empty for none, and the tick, None for none; nothing is left."""
        with self._lock:
            taken = self._gone, self._tick_ns
            self._gone, self._tick_ns = '', None
        return taken

    def wake(self):
        """Have the executor do it; nothing happens where the node is not spun any more."""
        executor = self._node.executor
        if executor is not None:  # the events executor knows no guard conditions
            executor.create_task(self._do)

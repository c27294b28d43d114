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
"""A lifecycle node around a runtime: what exists from configure to cleanup."""

from contextlib import contextmanager

from diffusion_policy_ros.nodes.told_errors import ToldErrors
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn


class LifecycleShell(LifecycleNode):
    """
    Makes a runtime at configure, and closes it however the node ends.

    A node says how its runtime is made, and in ``_status`` keeps what tells people of its state:
    ``start_over`` for a state in which it does nothing, ``refuse`` where that is a fault.
    """

    def __init__(self, name, **node_options):
        """
        Start without a runtime.

        :param name: Name of the node.
        :param node_options: Options of ``rclpy.node.Node``, such as parameter overrides.
        """
        self._runtime = self._status = None
        super().__init__(name, **node_options)
        self._errors = ToldErrors(self)

    def _make_runtime(self):
        """Load, check and connect; return what has the methods start, stop and close."""
        raise NotImplementedError

    def on_configure(self, state):
        """Make the runtime; without one stay unconfigured, with the reason in log and status."""
        del state
        try:
            self._runtime = self._make_runtime()
        except Exception as error:
            self._status.refuse(
                f'unconfigured: {self._errors.words(error, "unexpected error: ")}')
            return TransitionCallbackReturn.FAILURE
        self._status.start_over('inactive')
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state):
        """Open the publishers and begin."""
        with self._told_in_the_log():
            result = super().on_activate(state)
            self._runtime.start()
            return result

    def on_deactivate(self, state):
        """End, and close the publishers; what was loaded stays."""
        with self._told_in_the_log():
            self._runtime.stop()
            self._status.start_over('inactive')
            return super().on_deactivate(state)

    def on_cleanup(self, state):
        """Let go of everything that configure made."""
        del state
        self._release('unconfigured')
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state):
        """Let go of everything, from any state."""
        del state
        self._release('finalized')
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state):
        """Let go of everything; the node can be configured again."""
        del state
        self._release('unconfigured')
        self._status.refuse('unconfigured after an error, which the log tells')
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self):
        """Let go of everything before the node goes, also one whose parameters were refused."""
        if self._status is not None:
            self._release('finalized')
        super().destroy_node()
        # rclpy leaves this to the garbage collector, until when its services seem to be there.
        self._state_machine.destroy_when_not_in_use()

    def _release(self, state):
        """Close the runtime, if there is one, and tell the state."""
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            with self._told_in_the_log():
                runtime.close()
        self._status.start_over(state)

    @contextmanager
    def _told_in_the_log(self):
        """Log an error, which rclpy would turn into a transition without a word."""
        try:
            yield
        except Exception as error:
            self.get_logger().error(
                f'unexpected error in a transition: {self._errors.words(error)}')
            raise

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
"""
The node ``policy_server``: a trained policy that commands a robot.

A lifecycle node. ``configure`` loads and warms up the checkpoint, ``activate`` starts commanding.
Subscribes to the contract's policy streams, publishes its action outputs, ``~/status`` (latched:
why it commands or not), ``/diagnostics``, and of each plan ``~/chunk`` (all of it, timed),
``~/latency``, ``~/confidence``, ``~/markers`` and ``~/overlay/compressed``. ``~/reset`` (Trigger)
drops plan and history.
"""

from diffusion_policy_ros.nodes import reasons
from diffusion_policy_ros.nodes.diagnostics import StatusReporter
from diffusion_policy_ros.nodes.parameters import Parameters
from diffusion_policy_ros.nodes.policy_parameters import SPECS
from diffusion_policy_ros.nodes.policy_runtime import PolicyRuntime
from diffusion_policy_ros.nodes.spinning import run
from diffusion_policy_ros.real_time import claim_real_time
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from std_srvs.srv import Trigger

DIAGNOSTICS_PERIOD_S = 1.0


class PolicyServer(LifecycleNode):
    """Serves one policy to one robot; what it does is in ``PolicyRuntime``."""

    def __init__(self, **node_options):
        """
        Declare parameters; nothing is loaded yet.

        :param node_options: Options of ``rclpy.node.Node``, such as parameter overrides.
        """
        self._runtime = self._status = None
        super().__init__('policy_server', **node_options)
        self._settings = Parameters(
            self, SPECS, is_locked=lambda: self._runtime is not None,
            check=lambda values: self._runtime.check(values) if self._runtime else '')
        self._status = StatusReporter(self)
        self._status.block('lifecycle', 'unconfigured')
        self.get_logger().info(
            f'unconfigured; `ros2 lifecycle set {self.get_fully_qualified_name()} configure`, '
            'then `... activate`; policy.launch.py does both')
        self.create_service(Trigger, '~/reset', self._on_reset)
        # People want to know about a clock that stands still, so this timer does not follow it.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._on_diagnostics, clock=self._steady)

    @property
    def loop(self):
        """Return the ``PlanLoop``, None while unconfigured."""
        return None if self._runtime is None else self._runtime.loop

    def on_configure(self, state):
        """Load, validate, warm up and connect; refuse with the reason in log and status."""
        del state
        try:
            self._runtime = PolicyRuntime(self, self._settings, self._status)
        except Exception as error:
            return self._refused(reasons.of_error(error, 'unexpected error: '))
        self._status.start_over('inactive')
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state):
        """Start to plan and to command."""
        result = super().on_activate(state)
        self._runtime.start()
        self._status.clear('lifecycle')
        return result

    def on_deactivate(self, state):
        """Stop commanding and keep the policy."""
        self._halt('inactive')
        return super().on_deactivate(state)

    def on_cleanup(self, state):
        """Let go of the policy and its topics."""
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
        self._status.block('refusal', 'unconfigured after an error, which the log tells')
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self):
        """Stop the threads before the node goes, also one whose parameters were refused."""
        if self._status is not None:
            self._release('finalized')
        super().destroy_node()

    def _refused(self, reason):
        """Stay unconfigured and say why."""
        self.get_logger().error(f'cannot configure: {reason}')
        self._status.block('refusal', f'unconfigured: {reason}')
        return TransitionCallbackReturn.FAILURE

    def _halt(self, reason):
        """Stop the runtime's threads and forget its complaints."""
        if self._runtime is not None:
            self._runtime.stop()
        self._status.start_over(reason)

    def _release(self, reason):
        """Close the runtime, if there is one."""
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            runtime.close()
        self._status.start_over(reason)

    def _on_reset(self, request, response):
        """Drop plan and history."""
        del request
        response.success = self._runtime is not None
        if response.success:
            self._runtime.reset()
            response.message = 'plan and history dropped'
        else:
            response.message = 'not configured, nothing to reset; call configure first'
        return response

    def _on_diagnostics(self):
        """Publish what is known, in every state."""
        facts = {'commands': {}}
        if self._runtime is not None:
            self._runtime.watch_clock()
            facts = self._runtime.facts()
        self._status.publish_diagnostics(facts)


def main(args=None) -> int:
    """
    Run the node until a signal ends it.

    :param args: Command line arguments for ROS.
    :return: Exit code.
    """
    # The executor's thread holds the interpreter that the pacer's needs; were it put aside by
    # other programs meanwhile, commands would wait with it.
    claim_real_time()
    return run(PolicyServer, args)

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
drops plan and history, ``~/swap_model`` (Trigger) goes on with what the parameter ``model`` names.
"""

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.nodes.diagnostics import StatusReporter
from diffusion_policy_ros.nodes.lifecycle_shell import LifecycleShell
from diffusion_policy_ros.nodes.parameters import Parameters
from diffusion_policy_ros.nodes.policy_runtime import PolicyRuntime
from diffusion_policy_ros.nodes.spinning import run
from diffusion_policy_ros.real_time import claim_real_time, keep_to_cpus
from diffusion_policy_ros.server_parameters import SPECS
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from std_srvs.srv import Trigger

DIAGNOSTICS_PERIOD_S = 1.0


class PolicyServer(LifecycleShell):
    """Serves one policy to one robot; what it does is in ``PolicyRuntime``."""

    def __init__(self, **node_options):
        """
        Declare parameters; nothing is loaded yet.

        :param node_options: Options of ``rclpy.node.Node``, such as parameter overrides.
        """
        super().__init__('policy_server', **node_options)
        self._settings = Parameters(
            self, SPECS, is_locked=lambda: self._runtime is not None,
            check=lambda values: self._runtime.check(values) if self._runtime else '')
        self._status = StatusReporter(self)
        self._status.start_over('unconfigured')
        self.get_logger().info(
            f'unconfigured; `ros2 lifecycle set {self.get_fully_qualified_name()} configure`, '
            'then `... activate`; policy.launch.py does both')
        self.create_service(Trigger, '~/reset', self._on_reset)
        # Everything else goes on while a model is loaded, and a second request is answered.
        self.create_service(Trigger, '~/swap_model', self._on_swap_model,
                            callback_group=ReentrantCallbackGroup())
        # People want to know about a clock that stands still, so this timer does not follow it.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._on_diagnostics, clock=self._steady)

    @property
    def loop(self):
        """Return the ``PlanLoop``, None while unconfigured."""
        return None if self._runtime is None else self._runtime.loop

    def _make_runtime(self):
        """Load, validate, warm up and connect."""
        keep_to_cpus(self._settings['cpus'])  # before threads are counted by the cores
        return PolicyRuntime(self, self._settings, self._status)

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

    async def _on_swap_model(self, request, response):
        """Load the model that the parameter names and go on with it, or with the one before."""
        del request
        runtime = self._runtime
        try:
            if runtime is None:
                raise ConfigError('not configured, nothing to swap; configure loads the model')
            response.message = f'serving {await runtime.swap_model()}'
            response.success = True
        except Exception as error:
            reason = self._errors.words(error, 'unexpected error: ')
            response.message = reason
            self.get_logger().error(f'no other model is served: {reason}')
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


if __name__ == '__main__':
    raise SystemExit(main())

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
The node ``command_safety``: stands between whatever commands a robot and the robot's controllers.

A lifecycle node. Takes commands for each output of the contract from ``<input_prefix>/<topic>``
and publishes on ``<topic>`` what keeps the limits, at a rate of its own; holds the robot, and says
why, when commands or measurements are missing, wrong or too far away. ``e_stop`` (Bool) and
``~/trip`` (Trigger) stop it until ``~/rearm`` (Trigger); so does a robot that says on the topic
in ``ready_topic`` (Bool) that it is not ready any more, or twice did not go where it was sent.
``~/status`` (latched) and ``/diagnostics`` tell the state, its reason and what was refused.
"""

import time

from diagnostic_msgs.msg import DiagnosticStatus
from diffusion_policy_ros.control.safety.emergency import EmergencyStop
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.lifecycle_shell import LifecycleShell
from diffusion_policy_ros.nodes.parameters import Parameters
from diffusion_policy_ros.nodes.safety_parameters import SPECS
from diffusion_policy_ros.nodes.safety_runtime import SafetyRuntime
from diffusion_policy_ros.nodes.safety_status import (
    activity, guard_facts, SafetyStatus, with_emergency)
from diffusion_policy_ros.nodes.spinning import run
from diffusion_policy_ros.nodes.subscription_events import SubscriptionEventCallbacks
from diffusion_policy_ros.real_time import claim_real_time, keep_to_cpus, switch_quickly
from rclpy.clock import Clock, ClockType
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

WATCH_PERIOD_S = 0.5
DIAGNOSTICS_PERIOD_S = 1.0


class CommandSafety(LifecycleShell):
    """Guards one robot; what it does is in ``SafetyRuntime`` and ``Guard``."""

    def __init__(self, **node_options):
        """
        Declare parameters, and listen to the emergency stop from now on.

        :param node_options: Options of ``rclpy.node.Node``, such as parameter overrides.
        """
        super().__init__('command_safety', **node_options)
        self._settings = Parameters(self, SPECS, is_locked=lambda: self._runtime is not None)
        self._emergency = EmergencyStop()
        self._bypass = ''
        self._status = SafetyStatus(self, self._emergency, self._facts)
        self._status.start_over('unconfigured')
        self.get_logger().info(
            f'`ros2 lifecycle set {self.get_fully_qualified_name()} configure`, then `... '
            'activate`; safety.launch.py does both')
        self._listen_to_e_stop()
        # Neither e-stop nor diagnostics may depend on a clock that can stand still.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(WATCH_PERIOD_S, self._on_watch, clock=self._steady)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._status.publish, clock=self._steady)

    def _listen_to_e_stop(self):
        """
        Subscribe to the button three times, and offer the services.

        Only a latched subscription hears what a latched button said before, only one that is not
        hears a button that is not, and only a reliable one is sent again what was lost; no warning
        that the others do not match.
        """
        for profile in (qos.STATUS, qos.EVENTS, qos.VECTORS):
            self.create_subscription(
                Bool, 'e_stop', self._on_e_stop, profile,
                event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False))
        self.create_service(Trigger, '~/trip', self._on_trip)
        self.create_service(Trigger, '~/rearm', self._on_rearm)

    def _make_runtime(self):
        """Load and check contract and limits, and connect."""
        keep_to_cpus(self._settings['cpus'])
        return SafetyRuntime(self, self._settings, self._emergency, self._show)

    def _show(self):
        """Tell what the guard does; called after every tick."""
        runtime = self._runtime
        if runtime is None:
            return
        key, level, text = runtime.with_guard(activity) or with_emergency(
            ('no guard', runtime.refusal), DiagnosticStatus.ERROR, f'HOLDING: {runtime.refusal}',
            self._emergency)
        if runtime.is_dry:
            text = f'dry run, {text}'
        if runtime.is_dry or self._bypass:
            level = max(level, DiagnosticStatus.WARN)
        self._status.update((*key, runtime.is_dry, self._bypass), level, text)

    def _facts(self):
        """Return what the status says besides the state's text."""
        facts = {'e-stop': self._emergency.reason or 'armed'}
        runtime = self._runtime
        if runtime is not None:
            facts['dry run'] = str(runtime.is_dry).lower()
            facts['commands past this node'] = self._bypass or 'none'
            if self._settings['ready_topic']:
                facts['ready'] = runtime.unready or 'true'
            facts.update(runtime.controllers())
            facts.update(runtime.with_guard(
                lambda guard: guard_facts(guard, time.monotonic())) or {})
        return facts

    def _on_watch(self):
        """Look who else commands."""
        if self._runtime is None:
            return
        bypass = self._runtime.watch()
        if bypass and bypass != self._bypass:
            self.get_logger().warning(f'commands past this node: {bypass}')
        self._bypass = bypass

    def _on_e_stop(self, message):
        """Take over the button."""
        was_armed = not self._emergency.reason
        self._emergency.button(message.data)
        self._tell_trip(was_armed)

    def _on_trip(self, request, response):
        """Trip by service."""
        del request
        was_armed = not self._emergency.reason
        self._emergency.trip('the service ~/trip')
        self._tell_trip(was_armed)
        response.success, response.message = True, 'stopped until ~/rearm'
        return response

    def _tell_trip(self, was_armed):
        """Log a trip, in every lifecycle state."""
        if was_armed and self._emergency.reason:
            self.get_logger().error(f'emergency stop by {self._emergency.reason}')
            self._status.show_emergency()

    def _on_rearm(self, request, response):
        """Let the robot move again, unless it is not ready or the button is still pressed."""
        del request
        refusal = (self._runtime and self._runtime.unready) or self._emergency.rearm()
        response.success, response.message = not refusal, refusal or 'armed'
        self._status.show_emergency()
        self.get_logger().info(f're-arm refused: {refusal}' if refusal else 'armed')
        return response


def main(args=None) -> int:
    """
    Run the node until a signal ends it.

    :param args: Command line arguments for ROS.
    :return: Exit code.
    """
    switch_quickly()
    claim_real_time()
    return run(CommandSafety, args)


if __name__ == '__main__':
    raise SystemExit(main())

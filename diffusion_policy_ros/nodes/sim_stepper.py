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

"""Moves a simulated robot in step with the clock of its node, in a thread of its own."""

import time

from diffusion_policy_ros.nodes.clockwork import Clockwork
from diffusion_policy_ros.nodes.spinning import break_off
from diffusion_policy_ros.parameter_spec import ParameterSpec
from diffusion_policy_ros.sim.pacing import StepCounter

REAL_TIME_FACTOR = ParameterSpec(
    'real_time_factor', 1.0, 'Simulated seconds per second', 0.1, 20.0, read_only=True)
CLOCK_READINGS = 10
CLOCK_TOLERANCE_NS = 200_000
# How often to look for a simulated clock that has not begun, and at one that runs or stands: it
# may be faster than real time.
CLOCK_WAIT_S = 0.1
CLOCK_PAUSE_S = 0.001


class SimStepper:
    """
    Makes the steps that are due on the node's clock, each with the ROS time of its instant.

    With ``use_sim_time`` it follows ``/clock``: it waits for the first time, stands still when
    the clock does, and goes on when it is set back.
    """

    def __init__(self, node, step_ns, on_step, *, speed=1.0, remedy, on_end=lambda: None):
        """
        Prepare; ``start`` begins.

        :param node: The node whose clock is followed.
        :param step_ns: Simulated time of one step, ns.
        :param on_step: Called in the thread with the number of the step from 1 and its stamp, ns.
        :param speed: Simulated seconds per second.
        :param remedy: What to do where the simulation cannot keep up, for the warning.
        :param on_end: As for ``Clockwork``.
        """
        self._node, self._step_ns, self._on_step = node, step_ns, on_step
        self._speed, self._remedy = speed, remedy
        self._steps, self._dropped_ns = None, 0
        self._clockwork = Clockwork(self._on_wake, self._on_broken, on_end=on_end)

    def start(self):
        """Begin."""
        self._clockwork.start()

    def stop(self):
        """End, and wait for a step in progress."""
        self._clockwork.stop()

    def is_settled(self, now_ns) -> bool:
        """
        Tell whether all steps up to a time have been made: for a clock that waits for them.

        :param now_ns: The time, ns.
        """
        return self._steps is not None and self._steps.next_ns > now_ns

    def _on_wake(self):
        """Make the steps that are due; return the pause in s."""
        steady_ns, ros_ns = self._read_clocks()
        if ros_ns <= 0:
            self._steps = None
            self._node.get_logger().warning(
                'use_sim_time is set, but no time has come on /clock; the robot waits for it and '
                'publishes nothing', throttle_duration_sec=5.0)
            return CLOCK_WAIT_S
        is_simulated = self._node.get_clock().ros_time_is_active
        now_ns = ros_ns if is_simulated else steady_ns
        if self._steps is None or self._steps.is_ahead_of(now_ns):
            self._steps = StepCounter(self._step_ns, now_ns, speed=self._speed)
            self._dropped_ns = 0
        for step, instant_ns in self._steps.due(now_ns):
            if self._clockwork.is_stopping:
                break
            self._on_step(step, ros_ns - (now_ns - instant_ns))
        self._tell_dropped()
        since_s = (time.monotonic_ns() - steady_ns) / 1e9
        pause_s = (self._steps.next_ns - now_ns) / 1e9 - since_s
        return CLOCK_PAUSE_S if is_simulated else max(pause_s, 0.0)

    def _tell_dropped(self):
        """Warn when time had to be given up."""
        if self._steps.dropped_ns > self._dropped_ns:
            self._node.get_logger().warning(
                'the simulation cannot keep up with the clock: '
                f'{self._steps.dropped_ns / 1e9:.2f} s given up so far; unless the clock was set '
                f'forward, {self._remedy}', throttle_duration_sec=5.0)
            self._dropped_ns = self._steps.dropped_ns

    def _on_broken(self, error):
        """End the node: a robot that stands still without a word would mislead everybody."""
        break_off(self._node, f'the simulation broke: {type(error).__name__}: {error}')

    def _read_clocks(self):
        """Return steady and ROS time of one instant in ns; read anew if something came between."""
        for _ in range(CLOCK_READINGS):
            before_ns = time.monotonic_ns()
            ros_ns = self._node.get_clock().now().nanoseconds
            after_ns = time.monotonic_ns()
            if after_ns - before_ns < CLOCK_TOLERANCE_NS:
                break
        return (before_ns + after_ns) // 2, ros_ns

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
The node ``base_sim``: a live mobile base with a lidar, in a room with a block in the middle.

Publishes ``scan`` (LaserScan), ``odom`` (Odometry), ``goal_pose`` (PoseStamped, latched, at a
reset and once a second), ``~/score`` (the share of the way that was made, twice), latched
``~/success`` and ``~/episode`` (JSON). Follows ``cmd_vel`` (Twist), and stops its wheels when
that falls silent. ``~/reset`` (Trigger) starts the next episode. With ``use_sim_time`` it follows
``/clock``: it waits for the first time, stands still when the clock does, and goes on when it is
set back.
"""

import math

from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.arrival import dated
from diffusion_policy_ros.nodes.base_topics import BaseTopics
from diffusion_policy_ros.nodes.parameters import Parameters
from diffusion_policy_ros.nodes.sim_episodes import SEED, SimEpisodes, SimScore
from diffusion_policy_ros.nodes.sim_stepper import REAL_TIME_FACTOR, SimStepper
from diffusion_policy_ros.nodes.spinning import run
from diffusion_policy_ros.nodes.turn_lock import TurnLock
from diffusion_policy_ros.parameter_spec import ParameterSpec
from diffusion_policy_ros.sim.base.environment import COMMAND_TOPIC
from diffusion_policy_ros.sim.base.mobile_base import MobileBase, SUBSTEP_S
from diffusion_policy_ros.sim.pacing import falls_due, SCORE_RATE_HZ
from geometry_msgs.msg import Twist
from rclpy.node import Node
from std_srvs.srv import Trigger

STEP_RATE_HZ = 100.0
SUBSTEP_NS = round(SUBSTEP_S * 1e9)
GOAL_RATE_HZ = 1.0
AT_REST = (0.0, 0.0)
PARAMETERS = (
    ParameterSpec('scan_rate_hz', 20.0, 'Scans per second, Hz; a multiple of the rate of the '
                  'contract keeps the age of the newest scan constant', 1.0, 100.0,
                  read_only=True),
    ParameterSpec('odometry_rate_hz', 50.0, 'Odometry messages per second, Hz', 1.0, 100.0,
                  read_only=True),
    ParameterSpec('cmd_vel_timeout_s', 0.5, 'The wheels are stopped when no command came for this '
                  'simulated time, s; 0: never', 0.0, 60.0, read_only=True),
    SEED,
    REAL_TIME_FACTOR,
)


class BaseSim(Node):
    """A mobile base that moves in real time, whoever watches."""

    def __init__(self, **node_options):
        """
        Put the base to the first start and let time pass.

        :param node_options: Options of ``rclpy.node.Node``, such as parameter overrides.
        """
        self._stepper = None
        super().__init__('base_sim', **node_options)
        self._settings = Parameters(self, PARAMETERS)
        self._lock = TurnLock()  # of the base: the stepper moves it, callbacks command it
        self._base = MobileBase()
        self._topics = BaseTopics(self, self._base)
        self._episodes, self._score = SimEpisodes(self, self._settings), SimScore(self)
        timeout_s = self._settings['cmd_vel_timeout_s']
        self._patience = max(round(timeout_s * STEP_RATE_HZ), 1) if timeout_s else math.inf
        self._start_episode()
        self.create_subscription(Twist, COMMAND_TOPIC, dated(self._on_command), qos.VECTORS)
        self.create_service(Trigger, '~/reset', self._on_reset)
        self._stepper = SimStepper(
            self, SUBSTEP_NS, self._on_step, speed=self._settings['real_time_factor'],
            remedy='lower real_time_factor or scan_rate_hz')
        self._stepper.start()
        self.get_logger().info(
            f'the base is live: scans {self._settings["scan_rate_hz"]:g} Hz, odometry '
            f'{self._settings["odometry_rate_hz"]:g} Hz; {self.resolve_service_name("~/reset")} '
            'starts anew')

    def destroy_node(self):
        """Stop the motion, then the node."""
        if self._stepper is not None:
            self._stepper.stop()
        super().destroy_node()

    def _start_episode(self):
        """Draw the next start from the next seed, and stand there."""
        self._base.reset(self._episodes.begin())
        self._told, self._silent_steps, self._was_solved = AT_REST, 0, False
        self._is_new = True
        self._score.show_success(False)
        self._episodes.show()

    def _on_reset(self, request, response):
        """Answer the service."""
        del request
        with self._lock:
            self._start_episode()
        response.success, response.message = True, str(self._episodes)
        self.get_logger().info(response.message, throttle_duration_sec=1.0)
        return response

    def _on_command(self, message, received_ns):
        """Take a new twist, or say why not."""
        if self._episodes.is_late(received_ns):
            return  # it was for the episode before
        told = message.linear.x, message.angular.z
        if not all(map(math.isfinite, told)):
            self.get_logger().warning(
                f'command ignored: linear.x is {told[0]} m/s and angular.z {told[1]} rad/s; both '
                'must be finite numbers', throttle_duration_sec=2.0)
            return
        with self._lock:
            self._told, self._silent_steps = told, 0

    def _on_step(self, step, stamp_ns):
        """Make one step while nobody commands or resets, and publish what falls due at it."""
        with self._lock:
            self._silent_steps += 1
            told = self._told if self._silent_steps <= self._patience else AT_REST
            self._base.advance(*told, SUBSTEP_S)
            self._show(step, stamp_ns)

    def _show(self, step, stamp_ns):
        """Publish what falls due at a step."""
        for rate_hz, show in ((self._settings['scan_rate_hz'], self._topics.show_scan),
                              (self._settings['odometry_rate_hz'], self._topics.show_odometry)):
            if falls_due(step, rate_hz, STEP_RATE_HZ):
                show(stamp_ns)
        if self._is_new or falls_due(step, GOAL_RATE_HZ, STEP_RATE_HZ):
            self._topics.show_goal(stamp_ns)
            self._is_new = False
        if falls_due(step, SCORE_RATE_HZ, STEP_RATE_HZ):
            self._score.show(self._base.score(), self._base.score())
        if self._base.success and not self._was_solved:
            self._score.show_success(True)
            self._was_solved = True


def main(args=None):
    """Run the node until SIGINT or SIGTERM."""
    return run(BaseSim, args)


if __name__ == '__main__':
    raise SystemExit(main())

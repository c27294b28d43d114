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
The node ``arm_sim``: a live robot arm on MuJoCo, with cameras and the controllers' topics.

Robot, cameras and joints are those of the URDF, controllers those of a ros2_control parameter
file, things those of an SDF world: the files that Gazebo takes. Publishes ``joint_states``,
``<camera>/image_raw``, ``<camera>/camera_info``, ``~/<thing>/pose``, ``~/score`` (now, best of
the episode), latched ``~/success`` and ``~/episode`` (JSON); with ``publish_clock``, ``/clock``.
Follows ``<controller>/commands`` and ``<controller>/joint_trajectory``. ``~/reset`` (Trigger)
starts the next episode, ``~/pause`` (SetBool) and ``~/step`` (Trigger) hold the simulated clock.
"""

from functools import partial
import signal

from diffusion_policy_ros.contract import load_contract, START_NS
from diffusion_policy_ros.errors import CommandRefused, ConfigError
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.arm_demonstrator import Demonstrator, DONE
from diffusion_policy_ros.nodes.arm_parameters import PARAMETERS
from diffusion_policy_ros.nodes.arm_topics import ArmTopics
from diffusion_policy_ros.nodes.arrival import dated
from diffusion_policy_ros.nodes.controller_parameters import (
    check_controllers, offer_parameters)
from diffusion_policy_ros.nodes.parameters import Parameters
from diffusion_policy_ros.nodes.sim_episodes import SimEpisodes, SimScore
from diffusion_policy_ros.nodes.sim_stepper import SimStepper
from diffusion_policy_ros.nodes.spinning import run
from diffusion_policy_ros.nodes.turn_lock import TurnLock
from diffusion_policy_ros.share import share_path
from diffusion_policy_ros.sim.arm.controllers.trajectory import TrajectoryController
from diffusion_policy_ros.sim.arm.environment import check_contract
from diffusion_policy_ros.sim.arm.episode import Episode
from diffusion_policy_ros.sim.arm.robot import CONTROL_PERIOD_NS, SimulatedRobot
from diffusion_policy_ros.sim.arm.tasks import TASKS
from diffusion_policy_ros.sim.pacing import falls_due, SCORE_RATE_HZ
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

STEP_RATE_HZ = 1e9 / CONTROL_PERIOD_NS
VIEWER_RATE_HZ = 30.0


class ArmSim(Node):
    """A robot arm that moves in real time, whoever watches."""

    def __init__(self, **node_options):
        """
        Build the robot, start the first episode and the physics.

        :param node_options: Options of ``rclpy.node.Node``, such as parameter overrides.
        :raises ConfigError: naming the file and the fault, if the robot cannot be simulated.
        """
        self._stepper = self._viewer = None
        super().__init__('arm_sim', **node_options)
        self._settings = Parameters(self, PARAMETERS)
        self._lock = TurnLock()  # of the robot: the stepper moves it, callbacks command it
        self._own_clock = self._settings['publish_clock']
        if self._own_clock and self.get_clock().ros_time_is_active:
            raise ConfigError('publish_clock and use_sim_time are both true; the source of /clock '
                              'cannot follow it, set one of them')
        task, contract = TASKS[self._settings['task']](), self._choose_contract()
        self._robot = self._make_robot(task.world, contract)
        self._topics = ArmTopics(self, self._robot, publishes_clock=self._own_clock)
        self._cameras = list(self._robot.arm.model.cameras.values())
        self._episode = Episode(self._robot, task, randomise=self._settings['randomise'])
        self._paused, self._to_step, self._steps = False, 0, 0
        self._episodes, self._score = SimEpisodes(self, self._settings), SimScore(self)
        self._demonstrator = self._make_demonstrator(task, contract)
        if self._demonstrator is None:
            self._start_episode()
        self._obeyed = self._robot.active_topics
        self._viewer = self._make_viewer()
        self._listen()
        self._stepper = SimStepper(
            self, CONTROL_PERIOD_NS, self._on_step, speed=self._settings['real_time_factor'],
            remedy='lower real_time_factor, or the rate or size of the cameras in the URDF',
            on_end=self._robot.arm.close)
        self._stepper.start()
        self.get_logger().info(
            f'{self._settings["task"]} is live: {len(self._robot.arm.joint_names)} joints, '
            f'cameras {", ".join(self._topics.cameras) or "none"}; commanded on '
            f'{", ".join(self._robot.active_topics)}')

    def destroy_node(self):
        """Stop the physics and close the window, then the node."""
        if self._stepper is not None:
            self._stepper.stop()
        if self._viewer is not None:
            self._viewer.close()
        super().destroy_node()

    def _choose_contract(self):
        """Load the contract that is wanted, None where none is."""
        path = self._settings['contract']
        if not path and self._settings['demonstrations']:
            path = share_path('config', 'robots', f'arm_{self._settings["task"]}.yaml')
        return load_contract(path) if path else None

    def _make_robot(self, world, contract):
        """Build the robot in its world, obedient to a contract."""
        robot = SimulatedRobot(world, self._settings['description'] or None,
                               self._settings['controllers'] or None)
        robot.activate([output.topic for output in contract.actions] if contract else ())
        robot.now_ns = START_NS if self._own_clock else 0
        return robot

    def _make_demonstrator(self, task, contract):
        """Prepare the expert, where one is wanted."""
        if not self._settings['demonstrations']:
            if self._settings['record']:
                raise ConfigError('record is true, and demonstrations 0: nothing would be '
                                  'recorded; set demonstrations, or record a live robot by the '
                                  'services of the recorder')
            return None
        try:
            check_contract(contract, self._robot)
            check_controllers(contract, self._robot.controllers)
        except ConfigError as error:
            remedy = '' if self._settings['contract'] else \
                '; set the parameter contract to the contract of this robot'
            raise ConfigError(f'demonstrations: {error}{remedy}') from error
        return Demonstrator(
            self, self._robot, task, contract, self._episode,
            episodes=self._settings['demonstrations'], record=self._settings['record'],
            start_episode=self._start_episode)

    def _make_viewer(self):
        """Open the window, where one is wanted."""
        if not self._settings['viewer']:
            return None
        from diffusion_policy_ros.sim.arm.viewer import Viewer
        return Viewer(self._robot.arm)

    def _listen(self):
        """Create subscriptions and services."""
        for topic, controller in self._robot.controllers.items():
            is_trajectory = isinstance(controller, TrajectoryController)
            self.create_subscription(
                JointTrajectory if is_trajectory else Float64MultiArray, topic,
                dated(partial(self._on_command, topic)), qos.VECTORS)
        offer_parameters(self, self._robot.controllers.values())
        self.create_service(Trigger, '~/reset', self._on_reset)
        self.create_service(SetBool, '~/pause', self._on_pause)
        self.create_service(Trigger, '~/step', self._on_step_once)

    def _start_episode(self):
        """Draw the next start from the next seed, and return that."""
        seed = self._episodes.begin()
        self._episode.reset(seed)
        self._score.show_success(False)
        self._episodes.show(task=self._settings['task'])
        return seed

    @property
    def _is_demonstrating(self):
        """Tell whether the expert moves the robot, so that commands must wait."""
        return self._demonstrator is not None and self._demonstrator.phase != DONE

    def _on_command(self, topic, message, received_ns):
        """Hand a command to its controller, or say why not."""
        if self._is_demonstrating:
            return  # they come from here
        if self._episodes.is_late(received_ns):
            return  # it was for where the robot had been
        try:
            with self._lock:
                self._robot.command(topic, message)
        except CommandRefused as error:
            self.get_logger().warning(f'{topic}: {error}', throttle_duration_sec=2.0)

    def _on_reset(self, request, response):
        """Start the next episode."""
        del request
        if self._is_demonstrating:
            response.success, response.message = False, (
                'demonstrations are being shown; they reset the robot themselves')
            return response
        with self._lock:
            self._robot.activate(self._obeyed)  # a wrong command may have ended a controller
            self._start_episode()
        response.success, response.message = True, str(self._episodes)
        self.get_logger().info(response.message, throttle_duration_sec=1.0)
        return response

    def _on_pause(self, request, response):
        """Hold the clock, or let it go on."""
        response.success, response.message = self._may_pause()
        if response.success:
            self._paused = request.data
            response.message = 'paused' if request.data else 'running'
        return response

    def _on_step_once(self, request, response):
        """Let a paused simulation make one control period."""
        del request
        response.success, response.message = self._may_pause()
        if response.success and not self._paused:
            response.success, response.message = False, 'not paused; call ~/pause first'
        if response.success:
            with self._lock:
                self._to_step += 1
            response.message = f'{CONTROL_PERIOD_NS / 1e6:g} ms'
        return response

    def _may_pause(self):
        """Tell whether time is this node's to hold; return (success, message)."""
        return self._own_clock, '' if self._own_clock else (
            'time goes on by another clock; set publish_clock to true at the start')

    def _on_step(self, step, stamp_ns):
        """Make one control period, while nobody commands, and publish what falls due."""
        with self._lock:
            if self._viewer and falls_due(step, VIEWER_RATE_HZ, STEP_RATE_HZ):
                self._show_viewer()
            if self._paused and not self._to_step:
                return
            self._to_step = max(self._to_step - 1, 0)
            self._steps += 1
            self._advance(self._steps, stamp_ns if not self._own_clock
                          else self._robot.now_ns + CONTROL_PERIOD_NS)

    def _show_viewer(self):
        """Let the window show the robot; end the node when it was closed."""
        if self._viewer.is_closed:
            self.get_logger().info('the window was closed', once=True)
            signal.raise_signal(signal.SIGINT)  # ends the node as Ctrl-C would
        else:
            self._viewer.show()

    def _advance(self, step, now_ns):
        """Move the robot on to a time, and show it."""
        was_solved = self._episode.success
        if self._demonstrator and step % (
                self._demonstrator.contract.period_ns // CONTROL_PERIOD_NS) == 0:
            self._demonstrator.on_row(now_ns)
        self._episode.advance(now_ns)
        self._topics.show_clock(now_ns)
        for camera in self._cameras:
            if falls_due(step, min(camera.rate_hz, STEP_RATE_HZ), STEP_RATE_HZ):
                self._topics.show_camera(camera.name, now_ns)
        if falls_due(step, self._settings['state_rate_hz'], STEP_RATE_HZ):
            self._topics.show_joints(now_ns)
        if falls_due(step, SCORE_RATE_HZ, STEP_RATE_HZ):
            self._score.show(self._episode.now, self._episode.best)
        if self._episode.success and not was_solved:
            self._score.show_success(True)


def main(args=None):
    """Run the node until SIGINT or SIGTERM."""
    return run(ArmSim, args)


if __name__ == '__main__':
    raise SystemExit(main())

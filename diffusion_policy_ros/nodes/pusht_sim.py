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
The node ``pusht_sim``: a live Push-T robot in real time.

Publishes ``camera/image_raw`` (Image, rgb8, 96x96), ``joint_states`` (finger_x, finger_y in m),
``block_pose`` (PoseStamped), ``~/coverage`` (now, maximum of the episode) and, latched,
``~/episode`` (JSON). Follows ``joint_commands`` (JointState) and keeps its last target when they
stop. ``~/reset`` (Trigger) starts the next episode. With ``use_sim_time`` it follows ``/clock``:
it waits for the first time, stands still when the clock does, and goes on when it is set back.
"""

from collections import deque

from diffusion_policy_ros.errors import ConfigError, DiffusionPolicyError
from diffusion_policy_ros.messages import nanoseconds
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.arrival import dated
from diffusion_policy_ros.nodes.parameters import Parameters
from diffusion_policy_ros.nodes.pusht_topics import COMMAND_TOPIC, PushTTopics
from diffusion_policy_ros.nodes.sim_episodes import SEED, SimEpisodes
from diffusion_policy_ros.nodes.sim_stepper import REAL_TIME_FACTOR, SimStepper
from diffusion_policy_ros.nodes.spinning import run
from diffusion_policy_ros.nodes.turn_lock import TurnLock
from diffusion_policy_ros.parameter_spec import ParameterSpec
from diffusion_policy_ros.sim.pacing import falls_due, SCORE_RATE_HZ
from diffusion_policy_ros.sim.pusht import PushT, SUBSTEP_S
from diffusion_policy_ros.sim.pusht_commands import finger_target
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

STEP_RATE_HZ = 100.0
SUBSTEP_NS = round(SUBSTEP_S * 1e9)
# How far ahead of this node's time the stamp of a command can be where both follow one clock.
AHEAD_NS = 100_000_000
ORDERS_KEPT = 1000
PARAMETERS = (
    ParameterSpec('camera_rate_hz', 30.0, 'Pictures per second, Hz; a multiple of the rate of '
                  'the contract keeps the age of the newest picture constant', 1.0, 100.0,
                  read_only=True),
    ParameterSpec('state_rate_hz', 50.0, 'Joint states and block poses per second, Hz', 1.0, 100.0,
                  read_only=True),
    SEED,
    REAL_TIME_FACTOR,
    ParameterSpec('replay_dataset', '', 'Zarr folder of Push-T demonstrations to replay; empty: '
                  'a live robot', read_only=True),
    ParameterSpec('replay_episodes', '0', 'Which demonstrations to replay, such as 0-9 or 0,4,7',
                  read_only=True),
    ParameterSpec('replay_record', False, 'Start and stop the recorder around each replayed '
                  'demonstration', read_only=True),
    ParameterSpec('view', False, 'Open a window in which the mouse demonstrates', read_only=True),
)


class PushTSim(Node):
    """
    A Push-T robot that moves in real time, whoever watches.

    :ivar commands: How many commands have come.
    """

    def __init__(self, **node_options):
        """
        Put the first episode on the table and start the clockwork.

        :param node_options: Options of ``rclpy.node.Node``, such as parameter overrides.
        :raises ConfigError: if the view has no display or the replay parameters are wrong.
        :raises DatasetError: if the dataset to replay cannot be read.
        """
        self._view = self._stepper = None
        super().__init__('pusht_sim', **node_options)
        self._settings = Parameters(self, PARAMETERS)
        self._camera_rate_hz = self._settings['camera_rate_hz']
        self._state_rate_hz = self._settings['state_rate_hz']
        self._lock = TurnLock()  # of the table: the clockwork moves it, callbacks reset it
        self._sim = PushT()
        self._topics = PushTTopics(self, self._sim)
        self.commands, self._episodes = 0, SimEpisodes(self, self._settings)
        self._ordered = deque(maxlen=ORDERS_KEPT)  # (from when on in ns, target)
        self.start_episode()
        self._replay = self._make_replay()
        self._view = self._make_view()
        self.create_subscription(JointState, COMMAND_TOPIC, dated(self._on_command), qos.VECTORS)
        self.create_service(Trigger, '~/reset', self._on_reset)
        self._stepper = SimStepper(
            self, SUBSTEP_NS, self._on_step, speed=self._settings['real_time_factor'],
            remedy='lower camera_rate_hz or real_time_factor')
        self._stepper.start()
        self.get_logger().info(str(self._replay) if self._replay else (
            f'the robot is live: camera {self._camera_rate_hz:g} Hz, joints '
            f'{self._state_rate_hz:g} Hz; {self.resolve_service_name("~/reset")} starts anew'))

    def destroy_node(self):
        """Stop the steps and close the window, then the node."""
        if self._stepper is not None:
            self._stepper.stop()
        if self._view is not None:
            self._view.close()
        super().destroy_node()

    @property
    def table(self) -> PushT:
        """Return the table with finger and block."""
        return self._sim

    @property
    def shown(self) -> dict:
        """Return how many pictures and joint states were published, by topic."""
        return self._topics.shown

    def is_settled(self, now_ns) -> bool:
        """
        Tell whether all steps up to a time have been made: for a clock that waits for them.

        :param now_ns: The time, ns.
        """
        return self._stepper.is_settled(now_ns)

    def _make_replay(self):
        """Prepare the replay, where one is wanted."""
        if not self._settings['replay_dataset']:
            return None
        if self._settings['real_time_factor'] != 1.0:
            raise ConfigError('real_time_factor is '
                              f'{self._settings["real_time_factor"]:g}; a replay runs in real '
                              'time, leave it at 1')
        from diffusion_policy_ros.data.pusht_recordings import Recordings
        from diffusion_policy_ros.nodes.pusht_replay import Replay
        recordings = Recordings(self._settings['replay_dataset'])
        try:
            numbers = recordings.numbers(self._settings['replay_episodes'])
        except ConfigError as error:
            raise ConfigError(f'replay_episodes: {error}') from error
        return Replay(self, self._sim, self._topics, self._episodes, recordings, numbers,
                      steps_per_s=STEP_RATE_HZ, record=self._settings['replay_record'])

    def _make_view(self):
        """Open the window, where one is wanted."""
        if not self._settings['view']:
            return None
        from diffusion_policy_ros.nodes.pusht_view import View
        return View(self, self._sim, lock=self._lock, on_reset=self._reset)

    def start_episode(self):
        """Draw the next start from the next seed and let the finger rest there."""
        self._sim.reset(self._episodes.begin())
        self._target = tuple(self._sim.state()[:2])
        self._ordered.clear()
        self._episodes.show(demonstration=None, phase='live')

    def _reset(self):
        """Start the next episode unless a replay is running; return (success, message)."""
        if self._is_replaying:
            return False, 'a replay is running; it resets the table itself'
        with self._lock:
            self.start_episode()
        return True, str(self._episodes)

    @property
    def _is_replaying(self):
        """Tell whether the replay moves the finger, so that commands must wait."""
        return self._replay is not None and self._replay.phase != 'done'

    def _on_reset(self, request, response):
        """Answer the service."""
        del request
        response.success, response.message = self._reset()
        self.get_logger().info(response.message, throttle_duration_sec=1.0)
        return response

    def _on_command(self, message, received_ns):
        """
        Take a new target, or say why not.

        It counts from its stamp on, so that it does not matter whether it or the time on /clock
        came first; at once where its stamp is of another clock.
        """
        self.commands += 1
        if self._is_replaying or self._episodes.is_late(received_ns):
            return  # the finger is the replay's, or it was for the episode before
        try:
            target = tuple(finger_target(message.name, message.position))
            since_ns = nanoseconds(message.header.stamp)
            is_far = since_ns > self.get_clock().now().nanoseconds + AHEAD_NS
            self._ordered.append((0 if is_far else since_ns, target))
        except DiffusionPolicyError as error:
            self.get_logger().warning(
                f'command ignored: {error}', throttle_duration_sec=2.0)

    def _on_step(self, step, stamp_ns):
        """Make one step while nobody resets the table."""
        with self._lock:
            self._step(step, stamp_ns)

    def _step(self, step, stamp_ns):
        """Move the world by one step and publish what falls due at it."""
        if self._is_replaying:
            self._replay.begin_step(stamp_ns)
            self._target = self._replay.target
            self._ordered.clear()
        # One that is far ahead was ordered before the clock was set back, and bars the way.
        while self._ordered and not \
                stamp_ns - SUBSTEP_NS < self._ordered[0][0] <= stamp_ns + AHEAD_NS:
            self._target = self._ordered.popleft()[1]
        self._sim.advance(self._target, SUBSTEP_S)
        if self._is_replaying:
            return
        if falls_due(step, self._camera_rate_hz, STEP_RATE_HZ):
            self._topics.show_camera(stamp_ns)
        if falls_due(step, self._state_rate_hz, STEP_RATE_HZ):
            self._topics.show_joints(stamp_ns)
        if falls_due(step, SCORE_RATE_HZ, STEP_RATE_HZ):
            self._topics.show_coverage()


def main(args=None):
    """Run the node until SIGINT or SIGTERM."""
    return run(PushTSim, args)


if __name__ == '__main__':
    raise SystemExit(main())

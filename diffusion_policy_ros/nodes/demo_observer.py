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
The node ``demo_observer``: conducts and measures the episodes of ``dpr demo``.

Configures ``policy_server``; for each episode lets the simulation reset itself, activates the
server, watches until the task is solved or the time is over, and deactivates it. Prints one
JSON object per line: ``stage`` (text), ``row`` and ``episode`` (figures), ``error`` (text). Every
episode is left in the folder ``records`` as ``episode_<number>.npz``.
"""

from pathlib import Path
import time

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.errors import DiffusionPolicyError
from diffusion_policy_ros.evaluation.live_simulations import LIVE
from diffusion_policy_ros.nodes.conductor import ANSWER_S, conduct, Conductor, tell
from diffusion_policy_ros.nodes.demo_watch import DemoWatch
from diffusion_policy_ros.nodes.parameters import Parameters
from diffusion_policy_ros.parameter_spec import ParameterSpec
from std_srvs.srv import Trigger

ROW_PERIOD_S = 1.0
START_UP_S = 60.0
# A robot or a policy that says nothing for this long has stopped; a slow one says something.
SILENCE_S = 10.0
# Topics that only one node may publish, and what is too many where two do.
COMPANY = {'joint_states': 'robots', 'policy_server/status': 'policy servers'}
PARAMETERS = (
    ParameterSpec('sim', 'pusht', 'The simulation that is played', choices=tuple(LIVE),
                  read_only=True),
    ParameterSpec('contract', '', 'Path of the robot contract (YAML) that is commanded',
                  read_only=True),
    ParameterSpec('command_rate_hz', 10.0, 'Commands per second that are wanted, Hz', 1.0, 1000.0,
                  read_only=True),
    ParameterSpec('episodes', 3, 'Episodes to play', 1, 1000, read_only=True),
    ParameterSpec('seconds_per_episode', 30.0, 'Longest duration of an episode, s', 0.1, 3600.0,
                  read_only=True),
    ParameterSpec('records', '.', 'Folder for the records of the episodes', read_only=True),
)


class DemoObserver(Conductor):
    """Plays episodes one after another and tells what it measures."""

    is_guarded = False  # nothing stands between policy and robot

    def __init__(self, **node_options):
        """
        Subscribe to robot and policy.

        :param node_options: Options of ``rclpy.node.Node``, such as parameter overrides.
        :raises ContractError: if the contract is wrong.
        """
        super().__init__('demo_observer', **node_options)
        self._settings = Parameters(self, PARAMETERS)
        self._wanted_hz = self._settings['command_rate_hz']
        sim = self._settings['sim']
        self._robot = LIVE[sim].node
        self._watch = DemoWatch(self, sim, load_contract(self._settings['contract']),
                                is_guarded=self.is_guarded)
        self._reset = self.create_client(Trigger, f'{self._robot}/reset')

    def conduct(self):
        """
        Play all episodes.

        :raises DiffusionPolicyError: if the robot or the policy does not do its part.
        """
        tell('stage', text=f'waiting for {self._robot} and policy_server')
        self.until(lambda: self._watch.has_seen_robot and self.sees_server
                   and self._reset.service_is_ready(), 'the start of both nodes', START_UP_S)
        self.refuse_company(COMPANY)
        tell('stage', text='policy_server loads and warms up the checkpoint')
        self.change('CONFIGURE', START_UP_S)
        for number in range(self._settings['episodes']):
            if number:
                self.ask(self._reset, Trigger.Request(), f'the reset of {self._robot}')
            self.until(lambda: self._watch.episode.get('number') == number,
                       f'episode {number} of {self._robot}', ANSWER_S)
            self._play(number)

    def _play(self, number):
        """Let the policy drive until the task is solved or the time is over."""
        self._watch.begin(self.now_ns)
        self.change('ACTIVATE')
        self.until(lambda: self._watch.start_ns, 'the first command', ANSWER_S)
        # Seconds of the robot's clock, which may be slower than the one that stamps.
        last_ns = self._watch.start_ns - self._watch.behind_ns + round(
            self._settings['seconds_per_episode'] * 1e9)
        row_ns = self._watch.start_ns + round(ROW_PERIOD_S * 1e9)
        while self.now_ns < last_ns + self._watch.behind_ns and not self._watch.solved:
            if self.now_ns >= row_ns:
                row_ns += round(ROW_PERIOD_S * 1e9)
                self.refuse_company(COMPANY)
                self._refuse_silence()
                tell('row', **self._watch.record(number, self.now_ns).figures(self._wanted_hz))
            self.look()
        end_ns = min(last_ns + self._watch.behind_ns, self.now_ns)
        self.refuse_company(COMPANY)
        self.change('DEACTIVATE')
        record = self._watch.record(number, end_ns)
        record.save(Path(self._settings['records']) / f'episode_{number}.npz')
        tell('episode', **record.figures(self._wanted_hz))

    def look(self):
        """Look, and keep one picture for the video."""
        super().look()
        self._watch.keep_picture(self.now_ns)

    def _refuse_silence(self):
        """Refuse to go on with a robot or a policy that has stopped."""
        for missing, seconds in self._watch.silence_s(time.monotonic()).items():
            if seconds > SILENCE_S:
                raise DiffusionPolicyError(f'{missing} came for {seconds:.0f} s; policy_server '
                                           f'said last: {self.status}')


def main(args=None) -> int:
    """
    Conduct the demo.

    :param args: Command line arguments for ROS.
    :return: Exit code: 0 when all episodes were played, 1 when something was in the way.
    """
    return conduct(DemoObserver, args)

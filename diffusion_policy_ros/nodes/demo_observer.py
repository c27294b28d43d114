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

Configures ``policy_server``; for each episode lets ``pusht_sim`` reset the table, activates the
server, watches until the block is in place or the time is over, and deactivates it. Prints one
JSON object per line: ``stage`` (text), ``row`` and ``episode`` (figures), ``error`` (text). Every
episode is left in the folder ``records`` as ``episode_<number>.npz``.
"""

import json
from pathlib import Path
import signal
import sys
import time

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.errors import DiffusionPolicyError
from diffusion_policy_ros.nodes.demo_watch import DemoWatch
from diffusion_policy_ros.nodes.parameters import Parameters, ParameterSpec
from diffusion_policy_ros.real_time import real_time_threads
from diffusion_policy_ros.sim.pusht import SUCCESS_COVERAGE
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import Trigger

# How often to look; each look keeps one picture for the video.
LOOK_PERIOD_S = 0.1
# A look ends when nothing has come for this long.
QUIET_S = 0.002
ROW_PERIOD_S = 1.0
START_UP_S = 60.0
ANSWER_S = 15.0
# A robot or a policy that says nothing for this long has stopped; a slow one says something.
SILENCE_S = 10.0
# Topics that only one node may publish, and what is too many where two do.
COMPANY = {'joint_states': 'robots', 'policy_server/status': 'policy servers'}
PARAMETERS = (
    ParameterSpec('contract', '', 'Path of the robot contract (YAML)', read_only=True),
    ParameterSpec('command_rate_hz', 10.0, 'Commands per second that are wanted, Hz', 1.0, 1000.0,
                  read_only=True),
    ParameterSpec('episodes', 3, 'Episodes to play', 1, 1000, read_only=True),
    ParameterSpec('seconds_per_episode', 30.0, 'Longest duration of an episode, s', 0.1, 3600.0,
                  read_only=True),
    ParameterSpec('records', '.', 'Folder for the records of the episodes', read_only=True),
)


class DemoObserver(Node):
    """Plays episodes one after another and tells what it measures."""

    def __init__(self, **node_options):
        """
        Subscribe to robot and policy.

        :param node_options: Options of ``rclpy.node.Node``, such as parameter overrides.
        :raises ContractError: if the contract is wrong.
        """
        super().__init__('demo_observer', **node_options)
        self._settings = Parameters(self, PARAMETERS)
        self._wanted_hz = self._settings['command_rate_hz']
        self._watch = DemoWatch(self, load_contract(self._settings['contract']))
        self._transition = self.create_client(ChangeState, 'policy_server/change_state')
        self._reset = self.create_client(Trigger, 'pusht_sim/reset')
        self._looks = SingleThreadedExecutor(context=self.context)
        self._looks.add_node(self)
        self._next_look_s = time.monotonic()

    def conduct(self):
        """
        Play all episodes.

        :raises DiffusionPolicyError: if the robot or the policy does not do its part.
        """
        tell('stage', text='waiting for pusht_sim and policy_server')
        self._until(lambda: self._watch.has_seen_robot and self._transition.service_is_ready()
                    and self._reset.service_is_ready(), 'the start of both nodes', START_UP_S)
        self._refuse_company()
        tell('stage', text='policy_server loads and warms up the checkpoint')
        self._change('CONFIGURE', START_UP_S)
        for number in range(self._settings['episodes']):
            if number:
                self._ask(self._reset, Trigger.Request(), 'the reset of the table', ANSWER_S)
            self._until(lambda: self._watch.episode.get('number') == number,
                        f'episode {number} of pusht_sim', ANSWER_S)
            self._play(number)

    def _play(self, number):
        """Let the policy drive until the block is in place or the time is over."""
        self._watch.begin(self._now_ns())
        self._change('ACTIVATE')
        self._until(lambda: self._watch.start_ns, 'the first command', ANSWER_S)
        end_ns = self._watch.start_ns + round(self._settings['seconds_per_episode'] * 1e9)
        row_ns = self._watch.start_ns + round(ROW_PERIOD_S * 1e9)
        while self._now_ns() < end_ns and self._watch.max_coverage < SUCCESS_COVERAGE:
            if self._now_ns() >= row_ns:
                row_ns += round(ROW_PERIOD_S * 1e9)
                self._refuse_company()
                self._refuse_silence()
                tell('row', **self._watch.record(number, self._now_ns()).figures(self._wanted_hz))
            self._look()
        end_ns = min(end_ns, self._now_ns())
        self._refuse_company()
        self._change('DEACTIVATE')
        record = self._watch.record(number, end_ns)
        record.save(Path(self._settings['records']) / f'episode_{number}.npz')
        tell('episode', **record.figures(self._wanted_hz))

    def _refuse_company(self):
        """Refuse to measure on a domain where another robot or policy is at work."""
        for topic, kind in COMPANY.items():
            publishers = self.count_publishers(topic)
            if publishers > 1:
                raise DiffusionPolicyError(
                    f'{publishers} {kind} publish {topic} on this ROS domain, so that nothing '
                    'measured here would be true; choose another one with --domain')

    def _refuse_silence(self):
        """Refuse to go on with a robot or a policy that has stopped."""
        for missing, seconds in self._watch.silence_s(time.monotonic()).items():
            if seconds > SILENCE_S:
                raise DiffusionPolicyError(f'{missing} came for {seconds:.0f} s; policy_server '
                                           f'said last: {self._watch.status}')

    def _change(self, transition, limit_s=ANSWER_S):
        """Take the policy server through a transition."""
        request = ChangeState.Request()
        request.transition.id = getattr(Transition, f'TRANSITION_{transition}')
        answer = self._ask(self._transition, request, f'{transition.lower()} of policy_server',
                           limit_s)
        if not answer.success:
            raise DiffusionPolicyError(f'policy_server refused to {transition.lower()}; it says: '
                                       f'{self._watch.status}')

    def _ask(self, client, request, what, limit_s):
        """Call a service and wait for the answer."""
        future = client.call_async(request)
        self._until(future.done, f'the answer to {what}', limit_s)
        return future.result()

    def _until(self, condition, what, limit_s):
        """Look on until a condition holds."""
        end_s = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > end_s:
                said = f'; policy_server says: {self._watch.status}' if self._watch.status else ''
                raise DiffusionPolicyError(f'{what} did not come within {limit_s:g} s{said}')
            self._look()

    def _look(self):
        """Wait for the next look, and handle all that has come since the last one."""
        self._next_look_s += LOOK_PERIOD_S
        late_s = time.monotonic() - self._next_look_s
        if late_s < 0:
            time.sleep(-late_s)
        else:
            self._next_look_s += late_s
        heard = -1
        while heard != self._watch.heard:
            heard = self._watch.heard
            self._looks.spin_once(timeout_sec=QUIET_S)
        self._watch.keep_picture(self._now_ns())

    def _now_ns(self):
        """Return the time of the ROS clock."""
        return self.get_clock().now().nanoseconds


def tell(event, **facts):
    """
    Print an event for the process that started this one.

    :param event: ``stage``, ``row``, ``episode`` or ``error``.
    :param facts: What belongs to it, ready for JSON.
    """
    print(json.dumps({'event': event, **facts}), flush=True)


def main(args=None) -> int:
    """
    Conduct the demo.

    :param args: Command line arguments for ROS.
    :return: Exit code: 0 when all episodes were played, 1 when something was in the way.
    """
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    node = None
    try:
        with real_time_threads():
            rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
            node = DemoObserver()
        node.conduct()
    except DiffusionPolicyError as error:
        tell('error', text=str(error))
        return 1
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0

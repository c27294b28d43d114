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
The node ``bench_observer``: conducts and measures the run of ``dpr bench loop``.

Configures and activates ``policy_server``, then looks on for some seconds. Prints one JSON object
per line: ``stage`` (text), ``row`` (what came since the last row, once a second from the first
command on; ``evaluation.loop_bench`` reads it) and ``error`` (text).
"""

from dataclasses import asdict

from diagnostic_msgs.msg import DiagnosticArray
from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.evaluation.process_usage import read_usage
from diffusion_policy_ros.message_types import UNDATED_TYPES
from diffusion_policy_ros.messages import nanoseconds
from diffusion_policy_ros.nodes.conductor import conduct, Conductor, tell
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from diffusion_policy_ros.nodes.parameters import Parameters
from diffusion_policy_ros.parameter_spec import ParameterSpec
from std_msgs.msg import Float64MultiArray

ROW_PERIOD_NS = 1_000_000_000
START_UP_S = 60.0
CONFIGURE_S = 180.0
FIRST_COMMAND_S = 60.0
# Their stamps do not say when a command was due.
PARAMETERS = (
    ParameterSpec('contract', '', 'Path of the robot contract (YAML)', read_only=True),
    ParameterSpec('seconds', 600, 'How long to look on after the first command, s', 1, 86400,
                  read_only=True),
    ParameterSpec('server_pid', 0, 'Process of policy_server', 0, 2**31 - 1, read_only=True),
    ParameterSpec('robot_pid', 0, 'Process of bench_robot', 0, 2**31 - 1, read_only=True),
)


class BenchObserver(Conductor):
    """Notes when commands come, and what the processes use."""

    def __init__(self, **node_options):
        """
        Listen to the policy.

        :param node_options: Options of ``rclpy.node.Node``, such as parameter overrides.
        :raises ContractError: if the contract is wrong.
        """
        super().__init__('bench_observer', **node_options)
        self._settings = Parameters(self, PARAMETERS)
        contract = load_contract(self._settings['contract'])
        self._commands, self._latencies, self._diagnostics = [], [], {}
        self._observed = [stream.topic for stream in contract.policy_observations]
        output = contract.actions[0]
        self._is_dated = output.type not in UNDATED_TYPES
        self._company = {self._observed[0]: 'robots', output.topic: 'others than this policy',
                         'policy_server/status': 'policy servers'}
        self.listen(MESSAGE_CLASSES[output.type], output.topic, self._on_command)
        self.listen(Float64MultiArray, 'policy_server/latency', self._on_latency)
        self.listen(DiagnosticArray, '/diagnostics', self._on_diagnostics)

    def conduct(self):
        """
        Measure.

        :raises DiffusionPolicyError: if the robot or the policy does not do its part.
        """
        tell('stage', text='waiting for bench_robot and policy_server')
        self.until(lambda: self.sees_server and all(map(self.count_publishers, self._observed)),
                   'the start of both nodes', START_UP_S)
        tell('stage', text='policy_server loads and warms up the checkpoint')
        self.change('CONFIGURE', CONFIGURE_S)
        self.change('ACTIVATE')
        self.until(lambda: self._commands, 'the first command', FIRST_COMMAND_S)
        start_ns = self._commands[0][0]
        self.notes.clear()
        for second in range(self._settings['seconds'] + 1):
            while self.now_ns < start_ns + second * ROW_PERIOD_NS:
                self.look()
            self.refuse_company(self._company)
            tell('row', **self._take())

    def _take(self):
        """Return what came since the last time."""
        usage = {name: asdict(read_usage(self._settings[f'{name}_pid']))
                 for name in ('server', 'robot')}
        row = {'until_ns': self.now_ns, 'commands': self._commands, 'latencies': self._latencies,
               'notes': [text for _, text in self.notes], 'usage': usage,
               'diagnostics': self._diagnostics}
        self._commands, self._latencies, self.notes = [], [], []
        return row

    def _on_command(self, message, info):
        """Note when a command arrived, when it was sent and, if it says so, when it was due."""
        stamp = message.header.stamp if self._is_dated else None
        self._commands.append((
            info['received_timestamp'], info['source_timestamp'],
            stamp and nanoseconds(stamp)))

    def _on_latency(self, message, info):
        """Note the latency of a plan, by the names of its parts."""
        del info
        names = message.layout.dim[0].label.split(',')
        self._latencies.append(dict(zip(names, message.data)))

    def _on_diagnostics(self, message, info):
        """Keep the newest facts of each section."""
        del info
        self._diagnostics.update({
            status.name: {fact.key: fact.value for fact in status.values}
            for status in message.status})


def main(args=None) -> int:
    """
    Conduct the bench.

    :param args: Command line arguments for ROS.
    :return: Exit code: 0 when all was measured, 1 when something was in the way.
    """
    return conduct(BenchObserver, args)

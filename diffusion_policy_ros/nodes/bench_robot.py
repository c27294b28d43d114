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
The node ``bench_robot``: imitates the robot of a contract for ``dpr bench loop``.

Publishes every stream of the contract that the policy sees, cameras at one rate and everything
else at another, all in step, which is the hardest for those who listen. Receives the commands
and does not heed them.
"""

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.clockwork import Clockwork
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from diffusion_policy_ros.nodes.parameters import Parameters
from diffusion_policy_ros.nodes.spinning import break_off, run
from diffusion_policy_ros.parameter_spec import ParameterSpec
from diffusion_policy_ros.sim.imitation import picture_maker, vector_maker
from diffusion_policy_ros.sim.pacing import StepCounter
from rclpy.node import Node

PARAMETERS = (
    ParameterSpec('contract', '', 'Path of the robot contract (YAML)', read_only=True),
    ParameterSpec('camera_rate_hz', 30.0, 'Pictures per second of each camera, Hz', 0.1, 1000.0,
                  read_only=True),
    ParameterSpec('state_rate_hz', 100.0, 'Messages per second of every other stream, Hz', 0.1,
                  1000.0, read_only=True),
    ParameterSpec('width', 640, 'Columns of a picture, px', 1, 16384, read_only=True),
    ParameterSpec('height', 480, 'Rows of a picture, px', 1, 16384, read_only=True),
)


class BenchRobot(Node):
    """Shows what a contract promises, in real time."""

    def __init__(self, **node_options):
        """
        Prepare all messages and start the clockwork.

        :param node_options: Options of ``rclpy.node.Node``, such as parameter overrides.
        :raises ContractError: if the contract is wrong.
        """
        self._clockwork = None
        super().__init__('bench_robot', **node_options)
        self._settings = Parameters(self, PARAMETERS)
        contract = load_contract(self._settings['contract'])
        self._outlets = [self._outlet(topic, contract) for topic in dict.fromkeys(
            stream.topic for stream in contract.policy_observations)]
        for output in contract.actions:
            self.create_subscription(MESSAGE_CLASSES[output.type], output.topic,
                                     lambda message: None, qos.VECTORS)
        self._clockwork = Clockwork(self._on_wake, self._on_broken)
        self._clockwork.start()

    def destroy_node(self):
        """Stop the clockwork, then the node."""
        if self._clockwork is not None:
            self._clockwork.stop()
        super().destroy_node()

    def _outlet(self, topic, contract):
        """Create what shows a topic."""
        streams = [s for s in contract.policy_observations if s.topic == topic]
        is_image = streams[0].is_image
        size = self._settings['width'], self._settings['height']
        make = (picture_maker(streams[0], size, MESSAGE_CLASSES) if is_image
                else vector_maker(streams, MESSAGE_CLASSES))
        publisher = self.create_publisher(MESSAGE_CLASSES[streams[0].type], topic, qos.ROBOT_STATE)
        rate_hz = self._settings['camera_rate_hz' if is_image else 'state_rate_hz']
        return _Outlet(publisher, make, rate_hz)

    def _on_wake(self):
        """Show what is due; return the pause in s."""
        now_ns = self.get_clock().now().nanoseconds
        next_ns = min(outlet.show(now_ns) for outlet in self._outlets)
        return max(next_ns - self.get_clock().now().nanoseconds, 0) / 1e9

    def _on_broken(self, error):
        """End the node: without its robot nothing can be measured."""
        break_off(self, f'the robot broke: {type(error).__name__}: {error}')


class _Outlet:
    """One topic: messages at a steady rate, each stamped with the time at which it was due."""

    def __init__(self, publisher, make, rate_hz):
        """Prepare; the first call of ``show`` begins."""
        self._publisher, self._make = publisher, make
        self._interval_ns = 1e9 / rate_hz
        self._steps = None

    def show(self, now_ns):
        """Publish what is due by now; return when to come again, ns."""
        if self._steps is None or self._steps.is_ahead_of(now_ns):
            self._steps = StepCounter(self._interval_ns, now_ns)
        for number, instant_ns in self._steps.due(now_ns):
            self._publisher.publish(self._make(number, instant_ns))
        return self._steps.next_ns


def main(args=None):
    """Run the node until SIGINT or SIGTERM."""
    return run(BenchRobot, args)

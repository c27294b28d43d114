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
The node ``lockstep``: the policy server and Push-T over ROS, on a clock that waits for both.

All messages go over DDS, as between processes. The clock advances to the server's next slot when
all that is due has been done, planning included, and no message is under way. So simulated time is
as fast as the machine allows, holds no latency but the contract's settling time and the injected
delay, and a run gives the same commands every time. Started by ``dpr bench joins --ros``; tells
each episode on standard output.
"""

import time

from diffusion_policy_ros.contract import START_NS
from diffusion_policy_ros.errors import DiffusionPolicyError
from diffusion_policy_ros.messages import nanoseconds
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.conductor import conduct, tell
from diffusion_policy_ros.nodes.parameters import Parameters
from diffusion_policy_ros.nodes.policy_server import PolicyServer
from diffusion_policy_ros.nodes.pusht_sim import PushTSim
from diffusion_policy_ros.nodes.pusht_topics import (
    CAMERA_TOPIC, COMMAND_TOPIC, JOINTS_TOPIC)
from diffusion_policy_ros.parameter_spec import ParameterSpec
from diffusion_policy_ros.policy.plan_record import parse_record
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import String

# Until the server has laid its slots, and where it did not take the last one in time.
STEP_NS = 25_000_000
# Not counted: the first plans show how many rows plans take on this clock, which what they take to
# warm up on the other one does not tell.
REHEARSAL_NS = 3_000_000_000
# Pictures and joint states per second: what the policy looks at, and no more to compute.
RATE_HZ = 10.0
# What is sent is there within so many looks, of a millisecond at least; a picture that is lost
# must not stop the clock. Not a time: on a busy machine all of it may pass within one look.
PATIENCE_LOOKS = 5000
LOOK_S = 0.001
DISCOVERY_S = 30.0
PARAMETERS = (
    ParameterSpec('model', '', 'Checkpoint folder', read_only=True),
    ParameterSpec('join', 'none', 'How a plan follows the one before it', read_only=True),
    ParameterSpec('execute_horizon', 0, "Rows between two plans; 0 for the checkpoint's", 0, 1000,
                  read_only=True),
    ParameterSpec('num_candidates', 1, 'Plans sampled at once', 1, 256, read_only=True),
    ParameterSpec('delay_ms', 0.0, 'Time for which finished plans are held back, ms', 0.0, 10000.0,
                  read_only=True),
    ParameterSpec('episodes', 100, 'Episodes to run', 1, 10**6, read_only=True),
    ParameterSpec('seed', 100000, 'Seed of the first episode', 0, 2**31 - 1, read_only=True),
    ParameterSpec('max_seconds', 30.0, 'Simulated time of an episode at most, s', 1.0, 1000.0,
                  read_only=True),
)

PASSED_ON = ('model', 'join', 'execute_horizon', 'num_candidates')


class Lockstep(Node):
    """Runs episodes on a clock of its own."""

    def __init__(self):
        """Create the clock and both nodes that follow it."""
        super().__init__('lockstep')
        self._settings = Parameters(self, PARAMETERS)
        self._clock = self.create_publisher(Clock, '/clock', qos.EVENTS)
        self._now_ns = START_NS
        self._commands, self._plans = [], []
        self._heard, self._lost = 0, [0] * 4
        self.create_subscription(JointState, COMMAND_TOPIC, self._on_command, qos.ROBOT_STATE)
        self.create_subscription(String, 'policy_server/plan_record', self._plans.append,
                                 qos.EVENTS)
        seed = self._settings['seed']
        # The table of the rehearsal is another one: its seed has to change for the first episode.
        self._sim = PushTSim(use_global_arguments=False, parameter_overrides=_overrides(
            use_sim_time=True, seed=seed ^ 1, camera_rate_hz=RATE_HZ, state_rate_hz=RATE_HZ))
        self._server = PolicyServer(use_global_arguments=False, parameter_overrides=_overrides(
            use_sim_time=True, seed=seed, num_threads=1,
            clock_timeout_s=0.0,  # it waits for a plan, however long that takes
            inference_delay_ms=self._settings['delay_ms'],
            **{name: self._settings[name] for name in PASSED_ON}))
        self._executor = SingleThreadedExecutor()
        for node in (self, self._sim, self._server):
            self._executor.add_node(node)

    def destroy_node(self):
        """End both nodes, then this one."""
        self._executor.shutdown()
        self._server.destroy_node()
        self._sim.destroy_node()
        super().destroy_node()

    def conduct(self):
        """Run all episodes and tell each."""
        self._server.trigger_configure()
        if self._server.loop is None:
            raise DiffusionPolicyError('policy_server could not be configured; the log tells why')
        self._server.trigger_activate()
        self._wait_for_each_other()
        while self._now_ns < START_NS + REHEARSAL_NS:
            self._advance()
        for number in range(self._settings['episodes']):
            self._run_episode(self._settings['seed'] + number)

    def _wait_for_each_other(self):
        """Wait until every node has found the others; nothing has been sent yet."""
        listeners = {'/clock': 2, CAMERA_TOPIC: 1, JOINTS_TOPIC: 1, COMMAND_TOPIC: 2}
        give_up_s = time.monotonic() + DISCOVERY_S
        while any(self.count_subscribers(topic) < count for topic, count in listeners.items()):
            if time.monotonic() > give_up_s:
                raise DiffusionPolicyError('the nodes did not find each other; is ROS traffic on '
                                           'loopback possible?')
            self._executor.spin_once(timeout_sec=0.01)

    def _on_command(self, command):
        """Keep a command."""
        self._heard += 1
        self._commands.append(command)

    def _run_episode(self, seed):
        """Start an episode, and let time pass until the task is solved or the time is over."""
        for node in (self._sim, self._server):
            node.set_parameters([Parameter('seed', value=seed)])
        self._sim.start_episode()
        self._server.loop.reset()
        self._commands.clear()
        self._plans.clear()
        table, start_ns = self._sim.table, self._now_ns
        end_ns = start_ns + round(self._settings['max_seconds'] * 1e9)
        while self._now_ns < end_ns and not table.success:
            self._advance()
        stamps_ns = [nanoseconds(command.header.stamp) for command in self._commands]
        begun_ns = (parse_record(plan.data).first_command_ns for plan in self._plans)
        tell('episode', seed=seed, score=table.score(), success=table.success,
             seconds=(self._now_ns - start_ns) / 1e9,
             commands=[list(command.position) for command in self._commands],
             borders=[stamps_ns.index(begun) for begun in begun_ns if begun in stamps_ns[:-1]])

    def _advance(self):
        """Set the clock to what the server does next, and wait until all that is due is done."""
        next_ns = self._server.loop.next_ns
        self._now_ns = next_ns if next_ns > self._now_ns else self._now_ns + STEP_NS
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(self._now_ns, 10**9)
        self._clock.publish(message)
        quiet = 0
        # Two looks in a row without work: what the first one set off has been done as well.
        for _ in range(PATIENCE_LOOKS):
            self._executor.spin_once(timeout_sec=LOOK_S)
            self._server.loop.worker.wait()
            quiet = quiet + 1 if self._is_settled() else 0
            if quiet == 2:
                return
        self._lost = self._under_way()
        self.get_logger().warning(f'not all that was due at {self._now_ns / 1e9:.3f} s was done '
                                  f'within {PATIENCE_LOOKS} looks; time goes on without it')

    def _is_settled(self):
        """Tell whether nothing is left to do at this time."""
        if self._under_way() != self._lost:
            return False
        clocks = (node.get_clock().now().nanoseconds for node in (self._sim, self._server))
        return all(ns >= self._now_ns for ns in clocks) \
            and self._sim.is_settled(self._now_ns) and self._server.loop.next_ns > self._now_ns

    def _under_way(self):
        """Return how many pictures, joint states and commands were sent and have not come."""
        telemetry, shown = self._server.loop.telemetry, self._sim.shown
        sent = telemetry.commands.count
        return [*(shown[topic] - telemetry.inputs[topic].count
                  for topic in (CAMERA_TOPIC, JOINTS_TOPIC)),
                sent - self._heard, sent - self._sim.commands]


def _overrides(**values):
    """Return parameter overrides."""
    return [Parameter(name, value=value) for name, value in values.items()]


def main(args=None) -> int:
    """Run the episodes."""
    return conduct(Lockstep, args)

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
The node ``dpr_doctor``: watches a live robot against its contract, for ``dpr doctor --live``.

It subscribes, asks nodes for parameters and lifecycle states, and publishes nothing. Prints one
JSON object per line: ``stage`` (text), ``finding`` (level, name, value, remedy), ``error`` (text).
"""

from dataclasses import asdict
import time

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.evaluation.live.clock_report import CLOCK, clock_findings
from diffusion_policy_ros.evaluation.live.stream_report import stream_findings
from diffusion_policy_ros.evaluation.live.stream_times import Clocks, StreamTimes
from diffusion_policy_ros.finding import Finding
from diffusion_policy_ros.message_types import JOINT_STATE
from diffusion_policy_ros.messages import nanoseconds
from diffusion_policy_ros.nodes.asked_nodes import LifecycleCheck, SimTimeCheck
from diffusion_policy_ros.nodes.command_graph import listeners, output_findings
from diffusion_policy_ros.nodes.conductor import conduct, tell
from diffusion_policy_ros.nodes.controller_check import AGREES, ControllerCheck
from diffusion_policy_ros.nodes.heard_stream import HeardStream
from diffusion_policy_ros.nodes.own_position import position_findings
from diffusion_policy_ros.nodes.parameters import Parameters
from diffusion_policy_ros.nodes.recorded_stream import recorded_streams
from diffusion_policy_ros.nodes.spinning import spin_once
from diffusion_policy_ros.nodes.topic_watch import publisher_names
from diffusion_policy_ros.parameter_spec import ParameterSpec
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock as ClockMessage

LOOK_PERIOD_S = 0.1
# Who is there is known when nobody new was found for a time; a network takes longer to tell.
QUIET_S, LONGEST_S = 1.0, 5.0
# The watch begins when every stream with a publisher was heard, or at the latest so much later.
FIRST_S = 5.0
CLOCK_QOS = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
PARAMETERS = (
    ParameterSpec('contract', '', 'Path of the robot contract (YAML)', read_only=True),
    ParameterSpec('seconds', 5.0, 'How long to watch, s', 1.0, 3600.0, read_only=True),
)


class LiveWatch(Node):
    """
    Finds out who is there, watches for some time, and says what is wrong.

    :ivar findings: List of ``Finding`` at the end, None before.
    """

    def __init__(self, **node_options):
        """
        Look for everybody.

        :param node_options: Options of ``rclpy.node.Node``, such as parameter overrides.
        :raises ContractError: if the contract is wrong.
        """
        super().__init__('dpr_doctor', enable_rosout=False, start_parameter_services=False,
                         **node_options)
        self._settings = Parameters(self, PARAMETERS)
        self._contract = load_contract(self._settings['contract'])
        self.findings = None
        self._graph, self._began_s = None, time.monotonic()
        self._changed_s, self._heard_s = self._began_s, None
        self._subscribed_s = None
        self._clock_times, self._streams = StreamTimes(), []
        self._controllers = ControllerCheck(self, self._contract)
        self._lifecycles = [LifecycleCheck(self, name)
                            for name in ('policy_server', 'command_safety')]
        self._sim_time = SimTimeCheck(self)
        self.create_subscription(ClockMessage, CLOCK, self._take_clock, CLOCK_QOS)
        self.create_timer(LOOK_PERIOD_S, self._look,
                          clock=Clock(clock_type=ClockType.STEADY_TIME))

    def conduct(self):
        """Watch to the end, and tell what was found."""
        tell('stage', text='looking for nodes and topics')
        executor = SingleThreadedExecutor(context=self.context)
        executor.add_node(self)
        try:
            while self.findings is None:
                spin_once(executor, self)
        finally:
            executor.remove_node(self)
            executor.shutdown()
        for finding in self.findings:
            tell('finding', **asdict(finding))

    def destroy_node(self):
        """Destroy the clients, then the node."""
        self._controllers.destroy()
        super().destroy_node()

    def _look(self):
        """Do what is due: find, watch, or conclude."""
        if self.findings is not None:
            return
        now_s = time.monotonic()
        self._controllers.look()
        for check in self._lifecycles:
            check.look()
        self._sim_time.look(self._people())
        if self._subscribed_s is None:
            if self._knows_everybody(now_s):
                self._subscribe(now_s)
            return
        now_ns = self.get_clock().now().nanoseconds
        for stream in self._streams:
            stream.quality.watch(now_ns)
        if self._heard_s is None and (now_s - self._subscribed_s > FIRST_S
                                      or not any(s.is_awaited for s in self._streams)):
            self._heard_s = now_s
        if self._heard_s and now_s - self._heard_s >= self._settings['seconds']:
            self.findings = self._conclude()

    def _knows_everybody(self, now_s):
        """Tell whether the graph has not changed for a while."""
        graph = (sorted(self.get_topic_names_and_types()),
                 sorted(self.get_node_names_and_namespaces()))
        if graph != self._graph:
            self._graph, self._changed_s = graph, now_s
        return now_s - self._changed_s >= QUIET_S or now_s - self._began_s >= LONGEST_S

    def _subscribe(self, now_s):
        """Go by the robot's time, and subscribe to everything."""
        self._subscribed_s = now_s
        if self._clock_publishers():
            self.set_parameters([Parameter('use_sim_time', value=True)])
        self._streams = recorded_streams(self, self._contract, None, HeardStream)
        tell('stage', text=f'watching for {self._settings["seconds"]:g} s')

    def _conclude(self):
        """Return all findings, in the order of the way that data takes."""
        now_ns = self.get_clock().now().nanoseconds
        clocks = Clocks(time.time_ns(), time.monotonic_ns(),
                        bool(self._clock_publishers()))
        for stream in self._streams:
            stream.quality.end(now_ns)
        found = clock_findings(self._clock_publishers(), self._clock_times,
                               self._sim_time.using())
        for stream in sorted(self._streams, key=lambda stream: stream.is_command):
            found += stream_findings(stream.seen(), clocks) if stream.is_told else []
        for output in self._contract.actions:
            found += output_findings(self, output)
        found += position_findings(self, self._contract, self._newest_joints())
        found += [_controller_finding(name, text, self._controllers.objection)
                  for name, text in self._controllers.facts().items()]
        return [*found, *(check.finding() for check in self._lifecycles)]

    def _newest_joints(self):
        """Return the newest message of each topic of joint states that says something."""
        heard = {stream.topic: stream.newest() for stream in self._streams
                 if stream.type == JOINT_STATE}
        return {topic: message for topic, message in heard.items() if message is not None}

    def _people(self):
        """Return the full names of the nodes whose time matters."""
        ours = {self.resolve_service_name(name) for name in ('policy_server', 'command_safety')}
        entries = (*self._contract.observations, *self._contract.actions)
        for topic in {self.resolve_topic_name(entry.topic) for entry in entries}:
            ours.update(publisher_names(self.get_publishers_info_by_topic(topic)))
        for output in self._contract.actions:
            ours.update(publisher_names(listeners(self, self.resolve_topic_name(output.topic))))
        return ours

    def _clock_publishers(self):
        """Return who publishes ``/clock``."""
        return publisher_names(self.get_publishers_info_by_topic(CLOCK))

    def _take_clock(self, message):
        """Note when the clock said what."""
        self._clock_times.add(time.monotonic_ns(), nanoseconds(message.clock))


def _controller_finding(name, text, objections):
    """Return the line about a controller: why it may not be commanded, or what is known of it."""
    value, _, remedy = text.partition('; ')
    if text in objections:
        return Finding('ERROR', name, value, remedy)
    return Finding('OK' if text == AGREES else 'WARN', name, value, remedy)


def main(args=None) -> int:
    """
    Watch the robot.

    :param args: Command line arguments for ROS.
    :return: Exit code: 0 when it could be watched, 1 when something was in the way.
    """
    return conduct(LiveWatch, args)

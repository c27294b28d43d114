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

"""A node that leads the policy server through a measurement and looks on only now and then."""

import json
import signal
import sys
import time

from diagnostic_msgs.msg import DiagnosticStatus
from diffusion_policy_ros.errors import ConfigError, DiffusionPolicyError
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.arrival import TELLS_ARRIVAL
from diffusion_policy_ros.real_time import real_time_threads
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions

# How often to look: what is measured must not wait for the one who measures. What comes is timed
# by the middleware, not when Python looks.
LOOK_PERIOD_S = 0.1
# A look ends when nothing has come for this long.
QUIET_S = 0.002
ANSWER_S = 15.0
# Whoever looks ten times a second must find everything that came since.
ALL = QoSProfile(depth=1000)


class Conductor(Node):
    """
    Knows what the policy server says, and takes it from state to state.

    :ivar status: What the policy server said last about itself.
    :ivar notes: When it gave a reason for not commanding (ns, stamped by the middleware on
        arrival), and the reason.
    """

    def __init__(self, name, **node_options):
        """
        Listen to the policy server.

        :param name: Name of the node.
        :param node_options: Options of ``rclpy.node.Node``, such as parameter overrides.
        :raises ConfigError: where rclpy does not tell when messages arrive.
        """
        if not TELLS_ARRIVAL:
            raise ConfigError('the rclpy of this ROS distribution does not tell when messages '
                              'arrive, so that nothing can be measured; use Jazzy or a later one')
        super().__init__(name, **node_options)
        self.status = ''
        self.notes = []
        self._heard = 0
        self._transition = self.create_client(ChangeState, 'policy_server/change_state')
        self._looks = SingleThreadedExecutor(context=self.context)
        self._looks.add_node(self)
        self._next_look_s = time.monotonic()
        self.listen(DiagnosticStatus, 'policy_server/status', self._on_status, qos.STATUS)

    @property
    def sees_server(self) -> bool:
        """Tell whether the policy server is there."""
        return self._transition.service_is_ready()

    @property
    def now_ns(self) -> int:
        """Return the time of the ROS clock, ns."""
        return self.get_clock().now().nanoseconds

    def listen(self, message_type, topic, handle, profile=ALL):
        """
        Subscribe with the middleware's stamps; end the work where it has none.

        :param message_type: Class of the message.
        :param topic: Name of the topic.
        :param handle: Called with the message and rclpy's information about it.
        :param profile: Quality of service.
        """
        def count(message, info):
            if not info['received_timestamp']:
                raise ConfigError(
                    'the ROS middleware in use does not tell when messages arrive, so that '
                    'nothing can be measured; set RMW_IMPLEMENTATION=rmw_fastrtps_cpp')
            self._heard += 1
            handle(message, info)

        self.create_subscription(message_type, topic, count, profile)

    def look(self):
        """Wait for the next look, and handle all that has come since the last one."""
        self._next_look_s += LOOK_PERIOD_S
        late_s = time.monotonic() - self._next_look_s
        if late_s < 0:
            time.sleep(-late_s)
        else:
            self._next_look_s += late_s
        heard = -1
        while heard != self._heard:
            heard = self._heard
            self._looks.spin_once(timeout_sec=QUIET_S)

    def until(self, condition, what, limit_s):
        """
        Look on until a condition holds.

        :param condition: Callable without arguments.
        :param what: What is awaited, for the error.
        :param limit_s: Longest wait, s.
        :raises DiffusionPolicyError: if it does not come in time.
        """
        end_s = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > end_s:
                said = f'; policy_server says: {self.status}' if self.status else ''
                raise DiffusionPolicyError(f'{what} did not come within {limit_s:g} s{said}')
            self.look()

    def ask(self, client, request, what, limit_s=ANSWER_S):
        """
        Call a service and wait for the answer.

        :param client: Client of the service.
        :param request: The request.
        :param what: What is asked for, for the error.
        :param limit_s: Longest wait, s.
        :return: The response.
        :raises DiffusionPolicyError: if no answer comes in time.
        """
        future = client.call_async(request)
        self.until(future.done, f'the answer to {what}', limit_s)
        return future.result()

    def change(self, transition, limit_s=ANSWER_S):
        """
        Take the policy server through a transition.

        :param transition: ``CONFIGURE``, ``ACTIVATE`` or ``DEACTIVATE``.
        :param limit_s: Longest wait, s.
        :raises DiffusionPolicyError: with the reason, if it refuses.
        """
        request = ChangeState.Request()
        request.transition.id = getattr(Transition, f'TRANSITION_{transition}')
        verb = transition.lower()
        if not self.ask(self._transition, request, f'{verb} of policy_server', limit_s).success:
            raise DiffusionPolicyError(
                f'policy_server refused to {verb}; it says: {self.status}')

    def refuse_company(self, kinds):
        """
        Refuse to measure on a domain where others are at work.

        :param kinds: Topic that only one node may publish to what too many of them are.
        :raises DiffusionPolicyError: naming the topic that several publish.
        """
        for topic, kind in kinds.items():
            publishers = self.count_publishers(topic)
            if publishers > 1:
                raise DiffusionPolicyError(
                    f'{publishers} {kind} publish {topic} on this ROS domain, so that nothing '
                    'measured here would be true; choose another one with --domain')

    def _on_status(self, message, info):
        """Note what the policy server says, and when it had a reason not to command."""
        self.status = message.message
        if message.level != DiagnosticStatus.OK:
            self.notes.append((info['received_timestamp'], message.message))


def tell(event, **facts):
    """
    Print an event for the process that started this one.

    :param event: Its kind; ``stage`` and ``error`` come with a ``text`` for people.
    :param facts: What belongs to it, ready for JSON.
    """
    print(json.dumps({'event': event, **facts}), flush=True)


def conduct(node_class, args=None) -> int:
    """
    Let a conductor do its work, and tell what was in the way.

    :param node_class: Subclass of ``Conductor`` with a method ``conduct``.
    :param args: Command line arguments for ROS.
    :return: Exit code: 0 when all was measured, 1 when something was in the way.
    """
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    node = None
    try:
        with real_time_threads():
            rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
            node = node_class()
        node.conduct()
    except DiffusionPolicyError as error:
        tell('error', text=str(error))
        return 1
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0

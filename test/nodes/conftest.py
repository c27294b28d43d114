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

"""A second node on a domain of the test file's own, a robot, and what is asked of a server."""

import os
import time

import pytest

rclpy = pytest.importorskip('rclpy')
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402,I100
from diffusion_policy_ros.nodes import qos  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402

DEADLINE_S = 60.0
ANSWER_S = 20.0


class Peer:
    """
    A test's own node, and the nodes under test, in one executor but talking over DDS.

    :ivar node: The test's node.
    :ivar context: The context on the test's domain.
    """

    def __init__(self, context):
        self.context = context
        self.executor = SingleThreadedExecutor(context=context)
        self.node = rclpy.create_node('peer', context=context)
        self.executor.add_node(self.node)
        self._started, self._clients = [], {}

    def start(self, node_class, **parameters):
        """Start a node under test with parameter overrides."""
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        node = node_class(context=self.context, parameter_overrides=overrides)
        self.executor.add_node(node)
        self._started.append(node)
        return node

    def stop(self, node):
        """End a node under test as a signal would."""
        self._started.remove(node)
        self.executor.remove_node(node)
        node.destroy_node()

    def until(self, condition, what, deadline_s=DEADLINE_S):
        """Spin until the condition holds; fail, naming what was awaited, when it never does."""
        end_s = time.monotonic() + deadline_s
        while not condition():
            assert time.monotonic() < end_s, f'{what} did not happen within {deadline_s:g} s'
            self.executor.spin_once(timeout_sec=0.05)

    def hear(self, message_type, topic, profile):
        """Subscribe; the returned list grows with every message."""
        heard = []
        self.node.create_subscription(message_type, topic, heard.append, profile)
        return heard

    def ask(self, service, deadline_s=DEADLINE_S):
        """Call a Trigger service; return (success, message)."""
        from std_srvs.srv import Trigger
        client = self.node.create_client(Trigger, service)
        self.until(client.service_is_ready, f'service {service}', deadline_s)
        future = client.call_async(Trigger.Request())
        self.until(future.done, f'answer of {service}', deadline_s)
        return future.result().success, future.result().message

    def call(self, service_type, name, request, changed=lambda: False):
        """
        Call a service; again when no answer comes and nothing has ``changed``.

        DDS may lose a request or an answer while the two sides are still discovering each other.
        """
        if name not in self._clients:
            self._clients[name] = self.node.create_client(service_type, name)
        client = self._clients[name]
        self.until(client.service_is_ready, name, deadline_s=120.0)
        for _ in range(6):
            future, end_s = client.call_async(request), time.monotonic() + ANSWER_S
            self.until(lambda: future.done() or time.monotonic() > end_s, 'time')
            if future.done():
                return future.result()
            if changed():
                return None
        raise AssertionError(f'{name} never answered')

    def change(self, node, transition):
        """Take a lifecycle node through a transition; tell whether it succeeded."""
        number = getattr(Transition, f'TRANSITION_{transition}')
        request = ChangeState.Request(transition=Transition(id=number))
        before = self.state(node)
        answer = self.call(ChangeState, f'{node}/change_state', request,
                           lambda: self.state(node) != before)
        return answer is None or answer.success

    def state(self, node):
        """Return the label of a lifecycle node's state."""
        return self.call(GetState, f'{node}/get_state', GetState.Request()).current_state.label

    def close(self):
        """End everything."""
        for node in list(self._started):
            self.stop(node)
        self.node.destroy_node()
        self.executor.shutdown()


@pytest.fixture
def peer(request, monkeypatch):
    """Open a peer on the ``DOMAIN_ID`` that the test file names."""
    monkeypatch.setitem(os.environ, 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=request.module.DOMAIN_ID)
    peer = Peer(context)
    yield peer
    peer.close()
    rclpy.try_shutdown(context=context)


class Robot:
    """
    Publishes a camera and joints at 30 Hz.

    ``image`` and ``joints`` say what: fields, a function that returns them, or None for nothing.
    """

    def __init__(self, peer):
        self._node = peer.node
        self._images = peer.node.create_publisher(Image, 'camera/image_raw', qos.ROBOT_STATE)
        self._joints = peer.node.create_publisher(JointState, 'joint_states', qos.ROBOT_STATE)
        self.image = {'height': 96, 'width': 96, 'encoding': 'rgb8', 'step': 288,
                      'data': bytes(range(256)) * 108}
        self.joints = {'name': ['finger_y', 'finger_x'], 'position': [0.2, 0.3]}
        self.now_ns = lambda: peer.node.get_clock().now().nanoseconds
        peer.node.create_timer(1 / 30, self._show)

    def _show(self):
        for publisher, cls, content in ((self._images, Image, self.image),
                                        (self._joints, JointState, self.joints)):
            if content is not None:
                message = cls(**(content() if callable(content) else content))
                sec, nanosec = divmod(self.now_ns(), 10**9)
                message.header.stamp.sec, message.header.stamp.nanosec = sec, nanosec
                publisher.publish(message)


class Server:
    """What a test asks of the server, through its services and topics."""

    def __init__(self, peer):
        self._peer = peer
        self.status = peer.hear(DiagnosticStatus, 'policy_server/status', qos.STATUS)
        self.commands = peer.hear(JointState, 'joint_commands', qos.COMMANDS)

    def change(self, transition):
        return self._peer.change('policy_server', transition)

    def state(self):
        return self._peer.state('policy_server')

    def set(self, name, value):
        request = SetParameters.Request(parameters=[Parameter(name, value=value)
                                                    .to_parameter_msg()])
        return self._peer.call(SetParameters, 'policy_server/set_parameters', request).results[0]

    def activate(self):
        assert self.change('CONFIGURE'), self.status[-1].message
        assert self.change('ACTIVATE')

    def until_status(self, *words):
        self._peer.until(
            lambda: self.status and all(word in self.status[-1].message for word in words),
            f'a status with {words}')

    def until_commands(self, count):
        count += len(self.commands)
        self._peer.until(lambda: len(self.commands) >= count, f'{count} commands')

    def stays_silent(self):
        """Tell whether no command comes while the robot sends ten more pictures."""
        images = self._peer.hear(Image, 'camera/image_raw', qos.EVENTS)
        joints = self._peer.hear(JointState, 'joint_states', qos.EVENTS)
        before = len(self.commands)
        self._peer.until(lambda: len(images) > 10 or len(joints) > 10, 'more pictures or joints')
        return len(self.commands) == before


@pytest.fixture
def make_robot(peer):
    """Return a function that starts a healthy Push-T robot, kept as ``peer.robot``."""
    def make():
        peer.robot = Robot(peer)
        return peer.robot

    return make


@pytest.fixture
def make_server_client(peer):
    """Return a function that makes what talks to a policy server."""
    return lambda: Server(peer)


@pytest.fixture
def server(peer, model, make_robot, make_server_client):
    """Start a server beside a healthy robot; the test file's ``model`` is what it serves."""
    from diffusion_policy_ros.nodes.policy_server import PolicyServer
    make_robot()
    peer.server_node = peer.start(PolicyServer, model=str(model), num_threads=1)
    return make_server_client()

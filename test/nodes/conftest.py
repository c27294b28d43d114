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

"""A second node on a domain of the test file's own, robots, and what is asked of the nodes."""

from itertools import pairwise
import math
import os
from pathlib import Path
import time

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402,I100
from diffusion_policy_ros.contract import load_contract  # noqa: E402
from diffusion_policy_ros.nodes import qos  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402

DEADLINE_S = 60.0
ANSWER_S = 20.0
FAST_DDS = Path(__file__).parents[2] / 'config' / 'fastdds.xml'
# A message may wait for this process, but must not be lost.
LOSSLESS = QoSProfile(depth=10000)
EVERY_STATUS = QoSProfile(depth=10000, durability=DurabilityPolicy.TRANSIENT_LOCAL)
ARM = """
robot: test
rate_hz: 20
observations:
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [a, b, g], max_age_ms: 300}
actions:
  - {topic: arm, type: sensor_msgs/msg/JointState, joints: [a, b]}
limits:
  a: {position: [-1, 1], velocity: 1.0, acceleration: 4.0, jerk: 40.0}
  b: {position: [-1, 1], velocity: 1.0, acceleration: 4.0, jerk: 40.0}
"""


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
            assert time.monotonic() < end_s, \
                f'{what() if callable(what) else what} did not happen within {deadline_s:g} s'
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

    def call(self, service_type, name, request, changed=lambda: False, answer_s=ANSWER_S):
        """
        Call a service; again, as a new client, when no answer comes and nothing has ``changed``.

        DDS may lose a request or an answer while the two sides are still discovering each other.
        """
        for _ in range(round(120.0 / answer_s)):
            if name not in self._clients:
                self._clients[name] = self.node.create_client(service_type, name)
            client = self._clients[name]
            self.until(client.service_is_ready, name, deadline_s=120.0)
            future, end_s = client.call_async(request), time.monotonic() + answer_s
            self.until(lambda: future.done() or time.monotonic() > end_s, 'time')
            if future.done():
                return future.result()
            self.node.destroy_client(self._clients.pop(name))
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
        return self.call(GetState, f'{node}/get_state', GetState.Request(),
                         answer_s=2.0).current_state.label

    def close(self):
        """End everything."""
        for node in list(self._started):
            self.stop(node)
        self.executor.shutdown()  # before what it may still wait for is gone
        self.node.destroy_node()


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
            content = content() if callable(content) else content
            if content is not None:
                message = cls(**content)
                sec, nanosec = divmod(self.now_ns(), 10**9)
                message.header.stamp.sec, message.header.stamp.nanosec = sec, nanosec
                publisher.publish(message)


class Arm(Robot):
    """
    The robot of the contract ``ARM``, which goes where it is told, and what commands it.

    :ivar at: Position of each joint that it shows, or None for nothing.
    :ivar follows: Whether it goes where it is told.
    :ivar wanted: What is commanded 30 times per second: positions of a and b, a function that
        returns them, or None for nothing.
    """

    STOPPING_S = 0.45  # v / a + 2 a / j

    def __init__(self, peer):
        super().__init__(peer)
        self.at, self.follows, self.wanted = {'a': 0.0, 'b': 0.0, 'g': 0.5}, True, None
        self.image, self.joints = None, self._measured
        self._commands = None  # unless somebody else commands, which two must not
        peer.node.create_subscription(JointState, 'arm', self._move, qos.COMMANDS)

    def send(self, position, name=('a', 'b'), age_s=0.0):
        """Publish one command."""
        if self._commands is None:
            self._commands = self._node.create_publisher(JointState, 'policy/arm', qos.COMMANDS)
        message = JointState(name=list(name), position=list(position))
        stamp = message.header.stamp
        stamp.sec, stamp.nanosec = divmod(self.now_ns() - round(age_s * 1e9), 10**9)
        self._commands.publish(message)

    def _measured(self):
        """Return the fields of a joint state."""
        return self.at and {'name': list(self.at), 'position': list(self.at.values())}

    def _move(self, message):
        """Be where it was told to be."""
        if self.at is not None and self.follows:
            self.at.update(zip(message.name, message.position))

    def _show(self):
        """Publish the joints, and what is wanted now."""
        super()._show()
        if self.wanted is not None:
            self.send(self.wanted() if callable(self.wanted) else self.wanted)


class Guarded:
    """
    The safety node, and what a test asks of it.

    :ivar arm: The ``Arm`` behind it, if any.
    :ivar rows: All numbers of each command to the controllers.
    :ivar stamps_s: When each was sent, on the ROS clock.
    :ivar status: What the node says.
    """

    PERIOD_S, PAUSE_S = 0.01, 0.2

    def __init__(self, peer, path, monkeypatch, limits_of, check, *, arm, **parameters):
        from diffusion_policy_ros.nodes.command_safety import CommandSafety
        from diffusion_policy_ros.nodes.safety_topics import SafetyTopics
        self.peer, self.arm, self.rows, self.stamps_s = peer, arm, [], []
        self._limits, self._check = lambda: limits_of(load_contract(path)), check
        publish = SafetyTopics.publish

        def recorded(topics, rows, stamp_ns, *arguments):
            self.stamps_s.append(stamp_ns / 1e9)
            self.rows.append(np.concatenate(rows))
            publish(topics, rows, stamp_ns, *arguments)

        monkeypatch.setattr(SafetyTopics, 'publish', recorded)
        self.status = peer.hear(DiagnosticStatus, 'command_safety/status', qos.STATUS)
        self.node = peer.start(CommandSafety, **{'contract': str(path), 'ramp_in_s': 0.2,
                                                 'max_jump_s': 0.5, **parameters})

    def activate(self):
        """Configure and activate."""
        assert self.node.trigger_configure() == TransitionCallbackReturn.SUCCESS, self.said()
        assert self.node.trigger_activate() == TransitionCallbackReturn.SUCCESS

    def set(self, name, value):
        """Set a parameter; return whether that was accepted."""
        return self.node.set_parameters([Parameter(name, value=value)])[0].successful

    def said(self):
        """Return the newest status."""
        return self.status[-1].message if self.status else ''

    def until(self, *words):
        """Wait for a status with the words."""
        self.peer.until(lambda: all(word in self.said() for word in words),
                        lambda: f'after {self.said()!r}, a status with {words}', 20.0)

    def facts(self):
        """Wait for the next status and return its facts."""
        before = len(self.status)
        self.peer.until(lambda: len(self.status) > before, 'a status')
        return {item.key: item.value for item in self.status[-1].values}

    def until_rows(self, count=30):
        """Wait for so many more commands to the controller."""
        count += len(self.rows)
        self.peer.until(lambda: len(self.rows) >= count, 'commands to the controller', 20.0)

    def listen(self, duration_s):
        """Let time pass, with all that happens in it; return how many commands went out."""
        before, end_s = len(self.rows), time.monotonic() + duration_s
        self.peer.until(lambda: time.monotonic() > end_s, 'time')
        return len(self.rows) - before

    def follow(self, position=(0.45, -0.45)):
        """Activate and let the arm follow."""
        self.activate()
        self.until('HOLDING', 'no command yet')
        self.arm.wanted = position
        self.until('FOLLOWING')

    def wave(self):
        """Ask for more than the limits allow, and let the arm follow."""
        begin_s = time.monotonic()
        self.follow(lambda: [math.sin(4 * (time.monotonic() - begin_s))] * 2)
        self.until_rows(60)

    def assert_limits_kept(self, since=0):
        """Check the commands from one on, which began at rest, and anew after each silence."""
        cuts = np.diff(self.stamps_s[since:]) > self.PAUSE_S
        rows = [self.rows[since]] * 3 + self.rows[since:]
        for motion in np.split(rows, np.flatnonzero(cuts) + 4):
            self._check(motion, self.PERIOD_S, *self._limits())

    def assert_at_rest(self):
        """Check that the last step is no longer than one to rest under the jerk limit."""
        step = np.abs(self.rows[-1] - self.rows[-2])
        assert (step <= self._limits()[-1] * self.PERIOD_S**3 / 6 * (1 + 1e-6)).all()


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
        # What was sent before the stop may be heard after the status that tells of it.
        self._peer.until(lambda: images or joints, 'a picture or joints')
        before = len(self.commands)
        self._peer.until(lambda: len(images) > 10 or len(joints) > 10, 'more pictures or joints')
        return len(self.commands) == before


class Processes:
    """
    A robot, the policy server and the safety node in processes, and all that they say.

    :ivar sent: All that the controller is told: number in its publisher's sequence, time in s,
        and the values.
    :ivar asked: The same of what the policy wanted it to be told.
    :ivar joints: All joint states.
    :ivar status: What the two nodes say of themselves, by their names.
    """

    PERIOD_S, PAUSE_S = 0.01, 0.3

    def __init__(self, peer, children, commands, topic, message_type, read, check):
        self._peer, self._children, self._commands = peer, children, commands
        self._processes, self._read, self._check = {}, read, check
        self.sent = self._hear_commands(message_type, topic)
        self.asked = self._hear_commands(message_type, f'policy/{topic}')
        self.joints = peer.hear(JointState, 'joint_states', LOSSLESS)
        self.status = {node: peer.hear(DiagnosticStatus, f'{node}/status', EVERY_STATUS)
                       for node in ('policy_server', 'command_safety')}

    def _hear_commands(self, message_type, topic):
        """Subscribe; the returned list grows with every command."""
        heard = []

        def keep(message, info):
            time_s, values = self._read(message, info)
            heard.append((info['publication_sequence_number'], time_s, *values))

        self._peer.node.create_subscription(message_type, topic, keep, LOSSLESS)
        return heard

    def start(self, *names):
        """Start processes, and take those that are lifecycle nodes to active."""
        told = {node: len(heard) for node, heard in self.status.items()}
        for name in names:
            self._processes[name] = self._children.start(name, self._commands[name])
        for node in set(names) & set(self.status):
            # A killed one is still listed, but says nothing: ask the one that has just begun.
            self._peer.until(lambda: any(status.message == 'unconfigured' for status
                                         in self.status[node][told[node]:]), f'the new {node}')
            self.change(node, 'CONFIGURE', 'ACTIVATE')

    def change(self, node, *transitions):
        """Take a lifecycle node through transitions."""
        for transition in transitions:
            assert self._peer.change(node, transition), self._children.tail(node)

    def kill(self, name):
        """Kill a process while the robot moves; return when, s on the ROS clock."""
        self._peer.until(self.moves, 'some speed')
        self._processes[name].kill()
        killed_s = self._peer.node.get_clock().now().nanoseconds / 1e9
        self._peer.until(lambda: self._processes[name].poll() is not None, f'the end of {name}')
        return killed_s

    def step(self):
        """Return how far the newest command is from the one before."""
        return np.abs(np.subtract(self.sent[-1][2:], self.sent[-2][2:])).max()

    def moves(self):
        """Tell whether the commands have some speed."""
        return len(self.sent) > 1 and self.step() > 0.1 * self.PERIOD_S

    def until(self, node, *words):
        """Wait for a status of a node."""
        def said():
            return self.status[node][-1].message if self.status[node] else ''

        self._peer.until(lambda: all(word in said() for word in words),
                         lambda: f'{node}: after {said()!r}, a status with {words}')

    def until_more(self, messages, count=50):
        """Wait for so many more messages."""
        count += len(messages)
        self._peer.until(lambda: len(messages) >= count, lambda: 'more messages, after ' + str({
            node: [status.message for status in heard[-5:]]
            for node, heard in self.status.items()}) + ',')

    def listen(self, duration_s):
        """Let time pass; return how many commands the controller got."""
        before, end_s = len(self.sent), time.monotonic() + duration_s
        self._peer.until(lambda: time.monotonic() > end_s, 'time')
        return len(self.sent) - before

    def until_it_follows(self):
        """Wait until the robot is moved by the policy, and moves."""
        before = len(self.joints)
        self.until_more(self.joints, 2)
        self.until('command_safety', 'FOLLOWING')
        self.until('policy_server', 'commanding')
        self.until_more(self.sent, 100)
        self._peer.until(lambda: np.ptp([list(joints.position) for joints in self.joints[before:]],
                                        axis=0).max() > 0.002, 'the robot to move')
        self._peer.until(self.moves, 'some speed')

    def rest_s(self, since_s, with_delays=False):
        """
        Return how long the commands went on to move after a time, s.

        A late tick moves the robot by one period all the same, so what it was late does not count
        unless that is asked for.
        """
        steps = [(before, row) for before, row in pairwise(self.sent) if row[1] > since_s]
        last_s = max(row[1] for before, row in steps
                     if np.abs(np.subtract(row[2:], before[2:])).max() > 1e-9)
        late_s = sum(max(row[1] - before[1] - self.PERIOD_S, 0.0) for before, row in steps
                     if row[1] <= last_s)
        return last_s - since_s - (0.0 if with_delays else late_s)

    def assert_limits_kept(self):
        """Check all that the controller was told, without what is between two runs."""
        checked = 0
        for run in self._runs():
            self._check(np.array(run)[:, 2:], self.PERIOD_S)
            checked += max(len(run) - 3, 0)
        assert checked > 2 / 3 * len(self.sent)

    def _runs(self):
        """Yield the commands in runs in which none was lost and the robot was not left alone."""
        run = self.sent[:1]
        for before, row in pairwise(self.sent):
            if row[0] != before[0] + 1 or row[1] - before[1] > self.PAUSE_S:
                yield run
                run = []
            run.append(row)
        yield run


@pytest.fixture
def children(request, tmp_path):
    """Open a place for processes in the test file's domain; they end when the test is over."""
    from diffusion_policy_ros.cli.children import Children, node_environment

    with Children(tmp_path, node_environment(request.module.DOMAIN_ID, FAST_DDS)) as children:
        yield children


@pytest.fixture
def make_processes(children, peer, assert_limits_kept):
    """
    Return a function that makes the processes of a robot, none of which runs yet.

    It takes the command of each by name; topic and type of what the controller is told, and how
    time (s) and values are read from a message and its info; and the limits of these values.
    The peer leaves before they end: Fast DDS may lock up who sees others leave (docs/faults.md).
    """
    return lambda commands, topic, message_type, read, limits: Processes(
        peer, children, commands, topic, message_type, read,
        lambda rows, period_s: assert_limits_kept(rows, period_s, *limits))


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


@pytest.fixture
def arm_contract():
    """Return the text of the contract of an ``Arm``."""
    return ARM


@pytest.fixture
def make_arm(peer):
    """Return a function that starts an ``Arm``."""
    return lambda: Arm(peer)


@pytest.fixture
def guarded(peer, tmp_path, monkeypatch, limits_of, assert_limits_kept):
    """Return a function that starts the safety node: before an arm, or with a contract alone."""
    def start(text='', **parameters):
        path = tmp_path / 'contract.yaml'
        path.write_text(text or ARM)
        return Guarded(peer, path, monkeypatch, limits_of, assert_limits_kept,
                       arm=None if text else Arm(peer), **parameters)

    return start

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
"""The safety node over real DDS: what reaches the controllers, and what does not."""

from contextlib import contextmanager
import math
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402,I100
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.command_safety import CommandSafety  # noqa: E402
from diffusion_policy_ros.nodes.safety_topics import SafetyTopics  # noqa: E402
from geometry_msgs.msg import TwistStamped  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Bool, Float64MultiArray, Header, String  # noqa: E402
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint  # noqa: E402

DOMAIN_ID = 51
ROOT = Path(__file__).parents[2]
PERIOD_S = 0.01
# Of joint a: what the contract below says.
VELOCITY, ACCELERATION, JERK = 1.0, 4.0, 40.0
STOPPING_S = ACCELERATION / JERK + VELOCITY / ACCELERATION + ACCELERATION / JERK
HEAD = """
robot: test
rate_hz: 20
observations:
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [a, b, g], max_age_ms: 300}
actions:
  - {topic: arm, type: sensor_msgs/msg/JointState, joints: [a, b]}
"""
OTHERS = """
  - {topic: gripper, type: std_msgs/msg/Float64MultiArray, names: [g], stamp: receive,
     interpolation: hold}
  - {topic: base, type: geometry_msgs/msg/TwistStamped, names: [linear.x, angular.z]}
"""
LIMITS = """
limits:
  a: {position: [-1, 1], velocity: 1.0, acceleration: 4.0, jerk: 40.0}
  b: {position: [-1, 1], velocity: 1.0, acceleration: 4.0, jerk: 40.0}
"""
OTHER_LIMITS = """
  g: {position: [0, 1], velocity: 3.0}
  linear.x: {velocity: 0.5}
  angular.z: {velocity: 1.0}
"""
URDF = """<robot name="test"><link name="l0"/><link name="l1"/><link name="l2"/>
<joint name="a" type="revolute"><parent link="l0"/><child link="l1"/>
<limit lower="-0.3" upper="0.3" velocity="5" effort="1"/></joint>
<joint name="b" type="revolute"><parent link="l1"/><child link="l2"/>
<limit lower="-3" upper="3" velocity="5" effort="1"/></joint></robot>"""
# Commands as fast as a policy would, until it is killed.
COMMANDER = """
import math
import rclpy
from sensor_msgs.msg import JointState
rclpy.init()
node = rclpy.create_node('commander')
publisher = node.create_publisher(JointState, 'policy/arm', 1)
def command():
    now = node.get_clock().now()
    wave = math.sin(3e-9 * (now.nanoseconds % 10**12))
    message = JointState(name=['a', 'b'], position=[0.8 * wave, 0.0])
    message.header.stamp = now.to_msg()
    publisher.publish(message)
node.create_timer(0.03, command)
rclpy.spin(node)
"""
MAIN = """
import sys
from diffusion_policy_ros.nodes.command_safety import main
sys.exit(main())
"""


@contextmanager
def process(code, *arguments):
    """Run Python in a process of its own on the test's domain; kill it in the end."""
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID)}
    child = subprocess.Popen([sys.executable, '-c', code, *arguments], cwd=ROOT, env=environment,
                             stderr=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


class Robot:
    """
    Publishes joints where it was last told to be, at 50 Hz.

    :ivar joints: What it publishes, or None for nothing.
    :ivar follows: Whether it goes where it is told.
    """

    def __init__(self, peer):
        self._node = peer.node
        self.joints, self.follows = {'a': 0.0, 'b': 0.0, 'g': 0.5}, True
        self._publisher = peer.node.create_publisher(JointState, 'joint_states', qos.ROBOT_STATE)
        peer.node.create_subscription(JointState, 'arm', self._move, qos.COMMANDS)
        peer.node.create_timer(0.02, self._show)

    def _move(self, message):
        """Be where it was told to be."""
        if self.joints is not None and self.follows:
            self.joints.update(zip(message.name, message.position))

    def _show(self):
        """Publish the joints."""
        if self.joints is not None:
            message = JointState(name=list(self.joints), position=list(self.joints.values()))
            message.header.stamp = self._node.get_clock().now().to_msg()
            self._publisher.publish(message)


class Commander:
    """Publishes commands for the arm at 30 Hz; ``position`` says which, None stops."""

    def __init__(self, peer):
        self._node, self.position = peer.node, None
        self._publisher = peer.node.create_publisher(JointState, 'policy/arm', qos.COMMANDS)
        peer.node.create_timer(1 / 30, self._on_timer)

    def send(self, position, name=('a', 'b'), age_s=0.0):
        """Publish one command."""
        message = JointState(name=list(name), position=list(position))
        now_ns = self._node.get_clock().now().nanoseconds - round(age_s * 1e9)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(now_ns, 10**9)
        self._publisher.publish(message)

    def _on_timer(self):
        """Publish what is wanted now."""
        if self.position is not None:
            self.send(self.position() if callable(self.position) else self.position)


class Guarded:
    """A robot with the node before it, and what a test asks of both."""

    def __init__(self, peer, tmp_path, monkeypatch, *, text=HEAD + LIMITS, alone=False,
                 **parameters):
        self.peer, self.rows = peer, []
        publish = SafetyTopics.publish

        def recorded(topics, rows, *arguments):
            self.rows.append(np.concatenate(rows))
            publish(topics, rows, *arguments)

        monkeypatch.setattr(SafetyTopics, 'publish', recorded)
        path = tmp_path / 'contract.yaml'
        path.write_text(text)
        self.robot, self.commander = Robot(peer), None if alone else Commander(peer)
        self.heard = peer.hear(JointState, 'arm', qos.EVENTS)
        self.status = peer.hear(DiagnosticStatus, 'command_safety/status', qos.STATUS)
        self.node = peer.start(CommandSafety, **{'contract': str(path), 'ramp_in_s': 0.2,
                                                 **parameters})

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
                        f'a status with {words}; it is {self.said()!r}', 20.0)

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
        """Activate and let the robot follow."""
        self.activate()
        self.until('HOLDING', 'no command yet')
        self.commander.position = position
        self.until('FOLLOWING')

    def wave(self):
        """Ask for more than the limits allow, and let the robot follow."""
        begin_s = time.monotonic()
        self.follow(lambda: [math.sin(4 * (time.monotonic() - begin_s))] * 2)
        self.until_rows(60)


@pytest.fixture
def guarded(peer, tmp_path, monkeypatch):
    """Return a function that starts a robot and the node before it."""
    return lambda **options: Guarded(peer, tmp_path, monkeypatch, **options)


def assert_limits_kept(rows):
    """Check what was published in one go, by its differences alone."""
    rows = np.array([rows[0]] * 3 + list(rows))[:, :2]
    assert (np.abs(rows) <= 1).all()
    for order, limit in enumerate((VELOCITY, ACCELERATION, JERK), start=1):
        rate = np.abs(np.diff(rows, order, axis=0)).max() / PERIOD_S**order
        assert rate <= limit * (1 + 1e-6), (order, rate)


def assert_at_rest(rows, periods=1):
    """
    Check that the last step is no longer than one that ends at rest under the jerk limit.

    It takes more than one period where a message was lost on the way.
    """
    step = np.abs(np.array(rows[-1]) - rows[-2])[:2]
    assert step.max() <= JERK * (periods * PERIOD_S)**3 / 6 * (1 + 1e-6)


def test_the_lifecycle_goes_round_and_only_an_active_node_publishes(guarded):
    world = guarded()
    world.commander.position = [0.1, 0.1]
    assert world.listen(0.3) == 0 and world.said() == 'unconfigured'
    for _ in range(2):
        assert world.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert world.listen(0.3) == 0
        world.until('inactive')
        assert world.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        world.until('FOLLOWING')
        assert world.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
        assert_at_rest(world.rows)
        assert world.listen(0.3) == 0
        assert world.node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    world.activate()
    world.until('FOLLOWING')
    assert world.node.trigger_shutdown() == TransitionCallbackReturn.SUCCESS
    assert world.listen(0.3) == 0
    world.until('finalized')


def test_commands_reach_the_controller_within_their_limits_and_at_the_rate(guarded):
    world = guarded()
    world.wave()
    world.until_rows(200)
    assert_limits_kept(world.rows)
    sent = {tuple(row) for row in world.rows}
    assert all(tuple(message.position) in sent for message in world.heard[:-1])
    assert list(world.heard[-1].name) == ['a', 'b'] and len(world.heard) > 150
    stamps = np.array([m.header.stamp.sec + m.header.stamp.nanosec * 1e-9 for m in world.heard])
    assert np.median(np.diff(stamps)) == pytest.approx(PERIOD_S, rel=0.1)


def test_without_commands_the_robot_is_held_where_it_is(guarded):
    world = guarded()
    world.robot.joints.update(a=0.25, b=-0.5)
    world.activate()
    world.until_rows()
    assert world.rows[-1] == pytest.approx([0.25, -0.5])
    world.until('HOLDING: arm: no command yet')


def test_a_silent_policy_stops_the_robot_in_time_and_within_the_limits(guarded):
    world = guarded()
    world.wave()
    world.commander.position, before = None, len(world.rows)
    world.until('HOLDING', 'no acceptable command for', 'limit 0.20 s')
    moving = np.abs(np.diff(np.array(world.rows[before:]), axis=0)).max(axis=1) > 0
    assert moving.sum() * PERIOD_S <= 0.2 + STOPPING_S + 0.1  # commands were still on their way
    assert_limits_kept(world.rows)
    assert_at_rest(world.rows)
    assert world.facts()['watchdog trips'] == '1'
    world.commander.position = lambda: list(world.rows[-1])
    world.until('FOLLOWING')


def test_a_first_command_far_away_is_not_followed(guarded):
    world = guarded()
    world.activate()
    world.commander.position = [0.6, 0.0]
    world.until('HOLDING', 'the first command has a at 0.6', 'measured at 0')
    world.until_rows()
    assert np.ptp(world.rows, axis=0).max() == 0
    world.commander.position = [0.4, 0.0]
    world.until('FOLLOWING')


@pytest.mark.parametrize('bad, cause', [
    ({'position': [math.nan, 0.0]}, 'value'), ({'position': [math.inf, 0.0]}, 'value'),
    ({'position': [0.0]}, 'size'), ({'position': [0.0, 0.0, 0.0]}, 'size'),
    ({'position': [0.0, 0.0], 'name': ['a', 'c']}, 'names'),
    ({'position': [0.0, 0.0], 'name': ['a', 'a']}, 'names'),
    ({'position': [0.0, 0.0], 'age_s': 0.5}, 'stamp'),
    ({'position': [0.0, 0.0], 'age_s': -5.0}, 'stamp')])
def test_a_bad_command_is_counted_by_cause_and_feeds_no_watchdog(guarded, bad, cause):
    world = guarded()
    world.follow()
    world.commander.position = None
    timer = world.peer.node.create_timer(1 / 30, lambda: world.commander.send(**bad))
    world.until('HOLDING', 'no acceptable command for', 'last refused')
    assert int(world.facts()[f'arm refused for {cause}']) > 3
    assert_limits_kept(world.rows)
    world.peer.node.destroy_timer(timer)


@pytest.mark.parametrize('profile', [qos.STATUS, qos.VECTORS])
def test_an_emergency_stop_is_latched_until_it_is_rearmed(guarded, profile):
    world = guarded()
    button = world.peer.node.create_publisher(Bool, 'e_stop', profile)
    world.wave()
    world.peer.until(lambda: button.get_subscription_count() >= 1, 'the node to listen')
    world.peer.until(lambda: button.publish(Bool(data=True)) or 'ESTOP' in world.said(), 'a stop')
    assert world.listen(STOPPING_S + 1.0) > 0 and world.listen(0.2) == 0
    assert_limits_kept(world.rows)
    assert_at_rest(world.rows)
    success, message = world.peer.ask('command_safety/rearm')
    assert not success and 'release the button' in message
    button.publish(Bool(data=False))
    assert world.listen(0.3) == 0 and 'ESTOP' in world.said()
    world.commander.position = lambda: list(world.robot.joints.values())[:2]
    assert world.peer.ask('command_safety/rearm') == (True, 'armed')
    world.until('FOLLOWING')
    assert 'RAMPING' in [status.message for status in world.status[-4:]]


def test_a_latched_button_pressed_before_the_start_is_heard(peer, guarded):
    peer.node.create_publisher(Bool, 'e_stop', qos.STATUS).publish(Bool(data=True))
    world = guarded()
    world.activate()
    world.until('ESTOP', 'the e_stop topic')
    assert world.rows == [] or np.ptp(world.rows, axis=0).max() == 0


def test_a_trip_by_service_outlives_the_lifecycle(guarded):
    world = guarded()
    assert world.peer.ask('command_safety/trip')[0]
    world.activate()
    world.commander.position = [0.1, 0.1]
    world.until('ESTOP', '~/trip')
    assert world.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert world.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    world.until('ESTOP')
    assert world.listen(0.5) == 0
    assert world.peer.ask('command_safety/rearm')[0]
    world.until('FOLLOWING')


def test_the_speed_scale_changes_while_the_robot_moves(guarded):
    world = guarded(ramp_in_s=0.0, speed_scale=0.2)
    world.follow([0.49, -0.49])
    world.until_rows(50)
    speed = np.abs(np.diff(np.array(world.rows), axis=0)).max() / PERIOD_S
    assert 0.15 < speed <= 0.2 + 1e-9
    assert world.set('speed_scale', 0)
    world.until('HOLDING: speed_scale is 0')
    assert_at_rest(world.rows)
    assert not world.set('speed_scale', 1.1) and not world.set('speed_scale', -0.1)
    assert world.set('speed_scale', 1.0)
    world.until('FOLLOWING')
    world.peer.until(lambda: abs(world.rows[-1][0] - 0.49) < 1e-3, 'the target')
    assert_limits_kept(world.rows)


def test_a_dry_run_tells_everything_and_sends_nothing(guarded):
    world = guarded(dry_run=True)
    world.activate()
    world.commander.position = [0.1, -0.1]
    world.until('dry run, FOLLOWING')
    assert world.rows == [] and world.heard == []
    assert world.facts()['dry run'] == 'true'


def test_a_dry_run_begins_and_ends_at_rest_where_the_robot_is(guarded):
    world = guarded()
    world.wave()
    assert world.set('dry_run', True)
    world.until('dry run, FOLLOWING')
    assert world.listen(0.3) == 0
    assert_limits_kept(world.rows)
    assert_at_rest(world.rows)
    where, count = [world.robot.joints[name] for name in 'ab'], len(world.rows)
    assert world.set('dry_run', False)
    world.until_rows()
    assert world.rows[count][:2] == pytest.approx(where, abs=1e-6)
    assert_limits_kept(world.rows[count:])


def test_two_publishers_stop_the_robot_until_one_is_left(guarded):
    world = guarded()
    world.follow()
    second = world.peer.node.create_publisher(JointState, 'policy/arm', qos.COMMANDS)
    world.until('HOLDING', 'policy/arm has 2 publishers: /peer', 'only one')
    assert_limits_kept(world.rows)
    assert_at_rest(world.rows)
    world.peer.node.destroy_publisher(second)
    world.until('FOLLOWING')


def test_two_publishers_at_the_start_move_nothing(guarded):
    world = guarded()
    world.commander.position = [0.3, 0.3]
    world.peer.node.create_publisher(JointState, 'policy/arm', qos.COMMANDS)
    assert world.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    world.peer.until(lambda: world.peer.node.count_publishers('policy/arm') == 2, 'both')
    assert world.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    world.until('has 2 publishers')
    world.until_rows(100)
    assert np.ptp(world.rows, axis=0).max() == 0


def test_topics_of_another_type_are_named(guarded):
    world = guarded(alone=True)
    world.activate()
    world.until('no command yet')
    context = rclpy.Context()  # another participant: DDS lets none publish two types on a topic
    rclpy.init(context=context, domain_id=DOMAIN_ID)
    stranger = rclpy.create_node('stranger', context=context)
    for topic in ('policy/arm', 'joint_states'):
        publisher = stranger.create_publisher(Float64MultiArray, topic, qos.COMMANDS)
        world.until(f'HOLDING: /{topic} carries std_msgs/msg/Float64MultiArray, the contract says')
        stranger.destroy_publisher(publisher)
        world.until('no command yet')
    stranger.destroy_node()
    rclpy.shutdown(context=context)


def test_somebody_who_commands_the_controller_directly_is_named(guarded):
    world = guarded()
    world.follow()
    world.peer.node.create_publisher(JointState, 'arm', qos.COMMANDS)
    world.peer.until(lambda: '/arm has 2 publishers' in world.facts()['commands past this node'],
                     'the name')


def test_stale_joints_stop_the_robot_and_leave_it_alone(guarded):
    world = guarded()
    world.wave()
    world.robot.joints = None
    world.until('HOLDING: joint_states: the last measurement is', 'limit 0.30 s')
    assert_limits_kept(world.rows)
    assert_at_rest(world.rows)
    assert world.listen(0.3) == 0
    world.robot.joints = {'a': 0.2, 'b': 0.2, 'g': 0.5}
    world.commander.position = [0.3, 0.3]
    world.until('FOLLOWING')


def test_a_measurement_that_is_no_number_counts_as_none(guarded):
    world = guarded()
    world.follow()
    world.robot.follows = False
    world.robot.joints = {'a': math.nan, 'b': 0.2, 'g': 0.5}
    world.until('HOLDING: joint_states:', 'a is nan')


def test_deactivation_while_the_robot_moves_brakes_it_first(guarded):
    world = guarded()
    world.wave()
    before = len(world.rows)
    begin_s = time.monotonic()
    assert world.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert time.monotonic() - begin_s < STOPPING_S + 1.0
    assert len(world.rows) > before + 5
    assert_limits_kept(world.rows)
    assert_at_rest(world.rows)
    assert world.listen(0.2) == 0


def test_limits_of_the_robot_description_count_too(guarded):
    world = guarded(use_robot_description=True)
    world.commander.position = [0.49, 0.49]
    world.activate()
    world.until('HOLDING: waiting for the topic robot_description')
    assert world.rows == []
    publisher = world.peer.node.create_publisher(String, 'robot_description', qos.STATUS)
    publisher.publish(String(data=URDF))
    world.peer.until(lambda: world.rows and world.rows[-1][1] > 0.489, 'the target')
    assert world.rows[-1] == pytest.approx([0.3, 0.49], abs=1e-3)
    world.commander.position = [-0.3, -0.49]
    world.peer.until(lambda: world.rows[-1][1] < 0.3, 'some speed')
    assert world.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert_limits_kept(world.rows)
    assert_at_rest(world.rows)


def test_a_robot_description_that_does_not_fit_is_named(guarded):
    world = guarded(use_robot_description=True)
    publisher = world.peer.node.create_publisher(String, 'robot_description', qos.STATUS)
    publisher.publish(String(data=URDF.replace('"a"', '"shoulder"')))
    world.activate()
    world.until('HOLDING: waiting for the topic robot_description that fits', "'a'")


@pytest.mark.parametrize('change, words', [
    ({'contract': ''}, 'contract is empty'), ({'input_prefix': ''}, 'input_prefix is empty'),
    ({'text': HEAD + OTHERS + LIMITS}, 'joint g has no velocity limit'),
    ({'text': HEAD.replace(', g]', ']') + OTHERS + LIMITS + OTHER_LIMITS},
     'no stream measures the position of g')])
def test_what_cannot_be_guarded_is_refused_at_configure(guarded, change, words):
    world = guarded(**change)
    assert world.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    world.until('unconfigured: ', words)
    assert world.status[-1].level == DiagnosticStatus.ERROR


def test_diagnostics_come_in_every_state(guarded):
    world = guarded()
    heard = world.peer.hear(DiagnosticArray, '/diagnostics', qos.EVENTS)
    for go_on in (lambda: None, world.node.trigger_configure, world.node.trigger_activate,
                  world.node.trigger_deactivate):
        go_on()
        heard.clear()
        world.peer.until(lambda: heard, 'diagnostics')
        assert heard[0].status[0].name == 'command_safety'


def test_when_the_commanding_process_is_killed_the_robot_comes_to_rest_in_time(guarded):
    world = guarded(alone=True)
    world.activate()
    with process(COMMANDER) as child:
        world.until('FOLLOWING')
        world.peer.until(lambda: abs(world.rows[-1][0] - world.rows[-2][0]) > 0.005, 'some speed')
        before = len(world.rows)
        child.send_signal(signal.SIGKILL)
        world.until('HOLDING: arm: no acceptable command for')
    moving = np.abs(np.diff(np.array(world.rows[before:]), axis=0)).max(axis=1) > 0
    assert 0 < moving.sum() * PERIOD_S <= 0.2 + STOPPING_S + 0.1
    assert_limits_kept(world.rows)
    assert_at_rest(world.rows)


def test_an_error_in_the_loop_brakes_and_is_told(guarded, monkeypatch):
    world = guarded()
    world.wave()
    publish, failures = SafetyTopics.publish, [True]

    def fail_once(topics, rows, *arguments):
        if failures:
            raise RuntimeError(f'no publisher {failures.pop()}')
        publish(topics, rows, *arguments)

    monkeypatch.setattr(SafetyTopics, 'publish', fail_once)
    world.until('HOLDING', "RuntimeError('no publisher True')", 'deactivate and activate')
    assert_at_rest(world.rows)
    assert world.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert world.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    world.commander.position = lambda: list(world.rows[-1])
    world.until('FOLLOWING')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_brakes_the_robot_and_ends_the_node_cleanly(peer, tmp_path, number):
    path = tmp_path / 'contract.yaml'
    path.write_text(HEAD + LIMITS)
    robot, commander = Robot(peer), Commander(peer)
    heard = peer.hear(JointState, 'arm', qos.EVENTS)
    commander.position = lambda: [0.6 * math.sin(3 * time.monotonic())] * 2
    with process(MAIN, '--ros-args', '-p', f'contract:={path}', '-p', 'ramp_in_s:=0.2') as child:
        assert peer.change('command_safety', 'CONFIGURE')
        assert peer.change('command_safety', 'ACTIVATE')
        peer.until(lambda: len(heard) > 1 and abs(
            heard[-1].position[0] - heard[-2].position[0]) > 0.005, 'some speed')
        child.send_signal(number)
        peer.until(lambda: child.poll() is not None, 'the end')
        assert child.returncode == 0
        assert 'Traceback' not in child.stderr.read()
    peer.until(lambda: robot.joints['a'] == heard[-1].position[0], 'the last command')
    assert_at_rest([message.position for message in heard], periods=3)


def _any_number(rng):
    """Return a number of the kinds that break things."""
    return float(rng.choice([math.nan, math.inf, -math.inf, 1e308, -1e12, 0.0, 5e-324,
                             rng.normal()]))


def _any_numbers(rng):
    """Return a few of them."""
    return [_any_number(rng) for _ in range(rng.integers(0, 5))]


def _any_names(rng):
    """Return a few joints, some of them unknown or named twice."""
    return [str(rng.choice(['a', 'b', 'g', 'c', ''])) for _ in range(rng.integers(0, 5))]


def _any_time(rng, now_ns):
    """Return a stamp: none, about now, or anything."""
    return int(rng.choice([0, now_ns, now_ns + rng.integers(-10**9, 10**9),
                           rng.integers(-2**31, 2**31) * 10**9]))


def _any_joints(rng, now_ns):
    """Return a joint state, every second one with the right names."""
    message = JointState(name=_any_names(rng) if rng.random() < 0.5 else ['b', 'a'],
                         position=_any_numbers(rng))
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(_any_time(rng, now_ns), 10**9)
    return message


def _any_trajectory(rng, now_ns):
    """Return a trajectory."""
    message = JointTrajectory(joint_names=_any_names(rng) if rng.random() < 0.5 else ['g'])
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(_any_time(rng, now_ns), 10**9)
    for _ in range(rng.integers(0, 4)):
        point = JointTrajectoryPoint(positions=_any_numbers(rng))
        point.time_from_start.sec = int(rng.integers(-2**31, 2**31)) >> int(rng.integers(0, 32))
        point.time_from_start.nanosec = int(rng.integers(0, 10**9))
        message.points.append(point)
    return message


def _any_twist(rng, now_ns):
    """Return a twist."""
    message = TwistStamped()
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(_any_time(rng, now_ns), 10**9)
    message.twist.linear.x, message.twist.angular.z = _any_number(rng), _any_number(rng)
    return message


FUZZED = {'policy/arm': (JointState, _any_joints), 'joint_states': (JointState, _any_joints),
          'policy/gripper': (JointTrajectory, _any_trajectory),
          'policy/fingers': (Float64MultiArray, lambda rng, now_ns: Float64MultiArray(
              data=_any_numbers(rng))),
          'policy/base': (TwistStamped, _any_twist)}


def test_no_message_kills_the_node_or_drives_it_beyond_its_limits(guarded):
    text = (HEAD.replace('b, g]', 'b, g, f]') + OTHERS.replace(
        'std_msgs/msg/Float64MultiArray, names', 'trajectory_msgs/msg/JointTrajectory, joints')
        + '  - {topic: fingers, type: std_msgs/msg/Float64MultiArray, names: [f], '
        'stamp: receive}' + LIMITS + OTHER_LIMITS + '  f: {position: [0, 1], velocity: 3.0}')
    world = guarded(text=text, alone=True)
    world.robot.joints['f'] = 0.5
    world.activate()
    rng, peer = np.random.default_rng(0), world.peer
    publishers = {topic: (peer.node.create_publisher(kind, topic, qos.ROBOT_STATE), make)
                  for topic, (kind, make) in FUZZED.items()}
    world.until_rows()
    for _ in range(2000):
        for publisher, make in publishers.values():
            publisher.publish(make(rng, peer.node.get_clock().now().nanoseconds))
            peer.executor.spin_once(timeout_sec=0)
        peer.executor.spin_once(timeout_sec=0)
    channels = world.node._runtime.with_guard(lambda guard: guard.channels)
    for channel in channels:
        assert channel.refused.total() > 500 and len(channel.refused) >= 2, channel.output.topic
    rows = np.array(world.rows)
    assert np.isfinite(rows).all()
    assert (np.abs(rows) <= [1, 1, 1, 0.5, 1, 1]).all()
    peer.node.destroy_publisher(publishers['joint_states'][0])
    world.robot.joints.update(a=0.0, b=0.0, g=0.5, f=0.5)
    good = {
        'policy/arm': lambda now: JointState(name=['a', 'b'], position=[0.1, 0.1], header=now),
        'policy/gripper': lambda now: JointTrajectory(joint_names=['g'], points=[
            JointTrajectoryPoint(positions=[0.6])]),
        'policy/fingers': lambda now: Float64MultiArray(data=[0.4]),
        'policy/base': lambda now: TwistStamped(header=now)}

    def command():
        now = Header(stamp=peer.node.get_clock().now().to_msg())
        for topic, make in good.items():
            publishers[topic][0].publish(make(now))

    peer.node.create_timer(1 / 30, command)
    world.until('FOLLOWING')

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
"""Whatever comes in: no node dies, no command leaves its limits, and memory does not grow."""

from collections import Counter
import gc
from itertools import pairwise
import math
from pathlib import Path
import re
import time

import cv2
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('torch')
from builtin_interfaces.msg import Time  # noqa: E402,I100
from diffusion_policy_ros import message_types as ros  # noqa: E402
from diffusion_policy_ros import messages  # noqa: E402
from diffusion_policy_ros.contract import parse_contract  # noqa: E402
from diffusion_policy_ros.control.commands import build_command  # noqa: E402
from diffusion_policy_ros.control.safety.command_reader import CAUSES  # noqa: E402
from diffusion_policy_ros.control.safety.limits import (  # noqa: E402
    limits_from_urdf, merged, motion_limits)
from diffusion_policy_ros.errors import (  # noqa: E402
    AlignmentError, DecodeError, DiffusionPolicyError, SafetyError)
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.command_safety import CommandSafety  # noqa: E402
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES  # noqa: E402
from diffusion_policy_ros.nodes.safety_topics import SafetyTopics  # noqa: E402
from diffusion_policy_ros.observation.window import WindowBuilder  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from std_msgs.msg import Bool  # noqa: E402

DOMAIN_ID = 62
ROUNDS, ROUNDS_OVER_DDS = 10_000, 500
MAX_GROWTH_MB = 20.0
MAX_PICTURES_MB = 100.0
PERIOD_S = 0.01
POSITIONS, VELOCITIES = ('a', 'b', 'g', 'f'), ('linear.x', 'angular.z', 'linear.y')
LIMITS = 1.0, 4.0, 40.0  # velocity, acceleration and jerk of all of them
SAFETY = """
robot: test
rate_hz: 20
observations:
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [a, b, g, f], max_age_ms: 300}
actions:
  - {topic: arm, type: sensor_msgs/msg/JointState, joints: [a, b]}
  - {topic: gripper, type: trajectory_msgs/msg/JointTrajectory, joints: [g], stamp: receive,
     interpolation: hold}
  - {topic: fingers, type: std_msgs/msg/Float64MultiArray, names: [f], stamp: receive}
  - {topic: base, type: geometry_msgs/msg/TwistStamped, names: [linear.x, angular.z]}
  - {topic: lift, type: geometry_msgs/msg/Twist, names: [linear.y], stamp: receive}
limits:
""" + ''.join(f'  {name}: {{position: [0, 1], velocity: 1.0, acceleration: 4.0, jerk: 40.0}}\n'
              for name in POSITIONS) + ''.join(
    f'  {name}: {{velocity: 1.0, acceleration: 4.0, jerk: 40.0}}\n' for name in VELOCITIES)
URDF = '<robot name="test"><link name="l"/>' + ''.join(
    f'<link name="l{name}"/><joint name="{name}" type="prismatic"><parent link="l"/>'
    f'<child link="l{name}"/><limit lower="0" upper="1" velocity="1" effort="1"/></joint>'
    for name in POSITIONS) + '</robot>'
# Every type that can be observed, and what messages do to it that its own tests do not.
OBSERVED = """
robot: test
rate_hz: 10
settle_ms: 20
observations:
  - {key: observation.images.exact, topic: exact, type: sensor_msgs/msg/Image,
     image: {height: 4, width: 6}, max_age_ms: 400, frozen_after: 2}
  - {key: observation.images.depth, topic: depth, type: sensor_msgs/msg/Image,
     image: {height: 4, width: 6, encoding: 32FC1, resize: crop}, max_age_ms: 400}
  - {key: observation.images.small, topic: small, type: sensor_msgs/msg/CompressedImage,
     image: {height: 4, width: 6, resize: pad}, max_age_ms: 400}
  - {key: observation.state, topic: joints, type: sensor_msgs/msg/JointState, joints: [a, g],
     max_age_ms: 400, frozen_after: 2}
  - {key: observation.state, topic: told, type: trajectory_msgs/msg/JointTrajectory, joints: [a],
     stamp: receive, max_age_ms: 400}
  - {key: observation.state, topic: single, type: std_msgs/msg/Float32MultiArray, names: [s],
     stamp: receive, max_age_ms: 400}
  - {key: observation.state, topic: double, type: std_msgs/msg/Float64MultiArray, names: [d],
     stamp: receive, max_age_ms: 400, on_stale: hold}
  - {key: observation.pose, topic: pose, type: geometry_msgs/msg/PoseStamped, max_age_ms: 400}
  - {key: observation.speed, topic: speed, type: geometry_msgs/msg/Twist, stamp: receive,
     max_age_ms: 400}
  - {key: observation.base, topic: base, type: geometry_msgs/msg/TwistStamped, max_age_ms: 400}
  - {key: observation.odometry, topic: odom, type: nav_msgs/msg/Odometry, max_age_ms: 400}
actions:
  - {topic: command, type: std_msgs/msg/Float64MultiArray, names: [x], stamp: receive}
"""
OBSERVED = parse_contract(OBSERVED)
START_NS, MS = 1_700_000_000_000_000_000, 1_000_000

# What a field may become, by what it holds.
NUMBERS = (math.nan, math.inf, -math.inf, 1e308, -1e308, 3e38, 1e13, -1e12, 5e-324, -0.0, 0.7)
WORDS = ('', 'a', 'g', 'finger_x', 'rgb8', 'bgr8', 'mono8', 'mono16', '16UC1', '32FC1', 'uyvy',
         'bayer_rggb8', 'RGB8', 'jpeg', 'x' * 5000, 'ä\n\t\0')
WHOLE = (0, 1, -1, 6, 95, 97, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, -2**31)


def mutate(message, choose):
    """Change one field of a message, however deep; ``choose`` takes one of some options."""
    name, kind = choose(sorted(message.get_fields_and_field_types().items()))
    value = getattr(message, name)
    if hasattr(value, 'get_fields_and_field_types'):
        mutate(value, choose)
    elif kind.startswith('sequence'):
        setattr(message, name, _sequence(kind[len('sequence<'):-1], value, choose))
    elif not kind.endswith(']'):  # covariances, which nobody reads
        setattr(message, name, _scalar(kind, value, choose))


def _scalar(kind, value, choose):
    """Return what a number or a word may become."""
    if kind in ('double', 'float'):
        return choose([number for number in NUMBERS if kind == 'double' or not abs(number) > 3e38])
    if kind == 'string':
        return choose(WORDS)
    if kind == 'boolean':
        return choose((True, False))
    bits = int(re.search(r'\d+', kind)[0])
    low, high = (0, 2**bits - 1) if kind[0] == 'u' else (-2**(bits - 1), 2**(bits - 1) - 1)
    return choose([whole for whole in (*WHOLE, value - 1) if low <= whole <= high])


def _sequence(kind, values, choose):
    """Return what a sequence may become."""
    act = choose(('none', 'fewer', 'twice', 'backwards', 'many', 'another', 'another'))
    if act != 'another' or not len(values):
        return {'none': values[:0], 'fewer': values[:-1], 'twice': values + values,
                'backwards': values[::-1], 'many': values[:1] * 1001}.get(act, values)
    place, changed = choose(range(len(values))), values[:]
    if '/' in kind:
        mutate(changed[place], choose)
    else:
        changed[place] = _scalar(kind, changed[place], choose)
    return changed


def any_message(message, choose):
    """Return a message as it should be, or changed a little, or a lot."""
    for _ in range(choose((0, 1, 1, 2, 4))):
        mutate(message, choose)
    return message


def chooser(seed):
    """Return a function that takes one of some options, always the same ones for a seed."""
    rng = np.random.default_rng(seed)
    return lambda options: options[rng.integers(len(options))]


def memory_mb():
    """Return the memory that this process occupies, MB; 0 where that cannot be read."""
    gc.collect()
    statm = Path('/proc/self/statm')
    return int(statm.read_text().split()[1]) * 4096 / 1e6 if statm.exists() else 0.0


def assert_memory_stayed(before_mb):
    """Check that nothing was kept of what was thrown in."""
    grown_mb = memory_mb() - before_mb
    assert grown_mb < MAX_GROWTH_MB, f'{grown_mb:.0f} MB more: something keeps what it was sent'


class Guarded:
    """The safety node before a robot that goes where it is told, and a policy that is in order."""

    def __init__(self, peer, tmp_path, monkeypatch, **parameters):
        self.peer, self.sent = peer, []  # stamp in s and all numbers
        publish = SafetyTopics.publish

        def recorded(topics, rows, stamp_ns, *arguments):
            self.sent.append((stamp_ns / 1e9, np.concatenate(rows)))
            publish(topics, rows, stamp_ns, *arguments)

        monkeypatch.setattr(SafetyTopics, 'publish', recorded)
        path = tmp_path / 'contract.yaml'
        path.write_text(SAFETY)
        self.contract = parse_contract(SAFETY)
        self.node = peer.start(CommandSafety, contract=str(path), ramp_in_s=0.2, **parameters)
        assert self.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert self.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        self.runtime = self.node._runtime
        self.states = set()

    def now_ns(self):
        return self.node.get_clock().now().nanoseconds

    def joints(self):
        """Return what a robot would say that is where it was sent to."""
        at = self.sent[-1][1][:4] if self.sent else np.full(4, 0.5)
        return messages.joint_state(MESSAGE_CLASSES, POSITIONS, at, self.now_ns())

    def commands(self):
        """Return a command for each output, which they follow at different times."""
        wave = 0.5 + 0.4 * np.sin(3 * time.monotonic() + np.arange(len(POSITIONS + VELOCITIES)))
        ends = np.cumsum([len(output.names) for output in self.contract.actions])
        return [build_command(output, row[None], MESSAGE_CLASSES, stamp_ns=self.now_ns(),
                              lead_ns=0, period_ns=50 * MS)
                for output, row in zip(self.contract.actions, np.split(wave, ends[:-1]))]

    def go_on(self):
        """Let robot and policy speak as they should."""
        self.runtime._on_joints('joint_states', self.joints())
        for number, command in enumerate(self.commands()):
            self.runtime._on_command(number, command)
        self.states.add(self.state())
        self.peer.executor.spin_once(timeout_sec=0)

    def state(self):
        """Return the guard's state, None while there is none."""
        return self.runtime.with_guard(lambda guard: guard.state)

    def until(self, state):
        """Let all be in order until the guard is in a state."""
        self.peer.until(lambda: self.go_on() or self.state() == state, state, 20.0)

    def until_sent(self, count):
        """Let all be in order until so many more commands went out."""
        count += len(self.sent)
        self.peer.until(lambda: self.go_on() or len(self.sent) >= count, 'commands', 20.0)

    def assert_limits_kept(self):
        """Check all that was sent, by its differences alone."""
        starts = [0] + [k + 1 for k, (before, row) in enumerate(pairwise(self.sent))
                        if row[0] - before[0] > 0.2] + [len(self.sent)]
        for start, end in pairwise(starts):  # each part begins at rest, where the robot is
            rows = np.array([row for _, row in self.sent[start:end]])
            assert np.isfinite(rows).all()
            positions, velocities = np.split(rows, [len(POSITIONS)], axis=1)
            assert ((positions >= 0) & (positions <= 1)).all()
            for order, limit in enumerate(LIMITS):
                for values, more in ((positions, 1), (velocities, 0)):
                    rate = np.diff(values, order + more, axis=0) / PERIOD_S**(order + more)
                    assert (np.abs(rate) <= limit * (1 + 1e-6)).all(), (order, np.abs(rate).max())


@pytest.fixture
def guarded(peer, tmp_path, monkeypatch):
    """Return a function that starts the safety node."""
    return lambda **parameters: Guarded(peer, tmp_path, monkeypatch, **parameters)


def test_no_command_drives_the_robot_beyond_its_limits(guarded):
    world, choose = guarded(), chooser(0)
    world.until('FOLLOWING')
    before_mb = memory_mb()
    for _ in range(ROUNDS):
        for number, command in enumerate(world.commands()):
            world.runtime._on_command(number, any_message(command, choose))
        world.go_on()
    assert_memory_stayed(before_mb)
    assert 'FOLLOWING' in world.states
    assert np.ptp([row for _, row in world.sent], axis=0).min() > 0.5
    channels = world.runtime.with_guard(lambda guard: guard.channels)
    assert min(channel.refused.total() for channel in channels) > ROUNDS / 20
    assert {cause for channel in channels for cause in channel.refused} == set(CAUSES)
    world.until('FOLLOWING')
    world.until_sent(50)
    world.assert_limits_kept()


def test_no_measurement_drives_the_robot_beyond_its_limits(guarded):
    world, choose = guarded(), chooser(1)
    world.until('FOLLOWING')
    for _ in range(ROUNDS):
        world.runtime._on_joints('joint_states', any_message(world.joints(), choose))
        world.go_on()
    world.until('FOLLOWING')
    world.until_sent(50)
    world.assert_limits_kept()


def test_whatever_the_button_says_the_robot_moves_only_after_it_was_armed(guarded):
    world, choose = guarded(), chooser(2)
    world.until('FOLLOWING')
    for _ in range(ROUNDS):
        world.node._on_e_stop(Bool(data=choose((True, False))))
    world.until('ESTOP')
    world.peer.until(lambda: world.go_on() or world.runtime.with_guard(
        lambda guard: guard.at_rest), 'the stop')
    count = len(world.sent)
    for _ in range(200):
        world.go_on()
        world.node._on_e_stop(Bool(data=choose((True, False))))
    assert len(world.sent) <= count + 1 and world.state() == 'ESTOP'
    world.node._on_e_stop(Bool(data=False))
    assert world.peer.ask('command_safety/rearm') == (True, 'armed')
    world.until('FOLLOWING')
    world.until_sent(50)
    world.assert_limits_kept()


def _any_text(choose):
    """Return a robot description with some things changed, or none at all."""
    text = URDF
    for _ in range(choose((0, 1, 2, 4))):
        start = choose(range(len(text) + 1))
        number = choose(('nan', 'inf', '-1', '1e400', '0', '', '"', '<', '&x;', 'mimic', URDF))
        found = choose(['velocity="1"', 'lower="0"', 'upper="1"', text[start:start + 5]])
        text = text.replace(found, re.sub('"[01]"', f'"{number}"', found) if '=' in found
                            else number, choose((1, -1)))
    return text


def test_no_robot_description_widens_the_limits(guarded):
    world, choose, taken = guarded(use_robot_description=True), chooser(3), 0
    before_mb = memory_mb()
    for _ in range(ROUNDS):
        text = _any_text(choose)
        try:
            both = merged(world.contract.limits, limits_from_urdf(text, POSITIONS))
            tight = motion_limits(both, POSITIONS, 'both')
        except SafetyError:
            continue
        taken += 1
        assert (tight.low >= 0).all() and (tight.high <= 1).all()
        for values, limit in zip((tight.velocity, tight.acceleration, tight.jerk), LIMITS):
            assert ((values > 0) & (values <= limit)).all()
    assert 500 < taken < ROUNDS - 500
    for _ in range(ROUNDS):  # with these names none of them fits
        world.runtime._on_description(_any_text(choose).replace('name="a"', 'name="c"'))
        world.peer.executor.spin_once(timeout_sec=0)
    assert_memory_stayed(before_mb)
    assert world.state() is None and not world.sent
    world.runtime._on_description(URDF)
    world.until('FOLLOWING')
    world.until_sent(50)
    world.assert_limits_kept()


def _broken(message, choose):
    """Return the bytes of a message as no node of ROS would send them."""
    data = serialize_message(message)
    place = choose(range(4, len(data)))
    return choose((data[:place], (data[:place] + b'\xff\xfe\xc3' + data[place + 3:])[:len(data)]))


def test_over_dds_no_message_kills_the_safety_node(guarded):
    world, choose = guarded(), chooser(4)
    node, executor = world.peer.node, world.peer.executor
    publishers = [node.create_publisher(MESSAGE_CLASSES[output.type], f'policy/{output.topic}',
                                        qos.ROBOT_STATE) for output in world.contract.actions]
    joints = node.create_publisher(MESSAGE_CLASSES[ros.JOINT_STATE], 'joint_states',
                                   qos.ROBOT_STATE)
    publishers.append(joints)
    world.peer.until(lambda: all(p.get_subscription_count() for p in publishers), 'listeners')
    for number in range(ROUNDS_OVER_DDS):
        for publisher, message in zip(publishers, [*world.commands(), world.joints()]):
            message = any_message(message, choose)
            publisher.publish(_broken(message, choose) if number % 3 == 2 else message)
            executor.spin_once(timeout_sec=0)
    channels = world.runtime.with_guard(lambda guard: guard.channels)
    assert min(channel.refused.total() for channel in channels) > ROUNDS_OVER_DDS / 20
    for publisher in publishers:
        node.destroy_publisher(publisher)
    world.until('FOLLOWING')
    world.until_sent(50)
    world.assert_limits_kept()


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small untrained policy; its folder."""
    return save_tiny_policy(n_action_steps=4)


def _pictures_and_joints(now_ns):
    """Return a camera's message and one of the joints, as they should be."""
    picture = np.zeros((96, 96, 3), np.uint8)
    return (messages.image(MESSAGE_CLASSES, picture, now_ns),
            messages.joint_state(MESSAGE_CLASSES, ['finger_x', 'finger_y'], [0.2, 0.3], now_ns))


def _assert_commands_sane(server):
    """Check every command: finite, and in the range of the tiny policy's statistics."""
    positions = np.array([command.position for command in server.commands])
    assert ((positions >= 0) & (positions <= 0.512 + 1e-6)).all()


def test_no_message_kills_the_policy_server_or_makes_it_command_nonsense(peer, server):
    server.activate()
    server.until_commands(3)
    healthy = peer.robot.image, peer.robot.joints
    runtime, choose, outcomes, memories_mb = (
        peer.server_node._runtime, chooser(5), Counter(), [])
    loop, look = runtime.loop, runtime.loop.builder.look

    def counted(tick_ns):
        outcome = 'window'
        try:
            return look(tick_ns)
        except Exception as error:
            outcome = type(error)
            raise
        finally:
            outcomes[outcome] += 1

    for _ in range(3):  # how much is kept depends on how fast messages come, not on how many
        peer.robot.image = peer.robot.joints = None
        loop.builder.look = counted
        for number in range(ROUNDS // 3):
            now_ns = peer.robot.now_ns()
            for stream, message in zip(runtime.contract.policy_observations,
                                       _pictures_and_joints(now_ns)):
                runtime._receive(stream, any_message(message, choose))
            loop._look(now_ns)
            if number % 10 == 0:
                peer.executor.spin_once(timeout_sec=0)
        loop.builder.look = look
        peer.robot.image, peer.robot.joints = healthy
        server.until_status('commanding')
        server.until_commands(15)
        memories_mb.append(memory_mb())
    assert set(outcomes) <= {'window', AlignmentError, DecodeError}, outcomes
    assert min(outcomes['window'], outcomes[DecodeError]) > ROUNDS / 100, outcomes
    # A second of pictures is kept, more or fewer of them; all of a round would be over 150 MB.
    assert memories_mb[2] - memories_mb[1] < MAX_PICTURES_MB, memories_mb
    _assert_commands_sane(server)


def test_over_dds_no_message_kills_the_policy_server(peer, server):
    server.activate()
    server.until_commands(3)
    healthy = peer.robot.image, peer.robot.joints
    peer.robot.image = peer.robot.joints = None
    choose, publishers = chooser(6), (peer.robot._images, peer.robot._joints)
    for number in range(ROUNDS_OVER_DDS):
        for publisher, message in zip(publishers, _pictures_and_joints(peer.robot.now_ns())):
            message = any_message(message, choose)
            publisher.publish(_broken(message, choose) if number % 3 == 2 else message)
            peer.executor.spin_once(timeout_sec=0)
    counts = [meter.count for meter in peer.server_node._runtime.loop.telemetry.inputs.values()]
    assert min(counts) > ROUNDS_OVER_DDS / 3
    peer.robot.image, peer.robot.joints = healthy
    server.until_status('commanding')
    server.until_commands(5)
    _assert_commands_sane(server)


def _observed(stream, stamp_ns):
    """Return a message of a stream as it should be."""
    number = stamp_ns // (100 * MS) % 200  # never twice the same: frozen streams are refused
    values, picture = [number / 200] * len(stream.names), np.full((4, 6, 3), number, np.uint8)
    if stream.type == ros.IMAGE:
        message = messages.image(MESSAGE_CLASSES, picture, stamp_ns)
        if stream.topic == 'depth':
            message.encoding, message.step = '16UC1', 18
    elif stream.type == ros.COMPRESSED_IMAGE:
        message = MESSAGE_CLASSES[stream.type](
            format='png', data=cv2.imencode('.png', picture)[1].tobytes())
    elif stream.type == ros.JOINT_STATE:
        message = messages.joint_state(MESSAGE_CLASSES, stream.names, values, stamp_ns)
    elif stream.type == ros.JOINT_TRAJECTORY:
        message = messages.joint_trajectory(MESSAGE_CLASSES, stream.names, [values], [0], 0)
    elif stream.type in (ros.FLOAT32_ARRAY, ros.FLOAT64_ARRAY):
        message = messages.multi_array(MESSAGE_CLASSES, stream.type, values)
    else:
        message = MESSAGE_CLASSES[stream.type]()
    if hasattr(message, 'header') and stream.stamp == 'header':
        message.header.stamp = Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return message


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_only_errors_with_a_remedy_leave_the_window_builder(data):
    builder, now_ns = WindowBuilder(OBSERVED, n_obs_steps=2), START_NS

    def choose(options):
        return data.draw(st.sampled_from(options))

    for _ in range(3):
        suspect = choose(OBSERVED.observations)
        for stream in OBSERVED.observations:
            message = _observed(stream, now_ns)
            if stream is suspect:
                message = any_message(message, choose)
            builder.push(stream.topic, message, now_ns + choose((0, 0, 30)) * MS)
        now_ns += choose((100, 100, 100, 100, 100, 1000, -5000)) * MS
        try:
            window, samples = builder.look(now_ns)
        except DiffusionPolicyError:
            continue
        assert len(samples) == 2
        for key, values in window.items():
            assert values.shape == (2, *OBSERVED.shape_of(key))
            assert np.isfinite(values).all()

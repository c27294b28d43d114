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
from pathlib import Path
import re
import time

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('torch')
from diffusion_policy_ros import message_types as ros  # noqa: E402,I100
from diffusion_policy_ros import messages  # noqa: E402
from diffusion_policy_ros.contract import parse_contract  # noqa: E402
from diffusion_policy_ros.control.commands import build_command  # noqa: E402
from diffusion_policy_ros.control.safety.command_reader import CAUSES  # noqa: E402
from diffusion_policy_ros.control.safety.limits import (  # noqa: E402
    limits_from_urdf, merged, motion_limits)
from diffusion_policy_ros.errors import (  # noqa: E402
    AlignmentError, DecodeError, SafetyError)
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES  # noqa: E402
from std_msgs.msg import Bool  # noqa: E402

DOMAIN_ID = 62
ROUNDS = [1_000, pytest.param(10_000, marks=pytest.mark.slow)]
MAX_GROWTH_MB = 20.0
MAX_PICTURES_MB = 100.0
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
CONTRACT = parse_contract(SAFETY)
URDF = '<robot name="test"><link name="l"/>' + ''.join(
    f'<link name="l{name}"/><joint name="{name}" type="prismatic"><parent link="l"/>'
    f'<child link="l{name}"/><limit lower="0" upper="1" velocity="1" effort="1"/></joint>'
    for name in POSITIONS) + '</robot>'


@pytest.fixture(params=ROUNDS, ids=str)
def rounds(request):
    """Return how many messages are thrown in; over DDS, a fifth of them to each topic."""
    return request.param


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


class Healthy:
    """A robot that goes where it is told, and a policy that is in order; they use no DDS."""

    def __init__(self, world):
        self.node, self._world, self._peer = world.node, world, world.peer
        self.states = set()
        world.peer.node.create_timer(0.02, self._speak)

    def joints(self):
        """Return what a robot would say that is where it was sent to."""
        at = self._world.rows[-1][:4] if self._world.rows else np.full(4, 0.5)
        return messages.joint_state(MESSAGE_CLASSES, POSITIONS, at, self._now_ns())

    def commands(self):
        """
        Return a command for each output, which they follow at different times.

        So slow a wave that a robot that is cautious, at 4 % of its speed, still gets somewhere.
        """
        wave = 0.5 + 0.4 * np.sin(time.monotonic() + np.arange(len(POSITIONS + VELOCITIES)))
        ends = np.cumsum([len(output.names) for output in CONTRACT.actions])
        return [build_command(output, row[None], MESSAGE_CLASSES, stamp_ns=self._now_ns(),
                              lead_ns=0, period_ns=50_000_000)
                for output, row in zip(CONTRACT.actions, np.split(wave, ends[:-1]))]

    def go_on(self):
        """Speak once, let the node work, and see what state it is in."""
        self._speak()
        self.states.add(self.of_guard('state'))
        self._peer.executor.spin_once(timeout_sec=0)

    def of_guard(self, name):
        """Return an attribute of the guard, None while there is none."""
        return self.node._runtime.with_guard(lambda guard: getattr(guard, name))

    def until(self, state):
        """Wait until the guard is in a state, whatever the status said before."""
        self._peer.until(lambda: self.of_guard('state') == state, state, 20.0)

    def assert_it_follows_within_its_limits(self):
        """Check that it comes back to following, and all that it ever sent."""
        self._peer.ask('command_safety/rearm')  # joints that jumped about went nowhere they should
        self.until('FOLLOWING')
        self._world.until_rows(50)
        self._world.assert_limits_kept()

    def _speak(self):
        """Say where the robot is and where it should go."""
        runtime = self.node._runtime
        runtime._on_joints('joint_states', self.joints())
        for number, command in enumerate(self.commands()):
            runtime._on_command(number, command)

    def _now_ns(self):
        return self.node.get_clock().now().nanoseconds


@pytest.fixture
def start(guarded):
    """Return a function that starts the safety node between a robot and a policy."""
    def make(**parameters):
        world = guarded(SAFETY, **parameters)
        world.activate()
        return world, Healthy(world)

    return make


def test_no_command_drives_the_robot_beyond_its_limits(start, any_message, rounds):
    (world, healthy), choose = start(), chooser(0)
    healthy.until('FOLLOWING')
    before_mb = memory_mb()

    def throw_in():
        for number, command in enumerate(healthy.commands()):
            world.node._runtime._on_command(number, any_message(command, choose))
        healthy.go_on()

    for _ in range(rounds):
        throw_in()
    world.peer.until(lambda: throw_in() or np.ptp(world.rows, axis=0).min() > 0.5,
                     'motion of all joints among them')
    assert_memory_stayed(before_mb)
    assert 'FOLLOWING' in healthy.states
    channels = healthy.of_guard('channels')
    assert min(channel.refused.total() for channel in channels) > rounds / 20
    assert {cause for channel in channels for cause in channel.refused} == set(CAUSES)
    healthy.assert_it_follows_within_its_limits()


def test_no_measurement_drives_the_robot_beyond_its_limits(start, any_message, rounds):
    (world, healthy), choose = start(), chooser(1)
    healthy.until('FOLLOWING')
    for _ in range(rounds):
        world.node._runtime._on_joints('joint_states', any_message(healthy.joints(), choose))
        healthy.go_on()
    healthy.assert_it_follows_within_its_limits()


def test_whatever_the_button_says_the_robot_moves_only_after_it_was_armed(start, rounds):
    (world, healthy), choose = start(), chooser(2)
    healthy.until('FOLLOWING')
    for _ in range(rounds):
        world.node._on_e_stop(Bool(data=choose((True, False))))
    healthy.until('ESTOP')
    world.peer.until(lambda: healthy.of_guard('at_rest'), 'the stop')
    count = len(world.rows)
    for _ in range(200):
        healthy.go_on()
        world.node._on_e_stop(Bool(data=choose((True, False))))
    assert len(world.rows) <= count + 1 and healthy.of_guard('state') == 'ESTOP'
    world.node._on_e_stop(Bool(data=False))
    assert world.peer.ask('command_safety/rearm') == (True, 'armed')
    healthy.assert_it_follows_within_its_limits()


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


def test_no_robot_description_widens_the_limits(start, rounds):
    (world, healthy), choose, taken = start(use_robot_description=True), chooser(3), 0
    before_mb = memory_mb()
    for _ in range(rounds):
        text = _any_text(choose)
        try:
            both = merged(CONTRACT.limits, limits_from_urdf(text, POSITIONS))
            tight = motion_limits(both, POSITIONS, 'both')
        except SafetyError:
            continue
        taken += 1
        assert (tight.low >= 0).all() and (tight.high <= 1).all()
        for values, limit in zip((tight.velocity, tight.acceleration, tight.jerk), LIMITS):
            assert ((values > 0) & (values <= limit)).all()
    assert rounds / 20 < taken < rounds * 0.95
    for _ in range(rounds):  # with these names none of them fits
        world.node._runtime._on_description(_any_text(choose).replace('name="a"', 'name="c"'))
        world.peer.executor.spin_once(timeout_sec=0)
    assert_memory_stayed(before_mb)
    assert healthy.of_guard('state') is None and not world.rows
    world.node._runtime._on_description(URDF)
    healthy.assert_it_follows_within_its_limits()


def test_over_dds_no_message_kills_the_safety_node(start, any_message, broken_bytes, rounds):
    (world, healthy), choose = start(), chooser(4)
    node, executor = world.peer.node, world.peer.executor
    publishers = [node.create_publisher(MESSAGE_CLASSES[output.type], f'policy/{output.topic}',
                                        qos.ROBOT_STATE) for output in CONTRACT.actions]
    joints = node.create_publisher(MESSAGE_CLASSES[ros.JOINT_STATE], 'joint_states',
                                   qos.ROBOT_STATE)
    publishers.append(joints)
    world.peer.until(lambda: all(p.get_subscription_count() for p in publishers), 'listeners')
    for number in range(rounds // 5):
        for publisher, message in zip(publishers, [*healthy.commands(), healthy.joints()]):
            message = any_message(message, choose)
            publisher.publish(broken_bytes(message, choose) if number % 3 == 2 else message)
            executor.spin_once(timeout_sec=0)
    channels = healthy.of_guard('channels')
    assert min(channel.refused.total() for channel in channels) > rounds / 100
    for publisher in publishers:
        node.destroy_publisher(publisher)
    healthy.assert_it_follows_within_its_limits()


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


def test_no_message_kills_the_policy_server_or_makes_it_command_nonsense(
        peer, server, any_message, rounds):
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
        for number in range(rounds // 3 + 1):
            now_ns = peer.robot.now_ns()
            for stream, message in zip(runtime._policy.contract.policy_observations,
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
    assert min(outcomes['window'], outcomes[DecodeError]) > rounds / 100, outcomes
    # A second of pictures is kept, more or fewer of them; all of a round would be over 150 MB.
    assert memories_mb[2] - memories_mb[1] < MAX_PICTURES_MB, memories_mb
    _assert_commands_sane(server)


def test_over_dds_no_message_kills_the_policy_server(
        peer, server, any_message, broken_bytes, rounds):
    server.activate()
    server.until_commands(3)
    healthy = peer.robot.image, peer.robot.joints
    peer.robot.image = peer.robot.joints = None
    choose, publishers = chooser(6), (peer.robot._images, peer.robot._joints)
    for number in range(rounds // 5):
        for publisher, message in zip(publishers, _pictures_and_joints(peer.robot.now_ns())):
            message = any_message(message, choose)
            publisher.publish(broken_bytes(message, choose) if number % 3 == 2 else message)
            peer.executor.spin_once(timeout_sec=0)
    counts = [meter.count for meter in peer.server_node._runtime.loop.telemetry.inputs.values()]
    assert min(counts) > rounds / 15
    peer.robot.image, peer.robot.joints = healthy
    server.until_status('commanding')
    server.until_commands(5)
    _assert_commands_sane(server)


def test_no_command_kills_the_simulated_robot(peer, any_message, rounds):
    pusht_sim = pytest.importorskip('diffusion_policy_ros.nodes.pusht_sim')
    node, choose, at = peer.start(pusht_sim.PushTSim), chooser(7), []
    peer.node.create_subscription(MESSAGE_CLASSES[ros.JOINT_STATE], 'joint_states',
                                  lambda message: at.append(message.position), qos.EVENTS)

    def command(*target):
        return messages.joint_state(MESSAGE_CLASSES, ['finger_x', 'finger_y'], target,
                                    node.get_clock().now().nanoseconds)

    targets = set()
    for _ in range(rounds):
        node._on_command(any_message(command(0.2, 0.3), choose), 0)
        targets.add(node._ordered[-1][1] if node._ordered else None)
        peer.executor.spin_once(timeout_sec=0)
    assert len(targets) > 5 and np.isfinite([each for each in targets if each]).all()
    node._on_command(command(0.05, 0.06), 0)
    peer.until(lambda: at and np.allclose(at[-1], (0.05, 0.06), atol=1e-3), 'finger at the target')

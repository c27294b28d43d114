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
"""Processes that are killed while the simulated arm moves: its joints come to rest in time."""

from itertools import pairwise
import math
from pathlib import Path
import re
import sys

from diffusion_policy_ros.errors import ConfigError
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('torch')
try:
    from diffusion_policy_ros.sim.arm import engine  # noqa: F401
except (ConfigError, ImportError) as error:  # the first names the packages that EGL needs
    pytest.skip(str(error), allow_module_level=True)
from diffusion_policy_ros.cli.children import node_command  # noqa: E402,I100
from diffusion_policy_ros.contract import load_contract  # noqa: E402
from diffusion_policy_ros.share import share_path  # noqa: E402
from diffusion_policy_ros.sim.arm.description import expand_xacro  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402

DOMAIN_ID = 89
ROBOTS = Path(__file__).parents[2] / 'config' / 'robots'
CONTRACTS = {'forward': ROBOTS / 'arm_pick_place.yaml',
             'trajectory': ROBOTS / 'arm_pick_place_trajectory.yaml'}
TOPICS = {kind: load_contract(path).actions[0].topic for kind, path in CONTRACTS.items()}
FORWARD = load_contract(CONTRACTS['forward'])
JOINTS = FORWARD.actions[0].names
VELOCITY, ACCELERATION, JERK = (np.array([FORWARD.limits[name][kind] for name in JOINTS])
                                for kind in ('velocity', 'acceleration', 'jerk'))
STOPPING_S = (VELOCITY / ACCELERATION + 2 * ACCELERATION / JERK).max()
# Where the simulated arm begins, with its gripper, and how far the policy's plans go from there:
# no further from end to end than a first command may be away.
HOME = np.array([0.0, 0.24, 1.32, 1.58, 0.0, 0.0, 0.02])
REACH = np.array([0.2, 0.2, 0.2, 0.3, 0.3, 0.3, 0.02])
CAMERAS = ('wrist_camera', 'scene_camera')
WATCHDOG_S, MAX_AGE_S = 0.3, 0.25
# The server looks at the cameras once in this time, and a little later still commands.
TICK_S, SETTLE_S = 0.1, 0.025
# Messages on their way while two cores run seven processes.
TRANSIT_S = 0.1
# A joint trails what it is sent by 2 / 30 s; so much later it stands, from its greatest speed too.
SERVO_S = 0.3
AT_REST = 0.02  # rad/s
# The command stops a joint within its limits; so much harder may the joint itself, which trails
# it. Where a busy computer sends nothing for a moment, a joint stops as its servo does, critically
# damped at 30 rad/s: from a speed v with up to 30 v / e.
SERVO_FACTOR = 2.5
SERVO_STOP = 1.1 * VELOCITY * 30.0 / math.e
# So far from where it was sent shoulder_pan is seen to be blocked: half a second of its 0.8 rad/s
# and 0.02 s at its velocity limit, so much later is where it lags, and it is noticed within 0.1 s;
# within so much more the command stops from there.
LAG_RAD, STOPPING_RAD = 0.4, 0.4
# A driver: it publishes what another process makes, as long as it lives.
DRIVER = """
import sys
import rclpy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node(sys.argv[1] + '_driver')
publisher = node.create_publisher(Image, sys.argv[1] + '/image_raw', 10)
node.create_subscription(Image, sys.argv[1] + '/made', publisher.publish, 10, raw=True)
rclpy.spin(node)
"""
# A controller: what it is told reaches the joints as long as it lives.
CONTROLLER = """
import sys
import rclpy
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory
rclpy.init()
node = rclpy.create_node('controller')
kind = JointTrajectory if sys.argv[1].endswith('trajectory') else Float64MultiArray
publisher = node.create_publisher(kind, 'obeyed', 10)
node.create_subscription(kind, sys.argv[1], publisher.publish, 10, raw=True)
rclpy.spin(node)
"""
# Real encoders, which tremble: joint states that do not change in a single bit when the arm is
# sent on would be taken for frozen ones.
ENCODERS = """
import random
import rclpy
from sensor_msgs.msg import JointState
rclpy.init()
node = rclpy.create_node('encoders')
publisher = node.create_publisher(JointState, 'joint_states', 10)
def show(joints):
    joints.position = [at + random.uniform(-1e-6, 1e-6) for at in joints.position]
    publisher.publish(joints)
node.create_subscription(JointState, 'exact', show, 10)
rclpy.spin(node)
"""
# A person who swings the arm from one side to the other, from where it is, and waits there 10 s.
SWING = """
import sys
import rclpy
from builtin_interfaces.msg import Duration
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
rclpy.init()
node = rclpy.create_node('swing')
topic, at, names, speed, pause = sys.argv[1], [], [], 0.8 / 30, 300
is_trajectory = topic.endswith('trajectory')
arm = node.create_publisher(JointTrajectory if is_trajectory else Float64MultiArray,
                            'policy/' + topic, 10)
gripper = node.create_publisher(Float64MultiArray, 'policy/gripper_controller/commands', 10)
def see(joints):
    if not at:
        at.extend(joints.position)
        names.extend(joints.name[:6])
def swing():
    global speed, pause
    if not at:
        return
    if abs(at[0] + speed) <= 2.4:
        at[0] += speed
    elif pause:
        pause -= 1
    else:
        speed, pause = -speed, 300
    arm.publish(JointTrajectory(joint_names=names, points=[JointTrajectoryPoint(
        positions=at[:6], time_from_start=Duration(nanosec=33_000_000))])
        if is_trajectory else Float64MultiArray(data=at[:6]))
    gripper.publish(Float64MultiArray(data=at[6:]))
node.create_subscription(JointState, 'joint_states', see, 10)
node.create_timer(1 / 30, swing)
rclpy.spin(node)
"""


def read_array(message, info):
    return info['source_timestamp'] / 1e9, message.data


def read_trajectory(message, info):
    assert tuple(message.joint_names) == JOINTS and len(message.points) == 1
    return info['source_timestamp'] / 1e9, message.points[0].positions


READ = {'forward': (Float64MultiArray, read_array),
        'trajectory': (JointTrajectory, read_trajectory)}


def stamp_s(message):
    return message.header.stamp.sec + message.header.stamp.nanosec / 1e9


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small untrained policy, whose plans stay near the arm's home; its folder."""
    return save_tiny_policy(n_action_steps=4, contract=CONTRACTS['forward'],
                            low=HOME - REACH, high=HOME + REACH)


@pytest.fixture(scope='module')
def description(tmp_path_factory):
    """Write the shipped arm with cameras that a busy computer can draw in time; the file."""
    text = expand_xacro(share_path('urdf', 'arm.urdf.xacro'))
    for name, value in (('width', 40), ('height', 30), ('update_rate', 15)):
        text, count = re.subn(f'<{name}>[0-9.]+</{name}>', f'<{name}>{value}</{name}>', text)
        assert count == len(CAMERAS)
    path = tmp_path_factory.mktemp('arm') / 'arm.urdf'
    path.write_text(text)
    return path


@pytest.fixture
def make_world(make_processes, model, description, limits_of):
    """
    Return a function that makes arm, policy and safety node, none of which runs yet.

    It takes the kind of the arm's controller, and whether that and the encoders are processes of
    their own.
    """
    def make(kind, own_controller=False):
        contract = load_contract(CONTRACTS[kind])
        topic = contract.actions[0].topic
        simulation = node_command('arm_sim', {
            'contract': CONTRACTS[kind], 'description': description, 'state_rate_hz': 50.0})
        for camera in CAMERAS:
            simulation += ['-r', f'{camera}/image_raw:={camera}/made']
        if own_controller:
            simulation += ['-r', f'{topic}:=obeyed', '-r', 'joint_states:=exact']
        return make_processes(
            {'arm_sim': simulation,
             'controller': [sys.executable, '-c', CONTROLLER, topic],
             'encoders': [sys.executable, '-c', ENCODERS],
             'swing': [sys.executable, '-c', SWING, topic],
             **{camera: [sys.executable, '-c', DRIVER, camera] for camera in CAMERAS},
             'policy_server': node_command('policy_server', {
                 'model': model, 'contract': CONTRACTS[kind], 'num_threads': 1,
                 'command_prefix': 'policy', 'command_rate_hz': 30.0}),
             'command_safety': node_command('command_safety', {
                 'contract': CONTRACTS[kind], 'ramp_in_s': 0.2})},
            topic, *READ[kind], limits_of(contract)[:, :len(JOINTS)])

    return make


@pytest.fixture
def make_moving_world(make_world):
    """Return a function that takes the kind of controller, and lets the policy move the arm."""
    def make(kind):
        world = make_world(kind)
        world.start('arm_sim', *CAMERAS, 'command_safety', 'policy_server')
        world.until_it_follows()
        return world

    return make


def joint_rows(world, since_s):
    """Return what was measured since: time in s ``(n,)``, positions and speeds ``(n, 6)``."""
    rows = [(stamp_s(joints), *joints.position[:6], *joints.velocity[:6])
            for joints in world.joints if stamp_s(joints) >= since_s]
    time_s, positions, speeds = np.split(np.array(rows), [1, 7], axis=1)
    return time_s[:, 0], positions, speeds


def assert_stopped(world, since_s, limit_s):
    """Check that commands and joints came to rest in time, gently, and where they were sent."""
    assert world.rest_s(since_s) <= limit_s
    last_s = since_s + world.rest_s(since_s, with_delays=True)
    time_s, positions, speeds = joint_rows(world, since_s)
    moving = time_s[np.abs(speeds).max(axis=1) > AT_REST]
    assert len(moving) and moving[-1] <= last_s + SERVO_S + TRANSIT_S
    np.testing.assert_allclose(positions[-1], world.sent[-1][2:], atol=2e-3)
    assert_gentle(world, time_s, speeds)


def assert_gentle(world, time_s, speeds):
    """Check that the joints kept the limits of velocity, and nearly those of acceleration."""
    assert (np.abs(speeds).max(axis=0) <= 1.1 * VELOCITY).all()
    found = np.abs(speeds[5:] - speeds[:-5]) / (time_s[5:] - time_s[:-5])[:, None]
    limits = np.tile(SERVO_FACTOR * ACCELERATION, (len(found), 1))
    for before, row in pairwise(world.sent):
        if row[1] - before[1] > 1.5 * world.PERIOD_S:
            near = (time_s[5:] > before[1]) & (time_s[:-5] < row[1] + SERVO_S)
            limits[near] = np.maximum(limits[near], SERVO_STOP)
    assert (found <= limits).all(), (found / limits).max(axis=0)


def assert_stands(world):
    """Check that no joint moves for a second, when it has got where it was sent."""
    world.listen(SERVO_S + TRANSIT_S)
    before = len(world.joints)
    world.listen(1.0)
    positions = [joints.position[:6] for joints in world.joints[before:]]
    assert len(positions) > 10 and np.ptp(positions, axis=0).max() < 1e-3


def assert_ramped(world, told):
    """Check that the safety node, since it had told so much, began slowly."""
    said = [status.message for status in world.status['command_safety'][told:]]
    ramps = [k for k, text in enumerate(said) if text.startswith('RAMPING')]
    follows = [k for k, text in enumerate(said) if text.startswith('FOLLOWING')]
    assert ramps and follows and ramps[-1] < follows[-1], said


def assert_goes_on_with(world, name):
    """Check that the policy moves the arm again, slowly at first, with a process started anew."""
    told = len(world.status['command_safety'])
    world.start(name)
    world.until_it_follows()
    assert_ramped(world, told)


@pytest.mark.slow
@pytest.mark.parametrize('kind', CONTRACTS)
def test_a_killed_policy_server_leaves_the_arm_at_rest_until_the_next_one(
        make_moving_world, kind):
    world = make_moving_world(kind)
    killed_s = world.kill('policy_server')
    world.until('command_safety', f'HOLDING: {TOPICS[kind]}: no acceptable command for', '0.30 s')
    assert_stands(world)
    assert world.asked[-1][1] <= killed_s + TICK_S
    assert_stopped(world, killed_s, WATCHDOG_S + STOPPING_S + TRANSIT_S)
    assert_goes_on_with(world, 'policy_server')
    world.assert_limits_kept()


@pytest.mark.slow
@pytest.mark.parametrize('camera', CAMERAS)
def test_either_camera_killed_stops_the_policy_and_with_it_the_arm(
        make_moving_world, camera):
    world = make_moving_world('forward')
    killed_s = world.kill(camera)
    world.until('policy_server', f'{camera}/image_raw', 'old, limit 0.250 s')
    world.until('command_safety', 'HOLDING', 'no acceptable command for', '0.30 s')
    asked_s = world.asked[-1][1]
    assert_stands(world)
    assert world.asked[-1][1] == asked_s
    assert asked_s - killed_s <= MAX_AGE_S + TICK_S + SETTLE_S + TRANSIT_S
    assert_stopped(world, asked_s, WATCHDOG_S + STOPPING_S + TRANSIT_S)
    assert_goes_on_with(world, camera)
    world.assert_limits_kept()


@pytest.mark.slow
@pytest.mark.parametrize('kind', CONTRACTS)
def test_a_killed_arm_is_told_to_rest_and_followed_again_when_it_is_back(
        make_moving_world, kind):
    world = make_moving_world(kind)
    killed_s = world.kill('arm_sim')
    world.until('command_safety', 'HOLDING: joint_states: the last measurement is', '0.25 s')
    world.until('policy_server', 'old, limit 0.250 s')
    world.listen(TRANSIT_S)
    assert world.listen(1.0) == 0  # where it is when it comes back is not known yet
    assert world.rest_s(killed_s) <= MAX_AGE_S + STOPPING_S + TRANSIT_S
    assert_goes_on_with(world, 'arm_sim')
    time_s, _, speeds = joint_rows(world, killed_s + TRANSIT_S)
    assert_gentle(world, time_s, speeds)
    world.assert_limits_kept()


@pytest.mark.slow
@pytest.mark.parametrize('kind', CONTRACTS)
def test_an_arm_whose_controller_was_killed_is_held_where_it_stands(make_world, kind):
    world = make_world(kind, own_controller=True)
    world.start('arm_sim', 'encoders', 'controller', 'command_safety', 'swing')
    world.until('command_safety', 'FOLLOWING')
    world.until_more(world.sent, 100)
    told = len(world.status['command_safety'])
    killed_s = world.kill('controller')
    world.until('command_safety', 'HOLDING', 'the first command has shoulder_pan at')
    said = [status.message for status in world.status['command_safety'][told:]]
    assert any(text.startswith('STOPPING') and 'shoulder_pan was sent to' in text
               for text in said), said
    assert_stands(world)
    time_s, positions, speeds = joint_rows(world, killed_s)
    moving = time_s[np.abs(speeds).max(axis=1) > AT_REST]
    assert not len(moving) or moving[-1] <= killed_s + SERVO_S + TRANSIT_S
    stood = positions[-1]
    np.testing.assert_allclose(world.sent[-1][2:], stood, atol=2e-3)
    ahead = np.abs([row[2] - positions[-1, 0] for row in world.sent if row[1] > killed_s]).max()
    assert LAG_RAD < ahead < LAG_RAD + STOPPING_RAD
    told = len(world.status['command_safety'])
    world.start('controller')
    world.until('command_safety', 'FOLLOWING')  # the swing has come near again
    assert_ramped(world, told)
    world.until_more(world.joints, 100)
    time_s, positions, speeds = joint_rows(world, killed_s)
    assert np.ptp(positions[-50:, 0]) > 0.1
    assert_gentle(world, time_s, speeds)
    # From one command to the next, where it was sent is given up for where it stands.
    given_up, = (k for k, (before, row) in enumerate(pairwise(world.sent), start=1)
                 if row[1] > killed_s and abs(row[2] - before[2]) > LAG_RAD)
    np.testing.assert_allclose(world.sent[given_up][2:], stood, atol=2e-3)
    for part in (world.sent[:given_up], world.sent[given_up:]):
        world.sent = part
        world.assert_limits_kept()

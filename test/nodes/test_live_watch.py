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

"""A healthy robot is told to be so, over DDS, and each fault of one is named with its remedy."""

import os
from pathlib import Path
import re
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402,I100
from diffusion_policy_ros import dds_profile  # noqa: E402
from diffusion_policy_ros.nodes import live_watch, qos  # noqa: E402
from diffusion_policy_ros.nodes.live_watch import LiveWatch  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from lifecycle_msgs.srv import GetState  # noqa: E402
import rclpy  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402

DOMAIN_ID = 88
ROOT = Path(__file__).parents[2]
CONTRACT = """
robot: test
rate_hz: 10
observations:
  - {key: observation.images.cam, topic: camera/image_raw, type: sensor_msgs/msg/Image,
     image: {height: 96, width: 96}, max_age_ms: 250}
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [finger_x, finger_y], max_age_ms: 250}
actions:
  - {topic: arm_controller/commands, type: std_msgs/msg/Float64MultiArray,
     joints: [finger_x, finger_y], stamp: receive}
"""
CAMERA, JOINTS, COMMANDS = '/camera/image_raw', '/joint_states', '/arm_controller/commands'
ABSENT = {'/policy_server', '/command_safety'}
S = 10**9


class Controller(Node):
    """Has the parameters of a forward command controller, and hears its commands."""

    def __init__(self, joints=('finger_x', 'finger_y'), profile=qos.COMMANDS, **options):
        super().__init__('arm_controller', **options)
        self.declare_parameter('joints', list(joints))
        self.declare_parameter('interface_name', 'position')
        self.create_subscription(Float64MultiArray, 'arm_controller/commands', print, profile)


@pytest.fixture
def contract(tmp_path):
    path = tmp_path / 'robot.yaml'
    path.write_text(CONTRACT)
    return path


@pytest.fixture
def robot(peer, make_robot):
    """Start a camera whose pictures differ, and joints."""
    robot, random = make_robot(), np.random.default_rng(0)
    plain = robot.image
    robot.image = lambda: {**plain, 'data': random.bytes(96 * 288)}
    return robot


@pytest.fixture
def watch(peer, contract):
    """Return a function that watches the robot, and returns levels and texts by name."""
    def run(seconds=1.5, *, controller=True, use_sim_time=False, **options):
        if controller:
            peer.start(lambda **given: Controller(**options, **given), use_sim_time=use_sim_time)
        node = peer.start(LiveWatch, contract=str(contract), seconds=seconds)
        peer.until(lambda: node.findings is not None, 'the end of the watch')
        peer.own = [name for name, _ in peer.node.get_publisher_names_and_types_by_node(
            'dpr_doctor', '/')]
        found = {}
        for finding in node.findings:
            found.setdefault(finding.name, []).append(
                (finding.level, f'{finding.value} -> {finding.remedy}'))
        return found
    return run


# What a busy machine does to a healthy robot.
BUSY = ('dropped: ', 'rate: ', 'gap: ', 'age: ')


def faults(found):
    """Return the names with a line that does not say OK, whatever a busy machine did."""
    return {name for name, lines in found.items()
            if any(level != 'OK' and not text.startswith(BUSY) for level, text in lines)} - ABSENT


@pytest.mark.slow
def test_a_healthy_robot_is_ok_and_nothing_is_published_to_it(peer, robot, watch):
    found = watch(seconds=3.0)
    assert not faults(found)
    for name in (CAMERA, JOINTS):
        measured = re.search(r'([0-9.]+) Hz, age p50 .* of 250, jitter p99', found[name][0][1])
        rate_hz = float(measured.group(1))
        assert 10 < rate_hz < 45
    assert 'joints come as finger_y, finger_x, and are read by name' in found[JOINTS][0][1]
    assert found[COMMANDS] == [('OK', 'taken by /arm_controller; sent by nobody yet -> ')]
    assert found['/arm_controller'][0][1].startswith("takes the contract's joints")
    assert {found[name][0][0] for name in ABSENT} == {'WARN'}
    assert set(peer.own) <= {'/parameter_events'}


def of_joints(**fields):
    return lambda robot: setattr(robot, 'joints', {**robot.joints, **fields})


def of_image(**fields):
    def change(robot):
        plain = robot.image
        robot.image = lambda: {**plain(), **fields}
    return change


def of_stamps(function):
    def change(robot):
        now_ns = robot.now_ns
        robot.now_ns = lambda: function(now_ns())
    return change


@pytest.mark.parametrize('change, name, level, words', [
    (of_joints(name=['finger_y', 'thumb']), JOINTS, 'ERROR', 'no joint finger_x in the message'),
    (of_joints(position=[0.1, float('nan')]), JOINTS, 'ERROR', 'finger_x is nan'),
    (of_image(height=48, data=bytes(48 * 288)), CAMERA, 'ERROR', 'cannot be used'),
    (of_image(encoding='odd'), CAMERA, 'ERROR', "unknown encoding 'odd'"),
    (of_stamps(lambda now_ns: 0), CAMERA, 'ERROR', 'the header has no time'),
    (of_stamps(lambda now_ns: time.monotonic_ns()), JOINTS, 'ERROR', 'the time since boot'),
    (of_stamps(lambda now_ns: now_ns - S), CAMERA, 'ERROR', 'older than 250 ms on arrival'),
    (of_stamps(lambda now_ns: now_ns + S // 4), JOINTS, 'ERROR', 'is ahead of this machine'),
], ids=['joint', 'nan', 'size', 'encoding', 'no-stamp', 'boot', 'old', 'ahead'])
def test_a_fault_of_a_stream_is_named(robot, watch, change, name, level, words):
    change(robot)
    found = watch()
    assert any(line[0] == level and words in line[1] for line in found[name]), found[name]


@pytest.mark.slow
def test_a_stream_whose_last_message_is_held_may_come_when_it_likes(peer, robot, contract, watch):
    contract.write_text(CONTRACT.replace('actions:', """  - {key: observation.environment_state,
     topic: goal_pose, type: geometry_msgs/msg/PoseStamped, max_age_ms: 200, on_stale: hold}
actions:"""))
    goal = peer.node.create_publisher(PoseStamped, 'goal_pose', qos.ROBOT_STATE)

    def publish():
        message = PoseStamped()
        message.pose.orientation.w = 1.0
        message.header.stamp = peer.node.get_clock().now().to_msg()
        goal.publish(message)

    peer.node.create_timer(1.3, publish)
    (level, text), = watch(seconds=4.0)['/goal_pose']
    assert level == 'OK' and re.match(r'0\.[78] Hz', text)


def test_where_the_robot_is_comes_as_a_command_in_the_order_of_the_contract(peer, robot, watch):
    robot.joints = {'name': ['finger_y', 'finger_x'], 'position': [0.25, -1.5]}
    (level, text), = watch()[f'/policy{COMMANDS}']
    assert level == 'OK' and text.startswith('where finger_x, finger_y are now')
    command = text.splitlines()[1].strip().removesuffix(' ->')
    assert command == ('ros2 topic pub -r 20 /policy/arm_controller/commands '
                       "std_msgs/msg/Float64MultiArray '{data: [-1.5000, 0.2500]}'")


def test_stamps_that_go_back_are_counted(robot, watch):
    steps = iter(range(10**6))
    of_stamps(lambda now_ns: now_ns - next(steps) % 3 * 60_000_000)(robot)
    found = watch()
    assert any('are stamped before the one ahead of them' in text for _, text in found[CAMERA])


@pytest.mark.slow
def test_a_slow_camera_is_told_its_rate_and_the_contract(robot, watch):
    plain, ticks = robot.image, iter(range(10**6))
    robot.image = lambda: plain() if next(ticks) % 6 == 0 else None
    found = watch(seconds=3.0)
    assert any(level == 'WARN' and text.startswith('rate: up to') and 'in the contract' in text
               for level, text in found[CAMERA]), found[CAMERA]


@pytest.mark.slow
def test_pictures_that_do_not_arrive_are_seen_in_the_stamps(robot, watch):
    plain, ticks = robot.image, iter(range(10**6))
    robot.image = lambda: None if next(ticks) % 30 in (20, 21, 22) else plain()
    found = watch(seconds=4.0)
    assert any('dropped: the header stamps skip' in text for _, text in found[CAMERA]), \
        found[CAMERA]


def test_pictures_that_fast_dds_would_lose_are_told_before_they_are(robot, watch, monkeypatch):
    monkeypatch.setattr(dds_profile, 'DEFAULT_SEGMENT_BYTES', 96 * 96 * 3)
    for name in (dds_profile.profile_variable(), 'FASTDDS_BUILTIN_TRANSPORTS'):
        monkeypatch.delenv(name, raising=False)
    found = watch()
    assert any('many will be lost' in text and 'config/fastdds.xml' in text
               for _, text in found[CAMERA]), found[CAMERA]
    assert faults(found) == {CAMERA}


def test_a_publisher_that_says_nothing_is_told(robot, watch, monkeypatch):
    monkeypatch.setattr(live_watch, 'FIRST_S', 1.0)
    robot.image = None
    (level, text), = watch()[CAMERA]
    assert level == 'ERROR' and 'nothing has arrived yet' in text


@pytest.fixture
def stranger(peer):
    """Start a node in another participant, which may have other types on the same topics."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN_ID)
    node = rclpy.create_node('stranger', context=context)
    yield node
    node.destroy_node()
    rclpy.try_shutdown(context=context)


@pytest.mark.slow
def test_what_is_there_by_another_name_is_suggested_and_other_types_are_named(
        peer, stranger, watch):
    node = peer.node
    node.create_publisher(JointState, 'left/joint_states', qos.ROBOT_STATE)
    stranger.create_publisher(PoseStamped, 'camera/image_raw', qos.ROBOT_STATE)
    node.create_subscription(Float64MultiArray, 'left/arm_controller/commands', print, 1)
    found = watch(controller=False)
    (level, text), = found[JOINTS]
    assert level == 'ERROR' and 'give everything the namespace left' in text
    assert found[CAMERA][0][0] == 'ERROR'
    assert 'carries geometry_msgs/msg/PoseStamped, the contract says' in found[CAMERA][0][1]
    (level, text), = found[COMMANDS]
    assert level == 'ERROR' and 'nobody listens' in text and '/left/arm_controller' in text
    assert found['/arm_controller'][0][0] == 'WARN'


def test_second_publishers_are_named(peer, robot, watch):
    peer.node.create_publisher(JointState, 'joint_states', qos.ROBOT_STATE)
    for _ in range(2):
        peer.node.create_publisher(Float64MultiArray, 'arm_controller/commands', qos.COMMANDS)
    found = watch()
    assert found[JOINTS][0][0] == 'WARN' and 'has 2 publishers: /peer' in found[JOINTS][0][1]
    assert found[COMMANDS][0][0] == 'WARN' and 'has 2 publishers' in found[COMMANDS][0][1]


def test_two_that_obey_the_same_commands_are_named_and_an_onlooker_is_none(peer, robot, watch):
    peer.start(lambda **given: Node('eval_observer', **given)).create_subscription(
        Float64MultiArray, 'arm_controller/commands', print, 1)
    assert watch()[COMMANDS] == [('OK', 'taken by /arm_controller; sent by nobody yet -> ')]
    found = watch()  # which starts a second controller
    (level, text), = found[COMMANDS]
    assert level == 'WARN'
    assert text.startswith('has 2 takers: /arm_controller, /arm_controller -> ')


def test_a_controller_of_another_order_is_an_error(robot, watch):
    found = watch(joints=('finger_y', 'finger_x'))
    assert faults(found) == {'/arm_controller'}
    (level, text), = found['/arm_controller']
    assert level == 'ERROR' and 'in the order (finger_y, finger_x)' in text
    assert 'give the controller "joints: [finger_x, finger_y]"' in text


def test_a_controller_that_asks_for_more_than_is_offered_is_an_error(robot, watch):
    found = watch(profile=QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    (level, text), = found[COMMANDS]
    assert level == 'ERROR' and '/arm_controller asks for more' in text


class Server(Node):
    """Is in a lifecycle state, and says something about itself."""

    def __init__(self, label, level, **options):
        super().__init__('policy_server', **options)
        self._label = label
        self.create_service(GetState, '~/get_state', self._answer)
        self._status = self.create_publisher(DiagnosticStatus, '~/status', qos.STATUS)
        self._status.publish(DiagnosticStatus(level=level, message='the camera is late'))

    def _answer(self, request, response):
        response.current_state.label = self._label
        return response


@pytest.mark.parametrize('label, status, level, text', [
    ('unconfigured', DiagnosticStatus.OK, 'WARN',
     'unconfigured; it says: the camera is late -> ros2 lifecycle set /policy_server configure'),
    ('active', DiagnosticStatus.OK, 'OK',
     'active; it says: the camera is late -> see docs/faults.md'),
    ('active', DiagnosticStatus.ERROR, 'ERROR',
     'active; it says: the camera is late -> see docs/faults.md')])
def test_the_state_of_a_node_is_told_with_what_it_says(peer, watch, label, status, level, text):
    peer.start(lambda **given: Server(label, status, **given))
    assert watch()['/policy_server'] == [(level, text)]


def test_a_policy_that_goes_past_the_safety_node_and_a_listener_of_another_type_are_named(
        peer, stranger, watch):
    node = peer.start(lambda **given: Server('active', DiagnosticStatus.OK, **given))
    node.create_publisher(Float64MultiArray, 'arm_controller/commands', qos.COMMANDS)
    stranger.create_subscription(JointState, 'arm_controller/commands', print, qos.COMMANDS)
    (_, wrong), (_, past) = watch()[COMMANDS]
    assert 'its listener: /arm_controller/commands carries sensor_msgs/msg/JointState' in wrong
    assert 'commands it directly, past command_safety' in past


def start_clock(peer):
    """Publish simulated time at 30 Hz; return a function that tells it."""
    publisher = peer.node.create_publisher(Clock, '/clock', 10)
    began_ns = time.monotonic_ns() - 500 * S

    def now_ns():
        return time.monotonic_ns() - began_ns

    def publish():
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(now_ns(), S)
        publisher.publish(message)

    peer.node.create_timer(1 / 30, publish)
    return now_ns


def test_a_simulated_robot_is_dated_by_its_clock(peer, robot, watch):
    robot.now_ns = start_clock(peer)
    found = watch(use_sim_time=True)
    assert not faults(found)
    assert found['/clock'][0][1].endswith('x real time; used by /arm_controller -> ')
    assert 'age p50' in found[JOINTS][0][1]


def test_a_driver_that_stamps_with_the_time_of_day_in_a_simulation_is_named(peer, robot, watch):
    start_clock(peer)
    found = watch()
    assert any('stamped by the time of day, arrivals are dated by /clock' in text
               for _, text in found[JOINTS]), found[JOINTS]
    assert '/arm_controller' in found['/clock'][0][1]


def test_nodes_that_wait_for_a_clock_that_is_not_there_are_named(peer, robot, watch):
    found = watch(use_sim_time=True)
    (level, text), = found['/clock']
    assert level == 'ERROR' and '/arm_controller waits for it' in text


@pytest.mark.slow
@pytest.mark.parametrize('position, code', [(0.2, 0), (float('nan'), 1)])
def test_the_command_prints_the_findings_and_its_exit_code_tells(
        peer, robot, contract, position, code):
    robot.joints['position'][0] = position
    peer.start(Controller)
    done = subprocess.Popen(
        [sys.executable, '-m', 'diffusion_policy_ros.cli.main', 'doctor', '--contract',
         str(contract), '--live', '--seconds', '1'], cwd=ROOT, stdout=subprocess.PIPE,
        env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID)}, text=True)
    peer.until(lambda: done.poll() is not None, 'the end of dpr doctor')
    said = done.communicate()[0]
    assert done.returncode == code, said
    assert 'watching for 1 s' in said and f'{JOINTS} ' in said
    assert ('finger_y is nan' in said) == bool(code)

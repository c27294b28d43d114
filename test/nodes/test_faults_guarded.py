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
"""Faults of docs/faults.md in clocks and connections; most with the safety node before a robot."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('torch')
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402,I100
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.command_safety import CommandSafety  # noqa: E402
from diffusion_policy_ros.nodes.policy_server import PolicyServer  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Bool  # noqa: E402

DOMAIN_ID = 66
# Joints in a process of their own, which go where they are told. They tremble, as real encoders
# do: DDS may find their end of the commands again after that of the measurements, and joints
# that do not change in a single bit when sent on are taken for frozen ones.
JOINTS = """
import random
import rclpy
from sensor_msgs.msg import JointState
rclpy.init()
node = rclpy.create_node('joints')
publisher = node.create_publisher(JointState, 'joint_states', 10)
state = JointState(name=['finger_x', 'finger_y'], position=[0.25, 0.25])
def follow(command):
    state.position = command.position
def show():
    state.header.stamp = node.get_clock().now().to_msg()
    at = state.position
    state.position = [angle + random.uniform(-1e-6, 1e-6) for angle in at]
    publisher.publish(state)
    state.position = at
node.create_subscription(JointState, 'joint_commands', follow, 10)
node.create_timer(0.02, show)
rclpy.spin(node)
"""


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small untrained policy; its folder."""
    return save_tiny_policy(n_action_steps=4)


def _stamp_ns(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def _comes_back(server):
    server.until_status('commanding')
    server.until_commands(5)


class _Guard:
    """The safety node between server and robot, and what it says."""

    def __init__(self, peer, server, model, **parameters):
        self._peer, self.said = peer, peer.hear(
            DiagnosticStatus, 'command_safety/status', qos.STATUS)
        for name, value in (('command_prefix', 'policy'), ('command_rate_hz', 30.0)):
            assert server.set(name, value).successful
        node = peer.start(CommandSafety, contract=str(model / 'contract.yaml'), ramp_in_s=0.1,
                          max_jump_s=10.0, **parameters)
        node.trigger_configure()
        node.trigger_activate()
        server.activate()

    def until(self, words):
        """Wait for a state, with its reason."""
        self._peer.until(lambda: self.said and words in self.said[-1].message, words)

    def until_it_stays(self, state):
        """Wait for a state that lasts over a second: it repeats its status every second."""
        self.said.clear()
        self._peer.until(lambda: len(self.said) > 2 and all(
            status.message.startswith(state) for status in self.said[-3:]), f'only {state}')


def _obey(peer, server):
    """Let the joints go where they are told."""
    peer.robot.joints = lambda: {'name': ['finger_x', 'finger_y'], 'position': (
        server.commands[-1].position if server.commands else [0.25, 0.25])}


def _clocked(peer, model, make_robot, make_server_client, **parameters):
    """Start a server on simulated time that the test may stop; return it and the switch."""
    clock = peer.node.create_publisher(Clock, '/clock', qos.EVENTS)
    robot, runs = make_robot(), [True]
    state = {'ns': 1000 * 10**9, 'at': time.monotonic_ns()}

    def now_ns():
        now = time.monotonic_ns()
        if runs[0]:
            state['ns'] += now - state['at']
        state['at'] = now
        return state['ns']

    def show():
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(now_ns(), 10**9)
        clock.publish(message)

    robot.now_ns = now_ns
    peer.node.create_timer(0.005, show)
    peer.server_node = peer.start(PolicyServer, model=str(model), num_threads=1,
                                  use_sim_time=True, **parameters)
    return make_server_client(), runs, state


def test_a_clock_that_jumps_back_holds_until_new_observations(
        peer, model, make_robot, make_server_client):
    server, _, state = _clocked(peer, model, make_robot, make_server_client)
    server.activate()
    server.until_commands(3)
    state['ns'] -= 300 * 10**9
    peer.until(lambda: _stamp_ns(server.commands[-1]) < 900 * 10**9, 'commands in the new time')
    assert any('jumped backwards' in status.message for status in server.status)


def test_a_clock_that_jumps_ahead_holds_until_new_observations(
        peer, model, make_robot, make_server_client):
    server, _, state = _clocked(peer, model, make_robot, make_server_client)
    server.activate()
    server.until_commands(3)
    told = len(server.status)
    state['ns'] += 300 * 10**9
    peer.until(lambda: _stamp_ns(server.commands[-1]) > 1200 * 10**9, 'commands in the new time')
    assert any(status.level == DiagnosticStatus.ERROR for status in server.status[told:])


@pytest.mark.slow
def test_a_clock_that_stops_holds_until_it_runs_again(
        peer, model, make_robot, make_server_client):
    server, runs, _ = _clocked(peer, model, make_robot, make_server_client)
    server.activate()
    server.until_commands(3)
    runs[0] = False
    server.until_status('the ROS clock stands still')
    before = len(server.commands)
    seen = peer.hear(Clock, '/clock', qos.EVENTS)
    peer.until(lambda: len(seen) > 100, 'more messages of the standing clock')
    assert len(server.commands) == before
    runs[0] = True
    _comes_back(server)


@pytest.mark.slow
def test_a_clock_may_wait_for_the_policy_where_it_is_told_so(
        peer, model, make_robot, make_server_client):
    server, runs, _ = _clocked(peer, model, make_robot, make_server_client, clock_timeout_s=0.0)
    server.activate()
    server.until_commands(3)
    runs[0] = False
    diagnosed = peer.hear(DiagnosticArray, '/diagnostics', qos.EVENTS)
    peer.until(lambda: len(diagnosed) > 4 and _stamp_ns(diagnosed[-1]) == _stamp_ns(diagnosed[-4]),
               'diagnostics, once a second, of a standing clock', 20.0)
    assert not any('stands still' in status.message for status in server.status)
    runs[0] = True
    server.until_commands(5)


@pytest.mark.parametrize('jump_s', [
    -300, pytest.param(300, marks=pytest.mark.slow, id='300')])
def test_after_a_jump_of_the_clock_the_safety_node_follows_again(
        peer, model, make_robot, make_server_client, jump_s):
    server, _, state = _clocked(peer, model, make_robot, make_server_client)
    _obey(peer, server)
    guard = _Guard(peer, server, model, use_sim_time=True)
    guard.until('FOLLOWING')
    asked = peer.hear(JointState, 'policy/joint_commands', qos.COMMANDS)
    state['ns'] += jump_s * 10**9
    peer.until(lambda: asked and abs(_stamp_ns(asked[-1]) - state['ns']) < 10**9,
               'commands in the new time')
    guard.until_it_stays('FOLLOWING')


@pytest.mark.slow
def test_while_the_clock_stands_the_safety_node_brakes_and_holds(
        peer, model, make_robot, make_server_client):
    server, runs, _ = _clocked(peer, model, make_robot, make_server_client)
    _obey(peer, server)
    guard = _Guard(peer, server, model, use_sim_time=True)
    guard.until('FOLLOWING')
    runs[0] = False
    guard.until('HOLDING: joint_commands: no acceptable command for')
    guard.until_it_stays('HOLDING')
    runs[0] = True
    guard.until('FOLLOWING')


@pytest.mark.slow
def test_a_button_that_goes_away_leaves_the_emergency_stop_as_it_was(peer, server, model):
    _obey(peer, server)
    guard = _Guard(peer, server, model)
    guard.until('FOLLOWING')

    def press_and_leave(pressed, until):
        button = peer.node.create_publisher(Bool, 'e_stop', qos.STATUS)
        button.publish(Bool(data=pressed))
        until()
        peer.node.destroy_publisher(button)

    press_and_leave(True, lambda: guard.until('ESTOP: emergency stop by the e_stop topic'))
    guard.until_it_stays('ESTOP')
    success, reason = peer.ask('command_safety/rearm')
    assert not success and 'still says true' in reason
    press_and_leave(False, lambda: peer.until(
        lambda: peer.ask('command_safety/rearm')[0], 'the button to be heard'))
    guard.until('FOLLOWING')
    guard.until_it_stays('FOLLOWING')


@pytest.mark.slow
def test_peers_that_dds_has_lost_are_followed_again_when_they_are_back(peer, server, model):
    peer.robot.joints = None
    robot = subprocess.Popen([sys.executable, '-c', JOINTS],
                             env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID)})
    try:
        guard = _Guard(peer, server, model)
        guard.until('FOLLOWING')
        before = peer.node.count_publishers('joint_states')
        robot.send_signal(signal.SIGSTOP)  # as if its cable were cut: no word of farewell
        server.until_status('joint_states', 'old, limit 0.250 s')
        guard.until('HOLDING: joint_states: the last measurement is')
        peer.until(lambda: peer.node.count_publishers('joint_states') < before, 'the loss')
        assert server.stays_silent()
        robot.send_signal(signal.SIGCONT)
        _comes_back(server)
        guard.until('FOLLOWING')
    finally:
        robot.kill()
        robot.wait()

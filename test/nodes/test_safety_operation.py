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

"""The safety node over real DDS: its lifecycle, buttons and switches, and how it ends."""

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
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402,I100
from diffusion_policy_ros.nodes import qos  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Bool  # noqa: E402

DOMAIN_ID = 70
ROOT = Path(__file__).parents[2]
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


def test_the_lifecycle_goes_round_and_only_an_active_node_publishes(guarded):
    world = guarded()
    world.arm.wanted = [0.1, 0.1]
    assert world.listen(0.3) == 0 and world.said() == 'unconfigured'
    assert world.peer.ask('command_safety/trip')[0]
    world.until('unconfigured; with an emergency stop by the service ~/trip')
    assert world.peer.ask('command_safety/rearm') == (True, 'armed')
    world.until('unconfigured')
    for _ in range(2):
        assert world.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert world.listen(0.3) == 0
        world.until('inactive')
        assert world.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        world.until('FOLLOWING')
        assert world.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
        world.assert_at_rest()
        assert world.listen(0.3) == 0
        assert world.node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    world.activate()
    world.until('FOLLOWING')
    assert world.node.trigger_shutdown() == TransitionCallbackReturn.SUCCESS
    assert world.listen(0.3) == 0
    world.until('finalized')


@pytest.mark.parametrize('profile', [qos.STATUS, qos.EVENTS, qos.VECTORS])
def test_an_emergency_stop_is_latched_until_it_is_rearmed(guarded, profile):
    world = guarded()
    button = world.peer.node.create_publisher(Bool, 'e_stop', profile)
    world.wave()
    world.peer.until(lambda: button.get_subscription_count() >= 1, 'the node to listen')
    # Pressed now and then: a flood of it would push the braking out of the queues of this test.
    pressing = world.peer.node.create_timer(0.05, lambda: button.publish(Bool(data=True)))
    world.peer.until(lambda: 'ESTOP' in world.said(), 'a stop')
    world.peer.node.destroy_timer(pressing)
    assert world.listen(world.arm.STOPPING_S + 1.0) > 0 and world.listen(0.2) == 0
    world.assert_limits_kept()
    world.assert_at_rest()
    success, message = world.peer.ask('command_safety/rearm')
    assert not success and 'release the button' in message
    button.publish(Bool(data=False))
    assert world.listen(0.3) == 0 and 'ESTOP' in world.said()
    world.arm.wanted = lambda: list(world.arm.at.values())[:2]
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
    world.arm.wanted = [0.1, 0.1]
    world.until('ESTOP', '~/trip')
    assert world.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert world.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    world.until('ESTOP')
    assert world.listen(0.5) == 0
    assert world.peer.ask('command_safety/rearm')[0]
    world.until('FOLLOWING')


def test_a_robot_that_says_it_is_not_ready_any_more_stops_until_it_is_rearmed(guarded):
    world = guarded(ready_topic='driver/ready')
    node, wanted = world.peer.node, [0.1, 0.1]
    world.activate()
    world.arm.wanted = lambda: wanted
    world.until('HOLDING: nobody publishes /driver/ready')
    driver = node.create_publisher(Bool, 'driver/ready', qos.EVENTS)  # a driver repeats itself
    world.until('HOLDING: /driver/ready has said nothing yet')
    saying = node.create_timer(0.05, lambda: driver.publish(Bool(data=True)))
    world.until('FOLLOWING')
    wanted[:] = 0.45, -0.45
    world.until_rows(20)
    node.destroy_timer(saying)
    saying = node.create_timer(0.05, lambda: driver.publish(Bool(data=False)))
    world.until('HOLDING: /driver/ready says that the robot is not ready')
    world.assert_at_rest()
    success, message = world.peer.ask('command_safety/rearm')
    assert not success and '/driver/ready says' in message
    assert world.facts()['ready'] == message
    node.destroy_timer(saying)
    node.create_timer(0.05, lambda: driver.publish(Bool(data=True)))
    world.until('HOLDING: /driver/ready says that the robot is not ready; call ~/rearm')
    assert world.peer.ask('command_safety/rearm') == (True, 'armed')
    world.until('FOLLOWING')
    world.assert_limits_kept()


def test_a_driver_that_says_once_that_its_robot_is_ready_is_believed_while_it_is_there(
        peer, guarded):
    driver = peer.node.create_publisher(Bool, 'ready', qos.STATUS)
    driver.publish(Bool(data=True))
    world = guarded(ready_topic='ready')
    world.follow([0.1, 0.1])
    assert world.facts()['ready'] == 'true'
    peer.node.destroy_publisher(driver)
    world.until('HOLDING: nobody publishes /ready')
    peer.node.create_publisher(Bool, 'ready', qos.STATUS).publish(Bool(data=True))
    world.until('HOLDING: nobody publishes /ready', 'call ~/rearm')
    assert world.peer.ask('command_safety/rearm')[0]
    world.until('FOLLOWING')
    peer.node.create_publisher(Bool, 'ready', qos.STATUS)
    world.until('HOLDING: /ready has 2 publishers', 'only one may say that it is ready')


@pytest.mark.parametrize('topic, words', [
    ('a name', "ready_topic is 'a name', which can be no name of a topic"),
    ('joint_states', 'joint_states carries sensor_msgs/msg/JointState')])
def test_a_topic_that_cannot_tell_that_the_robot_is_ready_is_named(guarded, topic, words):
    world = guarded(ready_topic=topic)
    if world.node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
        world.node.trigger_activate()
    world.until(words)


def test_the_speed_scale_changes_while_the_robot_moves(guarded):
    world = guarded(ramp_in_s=0.0, speed_scale=0.2)
    world.follow([0.49, -0.49])
    world.until_rows(50)
    speed = np.abs(np.diff(np.array(world.rows), axis=0)).max() / world.PERIOD_S
    assert 0.15 < speed <= 0.2 + 1e-9
    assert world.set('speed_scale', 0)
    world.until('HOLDING: speed_scale is 0')
    world.assert_at_rest()
    assert not world.set('speed_scale', 1.1) and not world.set('speed_scale', -0.1)
    assert world.set('speed_scale', 1.0)
    world.until('FOLLOWING')
    world.peer.until(lambda: abs(world.rows[-1][0] - 0.49) < 1e-3, 'the target')
    world.assert_limits_kept()


def test_a_dry_run_tells_everything_and_sends_nothing(guarded):
    world = guarded(dry_run=True)
    assert world.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    world.until('inactive')
    assert world.facts()['dry run'] == 'true'
    assert world.node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    heard = world.peer.hear(JointState, 'arm', qos.EVENTS)
    world.activate()
    world.arm.wanted = [0.1, -0.1]
    world.until('dry run, FOLLOWING')
    assert world.rows == [] and heard == []
    assert world.facts()['dry run'] == 'true'


def test_a_dry_run_begins_and_ends_at_rest_where_the_robot_is(guarded):
    world = guarded()
    world.wave()
    assert world.set('dry_run', True)
    world.until('dry run, FOLLOWING')
    assert world.listen(0.3) == 0
    world.assert_limits_kept()
    world.assert_at_rest()
    where, count = [world.arm.at[name] for name in 'ab'], len(world.rows)
    assert world.set('dry_run', False)
    world.until_rows()
    assert world.rows[count][:2] == pytest.approx(where, abs=1e-6)
    world.assert_limits_kept(count)


def test_deactivation_while_the_robot_moves_brakes_it_first(guarded):
    world = guarded()
    world.wave()
    before = len(world.rows)
    begin_s = time.monotonic()
    assert world.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert time.monotonic() - begin_s < world.arm.STOPPING_S + 1.0
    assert len(world.rows) > before + 5
    world.assert_limits_kept()
    world.assert_at_rest()
    assert world.listen(0.2) == 0


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
    world = guarded()
    world.activate()
    with process(COMMANDER) as child:
        world.until('FOLLOWING')
        world.peer.until(lambda: abs(world.rows[-1][0] - world.rows[-2][0]) > 0.005, 'some speed')
        before = len(world.rows)
        child.send_signal(signal.SIGKILL)
        world.until('HOLDING: arm: no acceptable command for')
    moving = np.abs(np.diff(np.array(world.rows[before:]), axis=0)).max(axis=1) > 0
    assert 0 < moving.sum() * world.PERIOD_S <= 0.2 + world.arm.STOPPING_S + 0.1
    world.assert_limits_kept()
    world.assert_at_rest()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_brakes_the_robot_and_ends_the_node_cleanly(
        peer, tmp_path, make_arm, arm_contract, number):
    path = tmp_path / 'contract.yaml'
    path.write_text(arm_contract)
    arm, heard = make_arm(), peer.hear(JointState, 'arm', qos.EVENTS)
    arm.wanted = lambda: [0.6 * math.sin(3 * time.monotonic())] * 2
    with process(MAIN, '--ros-args', '-p', f'contract:={path}', '-p', 'ramp_in_s:=0.2') as child:
        assert peer.change('command_safety', 'CONFIGURE')
        assert peer.change('command_safety', 'ACTIVATE')
        peer.until(lambda: len(heard) > 1 and abs(
            heard[-1].position[0] - heard[-2].position[0]) > 0.005, 'some speed')
        child.send_signal(number)
        peer.until(lambda: child.poll() is not None, 'the end')
        assert child.returncode == 0
        assert 'Traceback' not in child.stderr.read()
    peer.until(lambda: arm.at['a'] == heard[-1].position[0], 'the last command')
    last_step = np.abs(np.subtract(heard[-1].position, heard[-2].position))
    # The last one to rest under the jerk limit; three periods, since a message may be lost.
    assert last_step.max() <= 40.0 * 0.03**3 / 6 * (1 + 1e-6)

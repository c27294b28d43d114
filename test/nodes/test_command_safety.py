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

import math

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402,I100
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.safety_topics import SafetyTopics  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.node import Node  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray, String  # noqa: E402

DOMAIN_ID = 51
GRIPPER = """
  - {topic: gripper, type: std_msgs/msg/Float64MultiArray, names: [g], stamp: receive,
     interpolation: hold}
"""
GRIPPER_LIMIT = """
  g: {position: [0, 1], velocity: 3.0}
"""
URDF = """<robot name="test"><link name="l0"/><link name="l1"/><link name="l2"/>
<joint name="a" type="revolute"><parent link="l0"/><child link="l1"/>
<limit lower="-0.3" upper="0.3" velocity="5" effort="1"/></joint>
<joint name="b" type="revolute"><parent link="l1"/><child link="l2"/>
<limit lower="-3" upper="3" velocity="5" effort="1"/></joint></robot>"""


def test_commands_reach_the_controller_within_their_limits_and_at_the_rate(guarded):
    world = guarded()
    heard = world.peer.hear(JointState, 'arm', qos.EVENTS)
    world.wave()
    world.peer.until(lambda: len(heard) > 200, 'commands at the controller')
    world.assert_limits_kept()
    sent = {tuple(row) for row in world.rows}
    assert all(tuple(message.position) in sent for message in heard[:-1])
    assert list(heard[-1].name) == ['a', 'b']
    stamps = np.array([m.header.stamp.sec + m.header.stamp.nanosec * 1e-9 for m in heard])
    assert np.median(np.diff(stamps)) == pytest.approx(world.PERIOD_S, rel=0.1)


def test_without_commands_the_robot_is_held_where_it_is(guarded):
    world = guarded()
    world.arm.at.update(a=0.25, b=-0.5)
    world.activate()
    world.until_rows()
    assert world.rows[-1] == pytest.approx([0.25, -0.5])
    world.until('HOLDING: arm: no command yet')


def test_a_silent_policy_stops_the_robot_in_time_and_within_the_limits(guarded):
    world = guarded()
    world.wave()
    world.arm.wanted, before = None, len(world.rows)
    world.until('HOLDING', 'no acceptable command for', 'limit 0.20 s')
    moving = np.abs(np.diff(np.array(world.rows[before:]), axis=0)).max(axis=1) > 0
    # The last 0.1 s for commands that were still on their way.
    assert moving.sum() * world.PERIOD_S <= 0.2 + world.arm.STOPPING_S + 0.1
    world.assert_limits_kept()
    world.assert_at_rest()
    assert world.facts()['watchdog trips'] == '1'
    world.arm.wanted = lambda: list(world.rows[-1])
    world.until('FOLLOWING')


def test_a_first_command_far_away_is_not_followed(guarded):
    world = guarded()
    world.activate()
    world.arm.wanted = [0.6, 0.0]
    world.until('HOLDING', 'the first command has a at 0.6', 'measured at 0')
    world.until_rows()
    assert np.ptp(world.rows, axis=0).max() == 0
    world.arm.wanted = [0.4, 0.0]
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
    world.arm.wanted = None
    timer = world.peer.node.create_timer(1 / 30, lambda: world.arm.send(**bad))
    world.until('HOLDING', 'no acceptable command for', 'last refused')
    assert int(world.facts()[f'arm refused for {cause}']) > 3
    world.assert_limits_kept()
    world.peer.node.destroy_timer(timer)


def test_two_publishers_stop_the_robot_until_one_is_left(guarded):
    world = guarded()
    world.follow()
    second = world.peer.node.create_publisher(JointState, 'policy/arm', qos.COMMANDS)
    world.until('HOLDING', 'policy/arm has 2 publishers: /peer', 'only one')
    world.until_rows(3)  # where this process stood still meanwhile, it holds what it measures
    world.assert_limits_kept()
    world.assert_at_rest()
    world.peer.node.destroy_publisher(second)
    world.until('FOLLOWING')


def test_two_publishers_at_the_start_move_nothing(guarded):
    world = guarded()
    world.arm.wanted = [0.3, 0.3]
    world.peer.node.create_publisher(JointState, 'policy/arm', qos.COMMANDS)
    assert world.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    world.peer.until(lambda: world.peer.node.count_publishers('policy/arm') == 2, 'both')
    assert world.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    world.until('has 2 publishers')
    world.until_rows(100)
    assert np.ptp(world.rows, axis=0).max() == 0


def test_beside_a_second_safety_node_neither_sends_anything(guarded, arm_contract):
    world = guarded()
    world.follow()
    twin = guarded(arm_contract)
    twin.activate()
    world.until('HOLDING: another node /command_safety publishes /arm; end one of the two')
    world.peer.until(lambda: world.listen(0.3) == 0, 'silence of both')
    world.assert_limits_kept()
    world.assert_at_rest()
    world.peer.stop(twin.node)
    world.until('FOLLOWING')


def test_topics_of_another_type_are_named(guarded):
    world = guarded()
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
    stranger.create_publisher(String, 'e_stop', qos.EVENTS)
    world.until('HOLDING: /e_stop carries std_msgs/msg/String, command_safety says')
    stranger.destroy_node()
    rclpy.shutdown(context=context)


def test_somebody_who_commands_the_controller_directly_is_named(guarded):
    world = guarded()
    world.follow()
    world.peer.node.create_publisher(JointState, 'arm', qos.COMMANDS)
    world.peer.until(lambda: '/arm has 2 publishers' in world.facts()['commands past this node'],
                     'the name')
    world.peer.until(lambda: world.status[-1].level == DiagnosticStatus.WARN, 'a warning')


def test_stale_joints_stop_the_robot_and_leave_it_alone(guarded):
    world = guarded()
    world.wave()
    world.arm.at = None
    world.until('HOLDING: joint_states: the last measurement is', 'limit 0.30 s')
    world.assert_limits_kept()
    world.assert_at_rest()
    assert world.listen(0.3) == 0
    world.arm.at = {'a': 0.2, 'b': 0.2, 'g': 0.5}
    world.arm.wanted = [0.3, 0.3]
    world.until('FOLLOWING')


def test_a_measurement_that_is_no_number_counts_as_none(guarded):
    world = guarded()
    world.follow()
    world.arm.follows = False
    world.arm.at = {'a': math.nan, 'b': 0.2, 'g': 0.5}
    world.until('HOLDING: joint_states:', 'a is nan')


def test_limits_of_the_robot_description_count_too(guarded):
    world = guarded(use_robot_description=True)
    world.arm.wanted = [0.49, 0.49]
    world.activate()
    world.until('HOLDING: waiting for the topic robot_description')
    assert world.rows == []
    publisher = world.peer.node.create_publisher(String, 'robot_description', qos.STATUS)
    publisher.publish(String(data=URDF))
    world.peer.until(lambda: world.rows and world.rows[-1][1] > 0.489, 'the target')
    assert world.rows[-1] == pytest.approx([0.3, 0.49], abs=1e-3)
    world.arm.wanted = [-0.3, -0.49]
    world.peer.until(lambda: world.rows[-1][1] < 0.3, 'some speed')
    assert world.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    world.assert_limits_kept()
    world.assert_at_rest()


def test_a_robot_description_that_does_not_fit_is_named(guarded):
    world = guarded(use_robot_description=True)
    publisher = world.peer.node.create_publisher(String, 'robot_description', qos.STATUS)
    publisher.publish(String(data=URDF.replace('"a"', '"shoulder"')))
    world.activate()
    world.until('HOLDING: waiting for the topic robot_description that fits', "'a'")


@pytest.mark.parametrize('parameters, change, words', [
    ({'contract': ''}, {}, 'contract is empty'),
    ({'input_prefix': ''}, {}, 'input_prefix is empty'),
    ({'cpus': '9999'}, {}, "cpus is '9999'"),
    ({'use_robot_description': True}, {'joints: [a, b]}': 'joints: [a, b], unit: deg}'},
     'in deg, a robot description in rad and m'),
    ({}, {'limits:': GRIPPER + 'limits:'}, 'joint g has no velocity limit'),
    ({}, {'limits:': GRIPPER + 'limits:' + GRIPPER_LIMIT, ', g]': ']'},
     'no stream measures the position of g'),
    ({}, {'joints: [a, b]}': 'joints: [a, b], field: velocity}'},
     'the position limit of a cannot be kept'),
    ({}, {'topic: arm,': 'topic: joint_states,'}, 'would be heard and commanded')])
def test_what_cannot_be_guarded_is_refused_at_configure(
        guarded, arm_contract, parameters, change, words):
    for part, other in change.items():
        arm_contract = arm_contract.replace(part, other)
    world = guarded(arm_contract, **parameters)
    assert world.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    world.until('unconfigured: ', words)
    assert world.status[-1].level == DiagnosticStatus.ERROR


def test_a_controller_of_another_joint_order_is_not_even_sent_a_held_position(
        guarded, make_arm, arm_contract):
    make_arm()

    def controller(joints, **options):
        node = Node('fwd', **options)
        node.declare_parameter('joints', joints)
        node.declare_parameter('interface_name', 'position')
        return node

    world = guarded(arm_contract.replace(
        '{topic: arm, type: sensor_msgs/msg/JointState,',
        '{topic: fwd/commands, type: std_msgs/msg/Float64MultiArray, stamp: receive,'))
    wrong = world.peer.start(lambda **options: controller(['b', 'a'], **options))
    world.activate()
    world.until('HOLDING: /fwd takes its joints in the order (b, a)')
    levels = {status.message.split(' /fwd')[0]: status.level for status in world.status}
    assert levels['HOLDING: waiting for'] == DiagnosticStatus.WARN
    assert levels['HOLDING:'] == DiagnosticStatus.ERROR
    assert world.listen(0.5) == 0 and not world.rows
    assert 'in the order (b, a)' in world.facts()['/fwd']
    world.peer.stop(wrong)
    world.peer.start(lambda **options: controller(['a', 'b'], **options))
    world.until('no command yet')
    world.until_rows()


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
    world.assert_at_rest()
    assert world.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert world.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    world.arm.wanted = lambda: list(world.rows[-1])
    world.until('FOLLOWING')

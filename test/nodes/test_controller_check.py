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

"""Controllers are asked over DDS for their joints; a wrong order is objected to, never waited."""

import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.contract import parse_contract  # noqa: E402,I100
from diffusion_policy_ros.nodes import controller_check  # noqa: E402
from diffusion_policy_ros.nodes.controller_check import ControllerCheck  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402
import rclpy  # noqa: E402
from rclpy.node import Node  # noqa: E402

DOMAIN_ID = 52
CONTRACT = """
robot: arm
rate_hz: 10
observations:
  - {{key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
      joints: [a, b], max_age_ms: 100}}
actions:
  - {{topic: {topic}, type: {kind}, joints: [a, b], stamp: receive}}
"""
FORWARD = parse_contract(CONTRACT.format(
    topic='arm_controller/commands', kind='std_msgs/msg/Float64MultiArray'))
TRAJECTORY = parse_contract(CONTRACT.format(
    topic='arm_controller/joint_trajectory', kind='trajectory_msgs/msg/JointTrajectory'))


class Asking(Node):
    """A node that looks at its controllers at every tick, and keeps what it logs."""

    def __init__(self, contract, namespace='', remap=(), **options):
        super().__init__('asking', namespace=namespace, **options, cli_args=[
            '--ros-args', *(word for rule in remap for word in ('-r', rule))])
        self.warnings, self.seen = [], []
        self.check = ControllerCheck(self, contract)
        self.create_timer(0.02, self._tick)

    def get_logger(self):
        logger = super().get_logger()
        logger.warning = self.warnings.append
        return logger

    def _tick(self):
        objection = self.check.look()
        if self.seen[-1:] != [objection]:
            self.seen.append(objection)

    def destroy_node(self):
        self.check.destroy()
        super().destroy_node()


def start(peer, contract=FORWARD, **options):
    return peer.start(lambda **given: Asking(contract, **options, **given))


def start_controller(peer, joints, namespace='', **others):
    """Start a node with a controller's name and parameters."""
    def build(**options):
        node = Node('arm_controller', namespace=namespace, **options)
        node.declare_parameter('joints', joints)
        for name, value in others.items():
            node.declare_parameter(name, value)
        return node
    return peer.start(build)


def settled(peer, node, words):
    """Wait for an objection that contains some words; for none, where there are no words."""
    peer.until(lambda: words in node.check.objection if words else not node.check.objection,
               f'the objection {words!r}')


def test_a_controller_of_the_same_order_is_agreed_with(peer):
    start_controller(peer, ['a', 'b'], interface_name='position')
    node = start(peer)
    assert 'waiting for /arm_controller' in node.check.objection and node.check.only_waits
    settled(peer, node, '')
    assert node.check.facts() == {'/arm_controller': "takes the contract's joints"}
    assert not node.warnings


def test_a_controller_of_another_order_is_objected_to(peer):
    start_controller(peer, ['b', 'a'], interface_name='position')
    node = start(peer)
    settled(peer, node, 'in the order (b, a)')
    assert 'joints: [a, b]' in node.check.objection and '' not in node.seen
    assert not node.check.only_waits
    assert node.check.facts() == {'/arm_controller': node.check.objection}


def test_a_controller_that_takes_velocities_is_objected_to(peer):
    start_controller(peer, ['a', 'b'], interface_name='velocity')
    settled(peer, start(peer), '"velocity"')


@pytest.mark.parametrize('joints, partial, words', [
    (['b', 'a'], False, ''), (['a', 'b', 'c'], True, ''), (['a', 'b', 'c'], False, 'no "c"'),
    (['a', 'x'], False, 'no joint "b"')])
def test_a_trajectory_controller_is_asked_for_the_set(peer, joints, partial, words):
    start_controller(peer, joints, allow_partial_joints_goal=partial)
    settled(peer, start(peer, TRAJECTORY), words)


def test_a_controller_that_is_loaded_again_is_asked_again(peer):
    first = start_controller(peer, ['b', 'a'], interface_name='position')
    node = start(peer)
    settled(peer, node, 'in the order (b, a)')
    peer.stop(first)
    start_controller(peer, ['a', 'b'], interface_name='position')
    settled(peer, node, '')
    assert node.check.facts() == {'/arm_controller': "takes the contract's joints"}


def test_parameters_that_change_are_noticed(peer):
    controller = start_controller(peer, ['a', 'b'], interface_name='position')
    node = start(peer)
    settled(peer, node, '')
    controller.set_parameters([rclpy.Parameter('joints', value=['b', 'a'])])
    settled(peer, node, 'in the order (b, a)')


def test_without_a_controller_the_node_is_let_pass_with_one_warning(peer, monkeypatch):
    monkeypatch.setattr(controller_check, 'PATIENCE_S', 0.3)
    node = start(peer)
    settled(peer, node, '')
    peer.until(lambda: len(node.warnings) == 1, 'the warning')
    assert 'arm_controller is not there' in node.warnings[0] and 'a, b' in node.warnings[0]
    late = start_controller(peer, ['b', 'a'], interface_name='position')
    settled(peer, node, 'in the order (b, a)')
    peer.stop(late)
    settled(peer, node, '')
    assert len(node.warnings) == 1


def test_a_controller_that_appears_is_waited_for_before_anything_else(peer, monkeypatch):
    monkeypatch.setattr(controller_check, 'PATIENCE_S', 0.3)
    node = start(peer)
    settled(peer, node, '')
    start_controller(peer, ['a', 'b'], interface_name='position')
    peer.until(lambda: len(node.seen) == 4, 'the answer')
    assert ['waiting' in text for text in node.seen] == [True, False, True, False]
    assert node.check.facts() == {'/arm_controller': "takes the contract's joints"}


def test_a_node_without_such_parameters_is_let_pass_with_a_warning(peer):
    start_controller(peer, ['a', 'b'])
    node = start(peer)
    settled(peer, node, '')
    assert 'does not have the parameters joints and interface_name' in node.warnings[0]


@pytest.fixture
def silent(peer):
    """Start a controller that nobody spins: it is found, and does not answer."""
    node = Node('arm_controller', context=peer.context)
    node.declare_parameter('joints', ['b', 'a'])
    node.declare_parameter('interface_name', 'position')
    yield node
    node.destroy_node()


def test_a_controller_that_never_answers_is_let_pass_with_a_warning(peer, silent, monkeypatch):
    monkeypatch.setattr(controller_check, 'PATIENCE_S', 1.0)
    monkeypatch.setattr(controller_check, 'ASK_PERIOD_S', 0.05)
    node = start(peer)
    settled(peer, node, '')
    assert any('/arm_controller does not answer' in text for text in node.warnings)
    client, = (one for one in node.clients if one.srv_type is GetParameters)
    assert len(client._pending_requests) <= controller_check.MAX_QUESTIONS


def test_a_late_answer_counts(peer, silent):
    node = start(peer)
    client, = (one for one in node.clients if one.srv_type is GetParameters)
    peer.until(lambda: len(client._pending_requests) == 2, 'the second question')
    assert 'waiting' in node.check.objection
    peer.executor.add_node(silent)
    settled(peer, node, 'in the order (b, a)')
    peer.executor.remove_node(silent)


def test_namespace_and_remapping_lead_to_the_controller(peer):
    start_controller(peer, ['b', 'a'], namespace='right', interface_name='position')
    node = start(peer, namespace='left',
                 remap=['arm_controller/commands:=/right/arm_controller/commands'])
    settled(peer, node, '/right/arm_controller takes its joints in the order (b, a)')


def test_outputs_for_no_controller_ask_nobody(peer):
    contract = parse_contract(CONTRACT.format(
        topic='joint_commands', kind='std_msgs/msg/Float64MultiArray'))
    node = start(peer, contract)
    assert node.check.look() == '' and node.check.facts() == {}
    assert not [client for client in node.clients if client.srv_type is GetParameters]

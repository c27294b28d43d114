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

"""A controller's joints agree with the contract exactly when every value reaches its joint."""

from itertools import permutations

from diffusion_policy_ros.control.controller_joints import controller_of, disagreement
from diffusion_policy_ros.message_types import FLOAT64_ARRAY, JOINT_TRAJECTORY
from diffusion_policy_ros.streams import ActionOutput
from hypothesis import given
from hypothesis import strategies as st
import pytest

JOINTS = st.lists(st.sampled_from('abcde'), min_size=1, max_size=5, unique=True)


def forwarded(names, **fields):
    return ActionOutput('arm_controller/commands', FLOAT64_ARRAY, names=tuple(names),
                        stamp='receive', **fields)


def planned(names):
    return ActionOutput('arm_controller/joint_trajectory', JOINT_TRAJECTORY, names=tuple(names),
                        stamp='receive')


@given(JOINTS, JOINTS)
def test_numbers_without_names_agree_exactly_when_each_reaches_its_joint(names, joints):
    values = range(len(names))
    is_right = len(names) == len(joints) and dict(zip(names, values)) == dict(zip(joints, values))
    assert (disagreement(forwarded(names), '/c', joints) == '') == is_right


def test_of_all_orders_only_the_contracts_agrees():
    agreeing = [order for order in permutations('abcd')
                if not disagreement(forwarded('cabd'), '/c', order)]
    assert agreeing == [tuple('cabd')]


@given(JOINTS, JOINTS, st.booleans())
def test_a_trajectory_agrees_exactly_when_the_controller_would_accept_it(names, joints, partial):
    accepts = set(names) <= set(joints) and (partial or len(names) == len(joints))
    said = disagreement(planned(names), '/c', joints, allows_partial=partial)
    assert (said == '') == accepts


def test_the_sentence_has_both_orders_and_the_remedy():
    said = disagreement(forwarded('ab'), '/arm/arm_controller', ['b', 'a'])
    for words in ('/arm/arm_controller', 'in the order (b, a)', 'in the order (a, b)',
                  'arm_controller/commands', 'give the controller "joints: [a, b]"'):
        assert words in said


def test_other_joints_are_not_called_another_order():
    said = disagreement(forwarded('ab'), '/c', ['a', 'c'])
    assert '(a, c)' in said and '(a, b)' in said and 'order' not in said


def test_positions_are_not_sent_where_velocities_are_taken():
    said = disagreement(forwarded('ab'), '/c', ['a', 'b'], interface_name='velocity')
    assert '"velocity"' in said and '"field: position"' in said
    assert not disagreement(forwarded('ab', field='velocity'), '/c', ['a', 'b'],
                            interface_name='velocity')


@pytest.mark.parametrize('interface_name', ['position', '', 'voltage'])
def test_an_interface_that_a_contract_cannot_name_is_let_pass(interface_name):
    assert not disagreement(forwarded('ab'), '/c', ['a', 'b'], interface_name=interface_name)


def test_the_joint_that_makes_a_controller_reject_trajectories_is_named():
    said = disagreement(planned('ac'), '/c', ['a', 'b'])
    assert 'has no joint "c"' in said and 'it has: a, b' in said
    said = disagreement(planned('a'), '/c', ['a', 'b'])
    assert 'sends no "b"' in said and 'allow_partial_joints_goal' in said


@pytest.mark.parametrize('output, topic, node', [
    (forwarded('a'), '/left/arm_controller/commands', '/left/arm_controller'),
    (forwarded('a'), '/arm_controller/joint_trajectory', ''),
    (forwarded('a'), '/gripper', ''),
    (planned('a'), '/arm_controller/joint_trajectory', '/arm_controller'),
    (planned('a'), '/arm_controller/commands', ''),
    (ActionOutput('arm/commands', 'sensor_msgs/msg/JointState', names=('a',)), '/arm/commands',
     '')])
def test_the_controller_is_known_by_the_topic_that_it_listens_to(output, topic, node):
    assert controller_of(output, topic) == node

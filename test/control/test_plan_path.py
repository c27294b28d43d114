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

"""From plans to points: each kind of output, against closed forms and brute force."""

from diffusion_policy_ros.contract import load_contract, RobotContract
from diffusion_policy_ros.control.plan_path import choose_plan_path, planar_way
from diffusion_policy_ros.share import share_path
from diffusion_policy_ros.streams import ActionOutput, ObservationStream
from diffusion_policy_ros.urdf import parse_urdf
from hypothesis import given, strategies as st
import numpy as np
import pytest

JOINTS = {'type': 'trajectory_msgs/msg/JointTrajectory', 'stamp': 'receive'}
ARM = parse_urdf("""<robot name="planar"><link name="a"/><link name="b"/><link name="tool"/>
    <joint name="one" type="revolute"><parent link="a"/><child link="b"/>
      <axis xyz="0 0 1"/></joint>
    <joint name="two" type="prismatic"><parent link="b"/><child link="tool"/></joint>
    </robot>""")
speeds = st.floats(-3, 3)


def contract(*outputs, rate_hz=10.0):
    state = ObservationStream(key='observation.state', topic='state', max_age_ms=100, names=('q',),
                              type='sensor_msgs/msg/JointState')
    return RobotContract('test', rate_hz, (state,), tuple(
        ActionOutput(topic=f'out{number}', **output) for number, output in enumerate(outputs)))


def pose(**changes):
    return {'type': 'geometry_msgs/msg/PoseStamped', 'names': ('position.y', 'position.x'),
            **changes}


def twist(*names):
    return {'type': 'geometry_msgs/msg/Twist', 'stamp': 'receive', 'names': names}


def test_the_finger_of_push_t_goes_where_its_joints_say():
    path, reason = choose_plan_path(load_contract(share_path('config', 'robots', 'pusht.yaml')))
    assert (path.frame_id, reason) == ('base_link', '')
    np.testing.assert_array_equal(path.points(np.array([[0.1, 0.2], [0.3, 0.4]])),
                                  [[0.1, 0.2, 0], [0.3, 0.4, 0]])


def test_coordinates_are_found_by_name_among_other_joints():
    named = {**JOINTS, 'unit': 'm', 'names': ('grip', 'tcp_z', 'tcp_x'), 'frame_id': 'table'}
    path, _ = choose_plan_path(contract(named))
    np.testing.assert_array_equal(path.points(np.array([[9.0, 3.0, 1.0]])), [[1, 0, 3]])
    assert path.frame_id == 'table'


def test_a_pose_leads_to_its_position_in_its_frame():
    gripper = {'type': 'std_msgs/msg/Float64MultiArray', 'stamp': 'receive', 'names': ('grip',)}
    path, _ = choose_plan_path(contract(gripper, pose(frame_id='world', offset_ms=50)))
    assert (path.frame_id, path.offset_ns) == ('world', 50_000_000)
    np.testing.assert_array_equal(path.points(np.array([[9.0, 2.0, 1.0]])), [[1, 2, 0]])


def test_a_constant_twist_drives_a_circle():
    names = ('angular.z', 'linear.x')
    path, _ = choose_plan_path(contract(twist(*names), rate_hz=4.0))
    points = path.points(np.tile([np.pi / 2, 2.0], (9, 1)))  # a quarter turn takes a second
    assert path.frame_id == 'base_link'
    angles = np.arange(9) * np.pi / 8
    radius = 2.0 / (np.pi / 2)
    np.testing.assert_allclose(points, np.stack(
        [radius * np.sin(angles), radius * (1 - np.cos(angles)), np.zeros(9)], axis=1), atol=1e-12)


@given(st.lists(st.tuples(speeds, speeds, speeds), min_size=1, max_size=5))
def test_any_drive_agrees_with_many_small_steps(twists):
    count, period_s = 2000, 0.5
    place, heading, expected = np.zeros(2), 0.0, []
    for forward, left, turning in twists:
        expected.append([*place, 0.0])
        middles = heading + turning * period_s * (np.arange(count) + 0.5) / count
        place = place + period_s / count * np.array(
            [(forward * np.cos(middles) - left * np.sin(middles)).sum(),
             (forward * np.sin(middles) + left * np.cos(middles)).sum()])
        heading += turning * period_s
    np.testing.assert_allclose(planar_way(np.array(twists), period_s), expected, atol=1e-6)


def test_joints_move_the_tip_of_a_description_whatever_their_order_in_the_contract():
    slide = {'type': 'std_msgs/msg/Float64MultiArray', 'stamp': 'receive', 'names': ('two',),
             'unit': 'm'}
    turn = {**JOINTS, 'names': ('grip', 'one'), 'unit': 'rad', 'offset_ms': 20}
    path, reason = choose_plan_path(contract(slide, turn), urdf=ARM, tip_link='tool')
    assert (path.frame_id, path.offset_ns, reason) == ('a', 20_000_000, '')
    rows = np.array([[0.5, 9.0, np.pi / 2], [1.0, 9.0, np.pi]])
    np.testing.assert_allclose(path.points(rows), [[0, 0.5, 0], [-1, 0, 0]], atol=1e-12)


def test_a_tip_link_wins_over_the_names_of_joints():
    named = {**JOINTS, 'unit': 'm', 'names': ('tcp_x', 'one', 'two')}
    path, _ = choose_plan_path(contract(named), urdf=ARM, tip_link='tool')
    np.testing.assert_allclose(path.points(np.array([[5.0, 0.0, 2.0]])), [[2, 0, 0]])


@pytest.mark.parametrize('outputs, tip_link, words', [
    ([{**JOINTS, 'names': ('one', 'two')}], '', 'out0: where joints lead is told by a robot'),
    ([{**JOINTS, 'names': ('tcp_x',), 'unit': 'rad'}], '', 'where joints lead'),
    ([{**JOINTS, 'names': ('tcp_x',), 'unit': 'm', 'field': 'velocity'}], '', 'where joints lead'),
    ([{**JOINTS, 'names': ('left_x', 'right_x'), 'unit': 'm'}], '', 'where joints lead'),
    ([pose(names=('orientation.x', 'orientation.y', 'orientation.z', 'orientation.w'),
           rotation='quaternion')], '', 'out0: the pose has no position'),
    ([twist('linear.x', 'linear.z')], '', 'out0: linear.z is no motion of a base in the plane'),
    ([{**JOINTS, 'names': ('one',)}, twist('angular.x')], '',
     'topic out0: where joints .*; topic out1: angular.x is no motion'),
    ([{**JOINTS, 'names': ('one',)}], 'tool',
     'joint two, which moves tool, is not commanded in rad or m'),
    ([{**JOINTS, 'names': ('one', 'two'), 'unit': 'deg'}], 'tool', 'not commanded in rad or m'),
    ([{**JOINTS, 'names': ('one', 'two'), 'field': 'effort'}], 'tool', 'not commanded in rad'),
    ([{**JOINTS, 'names': ('one', 'two')}], 'hand', "no link 'hand'; it has: a, b, tool"),
    ([{**JOINTS, 'names': ('one', 'two')}], 'a', 'no joint moves a'),
])
def test_where_nothing_can_be_seen_the_reason_is_told(outputs, tip_link, words):
    path, reason = choose_plan_path(contract(*outputs), urdf=ARM, tip_link=tip_link)
    assert path is None
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(reason)


def test_a_tip_link_waits_for_the_description():
    path, reason = choose_plan_path(contract(pose()), tip_link='tool')
    assert path is None and 'no robot_description has come yet' in reason

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

"""Forward kinematics: closed forms, two independent libraries, and what holds for any robot."""

from diffusion_policy_ros.control.kinematics import Chain, rotations_about
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.urdf import parse_urdf
from hypothesis import given, strategies as st
import numpy as np
import pytest

# Oblique axes, turned origins, both kinds of motion, a fixed flange and a gripper that mimics.
ODD_ARM = """<robot name="odd_arm">
  <link name="world"/><link name="base"/><link name="upper"/><link name="slide"/>
  <link name="wrist"/><link name="tool"/><link name="left_finger"/><link name="right_finger"/>
  <joint name="mount" type="fixed"><parent link="world"/><child link="base"/>
    <origin xyz="0.1 -0.2 0.3" rpy="0.3 -0.5 0.7"/></joint>
  <joint name="pan" type="continuous"><parent link="base"/><child link="upper"/>
    <origin xyz="0 0.05 0.4" rpy="0.1 0.2 -0.4"/><axis xyz="1 2 -2"/></joint>
  <joint name="lift" type="prismatic"><parent link="upper"/><child link="slide"/>
    <origin xyz="0.2 0 0.1" rpy="1.2 0 0"/><axis xyz="0 0.6 0.8"/></joint>
  <joint name="bend" type="revolute"><parent link="slide"/><child link="wrist"/>
    <origin xyz="0 0 0.25" rpy="0 -0.9 0.2"/><axis xyz="0 -1 0"/></joint>
  <joint name="flange" type="fixed"><parent link="wrist"/><child link="tool"/>
    <origin xyz="0.07 0 0" rpy="0 1.5707963267948966 0"/></joint>
  <joint name="grip" type="prismatic"><parent link="tool"/><child link="left_finger"/>
    <origin xyz="0 0.01 0.05"/><axis xyz="0 1 0"/></joint>
  <joint name="grip_mimic" type="prismatic"><parent link="tool"/><child link="right_finger"/>
    <origin xyz="0 -0.01 0.05"/><axis xyz="0 1 0"/>
    <mimic joint="grip" multiplier="-1.5" offset="-0.002"/></joint>
</robot>"""
POSITIONS = {'pan': 0.8, 'lift': -0.15, 'bend': 1.1, 'grip': 0.02}
# Of pinocchio 4.1.0 and yourdfpy 0.0.60, which agree to 5e-16.
ROTATION = [[0.840282980532, 0.42977603833, -0.330480059166],
            [-0.211910362399, -0.300714691703, -0.929873471233],
            [-0.49901754572, 0.851389001028, -0.161611441401]]
PLACES = {'tool': [0.146451100791, -0.547564093757, 0.470897929792],
          'left_finger': [0.142820378982, -0.60307920807, 0.488359027753],
          'right_finger': [0.111876504223, -0.581427750267, 0.427059019679]}
angles = st.floats(-10, 10)


def planar(kind='revolute', extra=''):
    return f"""<robot name="planar">
      <link name="a"/><link name="b"/><link name="c"/><link name="d"/>
      <joint name="one" type="{kind}"><parent link="a"/><child link="b"/>
        <axis xyz="0 0 1"/></joint>
      <joint name="two" type="revolute"><parent link="b"/><child link="c"/><axis xyz="0 0 2"/>
        <origin xyz="0.3 0 0"/>{extra}</joint>
      <joint name="end" type="fixed"><parent link="c"/><child link="d"/>
        <origin xyz="0.2 0 0"/></joint></robot>"""


@pytest.mark.parametrize('link', PLACES)
def test_an_odd_arm_is_where_two_other_libraries_say(link):
    chain = Chain(parse_urdf(ODD_ARM), link)
    pose, = chain.poses([[POSITIONS[name] for name in chain.joint_names]])
    np.testing.assert_allclose(pose[:3, :3], ROTATION, atol=1e-11)
    np.testing.assert_allclose(pose[:3, 3], PLACES[link], atol=1e-11)
    np.testing.assert_array_equal(pose[3], [0, 0, 0, 1])


def test_a_chain_names_the_joints_that_lead_from_the_root_on():
    urdf = parse_urdf(ODD_ARM)
    assert Chain(urdf, 'right_finger').joint_names == ('pan', 'lift', 'bend', 'grip')
    assert Chain(urdf, 'tool').joint_names == ('pan', 'lift', 'bend')
    assert Chain(urdf, 'tool').base_link == 'world'


@given(st.lists(st.tuples(angles, angles), max_size=4))
def test_a_planar_arm_follows_its_closed_form(rows):
    poses = Chain(parse_urdf(planar()), 'd').poses(np.reshape(rows, (-1, 2)))
    assert poses.shape == (len(rows), 4, 4)
    for (one, two), pose in zip(rows, poses):
        both = one + two
        np.testing.assert_allclose(pose[:3, 3], [
            0.3 * np.cos(one) + 0.2 * np.cos(both), 0.3 * np.sin(one) + 0.2 * np.sin(both), 0],
            atol=1e-12)
        np.testing.assert_allclose(pose[:2, 0], [np.cos(both), np.sin(both)], atol=1e-12)


@given(angles)
def test_a_joint_that_mimics_needs_no_position_of_its_own(one):
    chain = Chain(parse_urdf(planar(extra='<mimic joint="one" multiplier="-2" offset="0.5"/>')),
                  'd')
    assert chain.joint_names == ('one',)
    free = Chain(parse_urdf(planar()), 'd')
    np.testing.assert_allclose(chain.poses([[one]]), free.poses([[one, 0.5 - 2 * one]]),
                               atol=1e-12)


def test_a_joint_may_mimic_one_that_mimics():
    text = planar(extra='<mimic joint="one" multiplier="-2" offset="0.5"/>').replace(
        '<joint name="end" type="fixed">',
        '<joint name="end" type="prismatic"><mimic joint="two" multiplier="3" offset="1"/>')
    pose, = Chain(parse_urdf(text), 'd').poses([[0.2]])
    two = 0.5 - 2 * 0.2
    reach = 0.2 + 1 + 3 * two
    np.testing.assert_allclose(pose[:2, 3], [
        0.3 * np.cos(0.2) + reach * np.cos(0.2 + two),
        0.3 * np.sin(0.2) + reach * np.sin(0.2 + two)], atol=1e-12)


@given(st.tuples(angles, angles, angles, angles))
def test_every_pose_is_a_rigid_motion(row):
    pose, = Chain(parse_urdf(ODD_ARM), 'right_finger').poses([row])
    rotation = pose[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)


@given(st.tuples(angles, angles, angles).filter(lambda axis: np.linalg.norm(axis) > 1e-3), angles)
def test_a_rotation_keeps_its_axis_and_turns_everything_else_by_its_angle(axis, angle):
    axis = np.array(axis) / np.linalg.norm(axis)
    rotation, = rotations_about(axis, np.array([angle]))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(rotation @ axis, axis, atol=1e-12)
    assert np.trace(rotation) == pytest.approx(1 + 2 * np.cos(angle))
    across = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    assert np.cross(across, rotation @ across) @ axis == pytest.approx(
        np.sin(angle) * (across @ across), abs=1e-9)


def test_what_one_position_per_joint_cannot_describe_is_refused():
    with pytest.raises(ConfigError, match="no link 'hand'; it has: a, b, c, d"):
        Chain(parse_urdf(planar()), 'hand')
    with pytest.raises(ConfigError, match="'one' of the robot description is floating"):
        Chain(parse_urdf(planar('floating')), 'd')
    with pytest.raises(ValueError):
        Chain(parse_urdf(planar()), 'd').poses([[0.1, 0.2, 0.3]])

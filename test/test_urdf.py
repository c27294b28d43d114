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

"""The URDF reader: what it finds, and what it refuses with which words."""

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.urdf import Mimic, parse_urdf
from hypothesis import given, strategies as st
import pytest

ELBOW = """<joint name="elbow" type="revolute">
    <parent link="upper"/><child link="lower"/>
    <origin xyz="0.1 -2 3e-1" rpy="0 1.5 -0.5"/><axis xyz="0 3 4"/>
    <limit lower="-1.5" upper="2" velocity="3" effort="8"/></joint>"""
PLAIN = """<joint name="slide" type="prismatic"><parent link="lower"/><child link="tip"/>
    <mimic joint="elbow" multiplier="-0.5"/></joint>"""
LINKS = '<link name="upper"/><link name="lower"/><link name="tip"/>'


def robot(joints=ELBOW + PLAIN, links=LINKS):
    return f'<robot name="two" xmlns:xacro="http://www.ros.org/wiki/xacro">{links}{joints}</robot>'


def test_every_part_of_a_joint_is_read():
    elbow = parse_urdf(robot()).joints['elbow']
    assert (elbow.type, elbow.parent, elbow.child) == ('revolute', 'upper', 'lower')
    assert (elbow.xyz, elbow.rpy) == ((0.1, -2.0, 0.3), (0.0, 1.5, -0.5))
    assert elbow.axis == pytest.approx((0, 0.6, 0.8))
    assert (elbow.lower, elbow.upper, elbow.velocity, elbow.mimic) == (-1.5, 2.0, 3.0, None)


def test_what_a_joint_leaves_out_has_the_defaults_of_the_format():
    slide = parse_urdf(robot()).joints['slide']
    assert (slide.xyz, slide.rpy, slide.axis) == ((0, 0, 0), (0, 0, 0), (1, 0, 0))
    assert (slide.lower, slide.upper, slide.velocity) == (None, None, None)
    assert slide.mimic == Mimic('elbow', -0.5, 0.0)


def test_joints_of_other_elements_are_not_joints_of_the_robot():
    text = robot(ELBOW + PLAIN + '<transmission name="t"><joint name="elbow"/></transmission>'
                 '<ros2_control><joint name="elbow"/></ros2_control><gazebo/>')
    assert list(parse_urdf(text).joints) == ['elbow', 'slide']


def test_the_root_is_the_link_that_no_joint_carries():
    urdf = parse_urdf(robot(links='<link name="tip"/><link name="lower"/><link name="upper"/>'))
    assert urdf.links == ('tip', 'lower', 'upper') and urdf.root == 'upper'
    assert parse_urdf('<robot name="rock"><link name="rock"/></robot>').root == 'rock'


def test_a_document_that_could_define_entities_is_refused_before_it_is_parsed():
    lines = ''.join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "x"}">' for i in range(30))
    with pytest.raises(ConfigError, match='DOCTYPE'):
        parse_urdf(f'<!DOCTYPE robot [{lines}]><robot name="&e29;"><link name="a"/></robot>')


@pytest.mark.parametrize('text, words', [
    ('', 'must be the text'), (None, 'must be the text'), ('<robot>', 'not valid XML'),
    ('<robot name="\ud800"/>', 'not valid XML'), ('<sdf/>', "'sdf'"),
    (robot('<xacro:arm prefix="left"/>'), 'expand it'), (robot('', ''), 'has 0 links'),
    (robot('', '<link/>'), 'a link lacks the attribute "name"'),
    (robot(links=LINKS + '<link name="tip"/>'), "link 'tip' is there twice"),
    (robot(ELBOW + ELBOW), "joint 'elbow' is there twice"),
    (robot(ELBOW + PLAIN.replace('"slide"', '""')), 'a joint lacks the attribute "name"'),
    (robot(ELBOW.replace('revolute', 'hinge') + PLAIN), "type is 'hinge'; choose one of"),
    (robot(ELBOW.replace('<parent link="upper"/>', '') + PLAIN), 'its parent lacks'),
    (robot(ELBOW.replace('-2', 'two') + PLAIN), "origin xyz is '0.1 two 3e-1'; it must be 3"),
    (robot(ELBOW.replace('0.1 -2', '') + PLAIN), 'it must be 3 finite'),
    (robot(ELBOW.replace('-2', 'nan') + PLAIN), 'it must be 3 finite'),
    (robot(ELBOW.replace('0 3 4', '0 0 0') + PLAIN), 'no direction'),
    (robot(ELBOW.replace('-1.5', 'inf') + PLAIN), "limit lower is 'inf'; it must be 1 finite"),
    (robot(ELBOW.replace('-1.5', '2.5') + PLAIN), 'lower is 2.5, above upper 2'),
    (robot(ELBOW.replace('velocity="3"', 'velocity="-3"') + PLAIN), 'must not be negative'),
    (robot(ELBOW + PLAIN.replace('"tip"', '"top"')), "'slide' names the link 'top', which is"),
    (robot(ELBOW + PLAIN.replace('"tip"', '"lower"')), "'lower', which another joint carries"),
    (robot(ELBOW), "has 2 links that no joint carries .'upper', 'tip'"),
    (robot(ELBOW + PLAIN, LINKS + '<link name="moon"/>'), 'has 2 links that no joint'),
    (robot(ELBOW.replace('"upper"', '"tip"') + PLAIN), "links 'lower', 'tip' carry one another"),
    (robot(ELBOW + PLAIN.replace('joint="elbow"', 'joint="knee"')), "mimics 'knee', which is not"),
    (robot(ELBOW + PLAIN.replace('joint="elbow"', 'joint="slide"')), 'mimics it in turn'),
])
def test_a_fault_is_named_with_its_place(text, words):
    with pytest.raises(ConfigError, match=words) as refused:
        parse_urdf(text, source='robot.urdf')
    assert 'robot.urdf' in str(refused.value)


@given(st.data())
def test_a_damaged_description_is_read_or_refused_but_never_a_crash(data):
    text = robot()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 20, len(text))))
    put = data.draw(st.one_of(st.text(max_size=5), st.sampled_from(
        ['<joint/>', '<link name="x"/>', '"', 'name="', '1e999', '&lt;', '&x;', '-', '<'])))
    try:
        urdf = parse_urdf(text[:start] + put + text[end:])
    except ConfigError:
        return
    assert all(urdf.joints[name].child in urdf.links for name in urdf.joints)

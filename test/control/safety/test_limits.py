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
"""Limits of motion: from the contract, from a URDF, the tighter of both, and what is assumed."""

from dataclasses import replace
import math
from pathlib import Path

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.control.safety.limits import (
    assumed, limits_from_urdf, merged, motion_limits, MotionLimits)
from diffusion_policy_ros.errors import SafetyError
from diffusion_policy_ros.message_types import JOINT_STATE
from diffusion_policy_ros.streams import ActionOutput
import pytest

ARM = load_contract(Path(__file__).parents[3] / 'config/robots/arm6.yaml')
URDF = """<?xml version="1.0"?>
<robot name="two">
  <link name="base"/><link name="upper"/><link name="hand"/><link name="finger"/><link name="tip"/>
  <joint name="lift" type="revolute">
    <parent link="base"/><child link="upper"/>
    <limit lower="-1.5" upper="2.0" velocity="1.2" effort="10"/>
  </joint>
  <joint name="spin" type="continuous">
    <parent link="upper"/><child link="hand"/>
    <limit velocity="3.0" effort="10"/>
  </joint>
  <joint name="slide" type="prismatic">
    <parent link="hand"/><child link="finger"/>
    <limit upper="0.04" effort="10"/>
  </joint>
  <joint name="weld" type="fixed"><parent link="finger"/><child link="tip"/></joint>
  <ros2_control name="system" type="system">
    <joint name="lift"><command_interface name="position"/></joint>
  </ros2_control>
</robot>"""
BOMB = """<?xml version="1.0"?>
<!DOCTYPE robot [<!ENTITY a "ha">""" + ''.join(
    f'<!ENTITY a{i + 1} "{f"&a{i or str()};" * 10}">' for i in range(9)) + """]>
<robot name="&a9;"><link name="base"/></robot>"""
FILE = """<!DOCTYPE robot [<!ENTITY secret SYSTEM "file:///etc/hostname">]>
<robot name="x"><link name="&secret;"/></robot>"""


def test_a_contract_gives_the_limits_of_the_joints_asked_for_in_their_order():
    limits = motion_limits(ARM.limits, ('elbow', 'shoulder_pan'), 'arm6.yaml')
    assert limits.names == ('elbow', 'shoulder_pan')
    assert limits.low.tolist() == [-2.6, -3.14] and limits.high.tolist() == [2.6, 3.14]
    assert limits.velocity.tolist() == [1.8, 1.5]
    assert limits.acceleration.tolist() == [5.0, 4.0] and limits.jerk.tolist() == [50.0, 40.0]
    with pytest.raises(ValueError):
        limits.high[0] = 9.0


def test_what_may_be_missing_is_assumed_and_told():
    limits = motion_limits({'a': {'velocity': 2}}, ('a',), 'x.yaml')
    assert (limits.low, limits.high) == ([-math.inf], [math.inf])
    assert limits.acceleration == [10.0] and limits.jerk == [200.0]
    joint = ActionOutput('arm', JOINT_STATE, names=('a',))
    guessed = ('limits.a: no acceleration given, 10 assumed',
               'limits.a: no jerk given, 200 assumed')
    assert assumed({'a': {'velocity': 2}}, (joint,)) == (
        *guessed, 'limits.a: no position given, none is kept')
    assert assumed({'a': {'velocity': 2}}, (replace(joint, field='velocity'),)) == guessed
    assert assumed(ARM.limits, ARM.actions) == ()


@pytest.mark.parametrize('limits', [{}, {'a': {'position': [0, 1], 'acceleration': 3.0}}])
def test_without_a_velocity_limit_nothing_moves(limits):
    with pytest.raises(SafetyError, match=r'joint a has no velocity limit in x.yaml.*add '
                                          r'limits\.a\.velocity to the contract.*URDF'):
        motion_limits(limits, ('a',), 'x.yaml')


@pytest.mark.parametrize('changes, message', [
    ({'names': ()}, 'at least one joint'), ({'names': ('a', 'a')}, 'each named once'),
    ({'low': [2.0, 0.0]}, r'joint a: position limits are \[2, 1\]'),
    ({'high': [1.0, math.nan]}, 'joint b: position limits'),
    ({'velocity': [1.0, 0.0]}, 'joint b: velocity limit is 0;'),
    ({'jerk': [math.inf, 1.0]}, 'joint a: jerk limit is inf'),
    ({'acceleration': [1.0, math.nan]}, 'joint b: acceleration limit is nan'),
    ({'acceleration': [1.0]}, r'acceleration limits have shape \(1,\).*joints a, b')])
def test_limits_that_cannot_be_kept_are_refused_by_joint(changes, message):
    numbers = {'low': [0.0, 0.0], 'high': [1.0, 1.0], 'velocity': [1.0, 1.0],
               'acceleration': [1.0, 1.0], 'jerk': [1.0, 1.0]}
    with pytest.raises(SafetyError, match=message):
        MotionLimits(**{'names': ('a', 'b'), **numbers, **changes})


def test_a_urdf_gives_position_and_velocity_as_far_as_it_has_them():
    assert limits_from_urdf(URDF, ('spin', 'lift', 'slide')) == {
        'lift': {'position': [-1.5, 2.0], 'velocity': 1.2}, 'spin': {'velocity': 3.0},
        'slide': {'position': [0.0, 0.04]}}


@pytest.mark.parametrize('text, name, message', [
    (URDF, 'lifd', 'no joint .lifd.; did you mean "lift"'),
    (URDF, 'weld', "'weld' is fixed and cannot be commanded"),
    (URDF.replace('velocity="3.0"', 'velocity="0"'), 'spin', 'velocity limit 0'),
    (URDF.replace('upper="2.0"', 'upper="-1.5"'), 'lift', r'\[-1.5, -1.5\]'),
    (URDF.replace('lower="-1.5" upper="2.0"', ''), 'lift', r'\[0, 0\]'),
    (URDF.replace('upper="0.04"', 'upper="nan"'), 'slide', 'slide.*nan'),
    (URDF.replace('<limit velocity="3.0" effort="10"/>', '<mimic joint="lift"/>'), 'spin',
     "mimics 'lift'"),
    (URDF[:-5], 'lift', 'not valid XML'), ('', 'lift', 'URDF'),
    (BOMB, 'lift', 'DOCTYPE'), (FILE, 'lift', 'DOCTYPE')])
def test_a_urdf_that_does_not_say_how_far_a_joint_may_go_is_refused(text, name, message):
    with pytest.raises(SafetyError, match=message):
        limits_from_urdf(text, (name,))


def test_of_two_limits_the_tighter_one_counts():
    contract = {'lift': {'position': [-2.0, 1.0], 'velocity': 1.5, 'jerk': 40.0},
                'gripper': {'velocity': 1.0}}
    both = merged(contract, limits_from_urdf(URDF, ('lift', 'spin')))
    assert both == {'lift': {'position': [-1.5, 1.0], 'velocity': 1.2, 'jerk': 40.0},
                    'gripper': {'velocity': 1.0}, 'spin': {'velocity': 3.0}}
    assert contract['lift']['velocity'] == 1.5


def test_two_position_limits_that_exclude_each_other_are_refused():
    degrees = {'lift': {'position': [20.0, 90.0], 'velocity': 60.0}}
    with pytest.raises(SafetyError, match=r'joint lift.*\[20.0, 90.0\].*same unit'):
        merged(degrees, limits_from_urdf(URDF, ('lift',)))

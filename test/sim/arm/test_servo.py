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

"""The position servos: they arrive, do not swing, hold, and keep the limits of the URDF."""

from xml.etree import ElementTree

from diffusion_policy_ros.control.kinematics import Chain
from diffusion_policy_ros.sim.arm.arm import Arm
from diffusion_policy_ros.sim.arm.engine import mujoco
from diffusion_policy_ros.sim.arm.servo import NATURAL_FREQUENCY
from diffusion_policy_ros.urdf import parse_urdf
import numpy as np
import pytest

EMPTY = ('<sdf version="1.10"><world name="empty"><gravity>0 0 -9.81</gravity><physics>'
         '<max_step_size>0.002</max_step_size></physics></world></sdf>')
# Arm up, stretched forward, folded low, turned to the side.
POSES = ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.02], [0.5, 1.3, 0.2, 0.0, 0.4, -1.0, 0.0],
         [-0.8, 0.2, 2.2, 0.6, 0.0, 0.5, 0.04], [2.0, 0.8, 1.2, -0.5, -0.8, 2.0, 0.01])
STEPS = {'hinge': 0.4, 'slide': 0.02}


@pytest.fixture(scope='module')
def alone(arm_urdf, tmp_path_factory):
    """Return the arm with nothing around it."""
    path = tmp_path_factory.mktemp('empty') / 'empty.sdf'
    path.write_text(EMPTY)
    return Arm(arm_urdf, path)


def middle_step(arm, k, start):
    """Return a target for one joint, a step away from where it is and within its limits."""
    joint = arm.model.joints[k]
    step = STEPS['slide'] if joint.max < 0.1 else STEPS['hinge']
    return start + (step if start + step <= joint.max else -step)


@pytest.mark.parametrize('pose', POSES)
def test_every_joint_arrives_without_swinging_over(alone, pose):
    for k, name in enumerate(alone.joint_names):
        alone.put(pose)
        target = middle_step(alone, k, pose[k])
        way, farthest = abs(target - pose[k]), 0.0
        for _ in range(100):
            alone.advance({name: target}, 0.01)
            farthest = max(farthest, (alone.positions()[k] - pose[k]) / (target - pose[k]))
        assert 0.999 < farthest < 1.03, name
        assert abs(alone.positions()[k] - target) < 1e-3 * way, name
        others = np.delete(alone.positions() - pose, k)
        assert np.abs(others).max() < 1e-3, name


@pytest.mark.parametrize('pose', POSES)
def test_the_arm_holds_against_gravity(alone, pose):
    alone.put(pose)
    alone.advance({}, 3.0)
    np.testing.assert_allclose(alone.positions(), pose, atol=1e-3)
    assert np.abs(alone.velocities()).max() < 1e-6


def test_the_efforts_that_hold_are_those_of_gravity(alone, arm_urdf):
    alone.put(POSES[1])
    alone.advance({}, 1.0)
    # The moment of all weights beyond the shoulder about its axis, from the links' places.
    axis = alone.data.body('shoulder_link').xmat.reshape(3, 3)[:, 1]
    pivot = alone.data.body('upper_arm_link').xpos
    urdf = parse_urdf(arm_urdf)
    beyond = [link for link in ElementTree.fromstring(arm_urdf).findall('link')
              if link.find('inertial') is not None
              and 'shoulder_lift' in Chain(urdf, link.get('name')).joint_names]
    assert len(beyond) == 9
    moment = np.zeros(3)
    for link in beyond:
        weight = [0.0, 0.0, -9.81 * float(link.find('inertial/mass').get('value'))]
        moment += np.cross(alone.data.body(link.get('name')).xipos - pivot, weight)
    assert alone.efforts()[1] == pytest.approx(-moment @ axis, rel=1e-3)


def test_no_joint_is_faster_or_stronger_than_the_urdf_allows(alone, arm_urdf):
    efforts = {joint.get('name'): float(joint.find('limit').get('effort'))
               for joint in ElementTree.fromstring(arm_urdf).findall('joint')
               if joint.find('limit') is not None}
    strongest = np.array([efforts[name] for name in alone.joint_names])
    fastest = np.zeros(len(strongest))
    alone.put(POSES[2])
    for _ in range(200):
        alone.advance(dict(zip(alone.joint_names, POSES[3])), 0.01)
        fastest = np.maximum(fastest, np.abs(alone.velocities()))
        assert (np.abs(alone.efforts()) <= strongest + 1e-9).all()
    assert (fastest <= 1.05 * alone.model.max_velocities).all()
    assert fastest[0] > 0.95 * alone.model.max_velocities[0]
    np.testing.assert_allclose(alone.positions(), POSES[3], atol=1e-3)


def test_a_joint_trails_a_moving_target_by_two_periods_of_its_frequency(alone):
    alone.put(POSES[0])
    alone.advance({'shoulder_pan': 2.0}, 0.6)
    speed = alone.model.max_velocities[0]
    assert alone.velocities()[0] == pytest.approx(speed, rel=1e-3)
    behind_s = (0.6 * speed - alone.positions()[0]) / speed
    assert behind_s == pytest.approx(2.0 / NATURAL_FREQUENCY[mujoco.mjtJoint.mjJNT_HINGE],
                                     rel=0.05)


def test_the_finger_that_mimics_is_where_the_leader_is(alone):
    (follower, leader, multiplier, offset), = alone.model.followers
    assert (leader, multiplier, offset) == ('gripper', 1.0, 0.0)
    for target in (0.0, 0.03, 0.01):
        for _ in range(40):
            alone.advance({leader: target}, 0.01)
            apart = alone.data.joint(follower).qpos[0] - alone.data.joint(leader).qpos[0]
            assert abs(apart) < 1e-4
        assert abs(alone.data.joint(follower).qpos[0] - target) < 1e-5

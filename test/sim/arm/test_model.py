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

"""The MuJoCo model against the texts it is made of, read by other means."""

from xml.etree import ElementTree

from diffusion_policy_ros.control.kinematics import Chain
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.sim.arm.arm import Arm
from diffusion_policy_ros.sim.arm.description import expand_xacro
from diffusion_policy_ros.sim.arm.model import build_model
from diffusion_policy_ros.urdf import parse_urdf
import numpy as np
import pytest

POSES = 300


@pytest.fixture(params=['arm', 'seven'])
def robot(request, arm_urdf, seven_joints, worlds):
    """Return the URDF and the arm, of the shipped robot and of one with other joints."""
    text = arm_urdf if request.param == 'arm' else expand_xacro(seven_joints)
    arm = Arm(text, worlds / 'arm_push.sdf')
    yield text, arm
    arm.close()


def random_poses(arm, count=POSES):
    """Return positions of all joints within their limits, ``(count, n)``."""
    low, high = np.array([[joint.min, joint.max] for joint in arm.model.joints]).T
    return np.random.default_rng(7).uniform(low, high, (count, len(low)))


def expected_poses(urdf, link, names, rows):
    """Return where a link is by this package's own kinematics, ``(count, 4, 4)``."""
    chain = Chain(urdf, link)
    return chain.poses(rows[:, [names.index(name) for name in chain.joint_names]])


def test_every_link_is_where_the_kinematics_say(robot):
    text, arm = robot
    urdf, rows = parse_urdf(text), random_poses(arm)
    links = [link for link in urdf.links if link != urdf.root]
    places, turns = [], []
    for row in rows:
        arm.put(row)
        places.append([arm.data.body(link).xpos.copy() for link in links])
        turns.append([arm.data.body(link).xmat.reshape(3, 3).copy() for link in links])
    assert len(links) >= 15
    for k, link in enumerate(links):
        wanted = expected_poses(urdf, link, arm.joint_names, rows)
        np.testing.assert_allclose(np.array(places)[:, k], wanted[:, :3, 3], atol=1e-6)
        np.testing.assert_allclose(np.array(turns)[:, k], wanted[:, :3, :3], atol=1e-6)


def test_every_camera_looks_as_its_optical_frame(robot):
    text, arm = robot
    urdf, rows = parse_urdf(text), random_poses(arm)
    assert arm.model.mj.ncam == len(arm.model.cameras) >= 2
    for name, camera in arm.model.cameras.items():
        wanted = expected_poses(urdf, camera.optical_frame, arm.joint_names, rows)
        for row, pose in zip(rows, wanted):
            arm.put(row)
            found = arm.data.cam(name)
            np.testing.assert_allclose(found.xpos, pose[:3, 3], atol=1e-6)
            # MuJoCo's cameras have y up and look along -z.
            np.testing.assert_allclose(found.xmat.reshape(3, 3), pose[:3, :3] * [1, -1, -1],
                                       atol=1e-6)
        assert arm.model.mj.cam(name).fovy[0] == pytest.approx(np.degrees(camera.fovy))


def test_limits_of_position_and_effort_are_those_of_the_urdf(robot):
    text, arm = robot
    mj, count = arm.model.mj, 0
    for element in ElementTree.fromstring(text).findall('joint'):
        limit = element.find('limit')
        if limit is None:
            continue
        joint = mj.joint(element.get('name'))
        assert joint.range.tolist() == [float(limit.get('lower')), float(limit.get('upper'))]
        effort = float(limit.get('effort'))
        assert mj.jnt_actfrcrange[joint.id].tolist() == [-effort, effort]
        assert mj.jnt_limited[joint.id] and mj.jnt_actfrclimited[joint.id]
        count += 1
    assert count == len(arm.joint_names) + len(arm.model.followers)


def test_limits_of_command_and_velocity_are_those_of_the_description(robot):
    text, arm = robot
    root = ElementTree.fromstring(text)
    for k, name in enumerate(arm.joint_names):
        control = root.find(f'ros2_control/joint[@name="{name}"]/command_interface')
        wanted = [float(control.findtext(f'param[@name="{side}"]')) for side in ('min', 'max')]
        assert arm.model.mj.actuator(k).name == name
        assert arm.model.mj.actuator_ctrlrange[k].tolist() == wanted
        limit = root.find(f'joint[@name="{name}"]/limit')
        assert arm.model.max_velocities[k] == float(limit.get('velocity'))


def test_moving_links_weigh_what_the_urdf_says(robot):
    text, arm = robot
    mj = arm.model.mj
    urdf = parse_urdf(text)
    for link in ElementTree.fromstring(text).findall('link'):
        body = mj.body(link.get('name'))
        chain = Chain(urdf, link.get('name'))
        if not chain.joint_names or link.find('inertial') is None:
            continue
        assert body.mass[0] == float(link.find('inertial/mass').get('value'))
        wanted = [float(link.find('inertial/inertia').get(axis)) for axis in ('ixx', 'iyy', 'izz')]
        np.testing.assert_allclose(sorted(body.inertia), sorted(wanted))
        middle = link.find('inertial/origin').get('xyz').split()
        np.testing.assert_allclose(body.ipos, [float(part) for part in middle], atol=1e-12)


@pytest.mark.parametrize('world, name', [('arm_pick_place', 'cube'), ('arm_push', 'puck')])
def test_mass_pose_and_size_of_a_model_come_through(arm_urdf, worlds, world, name):
    path = worlds / f'{world}.sdf'
    element = ElementTree.parse(path).find(f'world/model[@name="{name}"]')
    model = build_model(arm_urdf, path)
    body = model.mj.body(name)
    assert body.mass[0] == float(element.findtext('link/inertial/mass'))
    np.testing.assert_allclose(sorted(body.inertia), sorted(
        float(element.findtext(f'link/inertial/inertia/{axis}'))
        for axis in ('ixx', 'iyy', 'izz')))
    start = model.movable[name]
    np.testing.assert_allclose(
        model.mj.qpos0[start:start + 7],
        [*map(float, element.findtext('pose').split()[:3]), 1, 0, 0, 0])
    shape, = (geom for geom in map(model.mj.geom, range(model.mj.ngeom))
              if geom.bodyid[0] == body.id and geom.contype[0])
    sizes = [float(number) for number in ' '.join(
        element.find('link/collision/geometry').itertext()).split()]
    if name == 'cube':
        np.testing.assert_allclose(shape.size * 2, sizes)
    else:
        np.testing.assert_allclose(shape.size[:2] * [1, 2], sizes)
    assert shape.friction[0] == float(element.findtext('link/collision/surface/friction/ode/mu'))


def test_what_is_static_stays_and_what_is_only_seen_does_not_touch(arm_urdf, worlds):
    pick, push = (build_model(arm_urdf, worlds / f'{name}.sdf')
                  for name in ('arm_pick_place', 'arm_push'))
    assert set(pick.movable) == {'cube'} and set(push.movable) == {'puck'}
    goal = push.mj.body('goal').id
    assert [push.mj.geom_contype[k] for k in range(push.mj.ngeom)
            if push.mj.geom_bodyid[k] == goal] == [0]
    assert push.mj.opt.timestep == 0.002


def test_a_third_camera_and_a_seventh_joint_need_no_python(seven_joints, worlds):
    arm = Arm(expand_xacro(seven_joints), worlds / 'arm_pick_place.sdf')
    assert len(arm.joint_names) == 8 and 'turn' in arm.joint_names
    assert arm.positions()[arm.joint_names.index('turn')] == 0.3
    arm.advance({'turn': 0.9, 'elbow': 1.0}, 1.5)
    np.testing.assert_allclose(arm.positions()[[arm.joint_names.index(name)
                                                for name in ('turn', 'elbow')]],
                               [0.9, 1.0], atol=1e-3)
    assert {name: arm.picture(name).shape for name in arm.model.cameras} == {
        'left': (48, 64, 3), 'right': (64, 64, 3), 'above': (90, 160, 3)}
    arm.close()


def test_a_model_of_the_world_may_not_have_the_name_of_a_link(arm_urdf, worlds, tmp_path):
    path = tmp_path / 'clash.sdf'
    path.write_text((worlds / 'arm_push.sdf').read_text().replace('"puck"', '"hand"'))
    with pytest.raises(ConfigError, match="clash.sdf: the model 'hand' has the name of a link"):
        build_model(arm_urdf, path)


@pytest.mark.parametrize('old, new, words', [
    ('<mass value="2.5"/>', '<mass value="-2.5"/>', 'MuJoCo cannot'),
    ('<mass value="2.5"/>', '<mass/>', 'MuJoCo cannot'),
    ('<mass value="2.5"/>', '<mass value="inf"/>', 'which has the mass inf kg'),
    ('<mass value="2.5"/>', '<mass value="1e300"/>', 'no number may be beyond 1e'),
    ('ixx="0.01975"', 'ixx="9"', 'MuJoCo cannot.*inertia'),
    ('<joint name="gripper_right" type="prismatic">', '<joint name="gripper_right" type="fixed">',
     "'gripper_right' mimics 'gripper', and 'gripper_right' is fixed; both must be one of: rev"),
    ('<mimic joint="gripper"', '<mimic joint="hand_joint"', "'hand_joint' is fixed; both must"),
    ('<mu1>1.2</mu1>', '<mu1>much</mu1>', "mu1 of the link 'left_finger' is 'much'"),
    ('<child link="hand"/>', '<child link="foot"/>', "names the link 'foot'")])
def test_a_damaged_robot_is_refused(arm_urdf, worlds, old, new, words):
    assert old in arm_urdf
    with pytest.raises(ConfigError, match=words):
        build_model(arm_urdf.replace(old, new), worlds / 'arm_push.sdf')

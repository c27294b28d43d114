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

"""The robot's description: what the xacro makes, and what is read of it."""

import math
from xml.etree import ElementTree

from diffusion_policy_ros.control.kinematics import Chain
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.sim.arm.description import expand_xacro, read_cameras, read_control
from diffusion_policy_ros.urdf import parse_urdf
import numpy as np
import pytest

GAZEBO_PLUGIN = 'gz_ros2_control::GazeboSimROS2ControlPlugin'


def replaced(text, old, new):
    """Replace something that is there."""
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize('hardware, plugin', [
    ('gazebo', 'gz_ros2_control/GazeboSimSystem'), ('mock', 'mock_components/GenericSystem'),
    ('real', 'vendor_driver/ArmSystem')])
def test_one_argument_chooses_who_moves_the_joints(arm_xacro, hardware, plugin):
    text = expand_xacro(arm_xacro, {
        'hardware': hardware, 'real_plugin': 'vendor_driver/ArmSystem', 'controllers': '/c.yaml'})
    root = ElementTree.fromstring(text)
    assert [element.text for element in root.findall('ros2_control/hardware/plugin')] == [plugin]
    plugins = root.findall('gazebo/plugin')
    assert [element.get('name') for element in plugins] == (
        [GAZEBO_PLUGIN] if hardware == 'gazebo' else [])
    assert [element.findtext('parameters') for element in plugins] == ['/c.yaml'] * len(plugins)


def test_nothing_but_the_hardware_depends_on_the_hardware(arm_xacro):
    def without_hardware(**arguments):
        root = ElementTree.fromstring(expand_xacro(arm_xacro, arguments))
        control = root.find('ros2_control')
        control.remove(control.find('hardware'))
        for joint in control.findall('joint'):  # Gazebo alone lists the finger that mimics
            if joint.find('command_interface') is None:
                control.remove(joint)
        for element in root.findall('gazebo'):
            if element.find('plugin') is not None:
                root.remove(element)
        return ElementTree.canonicalize(ElementTree.tostring(root), strip_text=True)
    mock = without_hardware(hardware='mock')
    assert without_hardware(hardware='gazebo', controllers='/c.yaml') == mock
    assert without_hardware(hardware='real', real_plugin='a/B') == mock
    assert without_hardware() == mock


def test_gazebo_keeps_every_link_that_stands_by_itself(arm_urdf):
    # It joins a link without mass to what it is fixed to, but drops one that moves or that is
    # fixed to the world.
    root, urdf = ElementTree.fromstring(arm_urdf), parse_urdf(arm_urdf)
    weighed = {link.get('name') for link in root.findall('link')
               if link.find('inertial') is not None}
    alone = {joint.child for joint in urdf.joints.values()
             if joint.type != 'fixed' or joint.parent == 'world'}
    assert 'scene_camera_link' in alone
    assert alone <= weighed


@pytest.mark.parametrize('arguments, words', [
    ({'hardware': 'fake'}, 'hardware is fake - choose one of: gazebo, mock, real'),
    ({'hardware': 'gazebo'}, 'hardware:=gazebo needs controllers:=PATH'),
    ({'hardware': 'real'}, 'hardware:=real needs real_plugin:=CLASS')])
def test_a_hardware_that_cannot_be_is_refused(arm_xacro, arguments, words):
    with pytest.raises(ConfigError, match=words):
        expand_xacro(arm_xacro, arguments)


@pytest.mark.parametrize('text, words', [
    ('<robot name="r"><link', 'no element found|unclosed token'),
    ('<robot xmlns:xacro="http://www.ros.org/wiki/xacro" name="${1 / 0}"/>', 'division by zero'),
    ('<robot xmlns:xacro="http://www.ros.org/wiki/xacro" name="${nobody}"/>', 'nobody'),
    ('<robot xmlns:xacro="http://www.ros.org/wiki/xacro"><xacro:include filename="no.xacro"/>'
     '</robot>', 'no.xacro'),
    ('', 'no element found')])
def test_a_damaged_xacro_is_refused_by_its_name(tmp_path, text, words):
    path = tmp_path / 'broken.xacro'
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf'broken\.xacro cannot be expanded: .*({words})'):
        expand_xacro(path)
    with pytest.raises(ConfigError, match='nothing.xacro is not there'):
        expand_xacro(tmp_path / 'nothing.xacro')


def test_the_commanded_joints_are_those_that_lead_in_order_of_the_text(arm_urdf):
    urdf = parse_urdf(arm_urdf)
    joints = read_control(arm_urdf)
    assert [joint.name for joint in joints] == [
        name for name, joint in urdf.joints.items()
        if joint.type != 'fixed' and joint.mimic is None]
    for joint in joints:
        limits = urdf.joints[joint.name]
        assert (joint.min, joint.max) == (limits.lower, limits.upper)
        assert joint.min <= joint.initial <= joint.max
        assert limits.velocity > 0


def test_at_the_start_the_tool_is_over_the_table_and_points_down(arm_urdf):
    initial = {joint.name: joint.initial for joint in read_control(arm_urdf)}
    chain = Chain(parse_urdf(arm_urdf), 'tool0')
    pose, = chain.poses([[initial[name] for name in chain.joint_names]])
    np.testing.assert_allclose(pose[:3, 3], [0.35, 0.0, 0.25], atol=1e-3)
    np.testing.assert_allclose(pose[:3, 2], [0.0, 0.0, -1.0], atol=1e-3)


def test_limits_and_start_of_a_joint_have_defaults(arm_urdf):
    text = replaced(arm_urdf, '<param name="min">0.0</param>', '')
    text = replaced(text, '<param name="max">2.6</param>', '')
    text = replaced(text, '<param name="initial_value">1.3237</param>', '')
    elbow = {joint.name: joint for joint in read_control(text)}['elbow']
    assert (elbow.min, elbow.max, elbow.initial) == (0.0, 2.6, 0.0)


@pytest.mark.parametrize('old, new, words', [
    ('<joint name="elbow">', '<joint name="knee">', "joint 'knee' of ros2_control is no joint"),
    ('<joint name="elbow">', '<joint name="wrist_1">', "lists the joint 'wrist_1' twice"),
    ('<joint name="gripper">', '<joint name="gripper_right">',
     "'gripper_right' of ros2_control mimics 'gripper'; it must have no command interface"),
    ('<command_interface name="position">', '<command_interface name="velocity">',
     r"command interfaces \['velocity'\]; only one, \"position\""),
    ('<joint name="elbow" type="revolute">', '<joint name="elbow" type="planar">',
     "'elbow' of ros2_control is of type 'planar'; .*: revolute, continuous, prismatic"),
    ('<joint name="elbow" type="revolute">', '<joint name="elbow" type="floating">',
     "is of type 'floating'"),
    ('<limit effort="50"', '<limit effort="0"', "'elbow': limit effort is '0'; it must be"),
    ('<limit effort="50"', '<limit effort="-50"', "effort is '-50'; .* above 0"),
    ('<limit effort="50"', '<limit effort="inf"', "effort is 'inf'"),
    ('<limit effort="50"', '<limit effort="much"', "effort is 'much'"),
    ('velocity="2.5"', 'velocity="0"', "'elbow' .* has the limit velocity 0, with which it never"),
    ('1.3237', '2.7', 'initial_value is 2.7, outside 0 to 2.6'),
    ('1.3237', 'bent', "initial_value.* is 'bent'; it must be a number"),
    ('<param name="min">-1.2</param>', '<param name="min">5</param>', 'positions are 5.0 to 1.9'),
    ('command_interface', 'gpio', 'no joint has a command interface')])
def test_what_ros2_control_could_not_mean_is_refused(arm_urdf, old, new, words):
    with pytest.raises(ConfigError, match=words):
        read_control(replaced(arm_urdf, old, new))


def test_cameras_have_the_closed_form_of_a_pinhole(arm_urdf):
    cameras = read_cameras(arm_urdf)
    assert list(cameras) == ['wrist_camera', 'scene_camera']
    for name, camera in cameras.items():
        assert (camera.name, camera.link) == (name, f'{name}_link')
        assert camera.optical_frame == f'{name}_optical_frame'
        assert (camera.width, camera.height, camera.rate_hz) == (160, 120, 30.0)
        # What is at the edge of the field of view falls on the edge of the picture.
        edge = math.tan(camera.hfov / 2)
        np.testing.assert_allclose(camera.matrix @ [edge, 0, 1], [camera.width, 60, 1])
        np.testing.assert_allclose(camera.matrix @ [0, edge * 120 / 160, 1], [80, 120, 1])
        assert camera.fovy == pytest.approx(2 * math.atan(edge * camera.height / camera.width))


def test_the_optical_frame_looks_along_the_link(arm_urdf):
    urdf = parse_urdf(arm_urdf)
    for camera in read_cameras(arm_urdf).values():
        frames = []
        for link in (camera.link, camera.optical_frame):
            chain = Chain(urdf, link)
            frames.append(chain.poses(np.zeros((1, len(chain.joint_names))))[0])
        link, optical = frames
        np.testing.assert_allclose(optical[:3, 3], link[:3, 3], atol=1e-12)
        np.testing.assert_allclose(optical[:3, 2], link[:3, 0], atol=1e-12)
        np.testing.assert_allclose(optical[:3, 1], -link[:3, 2], atol=1e-12)


@pytest.mark.parametrize('old, new, words', [
    ('<width>160</width>', '<width>0</width>', "camera/image/width is '0'"),
    ('<width>160</width>', '<width>160.5</width>', 'is 160.5 x 120; whole numbers'),
    ('<height>120</height>', '', 'camera/image/height is None'),
    ('<horizontal_fov>1.2</horizontal_fov>', '<horizontal_fov>69</horizontal_fov>',
     "'wrist_camera': camera/horizontal_fov is '69'; it must be a number from 0.01 to 3.1"),
    ('R8G8B8', 'BAYER_RGGB8', "format is 'BAYER_RGGB8'; only R8G8B8"),
    ('<far>5.0</far>', '<far>0.001</far>', 'near is 0.01, and camera/clip/far 0.001; far must'),
    ('<far>5.0</far>', '<far>0.01</far>', 'far must be above near'),
    ('<far>5.0</far>', '<far>-1</far>', 'camera/clip/far'),
    ('<update_rate>30</update_rate>', '<update_rate>nan</update_rate>', "update_rate is 'nan'"),
    ('<gz_frame_id>wrist_camera_optical_frame', '<gz_frame_id>nowhere',
     "gz_frame_id is 'nowhere'; it must be a link"),
    ('<gazebo reference="wrist_camera_link">', '<gazebo>', 'reference .* is None'),
    ('sensor name="scene_camera"', 'sensor name="wrist_camera"',
     "camera 'wrist_camera' is there twice"),
    ('sensor name="scene_camera"', 'sensor', 'a camera lacks the attribute "name"')])
def test_a_damaged_camera_is_refused(arm_urdf, old, new, words):
    with pytest.raises(ConfigError, match=words):
        read_cameras(replaced(arm_urdf, old, new))


def test_other_sensors_are_no_cameras(arm_urdf):
    text = replaced(arm_urdf, 'name="scene_camera" type="camera"', 'name="imu" type="imu"')
    assert list(read_cameras(text)) == ['wrist_camera']

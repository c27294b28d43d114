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

"""
The files for the simulated arm agree with each other on every name, without Gazebo.

They are: URDF (xacro), worlds (SDF), controllers, bridge, robot contracts.
"""

from pathlib import Path
import re
from xml.etree import ElementTree

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.control.plan_path import choose_plan_path
from diffusion_policy_ros.control.safety.limits import motion_limits
from diffusion_policy_ros.urdf import parse_urdf
import numpy as np
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
ROBOTS = ROOT / 'config' / 'robots'
CONTROLLERS = {
    name.removeprefix('/**/'): entry['ros__parameters'] for name, entry in yaml.safe_load(
        (ROOT / 'config' / 'gazebo' / 'controllers.yaml').read_text('utf-8')).items()}
BRIDGE = yaml.safe_load((ROOT / 'config' / 'gazebo' / 'bridge.yaml').read_text('utf-8'))
WORLDS = sorted((ROOT / 'worlds').glob('arm_*.sdf'))
CONTRACTS = {name: load_contract(ROBOTS / f'{name}.yaml') for name in (
    'arm_pick_place', 'arm_pick_place_trajectory', 'arm_push')}
BY_CONTRACT = pytest.mark.parametrize('name', CONTRACTS)
BY_WORLD = pytest.mark.parametrize('path', WORLDS, ids=lambda path: path.stem)
# The controllers' interface names, by the last part of the topic that they listen to.
LISTENS = {'forward_command_controller/ForwardCommandController': 'commands',
           'joint_trajectory_controller/JointTrajectoryController': 'joint_trajectory'}


@pytest.fixture(scope='module', params=['gazebo', 'mock', 'real'])
def hardware(request):
    """Return a choice of the xacro file's argument of that name."""
    return request.param


@pytest.fixture(scope='module')
def robot(hardware):
    """Return the root element of the robot description for one kind of hardware."""
    xacro = pytest.importorskip('xacro')
    return ElementTree.fromstring(xacro.process_file(
        str(ROOT / 'urdf' / 'arm.urdf.xacro'), mappings={
            'hardware': hardware, 'controllers': '/its/controllers.yaml',
            'real_plugin': 'vendor/ArmSystem'}).toxml())


@pytest.fixture(scope='module')
def gazebo_robot():
    """Return the root element of the robot description for Gazebo."""
    xacro = pytest.importorskip('xacro')
    return ElementTree.fromstring(xacro.process_file(
        str(ROOT / 'urdf' / 'arm.urdf.xacro'),
        mappings={'hardware': 'gazebo', 'controllers': '/its/controllers.yaml'}).toxml())


def interfaces(robot, kind):
    """Return the joints that have interfaces of a kind in ros2_control, and which."""
    return {joint.get('name'): {interface.get('name') for interface in joint.findall(kind)}
            for joint in robot.iterfind('ros2_control/joint')}


def cameras(robot):
    """Return the camera sensors of a description by their names."""
    return {sensor.get('name'): sensor for sensor in robot.iter('sensor')
            if sensor.get('type') == 'camera'}


def test_the_hardware_plugin_is_that_of_the_argument(robot, hardware):
    assert robot.findtext('ros2_control/hardware/plugin') == {
        'gazebo': 'gz_ros2_control/GazeboSimSystem', 'mock': 'mock_components/GenericSystem',
        'real': 'vendor/ArmSystem'}[hardware]
    plugins = [plugin for plugin in robot.iter('plugin') if plugin.get('filename')]
    assert len(plugins) == (hardware == 'gazebo')
    for plugin in plugins:
        assert plugin.get('filename') == 'gz_ros2_control-system'  # bare: not only for Linux
        assert plugin.findtext('parameters') == '/its/controllers.yaml'
        assert 0 < float(plugin.findtext('position_proportional_gain')) <= 1


def test_every_joint_that_ros2_control_knows_is_a_joint_with_limits(robot):
    joints = {joint.get('name'): joint for joint in robot.findall('joint')}
    for name in interfaces(robot, 'state_interface'):
        limit = joints[name].find('limit')
        assert float(limit.get('lower')) < float(limit.get('upper'))
        assert float(limit.get('velocity')) > 0 and float(limit.get('effort')) > 0


def test_a_joint_that_mimics_another_has_no_command_interface(robot):
    commanded = interfaces(robot, 'command_interface')
    mimics = [joint for joint in robot.findall('joint') if joint.find('mimic') is not None]
    assert [joint.get('name') for joint in mimics] == ['gripper_right']
    for joint in mimics:
        assert joint.find('mimic').get('joint') in commanded
        assert not commanded.get(joint.get('name'))


def test_gazebo_lets_follow_what_mimics_a_joint_since_ros2_control_lists_both(gazebo_robot):
    states = interfaces(gazebo_robot, 'state_interface')
    for joint in gazebo_robot.findall('joint'):
        if joint.find('mimic') is not None:
            leader = joint.find('mimic').get('joint')
            assert states[joint.get('name')] == states[leader] >= {'position'}
            starts = [gazebo_robot.findtext(
                f"ros2_control/joint[@name='{name}']/state_interface/param[@name='initial_value']")
                for name in (leader, joint.get('name'))]
            assert starts[0] == starts[1] is not None


def test_every_controller_has_a_type_and_its_joints_have_its_interfaces(robot):
    manager = CONTROLLERS['controller_manager']
    types = {name: entry['type'] for name, entry in manager.items() if isinstance(entry, dict)}
    assert types.keys() == {'joint_state_broadcaster', *CONTROLLERS} - {'controller_manager'}
    assert types.pop('joint_state_broadcaster') == (
        'joint_state_broadcaster/JointStateBroadcaster')
    commands, states = (interfaces(robot, f'{kind}_interface') for kind in ('command', 'state'))
    for name, type_ in types.items():
        entry = CONTROLLERS[name]
        forward = type_.endswith('ForwardCommandController')
        wanted = [entry['interface_name']] if forward else entry['command_interfaces']
        for joint in entry['joints']:
            assert set(wanted) <= commands[joint], (name, joint)
            assert set(entry.get('state_interfaces', ())) <= states[joint], (name, joint)


def test_the_trajectory_controller_does_not_stop_and_go_and_both_take_the_same_joints():
    forward, trajectory = CONTROLLERS['arm_forward_controller'], CONTROLLERS['arm_controller']
    assert forward['joints'] == trajectory['joints']
    assert trajectory['interpolate_from_desired_state'] is True
    assert trajectory['allow_partial_joints_goal'] is False


def test_the_controllers_run_at_least_as_often_as_they_are_commanded():
    safety = yaml.safe_load((ROOT / 'config' / 'command_safety.yaml').read_text('utf-8'))
    rate_hz = safety['/**/command_safety']['ros__parameters']['rate_hz']
    assert CONTROLLERS['controller_manager']['update_rate'] >= rate_hz


@BY_CONTRACT
def test_a_contract_commands_controllers_in_their_order_and_by_their_topics(name):
    types = CONTROLLERS['controller_manager']
    for output in CONTRACTS[name].actions:
        controller, listens = output.topic.split('/')
        assert LISTENS[types[controller]['type']] == listens
        assert list(output.names) == CONTROLLERS[controller]['joints']


@BY_CONTRACT
def test_a_contract_observes_the_cameras_and_joints_of_the_description(name, gazebo_robot):
    states = interfaces(gazebo_robot, 'state_interface')
    topics = {sensor.findtext('topic') for sensor in cameras(gazebo_robot).values()}
    observed = {stream.topic for stream in CONTRACTS[name].observations if stream.image}
    assert observed == topics
    for stream in CONTRACTS[name].observations:
        if not stream.image:
            assert stream.topic == 'joint_states'
            assert {stream.field} <= set.intersection(*(states[each] for each in stream.names))


@BY_CONTRACT
def test_limits_are_those_of_the_description(name, gazebo_robot):
    joints = {joint.get('name'): joint.find('limit') for joint in gazebo_robot.findall('joint')}
    contract = CONTRACTS[name]
    motion_limits(contract.limits, contract.action_names, name)
    for joint in contract.action_names:
        limit, wanted = joints[joint], contract.limits[joint]
        assert wanted['position'] == [float(limit.get('lower')), float(limit.get('upper'))]
        assert wanted['velocity'] == float(limit.get('velocity'))
        assert {'acceleration', 'jerk'} <= wanted.keys()


def test_the_limits_for_ros2_control_are_those_of_the_joints(robot):
    joints = {joint.get('name'): joint.find('limit') for joint in robot.findall('joint')}
    for joint in robot.iterfind('ros2_control/joint'):
        limit = joints[joint.get('name')]
        for command in joint.iterfind('command_interface'):
            for end, key in (('min', 'lower'), ('max', 'upper')):
                assert float(command.findtext(f"param[@name='{end}']")) == float(limit.get(key))
        start = float(joint.findtext("state_interface/param[@name='initial_value']"))
        assert float(limit.get('lower')) <= start <= float(limit.get('upper'))


def test_one_checkpoint_serves_both_ways_to_command_the_arm():
    forward, trajectory = (CONTRACTS[f'arm_pick_place{end}'] for end in ('', '_trajectory'))
    assert not forward.disagreements(trajectory)
    assert [output.topic for output in trajectory.actions] == [
        'arm_controller/joint_trajectory', 'gripper_controller/commands']


@BY_CONTRACT
def test_the_way_of_the_tool_in_a_plan_can_be_drawn(robot, name):
    urdf = parse_urdf(ElementTree.tostring(robot, encoding='unicode'))
    path, reason = choose_plan_path(CONTRACTS[name], urdf=urdf, tip_link='tool0')
    assert path, reason
    assert path.frame_id == 'world'
    rows = np.zeros((2, 7))
    rows[1, 0] = 1.0  # shoulder_pan turns about the vertical
    here, turned = path.points(rows)
    assert turned[2] == pytest.approx(here[2])
    assert np.hypot(*turned[:2]) == pytest.approx(np.hypot(*here[:2]))
    assert np.linalg.norm(turned - here) == pytest.approx(2 * np.hypot(*here[:2]) * np.sin(0.5))


def test_cameras_have_frames_and_topics_of_their_names_and_square_pictures(gazebo_robot):
    links = {link.get('name') for link in gazebo_robot.findall('link')}
    assert cameras(gazebo_robot).keys() == {'wrist_camera', 'scene_camera'}
    for name, sensor in cameras(gazebo_robot).items():
        assert sensor.findtext('topic') == f'{name}/image_raw'
        assert sensor.findtext('camera/camera_info_topic') == f'{name}/camera_info'
        assert sensor.findtext('gz_frame_id') == f'{name}_optical_frame'
        assert {f'{name}_link', f'{name}_optical_frame'} <= links
        assert sensor.findtext('camera/image/format') == 'R8G8B8'
        assert float(sensor.findtext('update_rate')) >= 2 * CONTRACTS['arm_push'].rate_hz
    referenced = {entry.get('reference') for entry in gazebo_robot.findall('gazebo')} - {None}
    assert referenced <= links


def test_the_bridge_carries_clock_and_camera_info_one_way_and_no_pictures(gazebo_robot):
    infos = {sensor.findtext('camera/camera_info_topic')
             for sensor in cameras(gazebo_robot).values()}
    assert {entry['gz_topic_name'] for entry in BRIDGE} == {'/clock', *infos}
    for entry in BRIDGE:
        assert entry['direction'] == 'GZ_TO_ROS'
        assert entry['ros_topic_name'] == entry['gz_topic_name']
        assert (entry['ros_type_name'], entry['gz_type_name']) == (
            ('rosgraph_msgs/msg/Clock', 'gz.msgs.Clock') if entry['gz_topic_name'] == '/clock'
            else ('sensor_msgs/msg/CameraInfo', 'gz.msgs.CameraInfo'))
        # Others, such as qos_profile, are not known to Jazzy.
        assert entry.keys() == {'ros_topic_name', 'gz_topic_name', 'ros_type_name',
                                'gz_type_name', 'direction'}


def test_nothing_has_to_be_downloaded_and_there_are_no_meshes(robot):
    texts = [ElementTree.tostring(robot, 'unicode'), *(path.read_text() for path in WORLDS)]
    for text in texts:
        assert not re.search(r'<(mesh|include|uri)\b|https?://|package://|model://', text)
    assert len(texts) > 1


@BY_WORLD
def test_a_world_has_what_the_launch_needs_and_no_robot(path):
    world = ElementTree.parse(path).getroot().find('world')
    assert world.get('name') == path.stem
    plugins = {plugin.get('filename'): plugin for plugin in world.findall('plugin')}
    assert plugins.keys() >= {f'gz-sim-{name}-system' for name in (
        'physics', 'user-commands', 'scene-broadcaster', 'sensors')}
    # Without it the topics of the cameras are there and nothing is published.
    assert plugins['gz-sim-sensors-system'].findtext('render_engine') == 'ogre2'
    step_s = float(world.findtext('physics/max_step_size'))
    # Controllers run at whole steps: with another rate their periods would be uneven.
    steps = 1 / CONTROLLERS['controller_manager']['update_rate'] / step_s
    assert steps == pytest.approx(round(steps)) and steps >= 1
    assert 0.001 <= step_s <= 0.002
    assert 'arm' not in {model.get('name') for model in world.findall('model')}

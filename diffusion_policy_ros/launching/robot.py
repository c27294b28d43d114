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
"""What drives an arm in a launch file: its description, ros2_control and its controllers."""

import os
from pathlib import Path
import shlex
import shutil
from xml.etree import ElementTree

from ament_index_python.packages import (
    get_package_prefix, get_package_share_directory, PackageNotFoundError)
from diffusion_policy_ros.launching.common import share, TRUTH
from diffusion_policy_ros.launching.endings import end_with
from launch.actions import DeclareLaunchArgument, LogInfo, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessExit
from launch.substitutions import Command, LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

GAZEBO_PLUGIN = 'gz_ros2_control::GazeboSimROS2ControlPlugin'
# By the choices of arm_controller: a controller of config/gazebo/controllers.yaml, a contract.
ARM_CONTROLLERS = {'forward': 'arm_forward_controller', 'trajectory': 'arm_controller'}
CONTRACTS = {'forward': 'arm_pick_place', 'trajectory': 'arm_pick_place_trajectory'}
# Packages of ros2_control that run the arm's controllers.
CONTROL_PACKAGES = ('controller_manager', 'forward_command_controller', 'joint_state_broadcaster',
                    'joint_trajectory_controller', 'robot_state_publisher')
# How long to wait for a controller_manager, s; Gazebo may take long to start.
MANAGER_TIMEOUT_S = 120


def arm_arguments() -> list:
    """Return the declarations for the arm that comes with this package, or one like it."""
    return [
        DeclareLaunchArgument('contract', default_value='', description=(
            'Robot contract (YAML file); empty: that of pick and place, for the controller in '
            'arm_controller')),
        DeclareLaunchArgument(
            'description', default_value=f'{share()}/urdf/arm.urdf.xacro',
            description='Robot description (xacro or URDF file)'),
        DeclareLaunchArgument(
            'controllers', default_value=f'{share()}/config/gazebo/controllers.yaml',
            description='YAML file with controller_manager and controllers; absolute path'),
        DeclareLaunchArgument(
            'arm_controller', default_value='forward', choices=tuple(ARM_CONTROLLERS),
            description='The active one of the two arm controllers, which the contract commands; '
                        'the other is loaded inactive'),
        DeclareLaunchArgument('rviz', default_value='false', choices=TRUTH,
                              description='Start RViz too'),
    ]


def arm_contract(context) -> str:
    """Return the robot contract that was given, or that of the active arm controller."""
    name = CONTRACTS[value(context, 'arm_controller')]
    return value(context, 'contract') or f'{share()}/config/robots/{name}.yaml'


def require(*packages):
    """
    Refuse to start without some ROS packages.

    :raises RuntimeError: which names all that are missing, and how to get them.
    """
    missing = []
    for package in packages:
        try:
            get_package_prefix(package)
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        distro = os.environ.get('ROS_DISTRO', '<distro>')
        names = ' '.join(f'ros-{distro}-{name.replace("_", "-")}' for name in missing)
        raise RuntimeError(f'not installed: {", ".join(missing)}. Try: sudo apt install {names}')


def find_launch_file(given) -> str:
    """
    Return the path of a launch file that was given as one, or as PACKAGE/FILE.

    :raises RuntimeError: where there is neither.
    """
    if Path(given).is_file():
        return given
    package, slash, name = given.partition('/')
    if not (package and slash):
        raise RuntimeError(f'{given}: there is no such file; give its path, or PACKAGE/FILE')
    require(package)
    path = Path(get_package_share_directory(package)) / 'launch' / name
    if not path.is_file():
        raise RuntimeError(f'{given}: there is no such file, and no {path}')
    return str(path)


def describe(context, path, **arguments) -> str:
    """
    Return the robot description that a xacro file expands to.

    :param context: ``LaunchContext``.
    :param path: The xacro or URDF file.
    :param arguments: Arguments of the xacro file; those that it does not have change nothing.
    """
    if not Path(path).is_file():
        raise RuntimeError(f'description:={path}: there is no such file')
    if shutil.which('xacro') is None:
        require('xacro')
    words = ['xacro', path, *(f'{name}:={value}' for name, value in arguments.items())]
    # Warnings go to stderr and end no launch; an error shows what was written there.
    return Command(shlex.join(words), on_stderr='ignore').perform(context)


def for_gazebo(urdf_text, namespace) -> str:
    """
    Return a robot description as Gazebo needs it.

    Its plugin runs the controllers in the namespace. And a link that is fixed to the world gets a
    mass where it has none, since without one Gazebo leaves it out silently, with its camera.
    """
    robot = ElementTree.fromstring(urdf_text)
    for plugin in robot.iter('plugin'):
        if plugin.get('name') == GAZEBO_PLUGIN and namespace:
            ros = plugin.find('ros')
            ros = ElementTree.SubElement(plugin, 'ros') if ros is None else ros
            ElementTree.SubElement(ros, 'namespace').text = f'/{namespace.strip("/")}'
    fixed = {joint.find('child').get('link') for joint in robot.findall('joint')
             if joint.find('parent').get('link') == 'world'}
    for link in robot.findall('link'):
        if link.get('name') in fixed and link.find('inertial') is None:
            inertial = ElementTree.SubElement(link, 'inertial')
            ElementTree.SubElement(inertial, 'mass', value='0.1')
            ElementTree.SubElement(inertial, 'inertia', {
                axes: '1e-4' if axes[1] == axes[2] else '0'
                for axes in ('ixx', 'ixy', 'ixz', 'iyy', 'iyz', 'izz')})
    return ElementTree.tostring(robot, encoding='unicode')


def camera_topics(urdf_text) -> list:
    """
    Return the Gazebo topics of the cameras in a robot description.

    :raises RuntimeError: naming a camera that has none.
    """
    topics = []
    for sensor in ElementTree.fromstring(urdf_text).iter('sensor'):
        if sensor.get('type') == 'camera':
            topics.append((sensor.findtext('topic') or '').strip())
            if not topics[-1]:
                raise RuntimeError(
                    f'the camera {sensor.get("name")} in description:= has no <topic>, so that '
                    'its pictures cannot be bridged; give its sensor one, CAMERA/image_raw')
    return topics


def state_publisher(context, urdf_text) -> Node:
    """Return the node that publishes a robot description and the frames of its links."""
    return Node(
        package='robot_state_publisher', executable='robot_state_publisher', output='screen',
        namespace=value(context, 'namespace'),
        parameters=[{'robot_description': ParameterValue(urdf_text, value_type=str),
                     'use_sim_time': value(context, 'use_sim_time') == 'true'}])


def control_node(context) -> Node:
    """Return the node that runs hardware and controllers; it reads the robot description."""
    return Node(
        package='controller_manager', executable='ros2_control_node', output='screen',
        namespace=value(context, 'namespace'), parameters=[value(context, 'controllers')],
        # Humble looks for the description below its own name.
        remappings=[('~/robot_description', 'robot_description')],
        on_exit=end_with('ros2_control_node'))


def spawner(context, *controllers, inactive=False) -> Node:
    """Return the process that loads controllers and, unless told otherwise, activates them."""
    namespace = value(context, 'namespace').strip('/')
    manager = f'/{namespace}/controller_manager' if namespace else '/controller_manager'
    return Node(
        package='controller_manager', executable='spawner', output='screen', namespace=namespace,
        arguments=[*controllers, '--controller-manager', manager,
                   '--controller-manager-timeout', str(MANAGER_TIMEOUT_S),
                   '--param-file', value(context, 'controllers'),
                   *(['--inactive'] if inactive else [])])


def arm_spawners(context) -> list:
    """Return the spawners of the arm that comes with this package, in their order."""
    wanted = value(context, 'arm_controller')
    other, = {name for choice, name in ARM_CONTROLLERS.items() if choice != wanted}
    return [spawner(context, 'joint_state_broadcaster'),
            spawner(context, ARM_CONTROLLERS[wanted], 'gripper_controller'),
            spawner(context, other, inactive=True)]


def one_after_another(processes, last) -> list:
    """
    Return actions that run processes one after another, and some actions when all went well.

    :param processes: Processes that end by themselves; the first one that fails ends the launch.
    :param last: Actions for when the last process has ended.
    """
    following = [*([process] for process in processes[1:]), last]
    return [*(_when_done(process, actions) for process, actions in zip(processes, following)),
            processes[0]]


def _when_done(process, actions):
    """Return the handler that goes on after a process that went well."""
    def react(event, context):
        if event.returncode == 0:
            return actions
        if context.is_shutdown:
            return None
        reason = f'{event.process_name} ended with exit code {event.returncode}'
        return [LogInfo(msg=f'{reason}: what should come after it is not started'),
                Shutdown(reason=reason)]

    return RegisterEventHandler(OnProcessExit(target_action=process, on_exit=react))


def rviz(context) -> list:
    """Return RViz with the view of the arm, where it is wanted."""
    if value(context, 'rviz') == 'false':
        return []
    require('rviz2')
    return [Node(package='rviz2', executable='rviz2', output='log',
                 namespace=value(context, 'namespace'),
                 arguments=['-d', f'{share()}/config/rviz/arm.rviz'],
                 parameters=[{'use_sim_time': value(context, 'use_sim_time') == 'true'}])]


def value(context, name) -> str:
    """Return the value of a launch argument."""
    return LaunchConfiguration(name).perform(context)

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
Start the arm in Gazebo, and what commands it: by default a safety node, with model:= a policy.

For Jazzy with Harmonic and Lyrical with Jetty; docs/gazebo.md.
"""

from pathlib import Path
import shlex

from diffusion_policy_ros.launching.common import common_arguments, fast_dds_profile, share, TRUTH
from diffusion_policy_ros.launching.robot import (
    arm_arguments, arm_contract, arm_spawners, camera_topics, CONTROL_PACKAGES, describe,
    find_launch_file, for_gazebo, one_after_another, require, rviz, state_publisher, value)
from diffusion_policy_ros.launching.software import software, software_arguments
from launch import LaunchDescription
from launch.actions import (
    AppendEnvironmentVariable, DeclareLaunchArgument, GroupAction, IncludeLaunchDescription,
    OpaqueFunction)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

GAZEBO_PACKAGES = ('gz_ros2_control', 'ros_gz_bridge', 'ros_gz_image', 'ros_gz_sim')


def generate_launch_description():
    """Declare the arguments and start the nodes."""
    def argument(name, default, description, **choices):
        return DeclareLaunchArgument(name, default_value=default, description=description,
                                     **choices)

    return LaunchDescription([
        argument('world', f'{share()}/worlds/arm_pick_place.sdf', 'World (SDF file)'),
        argument('headless', 'false', 'Without a window, rendering off-screen', choices=TRUTH),
        argument('seed', '0', "Seed of Gazebo's random numbers, such as sensor noise"),
        argument('bridge', f'{share()}/config/gazebo/bridge.yaml',
                 'YAML file with what ros_gz_bridge carries; pictures are not in it'),
        *arm_arguments(), *software_arguments(tip_link='tool0'),
        *common_arguments(use_sim_time='true'),
        fast_dds_profile(),
        OpaqueFunction(function=start),
    ])


def start(context):
    """Start Gazebo and the bridges, then the controllers, then what commands them."""
    require(*CONTROL_PACKAGES, *GAZEBO_PACKAGES)
    namespace = value(context, 'namespace')
    urdf_text = for_gazebo(describe(
        context, value(context, 'description'), hardware='gazebo',
        controllers=value(context, 'controllers')), namespace)
    create = Node(
        package='ros_gz_sim', executable='create', namespace=namespace, output='screen',
        arguments=['-topic', 'robot_description', '-name', namespace.strip('/').replace(
            '/', '_') or 'arm', '-allow_renaming', 'true'])
    return [gazebo(context), state_publisher(context, urdf_text),
            *bridges(context, camera_topics(urdf_text)), *rviz(context),
            *one_after_another([create, *arm_spawners(context)],
                               software(context, arm_contract(context)))]


def gazebo(context):
    """Return the launch of Gazebo itself, which ends everything when it ends."""
    if not Path(value(context, 'world')).is_file():
        raise RuntimeError(f'world:={value(context, "world")}: there is no such file')
    words = ['-r', '--seed', value(context, 'seed'), value(context, 'world')]
    if value(context, 'headless') == 'true':
        words = ['-s', '--headless-rendering', *words]
    meshes = AppendEnvironmentVariable('GZ_SIM_RESOURCE_PATH', str(Path(share()).parent))
    # Set inside the group, which does not take over what is set outside.
    return GroupAction([fast_dds_profile(), meshes, IncludeLaunchDescription(
        PythonLaunchDescriptionSource(find_launch_file('ros_gz_sim/gz_sim.launch.py')),
        launch_arguments={'gz_args': shlex.join(words), 'on_exit_shutdown': 'true'}.items())],
        forwarding=False)


def bridges(context, cameras):
    """Return the bridges from Gazebo to ROS, that of the pictures in a process of its own."""
    common = {'namespace': value(context, 'namespace'), 'output': 'screen'}
    sim_time = value(context, 'use_sim_time') == 'true'
    nodes = [Node(package='ros_gz_bridge', executable='parameter_bridge', **common, parameters=[
        {'config_file': value(context, 'bridge'), 'use_sim_time': sim_time}])]
    if cameras:
        nodes.append(Node(
            package='ros_gz_image', executable='image_bridge', arguments=cameras, **common,
            parameters=[{'qos': 'sensor_data', 'use_sim_time': sim_time}]))
    return nodes

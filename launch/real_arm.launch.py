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
Start a real arm, or none where it runs already, and what commands it: at first without moving it.

docs/real_arm.md leads from a new robot to its first safe motion.
"""

import shlex

from diffusion_policy_ros.launching.common import common_arguments, fast_dds_profile
from diffusion_policy_ros.launching.robot import (
    control_node, describe, find_launch_file, one_after_another, require, spawner,
    state_publisher, value)
from diffusion_policy_ros.launching.software import software, software_arguments
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument, GroupAction, IncludeLaunchDescription, OpaqueFunction)
from launch.launch_description_sources import AnyLaunchDescriptionSource

ARGUMENTS = {
    'bringup': "Launch file of the robot's driver, as a path or PACKAGE/FILE; empty: description, "
               'or the robot runs already',
    'bringup_arguments': 'Arguments of that launch file: name:=value, separated by spaces',
    'description': 'Robot description (xacro or URDF file) with the ros2_control tags of the real '
                   'hardware, to be started instead of a bringup',
    'description_arguments': 'Arguments of that xacro file: name:=value, separated by spaces',
    'controllers': 'With description: YAML file with controller_manager and controllers; absolute '
                   'path',
    'cameras': 'Launch file of the cameras, as a path or PACKAGE/FILE; empty: none',
    'camera_arguments': 'Arguments of that launch file: name:=value, separated by spaces',
}


def generate_launch_description():
    """Declare the arguments and start the nodes."""
    return LaunchDescription([
        DeclareLaunchArgument('contract', description='Robot contract (YAML file)'),
        *[DeclareLaunchArgument(name, default_value='', description=text)
          for name, text in ARGUMENTS.items()],
        DeclareLaunchArgument(
            'start_controllers', default_value='joint_state_broadcaster',
            description='With description: controllers to activate, separated by spaces'),
        *software_arguments(speed_scale='0.1', dry_run='true'), *common_arguments(),
        fast_dds_profile(), OpaqueFunction(function=start),
    ])


def start(context):
    """Start driver and cameras, and what commands the robot."""
    nodes = software(context, value(context, 'contract'))
    cameras = included(context, 'cameras', 'camera_arguments')
    if not value(context, 'description'):
        return [*included(context, 'bringup', 'bringup_arguments'), *cameras, *nodes]
    if value(context, 'bringup'):
        raise RuntimeError('bringup:= and description:= are both given; which one starts the '
                           'robot? Leave the other one out')
    return [*own_driver(context, nodes), *cameras]


def own_driver(context, nodes):
    """Return ros2_control with the given description, then its controllers, then the nodes."""
    require('controller_manager', 'robot_state_publisher')
    if not value(context, 'controllers'):
        raise RuntimeError("description:= needs controllers:= too, the YAML file with the robot's "
                           'controllers')
    urdf_text = describe(context, value(context, 'description'),
                         **dict(pairs(context, 'description_arguments')))
    started = spawner(context, *value(context, 'start_controllers').split())
    return [state_publisher(context, urdf_text), control_node(context),
            *one_after_another([started], nodes)]


def included(context, name, arguments):
    """
    Return the launch file that an argument names, or nothing.

    Of the arguments of this launch it sees none: it has a namespace, say, of its own. The same
    holds for what was set in the environment, so that the profile is set once more.
    """
    if not value(context, name):
        return []
    return [GroupAction([fast_dds_profile(), IncludeLaunchDescription(
        AnyLaunchDescriptionSource(find_launch_file(value(context, name))),
        launch_arguments=pairs(context, arguments))], forwarding=False)]


def pairs(context, name):
    """Return the names and values in an argument that holds other arguments."""
    words = shlex.split(value(context, name))
    wrong = [word for word in words if ':=' not in word]
    if wrong:
        raise RuntimeError(f'{name}: got {wrong[0]}; wanted is name:=value')
    return [tuple(word.split(':=', 1)) for word in words]

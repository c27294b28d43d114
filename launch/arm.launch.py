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
Start the arm on MuJoCo, and what commands it: by default a safety node, with model:= a policy.

The same contracts, policies and launches drive it in Gazebo (gazebo.launch.py) and on hardware.
"""

from diffusion_policy_ros.launching.common import common_arguments, fast_dds_profile, share, TRUTH
from diffusion_policy_ros.launching.robot import (
    arm_arguments, arm_contract, describe, require, rviz, state_publisher, value)
from diffusion_policy_ros.launching.simulation import seed_argument, simulation_node
from diffusion_policy_ros.launching.software import software, software_arguments
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction


def generate_launch_description():
    """Declare the arguments and start the nodes."""
    return LaunchDescription([
        DeclareLaunchArgument('arm_task', default_value='pick_place',
                              choices=('pick_place', 'push'), description=(
                                  'What is to be done; push has a contract of its own, for '
                                  'arm_controller:=forward')),
        DeclareLaunchArgument('viewer', default_value='false', choices=TRUTH, description=(
            'Open a window of MuJoCo in which a person watches')),
        seed_argument(), *arm_arguments(), *software_arguments(tip_link='tool0'),
        *common_arguments(use_sim_time='true'), fast_dds_profile(), OpaqueFunction(function=start),
    ])


def start(context):
    """Start the simulation, the frames of its links, and what commands it."""
    require('robot_state_publisher')
    description, contract = value(context, 'description'), task_contract(context)
    simulation = simulation_node('arm_sim', [{
        'task': value(context, 'arm_task'), 'seed': int(value(context, 'seed')),
        'description': description, 'controllers': value(context, 'controllers'),
        'contract': contract, 'viewer': value(context, 'viewer') == 'true',
        'publish_clock': value(context, 'use_sim_time') == 'true'}])
    return [simulation, state_publisher(context, describe(context, description, hardware='mock')),
            *rviz(context), *software(context, contract)]


def task_contract(context) -> str:
    """Return the robot contract that was given, or that of the task and the active controller."""
    if value(context, 'arm_task') != 'push' or value(context, 'contract'):
        return arm_contract(context)
    if value(context, 'arm_controller') != 'forward':
        raise RuntimeError(
            'arm_task:=push has no contract for arm_controller:='
            f'{value(context, "arm_controller")}; give one by contract:=, or leave '
            'arm_controller out')
    return f'{share()}/config/robots/arm_push.yaml'

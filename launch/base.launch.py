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
"""Start the simulated mobile base and, by default, the policy that was trained for it."""

from diffusion_policy_ros.launching.common import (
    common_arguments, fast_dds_profile, PACKAGE, share, TRUTH)
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

PASSED_ON = ('model', 'contract', 'command_rate_hz', 'namespace', 'use_sim_time', 'log_level',
             'autostart', 'safety')


def generate_launch_description():
    """Declare the arguments, start the simulation and include the policy's launch file."""
    return LaunchDescription([
        *declare_arguments(), *common_arguments(), fast_dds_profile(), start_simulation(),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(f'{share()}/launch/policy.launch.py'),
            launch_arguments=[(name, LaunchConfiguration(name)) for name in PASSED_ON],
            condition=IfCondition(LaunchConfiguration('policy'))),
    ])


def declare_arguments():
    """Return the declarations of the launch arguments."""
    return [
        DeclareLaunchArgument('policy', default_value='true', choices=TRUTH, description=(
            'Start a policy server too; false for demonstrating or recording')),
        DeclareLaunchArgument('model', default_value=f'{share()}/models/base',
                              description='Checkpoint folder'),
        DeclareLaunchArgument('contract', default_value=f'{share()}/config/robots/base.yaml',
                              description='Robot contract (YAML file)'),
        DeclareLaunchArgument('command_rate_hz', default_value='', description=(
            "Commands per second, Hz, a multiple of the contract's rate; empty: that rate")),
        DeclareLaunchArgument('safety', default_value='true', choices=TRUTH, description=(
            'Let command_safety hold all commands to the limits')),
        DeclareLaunchArgument('sim_params_file', default_value=f'{share()}/config/base_sim.yaml',
                              description='YAML file with parameters of the simulation; seed and '
                              'use_sim_time win over it'),
        DeclareLaunchArgument('seed', default_value='0',
                              description='Seed of the first episode; each reset adds one'),
        DeclareLaunchArgument('autostart', default_value='true', choices=TRUTH, description=(
            'Configure and activate policy and safety node at once')),
    ]


def start_simulation():
    """Return the simulated robot's node."""
    def typed(name, value_type):
        return ParameterValue(LaunchConfiguration(name), value_type=value_type)

    return Node(
        package=PACKAGE, executable='base_sim', name='base_sim', output='screen',
        namespace=LaunchConfiguration('namespace'),
        on_exit=Shutdown(reason='base_sim has ended'),
        parameters=[LaunchConfiguration('sim_params_file'),
                    {'seed': typed('seed', int), 'use_sim_time': typed('use_sim_time', bool)}],
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')])

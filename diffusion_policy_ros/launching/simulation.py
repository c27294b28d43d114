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
"""What the launch files of simulated robots have in common."""

from diffusion_policy_ros.launching.common import (
    common_arguments, fast_dds_profile, PACKAGE, share, TRUTH)
from diffusion_policy_ros.launching.endings import end_with
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

PASSED_ON = ('model', 'contract', 'command_rate_hz', 'namespace', 'use_sim_time', 'log_level',
             'autostart', 'safety')


def simulation_launch(node, *, model, contract, safety, remark='', switches=None):
    """
    Return the launch of a simulated robot and, unless told otherwise, of a policy for it.

    :param node: Name of the simulation's node, of its executable, and of its file in config/.
    :param model: Folder in models/ of the policy.
    :param contract: File in config/robots/ that the policy follows.
    :param safety: Default of the argument of that name.
    :param remark: What else to say about that.
    :param switches: Parameters of the node that are arguments too, false by default: name to
        description.
    :return: ``LaunchDescription``.
    """
    switches = switches or {}
    own = {'seed': int, 'use_sim_time': bool, **dict.fromkeys(switches, bool)}
    return LaunchDescription([
        *policy_arguments(model, contract, safety, remark),
        DeclareLaunchArgument(
            'sim_params_file', default_value=f'{share()}/config/{node}.yaml', description=(
                f'YAML file with parameters of the simulation; {", ".join(own)} win over it')),
        *[DeclareLaunchArgument(name, default_value='false', choices=TRUTH, description=text)
          for name, text in switches.items()],
        seed_argument(), *common_arguments(), fast_dds_profile(),
        simulation_node(node, [LaunchConfiguration('sim_params_file'), {
            name: ParameterValue(LaunchConfiguration(name), value_type=value_type)
            for name, value_type in own.items()}]),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(f'{share()}/launch/policy.launch.py'),
            launch_arguments=[(name, LaunchConfiguration(name)) for name in PASSED_ON],
            condition=IfCondition(LaunchConfiguration('policy'))),
    ])


def policy_arguments(model, contract, safety, remark) -> list:
    """Return the declarations of the policy's arguments; for theirs see ``simulation_launch``."""
    return [
        DeclareLaunchArgument('policy', default_value='true', choices=TRUTH, description=(
            'Start a policy server too; false for demonstrating or recording')),
        DeclareLaunchArgument('model', default_value=f'{share()}/models/{model}',
                              description='Checkpoint folder'),
        DeclareLaunchArgument('contract', default_value=f'{share()}/config/robots/{contract}',
                              description='Robot contract (YAML file)'),
        DeclareLaunchArgument('command_rate_hz', default_value='', description=(
            "Commands per second, Hz, a multiple of the contract's rate; empty: that rate")),
        DeclareLaunchArgument('safety', default_value=safety, choices=TRUTH, description=(
            f'Let command_safety hold all commands to the limits{remark}')),
        DeclareLaunchArgument('autostart', default_value='true', choices=TRUTH, description=(
            'Configure and activate policy and safety node at once')),
    ]


def seed_argument() -> DeclareLaunchArgument:
    """Return the declaration of the seed of a simulation."""
    return DeclareLaunchArgument('seed', default_value='0', description=(
        'Seed of the first episode; each reset adds one'))


def simulation_node(name, parameters) -> Node:
    """
    Return the node of a simulated robot, with which the launch ends.

    :param name: Name of node and executable.
    :param parameters: As ``launch_ros.actions.Node`` takes them.
    """
    return Node(
        package=PACKAGE, executable=name, name=name, output='screen', parameters=parameters,
        namespace=LaunchConfiguration('namespace'), on_exit=end_with(name),
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')])

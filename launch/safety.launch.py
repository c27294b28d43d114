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

"""Start the safety node, and by default bring it all the way to guarding the robot."""

from ament_index_python.packages import get_package_share_directory
from diffusion_policy_ros.dds_profile import profile_variable
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument, EmitEvent, OpaqueFunction, RegisterEventHandler, SetEnvironmentVariable)
from launch.events import matches_action
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition
import yaml

PACKAGE = 'diffusion_policy_ros'
TRUTH = ('true', 'false')
NODE_ARGUMENTS = (
    ('contract', '', 'Robot contract (YAML file); empty: the one that params_file names'),
    ('speed_scale', '', 'Share of the velocity limits that may be used, 0 to 1; empty: 1'),
    ('dry_run', '', 'true: compute and report everything, publish nothing; empty: false'),
)


def generate_launch_description():
    """Declare the arguments and start the node."""
    config = f'{get_package_share_directory(PACKAGE)}/config'
    return LaunchDescription([
        *[DeclareLaunchArgument(name, default_value=default, description=text)
          for name, default, text in NODE_ARGUMENTS],
        DeclareLaunchArgument(
            'params_file', default_value=f'{config}/command_safety.yaml', description=(
                'YAML file with parameters of the node; the arguments above win over it')),
        DeclareLaunchArgument('namespace', default_value='', description=(
            'Namespace of the node and of every topic of the contract')),
        DeclareLaunchArgument('use_sim_time', default_value='false', choices=TRUTH, description=(
            'Follow /clock, as with Gazebo or a played bag')),
        DeclareLaunchArgument('log_level', default_value='info', description='Least level shown',
                              choices=('debug', 'info', 'warn', 'error', 'fatal')),
        DeclareLaunchArgument('autostart', default_value='true', choices=TRUTH, description=(
            'Configure and activate at once; false leaves that to you or a lifecycle manager')),
        # The same profile as the nodes that it talks to.
        SetEnvironmentVariable(profile_variable(), EnvironmentVariable(
            profile_variable(), default_value=f'{config}/fastdds.xml')),
        OpaqueFunction(function=start_node),
    ])


def start_node(context):
    """Start the node with the arguments that were given."""
    def value(name):
        return LaunchConfiguration(name).perform(context)

    given = {name: value(name) for name, _, _ in NODE_ARGUMENTS if value(name)}
    for name in {'speed_scale', 'dry_run'} & set(given):
        given[name] = yaml.safe_load(given[name])
    node = LifecycleNode(
        package=PACKAGE, executable='command_safety', name='command_safety',
        namespace=value('namespace'), output='screen',
        parameters=[value('params_file'), given,
                    {'use_sim_time': value('use_sim_time') == 'true'}],
        arguments=['--ros-args', '--log-level', value('log_level')])
    return [node] if value('autostart') == 'false' else [*autostart(node), node]


def autostart(node):
    """Return the actions that configure a lifecycle node and then activate it."""
    def change(transition):
        return EmitEvent(event=ChangeState(
            lifecycle_node_matcher=matches_action(node), transition_id=transition))

    return [
        RegisterEventHandler(OnStateTransition(
            target_lifecycle_node=node, start_state='configuring', goal_state='inactive',
            entities=[change(Transition.TRANSITION_ACTIVATE)])),
        change(Transition.TRANSITION_CONFIGURE),
    ]

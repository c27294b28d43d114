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
Start a recorder: episodes of the contract's topics become rosbags, one each.

Keys need a terminal of their own: what to run there is told at the start.
"""

from diffusion_policy_ros.launching.common import (
    common_arguments, fast_dds_profile, given, PACKAGE, share)
from diffusion_policy_ros.nodes.recorder_parameters import BUTTONS
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

NODE_ARGUMENTS = {
    'contract': 'Robot contract (YAML file); empty: the one that params_file names',
    'output': 'Folder for the bags, one per episode; empty: bags',
    'dataset': 'Folder of the dataset that ~/convert builds; empty: dataset',
    'task': 'What the demonstrations show, one sentence',
    'pre_roll_s': 'How long before its start an episode begins, s; empty: 0',
    'discard_on': 'Alarms, separated by commas, for which an episode is moved to discarded/ when '
                  'it ends, such as gap,frozen; empty: none',
    **{name: f'Button of the topic joy for {what}, numbered from 0; empty: none'
       for name, what in BUTTONS.items()}}


def generate_launch_description():
    """Declare the arguments and start the node."""
    return LaunchDescription([
        *[DeclareLaunchArgument(name, default_value='', description=text)
          for name, text in NODE_ARGUMENTS.items()],
        DeclareLaunchArgument(
            'params_file', default_value=f'{share()}/config/recorder.yaml', description=(
                'YAML file with parameters of the node; the arguments above win over it')),
        *common_arguments(), fast_dds_profile(), OpaqueFunction(function=start_node),
    ])


def start_node(context):
    """Start the node with the arguments that were given, and say how to get its keys."""
    def value(name):
        return LaunchConfiguration(name).perform(context)

    namespace = value('namespace').strip('/')
    where = f' --ros-args -r __ns:=/{namespace}' if namespace else ''
    return [LogInfo(msg='for keys, in a terminal of its own: ros2 run diffusion_policy_ros '
                        f'record_keys{where}'), Node(
        package=PACKAGE, executable='recorder', name='recorder', namespace=value('namespace'),
        output='screen',
        parameters=[value('params_file'), given(context, NODE_ARGUMENTS),
                    {'use_sim_time': value('use_sim_time') == 'true'}],
        arguments=['--ros-args', '--log-level', value('log_level')])]

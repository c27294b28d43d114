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
"""Start two complete Push-T robots in namespaces of their own; neither hears the other."""

from diffusion_policy_ros.launching.common import share
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

NAMESPACES = ('left', 'right')


def generate_launch_description():
    """Include the launch of one robot twice."""
    return LaunchDescription([
        DeclareLaunchArgument('model', default_value=f'{share()}/models/pusht_image',
                              description='Checkpoint folder, for both'),
        DeclareLaunchArgument('safety', default_value='true', choices=('true', 'false'),
                              description='Let a command_safety guard each robot'),
        *[IncludeLaunchDescription(
            PythonLaunchDescriptionSource(f'{share()}/launch/pusht.launch.py'),
            launch_arguments={
                'namespace': namespace, 'seed': str(number), 'safety': LaunchConfiguration(
                    'safety'), 'model': LaunchConfiguration('model')}.items())
          for number, namespace in enumerate(NAMESPACES)],
    ])

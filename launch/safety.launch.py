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

from diffusion_policy_ros.launching.common import (
    common_arguments, fast_dds_profile, given, lifecycle_arguments, lifecycle_node)
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction

NODE = 'command_safety'
NODE_ARGUMENTS = {
    'contract': 'Robot contract (YAML file); empty: the one that params_file names',
    'speed_scale': 'Share of the velocity limits that may be used, 0 to 1; empty: 1',
    'dry_run': 'true: compute and report everything, publish nothing; empty: false',
    'ready_topic': 'Topic (std_msgs/msg/Bool) that must say true for the robot to move; empty: '
                   'that of params_file, else none'}


def generate_launch_description():
    """Declare the arguments and start the node."""
    return LaunchDescription([
        *[DeclareLaunchArgument(name, default_value='', description=text)
          for name, text in NODE_ARGUMENTS.items()],
        *lifecycle_arguments(NODE), *common_arguments(), fast_dds_profile(),
        OpaqueFunction(function=lambda context: lifecycle_node(
            context, NODE, given(context, NODE_ARGUMENTS))),
    ])

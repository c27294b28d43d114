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
Start the arm on mock hardware: real controllers, and joints that are at once where they are sent.

There is no physics and there are no cameras; docs/gazebo.md.
"""

from diffusion_policy_ros.launching.common import common_arguments, fast_dds_profile
from diffusion_policy_ros.launching.robot import (
    arm_arguments, arm_contract, arm_spawners, control_node, CONTROL_PACKAGES, describe,
    one_after_another, require, rviz, state_publisher, value)
from diffusion_policy_ros.launching.software import software, software_arguments
from launch import LaunchDescription
from launch.actions import OpaqueFunction


def generate_launch_description():
    """Declare the arguments and start the nodes."""
    return LaunchDescription([
        *arm_arguments(), *software_arguments(tip_link='tool0'), *common_arguments(),
        fast_dds_profile(), OpaqueFunction(function=start),
    ])


def start(context):
    """Start ros2_control, then the controllers, then what commands them."""
    require(*CONTROL_PACKAGES)
    urdf_text = describe(context, value(context, 'description'), hardware='mock')
    return [state_publisher(context, urdf_text), control_node(context), *rviz(context),
            *one_after_another(arm_spawners(context), software(context, arm_contract(context)))]

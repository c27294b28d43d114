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

"""The arm under ros2_control: pretended everywhere, mock hardware and Gazebo where they are."""

import pytest

pytestmark = pytest.mark.launch
CONTROL = ('controller_manager', 'forward_command_controller', 'joint_state_broadcaster',
           'joint_trajectory_controller', 'robot_state_publisher')
GAZEBO = ('gz_ros2_control', 'ros_gz_bridge', 'ros_gz_image', 'ros_gz_sim')


def skip_without(*packages):
    """Skip the test where ROS packages are missing, and name them."""
    from ament_index_python.packages import get_package_prefix, PackageNotFoundError
    missing = []
    for package in packages:
        try:
            get_package_prefix(package)
        except (PackageNotFoundError, EnvironmentError):  # the latter where no ROS is sourced
            missing.append(package)
    if missing:
        pytest.skip(f'not installed: {", ".join(missing)}')


def test_the_arm_follows_through_the_safety_node_with_a_pretended_ros2_control(scenario):
    scenario('mock', 80, pretended=True)


def test_the_arm_follows_on_mock_hardware(scenario):
    skip_without(*CONTROL)
    scenario('mock', 81)


@pytest.mark.gazebo
def test_the_arm_follows_and_sees_in_gazebo(scenario):
    skip_without(*CONTROL, *GAZEBO)
    scenario('gazebo', 82)

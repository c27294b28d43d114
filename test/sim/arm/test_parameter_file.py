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

"""The parameters that a simulated controller takes from the file of the real one."""

from types import SimpleNamespace

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.sim.arm.controllers.parameter_file import read_controllers
import pytest

FILE = """
controller_manager:
  ros__parameters:
    arm: {type: joint_trajectory_controller/JointTrajectoryController}
arm:
  ros__parameters: {joints: [a], interpolate_from_desired_state: true%s}
"""
SECOND = 1_000_000_000


@pytest.mark.parametrize(('more', 'wanted'), [
    ('', 0.0), (', allow_trajectory_replacement: true', 0.0),
    (', allow_trajectory_replacement: false', 0.5)])
def test_the_file_says_whether_a_trajectory_for_later_is_on_its_way_at_once(
        tmp_path, more, wanted):
    path = tmp_path / 'controllers.yaml'
    path.write_text(FILE % more, 'utf-8')
    controller = read_controllers(path)['arm/joint_trajectory']
    controller.activate(SECOND, [0.0])
    point = SimpleNamespace(
        positions=[1.0], velocities=[], accelerations=[], effort=[],
        time_from_start=SimpleNamespace(sec=1, nanosec=0))
    controller.accept(SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=2, nanosec=0)), joint_names=['a'],
        points=[point]), SECOND)
    assert controller.positions(2 * SECOND) == pytest.approx([wanted])


TYPED = 'type: joint_trajectory_controller/JointTrajectoryController'
JOINTS = 'joints: [a]'


@pytest.mark.parametrize('text', [
    f'{{controller_manager: {{ros__parameters: {{arm: {{{TYPED}}}}}}}, '
    f'arm: {{ros__parameters: {{{JOINTS}}}}}}}',
    f'{{/**: {{controller_manager: {{ros__parameters: {{arm: {{{TYPED}}}}}}}, '
    f'arm: {{ros__parameters: {{{JOINTS}}}}}}}}}',
    f'{{/left/controller_manager: {{ros__parameters: {{arm: {{{TYPED}}}}}}}, '
    f'left: {{arm: {{ros__parameters: {{{JOINTS}}}}}}}}}',
    f'arm: {{ros__parameters: {{{TYPED}, {JOINTS}}}}}',
    f'{{arm: {{ros__parameters: {{{TYPED}, {JOINTS}}}}}, '
    'other: {ros__parameters: {type: [a]}}, '
    f'/**: {{ros__parameters: {{{TYPED}, {JOINTS}}}}}}}',
    f'{{controller_manager: {{ros__parameters: {{arm: {{params_file: arm.yaml}}}}}}, '
    f'arm: {{ros__parameters: {{{TYPED}, {JOINTS}}}}}}}',
    f'{{controller_manager: {{ros__parameters: {{update_rate: 100}}}}, '
    f'arm: {{ros__parameters: {{{TYPED}, {JOINTS}}}}}}}'])
def test_controllers_are_found_wherever_ros2_control_finds_them(tmp_path, text):
    path = tmp_path / 'controllers.yaml'
    path.write_text(text, 'utf-8')
    assert list(read_controllers(path)) == ['arm/joint_trajectory']


def test_a_group_of_positions_is_a_forward_controller(tmp_path):
    path = tmp_path / 'controllers.yaml'
    path.write_text(f'arm: {{ros__parameters: {{{JOINTS}, '
                    'type: position_controllers/JointGroupPositionController}}', 'utf-8')
    assert list(read_controllers(path)) == ['arm/commands']


@pytest.mark.parametrize('text', [
    'arm: {ros__parameters: {type: joint_state_broadcaster/JointStateBroadcaster}}', 'arm: 3',
    f'arm: {{{TYPED}, {JOINTS}}}'])
def test_a_file_without_any_controller_to_simulate_is_refused(tmp_path, text):
    path = tmp_path / 'controllers.yaml'
    path.write_text(text, 'utf-8')
    with pytest.raises(ConfigError, match=r'controllers\.yaml has no controller that can be '
                       'simulated; it must have one of the type forward_command_controller/'):
        read_controllers(path)


@pytest.mark.parametrize(('kind', 'more', 'words'), [
    ('forward_command_controller/ForwardCommandController', 'interface_name: velocity',
     "interface_name of arm is 'velocity'; simulated is only position"),
    ('joint_trajectory_controller/JointTrajectoryController', 'command_interfaces: [velocity]',
     r"command_interfaces of arm is \['velocity'\]; simulated is only \['position'\]"),
    ('joint_trajectory_controller/JointTrajectoryController',
     'command_interfaces: [position, velocity]', 'command_interfaces of arm is'),
    ('joint_trajectory_controller/JointTrajectoryController', 'allow_partial_joints_goal: true',
     'allow_partial_joints_goal of arm is True; simulated is only False')])
def test_a_controller_that_would_take_other_commands_is_refused(tmp_path, kind, more, words):
    path = tmp_path / 'controllers.yaml'
    path.write_text(FILE.replace('joint_trajectory_controller/JointTrajectoryController', kind)
                    % f', {more}', 'utf-8')
    with pytest.raises(ConfigError, match=rf'controllers\.yaml: {words}'):
        read_controllers(path)

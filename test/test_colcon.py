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

"""What a ROS 2 user does: colcon build, source, run."""

import pytest

NODES = ('policy_server', 'recorder', 'pusht_sim')


def test_dpr_is_on_path_after_sourcing(colcon_workspace):
    shown = colcon_workspace.run('dpr', '--help')
    assert shown.returncode == 0, shown.stderr
    assert 'doctor' in shown.stdout
    module = colcon_workspace.run(
        'python3', '-c', 'import diffusion_policy_ros; print(diffusion_policy_ros.__file__)')
    assert module.stdout.startswith(str(colcon_workspace.prefix))


@pytest.mark.parametrize('name', ('dpr', *NODES))
def test_executables_are_where_ros2_run_looks(colcon_workspace, name):
    executable = colcon_workspace.prefix / 'lib' / 'diffusion_policy_ros' / name
    # A virtual environment's interpreter must win over the one that ran colcon.
    assert executable.read_text().startswith('#!/usr/bin/env python3\n')


@pytest.mark.parametrize('name', NODES)
def test_node_executable_starts(colcon_workspace, name):
    pytest.importorskip('rclpy')
    executable = colcon_workspace.prefix / 'lib' / 'diffusion_policy_ros' / name
    # rclpy refuses a broken rule at once; the node's imports and main() have run by then.
    ended = colcon_workspace.run(
        executable, '--ros-args', '--remap', 'no rule', ROS_DOMAIN_ID='72')
    assert ended.returncode != 0
    assert 'no rule' in ended.stderr


def test_the_ament_index_finds_the_package(colcon_workspace):
    pytest.importorskip('ament_index_python')
    found = colcon_workspace.run('python3', '-c', (
        'from ament_index_python.packages import get_package_share_directory as share\n'
        'print(share("diffusion_policy_ros"))'))
    share = colcon_workspace.prefix / 'share' / 'diffusion_policy_ros'
    assert found.stdout.strip() == str(share)
    assert (share / 'package.xml').is_file()
    assert (share / 'config' / 'robots' / 'pusht.yaml').is_file()
    assert (share / 'launch' / 'policy.launch.py').is_file()

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

"""The launch files, run by launch_testing from an installed package."""

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.launch
HERE = Path(__file__).resolve().parent
LAUNCH_FILES = ('policy', 'safety', 'record', 'pusht', 'arm', 'base', 'gazebo', 'mock',
                'real_arm')
ARGUMENTS = """
import sys
from launch import LaunchContext
from launch.launch_description_sources import PythonLaunchDescriptionSource
source = PythonLaunchDescriptionSource(sys.argv[1])
for argument in source.get_launch_description(LaunchContext()).get_launch_arguments():
    print(argument.name, argument.description, sep='|')
"""
PROFILE = """
import os
import sys
from launch import LaunchContext
from launch.actions import SetEnvironmentVariable
from launch.launch_description_sources import PythonLaunchDescriptionSource
context = LaunchContext()
source = PythonLaunchDescriptionSource(sys.argv[1])
for entity in source.get_launch_description(context).entities:
    if isinstance(entity, SetEnvironmentVariable):
        entity.execute(context)
print(context.environment['FASTDDS_DEFAULT_PROFILES_FILE'])
"""
LEFT_BEHIND = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import EmitEvent, IncludeLaunchDescription, OpaqueFunction
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
service = LaunchService()
service.include_launch_description(LaunchDescription([
    IncludeLaunchDescription(PythonLaunchDescriptionSource(sys.argv[1]),
                             launch_arguments=[a.split(':=') for a in sys.argv[2:]]),
    OpaqueFunction(function=lambda context: print('LEFT', [
        context.launch_configurations[name] for name in ('params_file', 'contract')])),
    EmitEvent(event=Shutdown())]))
service.run()
"""


@pytest.fixture(scope='module')
def tiny_model(save_tiny_policy):
    """Save a small untrained policy; its folder."""
    return save_tiny_policy(n_action_steps=4)


def run_scenario(workspace, name, domain, **environment):
    """Run one launch test in the sourced workspace; fail with its whole output."""
    python_path = os.pathsep.join(filter(None, [str(HERE), os.environ.get('PYTHONPATH')]))
    code = 'import sys; from launch_testing.launch_test import main; sys.exit(main())'
    # The package must come from the workspace: its hook puts it before what is set here.
    done = workspace.run('python3', '-c', code, HERE / f'{name}_scenario.py', timeout_s=200,
                         PYTHONPATH=python_path, ROS_DOMAIN_ID=str(domain), **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'XMLPARSER' not in done.stdout + done.stderr, 'Fast DDS refused the profile'


def test_policy_launch_lifecycle_topic_in_command_out(colcon_workspace, tiny_model):
    run_scenario(colcon_workspace, 'policy', 61, TINY_MODEL=str(tiny_model))


def test_safety_launch_holds_and_leads_a_robot(colcon_workspace):
    run_scenario(colcon_workspace, 'safety', 64)


def test_two_robots_are_driven_and_do_not_hear_each_other(colcon_workspace, tiny_model):
    pytest.importorskip('gym_pusht')
    run_scenario(colcon_workspace, 'two_robots', 65, TINY_MODEL=str(tiny_model))


def test_the_safety_node_leaves_no_arguments_of_its_own_to_a_second_robot(
        colcon_workspace, tiny_model):
    share = colcon_workspace.prefix / 'share/diffusion_policy_ros'
    done = colcon_workspace.run('python3', '-c', LEFT_BEHIND, share / 'launch/policy.launch.py',
                                f'model:={tiny_model}', ROS_DOMAIN_ID='69')
    assert f"LEFT ['{share}/config/policy_server.yaml', '']" in done.stdout, done.stderr


def test_limits_may_be_left_to_the_robot_description(colcon_workspace, tiny_model, tmp_path):
    (tmp_path / 'safety.yaml').write_text(
        '/**/command_safety: {ros__parameters: {use_robot_description: true}}')
    done = colcon_workspace.run(
        'python3', '-c', LEFT_BEHIND,
        colcon_workspace.prefix / 'share/diffusion_policy_ros/launch/policy.launch.py',
        f'model:={tiny_model}', f'contract:={without_limits(tiny_model, tmp_path)}',
        f'safety_params_file:={tmp_path}/safety.yaml', ROS_DOMAIN_ID='69')
    assert 'LEFT' in done.stdout, done.stderr


def without_limits(model, folder):
    """Write the contract of a model without its limits; the file."""
    text = (model / 'contract.yaml').read_text('utf-8')
    contract = folder / 'unlimited.yaml'
    contract.write_text(text[:text.index('limits:')])
    return contract


@pytest.mark.parametrize('arguments, words', [
    ('model:={model} contract:={contract}', ('finger_x', 'velocity', 'safety:=false')),
    ('params_file:={params}', ('finger_x', 'velocity', 'safety:=false')),
    ('', ('neither model:= nor params_file names a model',)),
    ('model:={model}_absent', ('_absent: there is no such folder',)),
    ('model:={folder}', ('holds no contract.yaml', 'contract:='))])
def test_what_cannot_be_guarded_is_not_launched_and_the_way_out_is_named(
        colcon_workspace, tiny_model, tmp_path, arguments, words):
    contract = without_limits(tiny_model, tmp_path)
    params = tmp_path / 'params.yaml'
    params.write_text('/**/policy_server: {ros__parameters: '
                      f'{{model: {tiny_model}, contract: {contract}}}}}')
    launch = colcon_workspace.prefix / 'share/diffusion_policy_ros/launch/policy.launch.py'
    code = ('import sys; from launch import LaunchDescription, LaunchService; '
            'from launch.actions import IncludeLaunchDescription as Include; '
            'from launch.launch_description_sources import PythonLaunchDescriptionSource as S; '
            'service = LaunchService(); service.include_launch_description(LaunchDescription(['
            'Include(S(sys.argv[1]), launch_arguments=[a.split(":=") for a in sys.argv[2:]])])); '
            'sys.exit(service.run())')
    done = colcon_workspace.run(
        'python3', '-c', code, launch, *arguments.format(
            model=tiny_model, contract=contract, params=params, folder=tmp_path).split())
    assert done.returncode != 0
    for word in words:
        assert word in done.stdout + done.stderr


@pytest.mark.parametrize('key, namespace, is_meant', [
    ('policy_server', '', True), ('/policy_server', '', True), ('/**', 'left', True),
    ('/**/policy_server', '', True), ('/**/policy_server', '/cell/left', True),
    ('/left/policy_server', 'left', True), ('/*/policy_server', 'left', True),
    ('/left/policy_server', 'right', False), ('policy_server', 'left', False),
    ('/*/policy_server', 'cell/left', False), ('/**/command_safety', '', False)])
def test_a_params_file_is_read_as_ros_reads_it(tmp_path, key, namespace, is_meant):
    from diffusion_policy_ros.launching.common import from_params_file
    from launch import LaunchContext
    path, context = tmp_path / 'params.yaml', LaunchContext()
    context.launch_configurations.update(params_file=str(path), namespace=namespace)
    *above, name = key.strip('/').split('/')
    nested = f'{{"{name}": {{ros__parameters: {{model: m}}}}}}'
    for outer in above[::-1]:
        nested = f'{{"{outer}": {nested}}}'
    for text in (f'{key}: {{ros__parameters: {{model: m}}}}', nested):
        path.write_text(text)
        assert from_params_file(context, 'policy_server') == ({'model': 'm'} if is_meant else {})


def test_numbers_are_given_to_the_recorder_as_numbers_and_texts_as_texts():
    from diffusion_policy_ros.launching.common import given
    from launch import LaunchContext
    context = LaunchContext()
    context.launch_configurations.update(
        output='205', pre_roll_s='1.5', joy_fail='3', discard_on='gap, frozen', task='')
    assert given(context, context.launch_configurations) == {
        'output': '205', 'pre_roll_s': 1.5, 'joy_fail': 3, 'discard_on': 'gap, frozen'}


@pytest.mark.parametrize('namespace, where', [
    ('', ''), ('robot_1', ' --ros-args -r __ns:=/robot_1'),
    ('/cell/left/', ' --ros-args -r __ns:=/cell/left')])
def test_record_launch_says_how_to_get_its_keys(colcon_workspace, namespace, where):
    done = colcon_workspace.run(
        'python3', '-c', LEFT_BEHIND.replace("('params_file', 'contract')", "('namespace',)"),
        colcon_workspace.prefix / 'share/diffusion_policy_ros/launch/record.launch.py',
        f'namespace:={namespace}', ROS_DOMAIN_ID='69')
    wanted = f'in a terminal of its own: ros2 run diffusion_policy_ros record_keys{where}\n'
    assert wanted in done.stdout + done.stderr


def test_record_launch_writes_a_bag(colcon_workspace, tmp_path):
    run_scenario(colcon_workspace, 'record', 62, BAGS=str(tmp_path / 'bags'))


def test_pusht_launch_closes_the_loop(colcon_workspace, tiny_model):
    pytest.importorskip('gym_pusht')
    run_scenario(colcon_workspace, 'pusht', 63, TINY_MODEL=str(tiny_model))


def test_base_launch_closes_the_loop(colcon_workspace):
    run_scenario(colcon_workspace, 'base', 91)


@pytest.mark.parametrize('name', LAUNCH_FILES)
def test_every_launch_argument_is_described(colcon_workspace, name):
    path = colcon_workspace.prefix / f'share/diffusion_policy_ros/launch/{name}.launch.py'
    shown = colcon_workspace.run('python3', '-c', ARGUMENTS, path)
    assert shown.returncode == 0, shown.stderr
    described = dict(line.split('|', 1) for line in shown.stdout.splitlines() if '|' in line)
    assert {'namespace', 'use_sim_time', 'log_level'} <= set(described)
    assert all(text and text != 'no description given' for text in described.values())
    table = (HERE.parents[1] / 'docs' / 'lifecycle.md').read_text(encoding='utf-8')
    assert not [name for name in described if f'`{name}`' not in table]


@pytest.mark.parametrize('name', LAUNCH_FILES)
def test_launch_sets_the_fast_dds_profile_unless_the_user_did(colcon_workspace, name):
    share = colcon_workspace.prefix / 'share' / 'diffusion_policy_ros'
    path = share / 'launch' / f'{name}.launch.py'
    ours = colcon_workspace.run('env', '-u', 'FASTDDS_DEFAULT_PROFILES_FILE', 'python3', '-c',
                                PROFILE, path, ROS_DISTRO='kilted')
    assert ours.stdout.strip() == str(share / 'config' / 'fastdds.xml'), ours.stderr
    theirs = colcon_workspace.run('python3', '-c', PROFILE, path, ROS_DISTRO='kilted',
                                  FASTDDS_DEFAULT_PROFILES_FILE='/their/own.xml')
    assert theirs.stdout.strip() == '/their/own.xml', theirs.stderr

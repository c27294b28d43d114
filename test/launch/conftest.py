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
Packages that only look like those of ROS: with them a launch file for Gazebo runs without Gazebo.

Their executables do nothing; the test sees how they are started, and in which order.
"""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

# By package: executables that go on until the launch ends, and executables that end by themselves.
PACKAGES = {
    'controller_manager': (['ros2_control_node'], ['spawner']),
    'forward_command_controller': ([], []), 'gz_ros2_control': ([], []),
    'joint_state_broadcaster': ([], []), 'joint_trajectory_controller': ([], []),
    'robot_state_publisher': (['robot_state_publisher'], []),
    'ros_gz_bridge': (['parameter_bridge'], []), 'ros_gz_image': (['image_bridge'], []),
    'ros_gz_sim': (['gz'], ['create']), 'rviz2': (['rviz2'], []), 'their_robot': (['driver'], []),
}
# Launch files: name, program, arguments.
LAUNCH_FILES = {'ros_gz_sim': ('gz_sim', 'gz', ['gz_args', 'on_exit_shutdown']),
                'their_robot': ('driver', 'driver', ['namespace', 'contract', 'robot_ip'])}
# What of the environment a launch file above shows behind its arguments.
ENVIRONMENT = ['FASTDDS_DEFAULT_PROFILES_FILE', 'GZ_SIM_RESOURCE_PATH']
LAUNCH = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess
from launch.substitutions import EnvironmentVariable, LaunchConfiguration


def generate_launch_description():
    return LaunchDescription([
        *[DeclareLaunchArgument(name, default_value='unset') for name in {arguments}],
        ExecuteProcess(cmd=['{program}', *[
            LaunchConfiguration(name) for name in {arguments}], *[
            EnvironmentVariable(name, default_value='unset') for name in {environment}]])])
"""
GOES_ON = '#!/bin/bash\nexec sleep 100\n'
ENDS = '#!/bin/bash\n[[ " $FAILING " != *" ${0##*/} "* ]] || exit 3\n'
# A ros2_control_node with mock hardware, as far as a test can see from outside.
PRETENDED_ARM = """#!/usr/bin/env python3
import sys
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
CONTROLLERS = {'arm_forward_controller': ['shoulder_pan', 'shoulder_lift', 'elbow', 'wrist_1',
                                          'wrist_2', 'wrist_3'], 'gripper_controller': ['gripper']}
rclpy.init(args=sys.argv)
robot = rclpy.create_node('pretended_arm', use_global_arguments=False)
joints = dict.fromkeys(sum(CONTROLLERS.values(), []), 0.02)
executor = SingleThreadedExecutor()
executor.add_node(robot)
for name, its in CONTROLLERS.items():
    controller = rclpy.create_node(name, use_global_arguments=False)
    controller.declare_parameter('joints', its)
    controller.declare_parameter('interface_name', 'position')
    controller.create_subscription(
        Float64MultiArray, f'{name}/commands',
        lambda message, its=its: joints.update(zip(its, message.data)), 1)
    executor.add_node(controller)
states = robot.create_publisher(JointState, 'joint_states', 10)


def show():
    message = JointState(name=list(joints), position=list(joints.values()))
    message.header.stamp = robot.get_clock().now().to_msg()
    states.publish(message)


robot.create_timer(0.02, show)
try:
    executor.spin()
except (KeyboardInterrupt, ExternalShutdownException):
    pass
"""
# Runs launch files until some processes have started, and prints every process that starts.
RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessStart
from launch.launch_description_sources import PythonLaunchDescriptionSource
awaited = set(sys.argv[1].split())


def started(event, context):
    words = [word for word in event.cmd if word not in ('--ros-args', '--params-file')]
    for place, word in enumerate(words):
        if word.startswith('/tmp/launch_params'):
            words[place] = open(word).read().replace(chr(10), ' ')
    print('CALL', words[0].split('/')[-1], *words[1:], flush=True)
    awaited.discard(words[0].split('/')[-1])
    return None if awaited else [Shutdown(reason='seen')]


for launch in ' '.join(sys.argv[2:]).split(' NEXT '):
    path, *arguments = launch.split(' ; ')
    service = LaunchService(noninteractive=True)
    service.include_launch_description(LaunchDescription([
        RegisterEventHandler(OnProcessStart(on_start=started)),
        IncludeLaunchDescription(PythonLaunchDescriptionSource(path),
                                 launch_arguments=[a.split(':=', 1) for a in arguments])]))
    service.run()
    print('NEXT LAUNCH', flush=True)
sys.exit(len(awaited))  # what is stopped while it starts does not end well
"""


def make_packages(prefix, without):
    """Write the packages below a folder, but for some."""
    for name in PACKAGES.keys() - without:
        marker = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages' / name
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
        (prefix / 'share' / name / 'launch').mkdir(parents=True)
        folder = prefix / 'lib' / name
        folder.mkdir(parents=True)
        for programs, script in zip(PACKAGES[name], (GOES_ON, ENDS)):
            for program in programs:
                (folder / program).write_text(script)
                (folder / program).chmod(0o755)
        if name in LAUNCH_FILES:
            file, program, arguments = LAUNCH_FILES[name]
            (prefix / 'share' / name / 'launch' / f'{file}.launch.py').write_text(
                LAUNCH.format(program=folder / program, arguments=arguments,
                              environment=ENVIRONMENT))


@pytest.fixture
def launched(colcon_workspace, tmp_path):
    """
    Return a function that runs launch files on pretended packages until processes have started.

    It takes a name and arguments for each, and returns what was started in its order, what was
    printed for each launch file, and how many of the awaited processes never started.
    """
    def run(*launches, until, without=(), failing=''):
        make_packages(tmp_path / 'ros', set(without))
        share = colcon_workspace.prefix / 'share' / 'diffusion_policy_ros'
        words = ' NEXT '.join(' ; '.join((f'{share}/launch/{name}.launch.py', *arguments))
                              for name, *arguments in launches)
        done = colcon_workspace.run(
            'bash', '-c', f'unset {" ".join(ENVIRONMENT)}; '
            'AMENT_PREFIX_PATH=$1:$AMENT_PREFIX_PATH; shift; exec "$@" 2>&1',
            'bash', tmp_path / 'ros', 'python3', '-c', RUN, until,
            words.replace('{share}', str(share)), ROS_DOMAIN_ID='79', FAILING=failing,
            ROS_DISTRO='kilted', timeout_s=200)
        calls = [line.partition('CALL ')[2] for line in done.stdout.splitlines()
                 if line.startswith('CALL ')]
        return SimpleNamespace(calls=calls, outputs=done.stdout.split('NEXT LAUNCH'), share=share,
                               missing=done.returncode)

    return run


@pytest.fixture
def scenario(colcon_workspace, tmp_path):
    """
    Return a function that runs one launch test in the sourced workspace.

    With ``pretended`` it finds the pretended packages, and a ros2_control_node that is an arm.
    """
    def run(name, domain, pretended=False):
        prefix = tmp_path / 'ros'
        if pretended:
            make_packages(prefix, set())
            (prefix / 'lib' / 'controller_manager' / 'ros2_control_node').write_text(PRETENDED_ARM)
        here = Path(__file__).parent
        python_path = os.pathsep.join(filter(None, [str(here), os.environ.get('PYTHONPATH')]))
        code = 'import sys; from launch_testing.launch_test import main; sys.exit(main())'
        done = colcon_workspace.run(
            'bash', '-c', 'AMENT_PREFIX_PATH=$1:$AMENT_PREFIX_PATH; shift; exec "$@"', 'bash',
            prefix, 'python3', '-c', code, here / f'{name}_scenario.py', timeout_s=280,
            PYTHONPATH=python_path, ROS_DOMAIN_ID=str(domain))
        assert done.returncode == 0, done.stdout + done.stderr

    return run

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
"""Start a policy server and its safety node, by default all the way to commanding the robot."""

from pathlib import Path

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.control.safety.limits import motion_limits
from diffusion_policy_ros.errors import DiffusionPolicyError
from diffusion_policy_ros.launching.common import (
    common_arguments, fast_dds_profile, from_params_file, given, lifecycle_arguments,
    lifecycle_node, share, TRUTH)
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument, GroupAction, IncludeLaunchDescription, OpaqueFunction)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

NODE = 'policy_server'
PREFIX = 'policy'
NODE_ARGUMENTS = {
    'model': 'Checkpoint folder; empty: the one that params_file names',
    'contract': 'Robot contract (YAML file); empty: that of params_file, else that of the model',
    'device': 'Where to run the policy: auto, cpu, cuda or cuda:<n>; empty: auto',
    'command_rate_hz': "Commands per second, Hz, a multiple of the contract's rate; empty: that "
                       'rate',
    'tip_link': 'Link of the robot description whose way in the plan is shown on '
                '/policy_server/markers; empty: that of params_file, else none'}
SAFETY_ARGUMENTS = {
    'speed_scale': 'Share of the velocity limits that may be used, 0 to 1; empty: 1',
    'dry_run': 'true: the safety node computes and reports, and publishes nothing; empty: false',
    'ready_topic': 'Topic (std_msgs/msg/Bool) that must say true for the robot to move; empty: '
                   'that of safety_params_file, else none'}
PASSED_ON = ('namespace', 'use_sim_time', 'log_level', 'autostart', *SAFETY_ARGUMENTS)


def generate_launch_description():
    """Declare the arguments and start the nodes."""
    return LaunchDescription([
        *[DeclareLaunchArgument(name, default_value='', description=text)
          for name, text in {**NODE_ARGUMENTS, **SAFETY_ARGUMENTS}.items()],
        DeclareLaunchArgument('safety', default_value='true', choices=TRUTH, description=(
            "Let command_safety hold all commands to the contract's limits; false commands the "
            'robot directly')),
        DeclareLaunchArgument(
            'safety_params_file', default_value=f'{share()}/config/command_safety.yaml',
            description='YAML file with parameters of command_safety'),
        *lifecycle_arguments(NODE), *common_arguments(), fast_dds_profile(),
        OpaqueFunction(function=start_nodes),
    ])


def start_nodes(context):
    """Start the server and, where wanted, the node that its commands go through."""
    parameters = given(context, NODE_ARGUMENTS)
    if LaunchConfiguration('safety').perform(context) == 'false':
        return lifecycle_node(context, NODE, parameters)
    known = {**from_params_file(context, NODE), **parameters}
    contract = known.get('contract') or contract_of(known.get('model'))
    # Else the safety node asks the robot's description for limits as well.
    if not from_params_file(context, 'command_safety', 'safety_params_file').get(
            'use_robot_description'):
        check_limits(contract)
    return [*lifecycle_node(context, NODE, {**parameters, 'command_prefix': PREFIX}),
            include_safety(contract)]


def contract_of(model):
    """Return the contract inside a checkpoint."""
    if not model:
        raise RuntimeError('neither model:= nor params_file names a model')
    path = Path(model) / 'contract.yaml'
    if not path.parent.is_dir():
        raise RuntimeError(f'model:={model}: there is no such folder')
    if not path.is_file():
        raise RuntimeError(f'model:={model}: the folder holds no contract.yaml, so it is another '
                           "package's checkpoint, or none: give the robot's with contract:=")
    return str(path)


def check_limits(path):
    """Refuse to start where the safety node would refuse to pass anything on."""
    contract = load_contract(path)
    try:
        motion_limits(contract.limits, contract.action_names, source=path)
    except DiffusionPolicyError as error:
        raise RuntimeError(f'{error}. To command the robot without command_safety, give '
                           'safety:=false') from error


def include_safety(contract):
    """Return the launch of the safety node; its arguments are not those of a second robot."""
    arguments = {name: LaunchConfiguration(name) for name in PASSED_ON}
    return GroupAction([IncludeLaunchDescription(
        PythonLaunchDescriptionSource(f'{share()}/launch/safety.launch.py'),
        launch_arguments={**arguments, 'contract': contract,
                          'params_file': LaunchConfiguration('safety_params_file')}.items())])

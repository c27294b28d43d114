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
"""The package's own nodes beside any robot: policy or safety node alone, and the recorder."""

from diffusion_policy_ros.launching.common import share, TRUTH
from diffusion_policy_ros.launching.robot import value
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

COMMON = ('namespace', 'use_sim_time', 'log_level')
SAFETY = ('speed_scale', 'dry_run', 'ready_topic', 'autostart')
POLICY = ('model', 'device', 'command_rate_hz', 'tip_link')
RECORDER = ('output', 'task')


def software_arguments(speed_scale='1.0', dry_run='false', tip_link='') -> list:
    """
    Return the declarations of what is passed on to the policy, the safety node and the recorder.

    :param speed_scale: Default of the argument of that name.
    :param dry_run: Default of the argument of that name.
    :param tip_link: Default of the argument of that name.
    """
    def argument(name, description, default=''):
        return DeclareLaunchArgument(name, default_value=default, description=description)

    return [
        argument('model', 'Checkpoint folder; empty: no policy, command_safety alone, for '
                          'teleoperation'),
        argument('device', 'Where to run the policy: auto, cpu, cuda or cuda:<n>; empty: auto'),
        argument('command_rate_hz', "The policy's commands per second, Hz, a multiple of the "
                                    "contract's rate; empty: that rate"),
        argument('tip_link', 'Link of the robot description whose way in the plan is shown on '
                             '/policy_server/markers; empty: that of '
                             'policy_params_file, else none', tip_link),
        argument('speed_scale', 'Share of the velocity limits that may be used, 0 to 1',
                 speed_scale),
        DeclareLaunchArgument('dry_run', default_value=dry_run, choices=TRUTH, description=(
            'The safety node computes and reports, and publishes nothing')),
        argument('ready_topic', 'Topic (std_msgs/msg/Bool) that must say true for the robot to '
                                'move; empty: that of safety_params_file, else none'),
        DeclareLaunchArgument('record', default_value='false', choices=TRUTH, description=(
            'Start a recorder too')),
        argument('output', 'Folder for the bags of the recorder; empty: bags'),
        argument('task', 'What the demonstrations show, one sentence'),
        *[argument(f'{name}_params_file', f'YAML file with other parameters of {node}',
                   f'{share()}/config/{node}.yaml')
          for name, node in (('policy', 'policy_server'), ('safety', 'command_safety'),
                             ('recorder', 'recorder'))],
        DeclareLaunchArgument('autostart', default_value='true', choices=TRUTH, description=(
            'Configure and activate policy and safety node at once')),
    ]


def software(context, contract) -> list:
    """
    Return the launches of the nodes, with their arguments as they are now.

    :param context: ``LaunchContext`` with the arguments of ``software_arguments``.
    :param contract: File of the robot contract.
    """
    def include(name, names, **more):
        arguments = {each: value(context, each) for each in (*COMMON, *names)}
        # In a group of its own: what is set for one launch would stay set for the next.
        return GroupAction([IncludeLaunchDescription(
            PythonLaunchDescriptionSource(f'{share()}/launch/{name}.launch.py'),
            launch_arguments={**arguments, 'contract': contract, **more}.items())])

    safety_file = value(context, 'safety_params_file')
    if value(context, 'model'):
        nodes = [include('policy', (*SAFETY, *POLICY), safety='true',
                         params_file=value(context, 'policy_params_file'),
                         safety_params_file=safety_file)]
    else:
        nodes = [include('safety', SAFETY, params_file=safety_file)]
    if value(context, 'record') == 'true':
        nodes.append(include('record', RECORDER,
                             params_file=value(context, 'recorder_params_file')))
    return nodes

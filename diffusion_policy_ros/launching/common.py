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
"""What the launch files have in common: arguments, the DDS profile, lifecycle nodes."""

from pathlib import Path
import re

from ament_index_python.packages import get_package_share_directory
from diffusion_policy_ros.dds_profile import profile_variable
from diffusion_policy_ros.launching.autostart import autostart
from diffusion_policy_ros.ros_parameters import parameter_sections
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import LifecycleNode
import yaml

PACKAGE = 'diffusion_policy_ros'
TRUTH = ('true', 'false')
# Arguments that are numbers or truths; a folder may be called 205 all the same.
NOT_TEXTS = ('command_rate_hz', 'dry_run', 'speed_scale', 'pre_roll_s', 'joy_start_stop',
             'joy_success', 'joy_fail', 'joy_discard', 'joy_discard_last')


def share() -> str:
    """Return the installed share folder of the package."""
    return get_package_share_directory(PACKAGE)


def common_arguments(use_sim_time='false') -> list:
    """
    Return the declarations that every launch file has.

    :param use_sim_time: Default of the argument of that name.
    """
    return [
        DeclareLaunchArgument('namespace', default_value='', description=(
            'Namespace of all nodes and topics')),
        DeclareLaunchArgument(
            'use_sim_time', default_value=use_sim_time, choices=TRUTH,
            description='Follow /clock, as with Gazebo or a played bag'),
        DeclareLaunchArgument('log_level', default_value='info', description='Least level shown',
                              choices=('debug', 'info', 'warn', 'error', 'fatal')),
    ]


def lifecycle_arguments(node) -> list:
    """
    Return the declarations of a launch file that starts a lifecycle node.

    :param node: Name of the node, and of its file in config/.
    """
    return [
        DeclareLaunchArgument(
            'params_file', default_value=f'{share()}/config/{node}.yaml', description=(
                'YAML file with parameters of the node; the arguments win over it')),
        DeclareLaunchArgument('autostart', default_value='true', choices=TRUTH, description=(
            'Configure and activate at once; false leaves that to you or a lifecycle manager')),
    ]


def fast_dds_profile() -> SetEnvironmentVariable:
    """Put the package's Fast DDS profile in force, without which camera images get lost."""
    return SetEnvironmentVariable(profile_variable(), EnvironmentVariable(
        profile_variable(), default_value=f'{share()}/config/fastdds.xml'))


def given(context, names) -> dict:
    """
    Return the launch arguments that were given; those in ``NOT_TEXTS`` in their type.

    :param context: ``LaunchContext``.
    :param names: Names of arguments whose empty default means: not given.
    """
    texts = {name: LaunchConfiguration(name).perform(context) for name in names}
    return {name: yaml.safe_load(text) if name in NOT_TEXTS else text
            for name, text in texts.items() if text}


def from_params_file(context, node, argument='params_file') -> dict:
    """
    Return the parameters that a file has for a node in the namespace of this launch.

    :param context: ``LaunchContext`` with the arguments of ``lifecycle_arguments``.
    :param node: Name of the node.
    :param argument: Launch argument that names the file.
    """
    namespace = LaunchConfiguration('namespace').perform(context).strip('/')
    name, found = f'/{namespace}/{node}' if namespace else f'/{node}', {}
    path = Path(LaunchConfiguration(argument).perform(context))
    for key, values in parameter_sections(yaml.safe_load(path.read_text(encoding='utf-8')) or {}):
        # As rcl: ** stands for any number of namespaces, * for one name.
        pattern = re.escape(key).replace(r'/\*\*', '(/[^/]+)*').replace(r'\*', '[^/]+')
        if re.fullmatch(pattern, name):
            found.update(values)
    return found


def lifecycle_node(context, executable, parameters) -> list:
    """
    Return the actions that start a lifecycle node, and take it to activity if that is wanted.

    :param context: ``LaunchContext`` with the arguments above.
    :param executable: Name of executable and node.
    :param parameters: Parameters that win over the file's.
    """
    def value(name):
        return LaunchConfiguration(name).perform(context)

    node = LifecycleNode(
        package=PACKAGE, executable=executable, name=executable, namespace=value('namespace'),
        output='screen', arguments=['--ros-args', '--log-level', value('log_level')],
        parameters=[value('params_file'), parameters,
                    {'use_sim_time': value('use_sim_time') == 'true'}])
    return [node] if value('autostart') == 'false' else [node, autostart(node)]

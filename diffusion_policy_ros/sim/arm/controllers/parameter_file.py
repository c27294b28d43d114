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

"""Make simulated controllers from the parameter file that a controller_manager reads."""

from pathlib import Path

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.ros_parameters import parameter_sections
from diffusion_policy_ros.sim.arm.controllers.forward import ForwardController
from diffusion_policy_ros.sim.arm.controllers.trajectory import TrajectoryController
from diffusion_policy_ros.yaml_text import parse_yaml

MANAGER = 'controller_manager'
# Type -> the class that imitates it; the end of its command topic; the parameters that both have;
# and those which, where they are written, must have this value, for no other is imitated.
IMITATED = {
    'forward_command_controller/ForwardCommandController': (
        ForwardController, 'commands', (), {'interface_name': 'position'}),
    'position_controllers/JointGroupPositionController': (
        ForwardController, 'commands', (), {}),
    'joint_trajectory_controller/JointTrajectoryController': (
        TrajectoryController, 'joint_trajectory',
        ('interpolate_from_desired_state', 'allow_nonzero_velocity_at_trajectory_end',
         'allow_trajectory_replacement'),
        {'command_interfaces': ['position'], 'allow_partial_joints_goal': False})}


def read_controllers(path) -> dict:
    """
    Read the controllers that command positions; broadcasters are passed over.

    As the spawner of ros2_control does, a type is looked for in the section of the manager, then
    in that of the controller.

    :param path: YAML file of parameters, such as config/gazebo/controllers.yaml.
    :return: Dict of the topic on which each listens -> the controller, none of them active.
    :raises ConfigError: naming the file and the entry, if it is not such a file.
    """
    path = Path(path)
    try:
        raw = parse_yaml(path.read_text('utf-8'), path, ConfigError)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f'cannot read {path}: {error}') from error
    if not isinstance(raw, dict):
        raise ConfigError(f'{path} holds {shown(raw)}; it must map node names to ros__parameters')
    nodes = {}
    for name, parameters in parameter_sections(raw):
        nodes.setdefault(name.rpartition('/')[2], {}).update(parameters)
    found = {}
    for name, kind in _types(nodes).items():
        if kind in IMITATED:
            cls, topic, shared, fixed = IMITATED[kind]
            own = nodes.get(name, {})
            _check_fixed(own, fixed, name, path)
            found[f'{name}/{topic}'] = cls(
                _joints(own, name, path), name,
                **{key: own[key] for key in shared if key in own})
    if not found:
        raise ConfigError(f'{path} has no controller that can be simulated; it must have one of '
                          f'the type {" or ".join(IMITATED)}')
    return found


def _types(nodes):
    """Return the types of the controllers by their names."""
    return {name: entry['type'] for entries in (nodes, nodes.get(MANAGER, {}))
            for name, entry in entries.items()
            if '*' not in name and isinstance(entry, dict) and isinstance(entry.get('type'), str)}


def _check_fixed(parameters, fixed, name, path):
    """Refuse parameters that would make the real controller another one than is imitated."""
    for key, wanted in fixed.items():
        if parameters.get(key, wanted) != wanted:
            raise ConfigError(f'{path}: {key} of {name} is {shown(parameters[key])}; simulated is '
                              f'only {wanted}: write that, or leave the controller out')


def _joints(parameters, name, path):
    """Return the joints of a controller."""
    joints = parameters.get('joints')
    if not isinstance(joints, list) or not all(isinstance(joint, str) for joint in joints):
        raise ConfigError(f'{path}: joints of {name} is {shown(joints)}; it must be a list of '
                          'joint names')
    return joints

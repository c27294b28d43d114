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
The reference of all parameters, written from their declarations.

``python -m diffusion_policy_ros.nodes.parameter_docs > docs/parameters.md`` writes it anew.
"""

import json

from diffusion_policy_ros import server_parameters
from diffusion_policy_ros.nodes import (
    arm_parameters, base_sim, pusht_sim, recorder, safety_parameters)

INTRODUCTION = """\
# Parameters

Written from the declarations by
`python -m diffusion_policy_ros.nodes.parameter_docs > docs/parameters.md`; change those.

    ros2 run diffusion_policy_ros policy_server --ros-args -p model:=models/pusht_image
    ros2 run diffusion_policy_ros policy_server --ros-args --params-file policy_server.yaml
    ros2 param list /policy_server
    ros2 param describe /policy_server execute_horizon
    ros2 param set /policy_server execute_horizon 4

`config/` holds a file for each node with every parameter and its default. An override at start
that a node cannot use keeps it from starting, or from being configured where it depends on the
checkpoint; a later value that it cannot use is refused, and the old one stays. Each refusal names
the reason: what was set, and what is possible; ROS itself refuses unknown names and some wrong
types, in its own words. An unknown name at start is a warning that suggests
the nearest one.

The column *changes* says when a new value counts:

- *live*: at any time, `ros2 param set` is enough.
- *fixed while configured*: only while the lifecycle node is unconfigured; deactivate and clean it
  up first.
- *at start*: read-only afterwards; only an override at start sets it.

A whole number is accepted where a double or a string is declared. Besides these, nodes have
ROS's own parameters, such as `use_sim_time`, and `qos_overrides.<topic>.*` for the topics that
policy_server and command_safety subscribe to."""
# Node, what it is, and its declarations.
SECTIONS = (
    ('policy_server', 'Serves one policy to one robot; a lifecycle node.',
     server_parameters.SPECS),
    ('command_safety', "Keeps commands within the robot's limits; a lifecycle node.",
     safety_parameters.SPECS),
    ('recorder', 'Records demonstrations and converts them.', recorder.PARAMETERS),
    ('pusht_sim', 'A live Push-T robot.', pusht_sim.PARAMETERS),
    ('arm_sim', 'A live robot arm on MuJoCo.', arm_parameters.PARAMETERS),
    ('base_sim', 'A live mobile base.', base_sim.PARAMETERS),
)
COLUMNS = ('parameter', 'type', 'default', 'possible', 'changes', 'description')
TYPES = {bool: 'boolean', int: 'integer', float: 'double', str: 'string'}


def document(sections) -> str:
    """
    Write the reference as Markdown.

    :param sections: Sequence of (name of a node, sentence about it, its ``ParameterSpec`` in the
        order of the table).
    :return: The whole page, ending in a line break.
    """
    return '\n\n'.join([INTRODUCTION, *(_section(*section) for section in sections)]) + '\n'


def _section(node, sentence, specs):
    """Write the heading and the table of one node."""
    rows = [COLUMNS, ['---'] * len(COLUMNS), *map(_row, specs)]
    table = '\n'.join(f'| {" | ".join(row)} |' for row in rows)
    return f'## {node}\n\n{sentence}\n\n{table}'


def _row(spec):
    """Write the cells of one parameter."""
    changes = 'at start' if spec.read_only else 'fixed while configured' if spec.fixed else 'live'
    return (f'`{spec.name}`', TYPES[type(spec.default)], f'`{json.dumps(spec.default)}`',
            _possible(spec), changes, _cell(spec.description))


def _possible(spec):
    """Write the choices or the range; nothing where any value of the type will do."""
    if spec.choices:
        return ', '.join(f'`{choice}`' for choice in spec.choices)
    return '' if spec.low is None else f'{json.dumps(spec.low)} to {json.dumps(spec.high)}'


def _cell(text):
    """Keep a text from ending its cell, or from being taken for HTML or emphasis."""
    for character in '\\|<*':
        text = text.replace(character, f'\\{character}')
    return text


def main():
    """Print the reference of this package's nodes."""
    print(document(SECTIONS), end='')


if __name__ == '__main__':
    main()

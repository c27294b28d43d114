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

"""What ``dpr doctor --contract YAML --live`` finds: a node of its own watches the robot."""

from argparse import ArgumentTypeError
import re
import subprocess
import tempfile

from diffusion_policy_ros.cli.children import Children, node_command, package_environment
from diffusion_policy_ros.cli.node_events import node_events
from diffusion_policy_ros.finding import Finding

NODE = 'live_watch'


def add_live_arguments(parser):
    """Declare the arguments about a live robot."""
    parser.add_argument('--live', action='store_true',
                        help='with --contract: watch the robot on the ROS domain of this shell '
                             'for some time: who publishes and listens, types, rates, ages, '
                             'stamps, contents, controllers, safety node; nothing is published')
    parser.add_argument('--seconds', type=_seconds, default=5.0, metavar='S',
                        help='with --live: how long to watch, s, from 1 to 3600')
    parser.add_argument('--namespace', type=_name, default='', metavar='NAME',
                        help="with --live: namespace of the robot's nodes")
    parser.add_argument('--remap', type=_rule, action='append', default=[], metavar='FROM:=TO',
                        help='with --live: a topic that has another name on the robot; may be '
                             'given several times')


def watch(contract, seconds, *, namespace='', remaps=()) -> list:
    """
    Watch the robot on this shell's ROS domain.

    :param contract: Path of the contract's file.
    :param seconds: How long, s.
    :param namespace: Namespace of the robot's nodes; empty for none.
    :param remaps: ``FROM:=TO`` for each topic that has another name on the robot.
    :return: ``Finding`` objects.
    :raises DiffusionPolicyError: if it could not be watched.
    """
    command = node_command(NODE, {'contract': contract.resolve(), 'seconds': float(seconds)})
    rules = ([f'__ns:=/{namespace.strip("/")}'] if namespace.strip('/') else []) + list(remaps)
    command += [word for rule in rules for word in ('-r', rule)]
    with tempfile.TemporaryDirectory(prefix='dpr_doctor_') as folder:
        with Children(folder, package_environment()) as children:
            node = children.start(NODE, command, stdout=subprocess.PIPE)
            return [Finding(**event) for kind, event in node_events(node, NODE, children)
                    if kind == 'finding']


def _seconds(text) -> float:
    """Read how long to watch."""
    seconds = float(text)
    if not 1 <= seconds <= 3600:
        raise ArgumentTypeError(f'{text} is not from 1 to 3600')
    return seconds


def _name(text) -> str:
    """Read a ROS name, as ROS would: it refuses others only when the node has started."""
    if not re.fullmatch(r'(/?[a-zA-Z_]\w*)(/[a-zA-Z_]\w*)*/?|/?', text, re.ASCII):
        raise ArgumentTypeError(f'{text!r} is no ROS name: letters, digits, "_" and "/"')
    return text


def _rule(text) -> str:
    """Read a rule of remapping."""
    source, sign, target = text.partition(':=')
    if not (source and sign and target):
        raise ArgumentTypeError(f'{text!r} is not of the form FROM:=TO')
    return f'{_name(source)}:={_name(target)}'

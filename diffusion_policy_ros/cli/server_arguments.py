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

"""Parameters of the policy server on the command line of a bench, written as ros2 writes them."""

from diffusion_policy_ros.checks import suggestion
from diffusion_policy_ros.errors import UsageError
from diffusion_policy_ros.server_parameters import SPECS


def add_parameters(parser):
    """
    Declare the argument.

    :param parser: Of a command that starts a policy server.
    """
    parser.add_argument('-p', '--param', action='append', default=[], metavar='NAME:=VALUE',
                        help='parameter of policy_server, as behind --ros-args; may be repeated: '
                             '-p executor:=events -p num_threads:=2')


def server_parameters(texts, chosen) -> dict:
    """
    Read parameters of the policy server.

    :param texts: ``name:=value`` each; the last of a name counts.
    :param chosen: Names that the command itself sets.
    :return: Name to value: bool, int, float or text.
    :raises UsageError: naming the parameter and what it may be.
    """
    specs = {spec.name: spec for spec in SPECS if spec.name not in chosen}
    found = {}
    for text in texts:
        name, is_assigned, written = text.partition(':=')
        if not is_assigned:
            raise UsageError(f'-p is {text!r}; it must be NAME:=VALUE')
        if name in chosen:
            raise UsageError(f'-p sets {name}, which this command sets itself')
        if name not in specs:
            raise UsageError(f'-p sets {name!r}, which policy_server does not have; '
                             f'{suggestion(name, specs)}')
        found[name] = specs[name].read(written)
        if refusal := specs[name].refusal(found[name]):
            raise UsageError(f'-p {refusal}')
    return found

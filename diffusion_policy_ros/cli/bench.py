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

"""``dpr bench``: measure solvers, joins, and what runs on this machine."""

from importlib import import_module

from diffusion_policy_ros.cli.stopping import interrupting_signals

# kind: what it does; ``cli/bench_<kind>.py`` does it.
KINDS = {
    'solvers': 'compare all solvers with the converged solution, on a policy of yours',
    'success': 'compare solvers by the simulated episodes that a policy solves with them',
    'joins': 'compare how plans follow each other, under inference delays in simulation',
    'chunk': 'measure whole chunks on this machine, beside a plain loop, diffusers and LeRobot',
    'loop': 'measure the ROS 2 control loop on this machine: punctuality, CPU time, memory',
    'convert': 'measure the conversion of bags on this machine: speed and memory',
    'train': 'measure the training on this machine, beside a plain loop and LeRobot',
    'all': 'run all that measures this machine, and put the reports on one page'}


def add_arguments(parser):
    """
    Declare what can be measured, and the arguments of each.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    kinds = parser.add_subparsers(dest='kind', metavar='KIND', required=True)
    for kind, summary in KINDS.items():
        _module(kind).add_arguments(kinds.add_parser(
            kind, help=summary, description=summary[0].upper() + summary[1:] + '.',
            formatter_class=parser.formatter_class))


def run(args) -> int:
    """
    Measure, print tables and write files.

    :param args: Parsed arguments.
    :return: Exit code of the kind of bench.
    """
    with interrupting_signals():
        return _module(args.kind).run(args)


def _module(kind):
    """Import the module of a kind of bench."""
    return import_module(f'diffusion_policy_ros.cli.bench_{kind}')

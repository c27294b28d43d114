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

"""The ``dpr`` executable: everything that runs without a robot is one of its subcommands."""

import argparse
import importlib
import os
import sys

from diffusion_policy_ros.cli import USAGE_ERROR
from diffusion_policy_ros.errors import DiffusionPolicyError, UsageError
from diffusion_policy_ros.requirements import install_command

# name: (what it does, the extra that holds what it needs)
COMMANDS = {
    'record-sim': ('let the scripted expert of a simulated robot demonstrate, into bags', 'train'),
    'convert': ('turn rosbags, or a dataset of others, into a demonstration dataset', 'train'),
    'check': ('find out whether a dataset is what it says and fit to learn from', 'train'),
    'edit': ('delete episodes of a dataset, split it, merge several or append to one', 'train'),
    'info': ('show in one screen what a bag, a dataset or a checkpoint is', 'train'),
    'play': ('publish an episode of a dataset on ROS topics as if live', 'train'),
    'train': ('turn a demonstration dataset into a checkpoint', 'train'),
    'eval': ('measure a checkpoint in simulation, with intervals, or compare two', 'sim'),
    'compare': ('tell which of two results of dpr eval is better, episode by episode', 'sim'),
    'modes': ('draw many plans for one observation, and tell whether they are of two kinds',
              'sim'),
    'calibrate': ('choose how unsure a policy may be before its robot is held', 'sim'),
    'bench': ('measure solvers, joins and success of a policy, or chunks, control loop, '
              'conversion and training on this machine', 'sim'),
    'replay': ('compute again what a policy did in a bag, bit for bit, or compare it with a '
               'demonstration', 'train'),
    'import-lerobot': ('turn a LeRobot DiffusionPolicy into a checkpoint for a robot', 'train'),
    'export-lerobot': ('turn a checkpoint into a folder that LeRobot loads', 'train'),
    'export': ('turn a checkpoint into graphs that run without this package, such as ONNX',
               'export'),
    'import-diffusion-policy': ("turn weights of Diffusion Policy's U-Net into a checkpoint for a "
                                'robot', 'train'),
    'demo': ('watch a policy drive the simulated robot over ROS 2, with a report', 'sim'),
    'doctor': ('check this machine, a contract or a live robot, and say how to repair it', 'ros'),
}


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, except where leaving an argument out has a meaning of its own."""

    def _get_help_string(self, action):
        """Add the default to the help where there is one."""
        if action.default in (None, [], False):
            return action.help
        if isinstance(action.default, (list, tuple)):  # as it is typed
            return f'{action.help} (default: {" ".join(map(str, action.default))})'
        return super()._get_help_string(action)


def build_parser(command=None) -> argparse.ArgumentParser:
    """
    Build the command line; only the module of the wanted subcommand is imported.

    :param command: Name of the subcommand whose arguments are wanted; None for an overview.
    """
    parser = argparse.ArgumentParser(
        prog='dpr', description='Diffusion Policy for ROS 2: bags to datasets to policies.',
        epilog='"dpr COMMAND --help" shows the arguments of one command.')
    commands = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    for name, (summary, _) in COMMANDS.items():
        subparser = commands.add_parser(
            name, help=summary, description=summary[0].upper() + summary[1:] + '.',
            formatter_class=_HelpFormatter)
        if name == command:
            _module(name).add_arguments(subparser)
    return parser


def main(argv=None) -> int:
    """
    Run one subcommand.

    :param argv: Arguments without the program's name; None takes the process's own.
    :return: Exit code: 0 fine, 1 something outside the program is wrong (one line on stderr says
        what, unless it is only that nobody reads the output any more, as after ``| head``),
        2 wrong usage, 130 stopped with Ctrl-C; a subcommand may define more.
    """
    if getattr(sys.stdout, 'errors', None) == 'strict':  # names of files need not be text
        sys.stdout.reconfigure(errors='backslashreplace')
    try:
        try:
            return _run(sys.argv[1:] if argv is None else argv)
        finally:
            if sys.stdout is not None:  # as under a service without one
                sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more when it ends, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(argv):
    """Run one subcommand and return its exit code; known errors become one line on stderr."""
    command = build_parser().parse_args(argv[:1]).command
    try:
        return _module(command).run(build_parser(command).parse_args(argv))
    except UsageError as error:
        return _fail(command, str(error), USAGE_ERROR)
    except DiffusionPolicyError as error:
        return _fail(command, str(error))
    except MemoryError as error:
        return _fail(command, str(error) or 'this machine has no memory left')
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith('diffusion_policy_ros'):
            raise
        return _fail(command, f'the Python package {error.name!r} is missing; install it with: '
                     f'{install_command(COMMANDS[command][1])}')
    except KeyboardInterrupt:
        print(f'dpr {command}: stopped', file=sys.stderr)
        return 130


def _module(command):
    """Import the module of a subcommand."""
    return importlib.import_module(f'diffusion_policy_ros.cli.{command.replace("-", "_")}')


def _fail(command, text, code=1):
    """Print one line on stderr and return the exit code for it."""
    print(f'dpr {command}: {" ".join(text.split())}', file=sys.stderr)
    return code


if __name__ == '__main__':
    sys.exit(main())

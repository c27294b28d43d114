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

"""`dpr play`: an episode of a dataset on ROS topics, as if live."""

import os
from pathlib import Path
import re
import subprocess
import sys

from diffusion_policy_ros.cli.usage import check_range
from diffusion_policy_ros.errors import DiffusionPolicyError, UsageError

DESCRIPTION = """
Publish an episode of a dataset on the topics of its robot contract, as if the robot were there:
pictures and joints at their ticks, with stamps of now. It goes to the ROS domain of this shell
(ROS_DOMAIN_ID), and is refused where another node publishes on one of the topics. Recorded
commands go below played/, where they move nothing. To record a played episode: play it with
--wait 20 --with-actions, and start the recorder within that time, with frozen_count 0, for the
pictures of a row that stands are equal. Exit code: 0 played to its end,
1 it could not be (stderr says why), 2 wrong usage, 130 stopped with Ctrl-C.
"""
PREFIX = 'played'


def add_arguments(parser) -> None:
    """
    Declare the arguments.

    :param parser: An ``argparse.ArgumentParser``.
    """
    parser.description = DESCRIPTION
    parser.add_argument('dataset', type=Path, help='the dataset')
    parser.add_argument('--episode', type=int, required=True, metavar='N',
                        help='number of the episode, counted from 0')
    parser.add_argument('--contract', type=Path, metavar='YAML',
                        help='robot contract that names the topics; by default the one in the '
                             'dataset')
    parser.add_argument('--rate', type=float, default=1.0, metavar='FACTOR',
                        help='times as fast as recorded, 0.01 to 100')
    parser.add_argument('--loop', action='store_true', help='begin again after the last row')
    parser.add_argument('--start', type=float, default=0.0, metavar='S',
                        help='leave out the rows before this time of the episode, s')
    parser.add_argument('--wait', type=float, default=0.0, metavar='S',
                        help='show the first row, without commands, for so long before, s')
    parser.add_argument('--original-stamps', action='store_true',
                        help='stamp messages as they were recorded and publish /clock, for nodes '
                             'with use_sim_time')
    parser.add_argument('--with-actions', action='store_true',
                        help=f'DANGER, this moves a robot that listens: publish the commands on '
                             f'their own topics, and not below {PREFIX}/')


def run(args) -> int:
    """
    Run the node ``dataset_player`` until it ends.

    :param args: Parsed arguments.
    :return: Exit code as the help says.
    :raises DiffusionPolicyError: if the episode cannot be played.
    """
    _check_usage(args)
    _check_episode(args)
    if args.with_actions:
        print('commands go to their own topics: whatever listens there moves', flush=True)
    return _play(args)


def _check_usage(args):
    """Refuse what cannot be played, whatever the dataset holds."""
    check_range('episode', args.episode, 0)
    check_range('rate', args.rate, 0.01, 100)
    for name in ('start', 'wait'):
        check_range(name, getattr(args, name), 0, 3600)
    if args.loop and args.original_stamps:
        raise UsageError('--loop with --original-stamps would set /clock back again and again; '
                         'choose one of them')


def _check_episode(args):
    """Refuse what cannot be played before a process is started; say what will be."""
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.data.playback.playback import Playback
    contract = load_contract(args.contract) if args.contract else None
    playback = Playback(args.dataset, args.episode, contract, args.start)
    duration_s = playback.rows / playback.contract.rate_hz / args.rate
    below = '' if args.with_actions else f'{PREFIX}/'
    print(f'episode {args.episode}: {playback.rows} rows, {duration_s:.1f} s, on '
          + ', '.join([*playback.observed, *(f'{below}{t}' for t in playback.commanded)])
          + f', ROS domain {os.environ.get("ROS_DOMAIN_ID") or 0}', flush=True)


def _play(args):
    """Start the node, and pass on what it says until it has ended."""
    from tempfile import TemporaryDirectory

    from diffusion_policy_ros.cli.children import Children, node_command
    parameters = {
        'dataset': args.dataset.resolve(), 'episode': args.episode, 'speed': args.rate,
        'start_s': args.start, 'wait_s': args.wait, 'loop': args.loop,
        'original_stamps': args.original_stamps,
        'command_prefix': '' if args.with_actions else PREFIX}
    if args.contract:
        parameters['contract'] = args.contract.resolve()
    with TemporaryDirectory(prefix='dpr_play_') as folder, \
            Children(folder, _environment()) as children:
        player = children.start('dataset_player', node_command('dataset_player', parameters),
                                stdout=subprocess.PIPE)
        show_progress(line.decode('utf-8', 'replace').rstrip() for line in player.stdout)
        code, log = player.wait(), children.tail('dataset_player')
        if code != 0:
            killed = f'the node that plays was ended by signal {-code}: ' if code < 0 else ''
            raise DiffusionPolicyError(killed + _last_words(log))
        for line in log.splitlines():
            if '[WARN]' in line:
                print(f'WARNING: {_last_words(line)}', file=sys.stderr)
    return 0


def show_progress(lines):
    """
    Show how far it is: on one line of a terminal, else only where something new begins.

    :param lines: What the node says of it, one after the other.
    """
    before = ''
    for line in lines:
        if sys.stdout.isatty():
            print(f'\r{line}\x1b[K', end='', flush=True)
        elif line.split()[:1] != before.split()[:1]:
            print(line, flush=True)
        before = line
    if before and sys.stdout.isatty():
        print(flush=True)


def _environment():
    """Return the environment of this shell, with a profile that lets pictures through."""
    from diffusion_policy_ros.cli.children import package_environment
    from diffusion_policy_ros.dds_profile import profile_variable, uses_large_data
    from diffusion_policy_ros.share import share_path

    environment = package_environment()
    if not uses_large_data():
        environment.setdefault(profile_variable(), str(share_path('config', 'fastdds.xml')))
    return environment


def _last_words(log):
    """Return the last line of a log without what ROS writes before it."""
    return re.sub(r'^(\[[^]]*\] ?)+: ', '', log.splitlines()[-1])

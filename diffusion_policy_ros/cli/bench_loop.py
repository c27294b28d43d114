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

"""``dpr bench loop``: an imitated robot, a policy server, and a clock beside them."""

from argparse import ArgumentTypeError
from dataclasses import dataclass, replace
from pathlib import Path
import re
import subprocess
import tempfile

from diffusion_policy_ros.cli.out_folder import make_out_folder, writing_out
from diffusion_policy_ros.cli.ros_domain import DOMAIN_IDS, hold_domain, MAX_DOMAIN_ID
from diffusion_policy_ros.cli.server_arguments import add_parameters, server_parameters
from diffusion_policy_ros.cli.stopping import StopRequest
from diffusion_policy_ros.cli.usage import check_range
from diffusion_policy_ros.errors import CheckpointError, ConfigError

STATE_RATE_HZ = 100.0
MAX_SECONDS = 14400
MAX_RATE_HZ = 1000.0
MAX_SIDE_PX = 4096
# The present figure is that of the last minute.
PRESENT_ROWS = 60
# Parameters of the server that the bench sets, or leaves as they are.
CHOSEN = ('model', 'contract', 'command_prefix', 'command_rate_hz')


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The parser of this kind of bench.
    """
    parser.add_argument('--model', type=Path, metavar='FOLDER',
                        help='checkpoint folder, whose contract the robot imitates; default: an '
                             'untrained policy of the size of models/pusht_image for an arm of '
                             'seven joints with two cameras, 10 rows per second')
    parser.add_argument('--seconds', type=int, default=600, metavar='S',
                        help=f'how long to measure, 2 to {MAX_SECONDS} s; the growth of memory '
                             'is judged from 90 s on')
    parser.add_argument('--rate-hz', type=float, default=30.0, metavar='HZ',
                        help="commands per second, a multiple of the policy's rate")
    parser.add_argument('--camera-rate-hz', type=float, default=30.0, metavar='HZ',
                        help='pictures per second of each camera; all else comes '
                             f'{STATE_RATE_HZ:g} times per second')
    parser.add_argument('--size', type=_picture_size, default='640x480', metavar='WxH',
                        help='size of the pictures in px; a camera whose contract demands an '
                             'exact size shows that')
    add_parameters(parser)
    parser.add_argument('--domain', type=int, metavar='ID',
                        help=f'ROS domain, 0 to {MAX_DOMAIN_ID}; default: the first from '
                             f'{DOMAIN_IDS[0]} to {DOMAIN_IDS[-1]} that is free on this machine')
    parser.add_argument('--out', type=Path, default=Path('loop_bench'), metavar='DIR',
                        help='folder for loop.json, loop.md and loop.png, which are replaced '
                             'where they exist')
    parser.epilog = ('Exit code: 0 when something was measured, whatever it was, Ctrl-C included. '
                     'Late commands are not judged (UNSURE) where the host of a virtual machine '
                     'withheld 5 % or more of the CPU time asked for.')


def run(args) -> int:
    """
    Measure and write the report.

    :param args: Parsed arguments.
    :return: 0.
    :raises DiffusionPolicyError: if nothing could be measured.
    """
    from diffusion_policy_ros.evaluation.loop_bench import loop_figures, LoopRecord
    from diffusion_policy_ros.evaluation.loop_bench_report import lines, OUTPUTS, write_loop

    _check(args)
    parameters = server_parameters(args.param, CHOSEN)
    with tempfile.TemporaryDirectory(prefix='dpr_bench_') as folder, StopRequest() as stop:
        plan = _plan(args, Path(folder), parameters)
        make_out_folder(args.out)
        setting = _setting(args, plan)
        rows, withheld = _measure(args, plan, Path(folder), stop)
        record = LoopRecord.from_rows(rows)
        figures = loop_figures(record, replace(setting, withheld=withheld))
        print(*lines(figures), sep='\n')
        with writing_out(args.out):
            write_loop(args.out, record, figures)
    print(f'{args.out}: {", ".join(OUTPUTS)}')
    return 0


@dataclass(frozen=True)
class _Plan:
    """
    What is to be run.

    :ivar model: Checkpoint folder.
    :ivar name: What identifies the policy in a report.
    :ivar contract: Its ``RobotContract``.
    :ivar parameters: Of the server: name to value.
    """

    model: Path
    name: str
    contract: object
    parameters: dict

    @property
    def contract_path(self):
        """Return the file of the contract."""
        return self.model / 'contract.yaml'


def _picture_size(text):
    """Read width and height."""
    match = re.fullmatch(r'(\d+)x(\d+)', text, re.ASCII)
    size = tuple(map(int, match.groups())) if match else ()
    if not size or not all(1 <= side <= MAX_SIDE_PX for side in size):
        raise ArgumentTypeError(f'{text!r} is no size such as 640x480, of sides from 1 to '
                                f'{MAX_SIDE_PX} px')
    return size


def _check(args):
    """Refuse numbers that no bench can have."""
    check_range('seconds', args.seconds, 2, MAX_SECONDS)
    check_range('rate-hz', args.rate_hz, 1, MAX_RATE_HZ)
    check_range('camera-rate-hz', args.camera_rate_hz, 1, MAX_RATE_HZ)
    check_range('domain', args.domain, 0, MAX_DOMAIN_ID)


def _plan(args, folder, parameters):
    """Find the checkpoint, or make one, and check that it can be commanded at the rate."""
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.control.timetable import is_multiple

    if args.model:
        model, name = args.model.resolve(), str(args.model)
        if not (model / 'contract.yaml').is_file():
            raise CheckpointError(f'--model is {args.model}, which holds no contract.yaml, so '
                                  'that nobody knows what its robot shows; name a checkpoint '
                                  'folder that dpr train wrote')
    else:
        from diffusion_policy_ros.evaluation.loop_bench_policy import NAME, save_bench_policy
        model, name = folder / 'model', NAME
        save_bench_policy(model)
    plan = _Plan(model, name, load_contract(model / 'contract.yaml'), parameters)
    if not is_multiple(args.rate_hz, plan.contract.rate_hz):
        raise ConfigError(f'--rate-hz is {args.rate_hz:g}; it must be a whole multiple of the '
                          f'{plan.contract.rate_hz:g} Hz of the policy')
    return plan


def _setting(args, plan):
    """Describe what is run and where, before the bench itself loads the machine."""
    from diffusion_policy_ros.evaluation.loop_bench import LoopSetting
    from diffusion_policy_ros.machine import machine_facts, package_versions

    return LoopSetting(
        model=plan.name, rate_hz=plan.contract.rate_hz, command_rate_hz=args.rate_hz,
        streams=_describe(plan.contract.policy_observations, args), parameters=plan.parameters,
        machine=machine_facts(), versions=package_versions())


def _describe(streams, args):
    """Say what the robot shows, and how often."""
    from diffusion_policy_ros.sim.imitation import shown_size

    pictures = ['{} {}x{}'.format(s.topic, *shown_size(s, args.size))
                for s in streams if s.is_image]
    others = dict.fromkeys(s.topic for s in streams if not s.is_image)
    parts = ((pictures, args.camera_rate_hz), (others, STATE_RATE_HZ))
    return '; '.join(f'{", ".join(names)} at {rate_hz:g} Hz' for names, rate_hz in parts if names)


def _measure(args, plan, folder, stop):
    """Start robot, policy and observer; return what it told, and the share of withheld time."""
    from diffusion_policy_ros.cli.children import Children, node_command, node_environment
    from diffusion_policy_ros.share import share_path

    with hold_domain(args.domain) as domain_id:
        environment = node_environment(domain_id, share_path('config', 'fastdds.xml'))
        print(f'{plan.name}: {args.rate_hz:g} commands per second for {args.seconds} s, ROS '
              f'domain {domain_id}, this machine only', flush=True)
        with Children(folder, environment) as children:
            robot = children.start('bench_robot', node_command('bench_robot', {
                'contract': plan.contract_path, 'camera_rate_hz': args.camera_rate_hz,
                'state_rate_hz': STATE_RATE_HZ, 'width': args.size[0], 'height': args.size[1]}))
            server = children.start('policy_server', node_command('policy_server', {
                'model': plan.model, 'command_rate_hz': args.rate_hz, **plan.parameters}))
            observer = children.start('bench_observer', node_command('bench_observer', {
                'contract': plan.contract_path, 'seconds': args.seconds,
                'server_pid': server.pid, 'robot_pid': robot.pid}), stdout=subprocess.PIPE)
            return _follow(observer, children, args, stop)


def _follow(observer, children, args, stop):
    """Gather rows until the end or Ctrl-C, and show the present regularity."""
    from diffusion_policy_ros.cli.node_events import node_events
    from diffusion_policy_ros.machine import WithheldTime
    from tqdm import tqdm

    events = (row for _, row in node_events(observer, 'bench_observer', children))
    rows, withheld = [next(events)], WithheldTime()
    with tqdm(total=args.seconds, desc='bench loop', unit='s') as bar:
        for row in events:
            rows.append(row)
            bar.set_postfix_str(_present(rows[-PRESENT_ROWS:], args.rate_hz), refresh=False)
            bar.update()
            if stop():
                break
    return rows, withheld.share()


def _present(rows, wanted_hz):
    """Say how regularly commands have come lately."""
    from diffusion_policy_ros.evaluation.loop_bench import LoopRecord
    from diffusion_policy_ros.evaluation.loop_timing import measure_timing

    error_ms = measure_timing([LoopRecord.from_rows(rows).span], wanted_hz).deviation_p99_ms
    return 'no commands' if error_ms is None else f'p99 of the interval error {error_ms:.1f} ms'

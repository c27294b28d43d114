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

"""The arguments of ``dpr demo``, checked before anything is started."""

from dataclasses import dataclass
import hashlib
import os
from pathlib import Path

from diffusion_policy_ros.checks import is_count, is_number
from diffusion_policy_ros.cli.ros_domain import DOMAIN_IDS, MAX_DOMAIN_ID
from diffusion_policy_ros.cli.simulations import SIMULATIONS
from diffusion_policy_ros.cli.usage import check_range, LARGEST_SEED
from diffusion_policy_ros.errors import CheckpointError, UsageError
from diffusion_policy_ros.evaluation.live_simulations import Demo, DEMOS, LIVE
from diffusion_policy_ros.json_text import parse_json

# Starting takes up to a minute of the demo's time, video and report take some as well.
MAX_PLAYING_S = 120
# In a shorter one the part of an interval that is lost at the end costs more than 5 % of the rate.
MIN_EPISODE_S = 2.0
MAX_RATE_HZ = 1000.0
MODEL_FILES = ('config.json', 'model.safetensors')


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    parser.add_argument('name', nargs='?', choices=sorted(DEMOS), default='pusht',
                        help='which robot; arm: an expert demonstrates picking and placing first, '
                             'for the recorder')
    parser.add_argument('--model', type=Path,
                        help='checkpoint folder; default, in models/: ' + _each('model'))
    parser.add_argument('--rate', type=float, metavar='HZ',
                        help="commands per second, a multiple of the policy's rate, between "
                             "whose rows commands are interpolated; default: the policy's rate, "
                             '30 for arm')
    parser.add_argument('--episodes', type=int,
                        help='number of episodes; default: ' + _each('episodes'))
    parser.add_argument('--seconds-per-episode', type=float, metavar='S',
                        help=f'longest duration of an episode, at least {MIN_EPISODE_S:g} s; '
                             'default: 20 for arm, 30 for pusht')
    parser.add_argument('--seed', type=int, default=100_000,
                        help='seed of the first start; the others count up from it')
    parser.add_argument('--out', type=Path, default=Path('demo_report'),
                        help='folder for demo.mp4, report.pdf, report.png and demo.json; '
                             'demonstrations go to bags/ in it, beside what is there')
    parser.add_argument('--view', action='store_true',
                        help='open a window on the table; pusht only')
    parser.add_argument('--domain', type=int, metavar='ID',
                        help=f'ROS domain, 0 to {MAX_DOMAIN_ID}; default: the first from '
                             f'{DOMAIN_IDS[0]} to {DOMAIN_IDS[-1]} that is free on this machine')
    parser.epilog = ('Exit code: 0 when the loop held its rate, 1 when it did not or something '
                     'was in the way, 2 wrong usage. Late commands are not judged '
                     '(UNSURE) where the host of a virtual machine withheld 5 % or more of the '
                     'CPU time asked for.')


def _each(what):
    """Write a default that differs between demos."""
    return ', '.join(f'{getattr(demo, what)} for {name}' for name, demo in sorted(DEMOS.items()))


@dataclass(frozen=True)
class DemoPlan:
    """
    What is to be played, from arguments that were checked.

    :ivar demo: What is shown.
    :ivar model: Checkpoint folder.
    :ivar model_facts: What identifies the checkpoint, text by name.
    :ivar contract_path: File of the robot's contract.
    :ivar rate_hz: Rows per second of the policy.
    :ivar command_rate_hz: Commands per second that are wanted.
    :ivar episodes: How many are played.
    :ivar seconds_per_episode: Longest duration of an episode, s.
    """

    demo: Demo
    model: Path
    model_facts: dict
    contract_path: Path
    rate_hz: float
    command_rate_hz: float
    episodes: int
    seconds_per_episode: float


def check_arguments(args) -> DemoPlan:
    """
    Check the arguments and complete them.

    :param args: Parsed arguments.
    :raises DiffusionPolicyError: naming the argument that cannot work, and what can.
    """
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.share import share_path

    demo = DEMOS[args.name]
    contract_path = share_path('config', 'robots', LIVE[demo.sim].contract)
    rate_hz = load_contract(contract_path).rate_hz
    seconds = args.seconds_per_episode
    seconds = SIMULATIONS[demo.sim][2] / rate_hz if seconds is None else seconds
    episodes = demo.episodes if args.episodes is None else args.episodes
    _check_length(episodes, seconds)
    check_range('seed', args.seed, 0, LARGEST_SEED)
    check_range('domain', args.domain, 0, MAX_DOMAIN_ID)
    if args.view and not demo.has_window:
        raise UsageError(f'--view: {args.name} has no window; leave it out, demo.mp4 shows the '
                         'cameras')
    command_rate_hz = _command_rate_hz(
        demo.command_rate_hz if args.rate is None else args.rate, rate_hz)
    model = args.model or _shipped(demo)
    return DemoPlan(demo, model, _model_facts(model), contract_path, rate_hz, command_rate_hz,
                    episodes, seconds)


def _check_length(episodes, seconds):
    """Refuse a number or a duration of episodes that cannot be played."""
    check_range('episodes', episodes, 1)
    check_range('seconds-per-episode', seconds, MIN_EPISODE_S, MAX_PLAYING_S)
    if episodes * seconds > MAX_PLAYING_S:
        raise UsageError(f'{episodes} episodes of {seconds:g} s are more than the '
                         f'{MAX_PLAYING_S} s that the demo plays at most; lower --episodes or '
                         '--seconds-per-episode')


def _shipped(demo):
    """Return the folder of the model that comes with the package."""
    from diffusion_policy_ros.share import share_path

    folder = share_path('models') / demo.model
    if not folder.is_dir():
        raise CheckpointError(f'{folder} is not there; train a policy as docs/arm.md says, and '
                              'name its folder with --model')
    return folder


def _command_rate_hz(wanted_hz, rate_hz):
    """Return the command rate."""
    from diffusion_policy_ros.control.timetable import is_multiple

    if wanted_hz is None:
        return rate_hz
    if not is_multiple(wanted_hz, rate_hz) or wanted_hz > MAX_RATE_HZ:
        raise UsageError(f"--rate is {wanted_hz:g}; it must be a whole multiple of the policy's "
                         f'{rate_hz:g} Hz, at most {MAX_RATE_HZ:g}')
    return wanted_hz


def _model_facts(folder):
    """Return what identifies a checkpoint; refuse a folder that is none."""
    if not os.path.isdir(folder):
        raise CheckpointError(f'--model is {folder}, which is no folder; name a checkpoint '
                              'folder that dpr train wrote')
    missing = [name for name in MODEL_FILES if not os.path.isfile(folder / name)]
    if missing:
        raise CheckpointError(f'--model is {folder}, which holds no {" and no ".join(missing)}; '
                              'name a checkpoint folder that dpr train wrote')
    try:
        weights = (folder / 'model.safetensors').read_bytes()
    except OSError as error:
        raise CheckpointError(f'--model: cannot read the checkpoint: {error}') from error
    return {'folder': str(folder), 'weights': f'{len(weights) / 1e6:.1f} MB',
            'sha256': hashlib.sha256(weights).hexdigest()[:16], **_measured(folder)}


def _measured(folder):
    """Return what ``dpr eval`` left beside a checkpoint, if it did."""
    try:
        figures = parse_json((folder / 'eval.json').read_bytes())
        rate, episodes = figures['success_rate'], figures['episodes']
    except (OSError, ValueError, KeyError, TypeError):  # a file of that name may be anything
        return {}
    if not is_number(rate) or not 0 <= rate <= 1 or not is_count(episodes):
        return {}
    return {'measured': f'{rate:.1%} of {episodes} episodes solved'}

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

"""``dpr eval``: measure a checkpoint in simulation, with 95 % intervals, and compare two."""

import json
import os
from pathlib import Path
import sys

from diffusion_policy_ros.choices import JOINS, REPLAN_TRIGGERS, SOLVERS
from diffusion_policy_ros.cli.out_folder import check_out_file, make_out_folder, writing_out
from diffusion_policy_ros.cli.simulations import SIMULATIONS
from diffusion_policy_ros.cli.stopping import interrupting_signals
from diffusion_policy_ros.cli.threads import add_threads_argument, use_threads
from diffusion_policy_ros.cli.usage import as_usage, check_range, check_share, LARGEST_SEED
from diffusion_policy_ros.data.files import replacing
from diffusion_policy_ros.errors import ConfigError, DatasetError, UsageError
from diffusion_policy_ros.evaluation.live_simulations import LIVE
from diffusion_policy_ros.sampler_options import BY_NAME, parse_change

EPISODES, EPISODES_THROUGH_ROS = 500, 10


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    parser.add_argument('model', type=Path, help='checkpoint folder')
    parser.add_argument('--sim', choices=sorted(SIMULATIONS), required=True,
                        help='simulated robot; the score of pusht is the largest share of the '
                             'goal that was covered, divided by the 0.95 that is success; that '
                             'of base the share of the way to the goal before anything was '
                             'touched; of arm_pick_place half for lifting the cube; of arm_push '
                             'how near to the goal the puck came')
    parser.add_argument('--contract', type=Path,
                        help='contract of the robot (YAML), for a model that holds none, such as '
                             "a folder of LeRobot's; that of another robot than the model's is "
                             'refused')
    parser.add_argument('--episodes', type=int, help='number of episodes; default: '
                        f'{EPISODES}, {EPISODES_THROUGH_ROS} with --through-ros')
    parser.add_argument('--against', type=Path, metavar='MODEL|RESULT',
                        help='compare with another checkpoint, run on the same seeds under the '
                             'same arguments, or with the --out of an earlier run, which may have '
                             'had others; dpr compare takes two such results')
    parser.add_argument('--through-ros', action='store_true',
                        help='run the simulation, policy_server and command_safety as nodes, in '
                             f'real time ({", ".join(LIVE)}): up to half a minute for an episode')
    add_run_arguments(parser)
    add_threads_argument(parser)
    parser.add_argument('--out', type=Path, metavar='FOLDER|FILE.json',
                        help='folder for report.html, eval.json and videos of the best, median '
                             'and worst episode; or a JSON file for figures and every episode; '
                             'all are replaced where they exist')
    _add_disturbances(parser.add_argument_group('disturbances, the same in every run of a seed'))
    parser.epilog = ('Ctrl-C keeps the batches of episodes that were through; exit code 130. '
                     'docs/evaluation.md explains intervals and comparisons.')


def _add_disturbances(group):
    """Declare what makes observations worse and plans later."""
    group.add_argument('--noise-vectors', type=float, default=0.0, metavar='STD',
                       help='noise of vectors, as a share of the range of each entry in the '
                            'training data: 0.01 is 1 %% of it')
    group.add_argument('--noise-images', type=float, default=0.0, metavar='STD',
                       help='noise of pictures, in 8-bit units')
    group.add_argument('--delay-jitter-ms', type=float, default=0.0, metavar='MS',
                       help='up to so much is added to --delay-ms, evenly distributed')


def add_run_arguments(parser):
    """
    Declare how episodes are run, how plans are made and how they are followed.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    parser.add_argument('--seed', type=int, default=100_000,
                        help='seed of the first episode; the others count up from it')
    add_sampler_arguments(parser)
    _add_loop_arguments(parser.add_argument_group('the loop that commands the robot'))
    parser.add_argument('--batch', type=int, default=50, help='episodes that advance together')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 ...')


def add_sampler_arguments(parser):
    """
    Declare what changes the checkpoint's sampler.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    parser.add_argument('--solver', choices=SOLVERS,
                        help="solver; default: the checkpoint's own")
    parser.add_argument('--steps', type=int,
                        help='steps of the solver for each chunk of actions, not training steps: '
                             "fewer are faster and coarser; default: the checkpoint's own")
    parser.add_argument('--sampler', action='append', default=[], metavar='NAME=VALUE',
                        help='another option of the sampler, such as spacing=karras; can be given '
                             f'several times; names: {", ".join(BY_NAME)}')


def _add_loop_arguments(group):
    """Declare what the policy server has as parameters too."""
    group.add_argument('--delay-ms', type=float, default=0.0,
                       help='simulated time from an observation to the arrival of its plan, ms')
    group.add_argument('--execute-horizon', type=int,
                       help='rows executed between two plans; default: all n_action_steps')
    group.add_argument('--replan', choices=REPLAN_TRIGGERS, default='executed',
                       help='when the next plan is asked for: after the execute horizon, when '
                            'few rows are left, or whenever none is being computed')
    group.add_argument('--join', choices=JOINS, default='none',
                       help='how a plan follows the one before it')
    group.add_argument('--candidates', type=int, default=1,
                       help='chunks sampled for each plan; coherent chooses among them')
    group.add_argument('--blend-rows', type=int, default=4,
                       help='rows within which blend moves over')
    group.add_argument('--warm-start-level', type=float, default=0.6,
                       help="noise from which warm_start begins, as a share of the training's "
                            'timesteps')


def run(args) -> int:
    """
    Evaluate, and print a line for each model and one for the comparison.

    :param args: Parsed arguments.
    :return: 0, or 130 when it was stopped with Ctrl-C and what was through is kept.
    """
    from diffusion_policy_ros.cli.eval_run import run_eval

    if args.episodes is None:
        args.episodes = EPISODES_THROUGH_ROS if args.through_ros else EPISODES
    check_range('episodes', args.episodes, 1, 10**6)
    check_run_arguments(args)
    check_range('noise-vectors', args.noise_vectors, 0, 1)
    check_range('noise-images', args.noise_images, 0, 128)
    check_range('delay-jitter-ms', args.delay_jitter_ms, 0, 10_000)
    if args.through_ros and args.sim not in LIVE:
        raise UsageError(f'--through-ros has nodes for {", ".join(LIVE)}, not for {args.sim}; '
                         'leave it out')
    if args.through_ros and (args.noise_vectors or args.noise_images or args.delay_jitter_ms):
        raise UsageError('--noise-vectors, --noise-images and --delay-jitter-ms belong to the '
                         'lock step; leave them out with --through-ros')
    if args.out:
        _check_out(args.out)
    if os.path.isdir(args.model):  # what is wrong otherwise is told in one line
        tell(f'loading {args.model} and the simulation {args.sim} ...')
    use_threads(args.threads)
    with interrupting_signals():
        return run_eval(args)


def tell(what):
    """
    Say on stderr, beside the progress bars, what is done now.

    :param what: Words for it.
    """
    print(what, file=sys.stderr, flush=True)


def is_file(out) -> bool:
    """
    Tell whether ``--out`` names a JSON file rather than a folder.

    :param out: Its path.
    """
    return out.suffix == '.json' or os.path.isfile(out)


def _check_out(out):
    """Refuse to replace what is no result of an earlier run, and say where one is replaced."""
    from diffusion_policy_ros.evaluation.eval_result import load_result, RESULT

    path = out if is_file(out) else out / RESULT
    if path is out:
        check_out_file(out)
    else:
        make_out_folder(out)
    if path.exists():
        try:
            load_result(path)
        except DatasetError as error:
            raise ConfigError(f'{path} is a file that is no result of dpr eval, and --out {out} '
                              'would replace it; choose another name') from error
        tell(f'{path} is of an earlier run and will be replaced')


def write_figures(path, figures):
    """
    Write the file of ``--out``.

    :param path: The file.
    :param figures: What JSON can hold.
    :raises ConfigError: if it cannot be written.
    """
    with writing_out(path), replacing(path) as part:
        part.write_text(json.dumps(figures, indent=1), encoding='utf-8')


def check_run_arguments(args):
    """
    Refuse what no run of episodes can have, before anything that takes long.

    :param args: Parsed arguments of ``add_run_arguments``.
    :raises UsageError: naming the argument and what is possible.
    """
    sampler_changes(args)
    check_range('batch', args.batch, 1, 10**4)
    check_range('seed', args.seed, 0, LARGEST_SEED)
    check_range('delay-ms', args.delay_ms, 0, 10_000)
    check_range('execute-horizon', args.execute_horizon, 1, 1000)
    check_range('candidates', args.candidates, 1, 256)
    check_range('blend-rows', args.blend_rows, 1, 1000)
    check_share('warm-start-level', args.warm_start_level)


def read_run_arguments(args, policy):
    """
    Return how plans are made and followed.

    :param args: Parsed arguments of ``add_run_arguments``.
    :param policy: The ``Policy`` that makes them.
    :return: ``(PlanOptions, LoopSettings)``.
    :raises ConfigError: if they do not fit the policy.
    """
    from diffusion_policy_ros.control.joins import JoinSettings
    from diffusion_policy_ros.control.replan import ReplanSettings
    from diffusion_policy_ros.evaluation.rollout import LoopSettings
    from diffusion_policy_ros.policy.planner import PlanOptions

    options = PlanOptions(policy.sampler.changed(**sampler_changes(args)), args.join,
                          args.candidates, args.warm_start_level)
    options.check(policy)
    horizon = choose_execute_horizon(args.execute_horizon, policy.config.n_action_steps)
    return options, LoopSettings(ReplanSettings(horizon, args.replan),
                                 JoinSettings(args.join, args.blend_rows), args.delay_ms)


def sampler_changes(args) -> dict:
    """
    Return the sampler's options that were asked for, each of them once.

    :param args: Parsed arguments of ``add_sampler_arguments``.
    :return: Changes for ``Sampler.changed``.
    :raises UsageError: if one is wrong, or asked for twice.
    """
    steps = BY_NAME['num_inference_steps']
    check_range('steps', args.steps, steps.low, steps.high)
    changes = {'solver': args.solver, 'num_inference_steps': args.steps}
    changes = {name: value for name, value in changes.items() if value is not None}
    for text in args.sampler:
        with as_usage():
            name, value = parse_change(text)
        if name in changes:
            raise UsageError(f'--sampler {text}: {name} is given twice; leave one out')
        changes[name] = value
    return changes


def choose_execute_horizon(wanted, available) -> int:
    """
    Return the rows to execute between plans.

    :param wanted: What was asked for, None for all.
    :param available: ``n_action_steps`` of the checkpoint.
    :raises ConfigError: if it is more than the policy has.
    """
    if wanted is None:
        return available
    if not 1 <= wanted <= available:
        raise ConfigError(f'--execute-horizon is {wanted}; this checkpoint allows 1 to '
                          f'{available}')
    return wanted

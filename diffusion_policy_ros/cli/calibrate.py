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

"""``dpr calibrate``: how unsure a policy may be before its robot is held."""

import argparse
from dataclasses import asdict
from pathlib import Path

from diffusion_policy_ros.cli.eval import (
    add_run_arguments, check_run_arguments, read_run_arguments, sampler_changes,
    write_figures)
from diffusion_policy_ros.cli.out_folder import check_out_file
from diffusion_policy_ros.cli.simulations import load_simulation, SIMULATIONS
from diffusion_policy_ros.cli.usage import as_usage, check_range, check_share
from diffusion_policy_ros.errors import ConfigError, UsageError
from diffusion_policy_ros.sampler_options import BY_NAME

SIMULATED = range(100)  # the episodes of a simulation where none are named


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    parser.add_argument('model', type=Path, help='checkpoint folder')
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--sim', choices=sorted(SIMULATIONS),
                        help='run episodes on this simulated robot; those that are solved count')
    source.add_argument('--dataset', type=Path, metavar='FOLDER',
                        help='plan along the demonstrations of this dataset')
    parser.add_argument('--cache', type=Path, metavar='DIR', help='where the decoded dataset is '
                        'kept; default: .cache in the dataset')
    parser.add_argument('--episodes', type=_episodes, metavar='COUNT|FIRST-LAST',
                        help='how many episodes, or which, counted from 0; of a dataset those '
                             'that the policy was not trained on; default: 100 simulated ones, '
                             'all of a dataset')
    parser.add_argument('--false-alarms', type=float, default=0.05,
                        help='share of the good episodes to come that each limit may hold')
    parser.add_argument('--likelihood-steps', type=int, default=0,
                        help='parameter likelihood_steps; 0 calibrates the spread alone')
    add_run_arguments(parser)
    parser.add_argument('--out', type=Path, help='JSON file for figures and every episode')
    parser.set_defaults(seed=200_000, candidates=8)


def run(args) -> int:
    """
    Measure, and print the parameters to set.

    :param args: Parsed arguments.
    :return: 0.
    """
    from diffusion_policy_ros.evaluation.calibration import choose_limits
    from diffusion_policy_ros.policy.policy import Policy

    numbers = _checked_episodes(args)
    policy = Policy.load(args.model, args.device)
    if policy.contract is None:
        raise ConfigError(f'{args.model} holds no robot contract, which tells what a robot shows; '
                          'calibrate a checkpoint that dpr train wrote')
    options, loop = read_run_arguments(args, policy)
    scores = _measure(args, policy, numbers, {'options': options, 'loop': loop})
    limits = choose_limits(scores, args.false_alarms)
    parameters = _parameters(args, loop, limits)
    for line in _report(args, scores, limits, parameters):
        print(line)
    if args.out:
        write_figures(args.out, {
            'model': str(args.model), 'source': args.sim or str(args.dataset),
            'false_alarms': args.false_alarms, **asdict(options), **asdict(loop),
            'parameters': parameters, 'limits': [asdict(each) for each in limits],
            'episodes': [asdict(score) for score in scores]})
    return 0


def _episodes(text):
    """Return the numbers of the episodes that a text names."""
    first, dash, last = text.partition('-')
    try:
        numbers = range(int(first), int(last) + 1) if dash else range(int(first))
    except ValueError:
        numbers = ()
    if not numbers or numbers[0] < 0 or numbers[-1] >= 10**6:
        raise argparse.ArgumentTypeError(
            f'{text!r} is neither a number of episodes, such as 100, nor their first and last '
            'number, such as 180-205')
    return numbers


def _checked_episodes(args):
    """
    Return the numbers of the episodes to measure; of a dataset they may not exist.

    What cannot be calibrated is refused, before anything that takes long.
    """
    from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
    from diffusion_policy_ros.evaluation.conformal import check_count

    check_run_arguments(args)
    check_share('false-alarms', args.false_alarms)
    check_range('likelihood-steps', args.likelihood_steps, 0, 100)
    if args.out:
        check_out_file(args.out)
    if args.cache and not args.dataset:
        raise UsageError('--cache is for a dataset; name the --dataset too')
    if args.candidates == 1 and not args.likelihood_steps:
        raise UsageError('--candidates is 1, which has no spread, and --likelihood-steps is 0; '
                         'set one of them')
    if args.dataset and not args.episodes:
        numbers = range(len(LeRobotReader(args.dataset).episodes))
        check_count(len(numbers), args.false_alarms)
        return numbers
    numbers = args.episodes or SIMULATED
    with as_usage():
        check_count(len(numbers), args.false_alarms)
    return numbers


def _measure(args, policy, numbers, how):
    """Return the scores of episodes."""
    from diffusion_policy_ros.evaluation.calibration import measure_recorded, measure_simulated
    from diffusion_policy_ros.policy.device import memory_guard
    from tqdm import tqdm

    with memory_guard('lower --batch'), tqdm(
            total=len(numbers), desc='calibrate', unit='episode') as bar:
        how.update(likelihood_steps=args.likelihood_steps, batch_size=args.batch,
                   progress=bar.update)
        if args.dataset:
            return measure_recorded(policy, args.dataset, numbers, cache_dir=args.cache, **how)
        make_environment, max_steps = load_simulation(args.sim)
        return measure_simulated(policy, make_environment,
                                 [args.seed + number for number in numbers],
                                 max_steps=max_steps, **how)


def _parameters(args, loop, limits) -> dict:
    """
    Return the parameters of the policy server, those that a limit needs before it.

    Join and execute horizon are among them whatever they are: the server may have others. It
    refuses to choose, with ``coherent``, where there is one candidate.
    """
    names = {name: name if name in ('solver', 'num_inference_steps') else f'sampler.{name}'
             for name in BY_NAME}
    parameters = {names[name]: value for name, value in sampler_changes(args).items()}
    candidates = {'num_candidates': args.candidates}
    followed = {'join': loop.join.name, 'execute_horizon': loop.replan.execute_horizon}
    parameters.update({**candidates, **followed} if args.candidates > 1
                      else {**followed, **candidates})
    if args.likelihood_steps:
        parameters['likelihood_steps'] = args.likelihood_steps
    return {**parameters, **{limit.parameter: limit.value for limit in limits}}


def _report(args, scores, limits, parameters):
    """Yield the lines to print."""
    solved = sum(score.success for score in scores)
    yield f'{solved} of {len(scores)} episodes ' + (
        'were solved, and count' if args.sim else 'count: what was demonstrated is good')
    for limit in limits:
        low, high = (100 * share for share in limit.false_alarms_95)
        yield (f'{limit.parameter} {limit.value:g}: holds {limit.held} of these {solved}'
               + (f', and {limit.held_failures} of the {len(scores) - solved} that were not solved'
                  if solved < len(scores) else '')
               + f'; of good episodes to come at most {100 * args.false_alarms:g} % on average, '
               f'of this calibration {low:.1f} to {high:.1f} % (95 %)')
    for name, value in parameters.items():
        yield f'ros2 param set /policy_server {name} {value}'
    yield ('Limits hold for this checkpoint, these candidates, this sampler, join and execute '
           'horizon only, and for episodes like these; calibrate again after a change.')

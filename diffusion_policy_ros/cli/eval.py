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

"""``dpr eval``: measure a checkpoint in simulation, with 95 % intervals."""

from dataclasses import asdict
import json
import os
from pathlib import Path

from diffusion_policy_ros.choices import SOLVERS
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.sampler_options import BY_NAME, parse_change

# name: (module, class, rows per episode at most)
SIMULATIONS = {'pusht': ('diffusion_policy_ros.sim.pusht', 'PushT', 300)}


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    parser.add_argument('model', type=Path, help='checkpoint folder')
    parser.add_argument('--sim', choices=sorted(SIMULATIONS), required=True,
                        help='simulated robot; the score of pusht is the largest share of the '
                             'goal that was covered, divided by the 0.95 that is success')
    parser.add_argument('--episodes', type=int, default=500, help='number of episodes')
    parser.add_argument('--seed', type=int, default=100_000,
                        help='seed of the first episode; the others count up from it')
    parser.add_argument('--solver', choices=SOLVERS,
                        help="solver; default: the checkpoint's own")
    parser.add_argument('--steps', type=int,
                        help='steps of the solver for each chunk of actions, not training steps: '
                             "fewer are faster and coarser; default: the checkpoint's own")
    parser.add_argument('--sampler', action='append', default=[], metavar='NAME=VALUE',
                        help='another option of the sampler, such as spacing=karras; can be given '
                             f'several times; names: {", ".join(BY_NAME)}')
    parser.add_argument('--execute-horizon', type=int,
                        help='rows executed between two plans; default: all n_action_steps')
    parser.add_argument('--batch', type=int, default=50, help='episodes that advance together')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 ...')
    parser.add_argument('--out', type=Path, help='JSON file for figures and every episode')


def run(args) -> int:
    """
    Evaluate and print one line.

    :param args: Parsed arguments.
    :return: 0.
    """
    from importlib import import_module

    from diffusion_policy_ros.evaluation.evaluate import evaluate
    from diffusion_policy_ros.policy.device import memory_guard
    from diffusion_policy_ros.policy.policy import Policy
    from tqdm import tqdm

    _check(args)
    changes = _sampler_changes(args)
    policy = Policy.load(args.model, args.device)
    if policy.contract is None:
        raise ConfigError(f'{args.model} holds no robot contract, so the simulation cannot tell '
                          'what it sees; evaluate a checkpoint that dpr train wrote')
    horizon = _execute_horizon(args.execute_horizon, policy.config.n_action_steps)
    sampler = policy.sampler.changed(**changes)
    policy.check_sampler(sampler)
    module, name, max_steps = SIMULATIONS[args.sim]
    seeds = range(args.seed, args.seed + args.episodes)
    with memory_guard('lower --batch'), \
            tqdm(total=args.episodes, desc=f'eval {args.sim}', unit='episode') as bar:
        evaluation = evaluate(
            policy, getattr(import_module(module), name), seeds, sampler=sampler,
            execute_horizon=horizon, max_steps=max_steps, batch_size=args.batch,
            progress=bar.update)
    print(evaluation.sentence())
    if args.out:
        settings = {'model': str(args.model), 'sim': args.sim, 'first_seed': args.seed,
                    'sampler': asdict(sampler), 'execute_horizon': horizon}
        try:
            args.out.write_text(json.dumps({**settings, **evaluation.to_dict()}, indent=1))
        except OSError as error:
            raise ConfigError(f'--out {args.out} cannot be written: {error}') from error
    return 0


def _check(args):
    """Refuse numbers that no evaluation can have."""
    for name, low, high in (('episodes', 1, 10**6), ('batch', 1, 10**4), ('seed', 0, 2**31 - 1)):
        if not low <= getattr(args, name) <= high:
            raise ConfigError(f'--{name} is {getattr(args, name)}; it must be from {low} to '
                              f'{high}')
    if args.out and (args.out.is_dir() or not os.access(args.out.parent, os.W_OK | os.X_OK)):
        raise ConfigError(f'--out is {args.out}; name a file in a folder that exists and can be '
                          'written to')


def _sampler_changes(args):
    """Return the sampler's options that were asked for, each of them once."""
    changes = {'solver': args.solver, 'num_inference_steps': args.steps}
    changes = {name: value for name, value in changes.items() if value is not None}
    for text in args.sampler:
        name, value = parse_change(text)
        if name in changes:
            raise ConfigError(f'--sampler {text}: {name} is given twice; leave one out')
        changes[name] = value
    return changes


def _execute_horizon(wanted, available):
    """Return the rows to execute between plans, refusing more than the policy has."""
    if wanted is None:
        return available
    if not 1 <= wanted <= available:
        raise ConfigError(f'--execute-horizon is {wanted}; this checkpoint allows 1 to '
                          f'{available}')
    return wanted

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

"""``dpr bench success``: what a solver and its denoiser calls are worth in simulated episodes."""

from pathlib import Path

from diffusion_policy_ros.choices import SOLVERS
from diffusion_policy_ros.cli.bench_rows import measure_rows
from diffusion_policy_ros.cli.out_folder import make_out_folder
from diffusion_policy_ros.cli.simulations import (
    load_policy, load_simulation, run_episodes, SIMULATIONS)
from diffusion_policy_ros.cli.threads import add_threads_argument, use_threads
from diffusion_policy_ros.cli.usage import check_range, LARGEST_SEED
from diffusion_policy_ros.errors import ConfigError

FIXED_STEP_SOLVERS = tuple(name for name in SOLVERS if name != 'adaptive')
MEASURED_SOLVERS = ('ddim', 'dpm_solver++', 'sde_dpm_solver++', 'heun')
BUDGETS = (2, 3, 5, 10, 16)


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The parser of this kind of bench.
    """
    parser.add_argument('model', type=Path, help='checkpoint folder')
    parser.add_argument('--sim', choices=sorted(SIMULATIONS), default='pusht',
                        help='simulated robot')
    parser.add_argument('--solvers', nargs='+', choices=FIXED_STEP_SOLVERS, metavar='NAME',
                        default=MEASURED_SOLVERS,
                        help=f'one or more of: {", ".join(FIXED_STEP_SOLVERS)}, each with all of '
                             'its orders from 2 on; DDPM with every level of the training comes '
                             'first, the others are compared with it')
    parser.add_argument('--evaluations', nargs='+', type=int, default=BUDGETS, metavar='COUNT',
                        help='denoiser calls that a chunk may cost')
    parser.add_argument('--episodes', type=int, default=200,
                        help='episodes of each sampler, the same ones')
    parser.add_argument('--seed', type=int, default=100_000, help='seed of the first episode')
    parser.add_argument('--batch', type=int, default=50, help='episodes that advance together')
    parser.add_argument('--resume', action='store_true',
                        help='go on with a bench that was stopped, in the same --out')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 ...')
    add_threads_argument(parser)
    parser.add_argument('--out', type=Path, default=Path('success_bench'), metavar='DIR',
                        help='folder for success.json, success.md and success.png, which are '
                             'replaced where they exist')


def run(args) -> int:
    """
    Measure, print a table and write files; after every row, so that Ctrl-C loses one row at most.

    :param args: Parsed arguments.
    :return: 0, or 130 when it was stopped with Ctrl-C.
    """
    from diffusion_policy_ros.evaluation.success_bench import SuccessBench
    from diffusion_policy_ros.evaluation.success_bench_report import read_bench

    _check(args)
    use_threads(args.threads)
    policy = load_policy(args.model, args.device)
    samplers = _samplers(args, policy)
    identity = _identity(args, policy)
    rows = read_bench(args.out, identity) if args.resume else []
    make_out_folder(args.out)
    bench = SuccessBench(*_parts(args, policy), rows[0] if rows else None)
    measured = [row.sampler for row in rows]
    return _measure(args, bench, [sampler for sampler in samplers if sampler not in measured],
                    rows, identity)


def _identity(args, policy):
    """Return what a bench that goes on must share: what was measured, how, and where."""
    from diffusion_policy_ros.machine import processor
    from diffusion_policy_ros.policy.checkpoint import weights_digest
    import torch

    device = policy.device
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else processor()
    return {'weights': weights_digest(args.model), 'sim': args.sim, 'episodes': args.episodes,
            'seed': args.seed, 'batch': args.batch, 'device': f'{device.type}, {name}',
            'threads': torch.get_num_threads()}


def _samplers(args, policy):
    """Return what is measured, and say what of that which was asked for is not possible."""
    from diffusion_policy_ros.evaluation.success_bench import samplers_to_compare

    levels = policy.config.num_train_timesteps
    left_out = [f'{solver} {count}' for solver in args.solvers for count in args.evaluations
                if (solver, count) != ('ddpm', levels)  # which is the first row
                and not samplers_to_compare(policy, [solver], [count])[1:]]
    told = (f'{", ".join(left_out)} evaluations: fewer than two steps of the solver, or more than '
            f'the {levels} noise levels of {args.model} allow')
    if len(left_out) == len(args.solvers) * len(args.evaluations):
        raise ConfigError(f'there is nothing to compare: {told}; ask for other --evaluations')
    if left_out:
        print(f'left out: {told}')
    return samplers_to_compare(policy, args.solvers, args.evaluations)


def _check(args):
    """Refuse numbers that no bench can have."""
    check_range('episodes', args.episodes, 2, 10**6)
    check_range('seed', args.seed, 0, LARGEST_SEED)
    check_range('batch', args.batch, 1, 10**4)
    for count in args.evaluations:
        check_range('evaluations', count, 2, 1000)


def _parts(args, policy):
    """Return what runs episodes under a sampler, and what times its chunks."""
    from diffusion_policy_ros.diffusion import draw_noise
    from diffusion_policy_ros.evaluation.bench_windows import simulated_windows
    from diffusion_policy_ros.evaluation.chunk_timer import ChunkTimer
    from diffusion_policy_ros.policy.acceleration import accelerated
    import torch

    simulation, config = load_simulation(args.sim), policy.config
    seeds = range(args.seed, args.seed + args.episodes)

    def episodes(sampler, progress):
        return run_episodes(policy, simulation, seeds, sampler=sampler, batch_size=args.batch,
                            progress=progress)

    generator = torch.Generator().manual_seed(args.seed)
    with torch.inference_mode():
        cond = policy.encode(simulated_windows(policy, simulation[0], 1, args.seed))
    noise = draw_noise((1, config.horizon, config.action_dim), generator=generator,
                       device=policy.device)
    return episodes, ChunkTimer(accelerated(policy), cond, noise, generator)


def _measure(args, bench, samplers, rows, identity):
    """Measure until the end or Ctrl-C; return the exit code."""
    from diffusion_policy_ros.evaluation import success_bench_report as report
    from diffusion_policy_ros.machine import machine_facts, package_versions

    facts = {'model': args.model, 'weights': identity['weights'][:12], 'sim': args.sim,
             'episodes': f'{args.episodes} of each row, from seed {args.seed}',
             'batch': f'{args.batch} episodes advance together', 'device': identity['device'],
             'threads': identity['threads'], **machine_facts(), **package_versions()}
    if not measure_rows(bench.measure, samplers, rows, report=report,
                        write=lambda rows: report.write_bench(args.out, rows, identity, facts),
                        out=args.out, episodes=args.episodes, remedy='lower --batch'):
        return 130
    print(f'written: {args.out}/success.json, success.md, success.png')
    return 0

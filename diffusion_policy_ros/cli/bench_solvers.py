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

"""``dpr bench solvers``: compare all solvers with the converged solution, on one policy."""

from pathlib import Path

from diffusion_policy_ros.choices import SOLVERS, SPACINGS
from diffusion_policy_ros.cli.out_folder import make_out_folder, writing_out
from diffusion_policy_ros.cli.simulations import load_simulation, SIMULATIONS
from diffusion_policy_ros.cli.usage import check_range, LARGEST_SEED
from diffusion_policy_ros.errors import ConfigError, SamplingError, UsageError

BUDGETS = (3, 5, 8, 10, 16, 25, 50)
LARGEST_BUDGET = 1000


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The parser of this kind of bench.
    """
    parser.add_argument('model', type=Path, help='checkpoint folder')
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--sim', choices=sorted(SIMULATIONS),
                        help='take observations from a simulated robot, which the policy drives; '
                             "default: the simulation of the checkpoint's robot, if there is one")
    source.add_argument('--dataset', type=Path, metavar='FOLDER',
                        help='take observations from a LeRobotDataset v3.0, evenly spread')
    parser.add_argument('--cache', type=Path, metavar='DIR',
                        help='folder for the decoded dataset, where the dataset itself cannot be '
                             'written to; default: .cache in the dataset')
    parser.add_argument('--windows', type=int, default=16, help='number of observations')
    parser.add_argument('--samples', type=int, default=256,
                        help='samples per observation for the solvers of the SDE, which are '
                             'measured on the first two observations')
    parser.add_argument('--solvers', nargs='+', choices=SOLVERS, metavar='NAME',
                        help=f'one or more of: {", ".join(SOLVERS)}, each with all of its '
                             'orders; default: all')
    parser.add_argument('--evaluations', nargs='+', type=int, default=BUDGETS, metavar='COUNT',
                        help='denoiser calls that a chunk may cost; adaptive has tolerances '
                             'instead')
    parser.add_argument('--spacing', nargs='+', choices=SPACINGS, default=('trailing', 'lambda'),
                        metavar='NAME',
                        help=f'how steps are spread, one or more of: {", ".join(SPACINGS)}')
    parser.add_argument('--seed', type=int, default=0,
                        help='seed of all noise, and of the first simulated episode')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 ...')
    parser.add_argument('--out', type=Path, default=Path('solver_bench'), metavar='DIR',
                        help='folder for solvers.csv, solvers.md and solvers.png, which are '
                             'replaced where they exist')


def run(args) -> int:
    """
    Measure, print tables and write files.

    :param args: Parsed arguments.
    :return: 0, or 130 when it was stopped with Ctrl-C; what was measured by then is kept.
    """
    from diffusion_policy_ros.evaluation.solver_bench import samplers_to_measure, SolverBench
    from diffusion_policy_ros.policy.device import memory_guard
    from diffusion_policy_ros.policy.policy import Policy
    import torch

    _check(args)
    policy = Policy.load(args.model, args.device)
    samplers = samplers_to_measure(policy, args.solvers or tuple(SOLVERS), args.evaluations,
                                   args.spacing)
    if not samplers:
        raise ConfigError('none of the solvers can make two steps within the --evaluations '
                          f'{", ".join(map(str, args.evaluations))}; allow more')
    make_out_folder(args.out)
    with memory_guard('lower --windows or --samples'):
        windows = _windows(args, policy)
        with torch.inference_mode():
            global_cond = policy.encode(windows)
        bench = SolverBench(policy, global_cond, samples=args.samples, seed=args.seed)
        rows, is_whole = _measure(bench, samplers)
    if rows:
        _report(args, policy, bench, rows, len(global_cond))
    else:
        print('stopped before anything was measured')
    return 0 if is_whole else 130


def _check(args):
    """Refuse what no bench can have."""
    check_range('windows', args.windows, 1, 1000)
    check_range('samples', args.samples, 2, 100_000)
    check_range('seed', args.seed, 0, LARGEST_SEED)
    for count in args.evaluations:
        check_range('evaluations', count, 2, LARGEST_BUDGET)
    if args.cache and not args.dataset:
        raise UsageError('--cache is the folder of a decoded dataset; name the --dataset too')


def _windows(args, policy):
    """Take observations from where they were asked for."""
    from diffusion_policy_ros.evaluation.bench_windows import recorded_windows, simulated_windows

    if args.dataset:
        return recorded_windows(policy, args.dataset, args.windows, args.cache)
    if policy.contract is None or (not args.sim and policy.contract.robot not in SIMULATIONS):
        robot = policy.contract.robot if policy.contract else 'unknown, it holds no contract'
        raise ConfigError(f'the robot of {args.model} is {robot}, which has no simulation; name '
                          'recorded observations with --dataset FOLDER')
    make_environment, _ = load_simulation(args.sim or policy.contract.robot)
    return simulated_windows(policy, make_environment, args.windows, args.seed)


def _measure(bench, samplers):
    """Measure until the end or Ctrl-C; return the rows, and whether it was the end."""
    import sys

    from tqdm import tqdm

    rows = []
    with tqdm(samplers, desc='bench', unit='sampler') as bar:
        try:
            for sampler in bar:
                bar.set_postfix_str(sampler.solver)
                try:
                    rows.append(bench.measure(sampler))
                except SamplingError as error:
                    tqdm.write(f'left out {sampler.solver}: {error}', file=sys.stderr)
        except KeyboardInterrupt:
            return rows, False
    return rows, True


def _report(args, policy, bench, rows, num_windows):
    """Print the tables and write the files."""
    from diffusion_policy_ros.evaluation.solver_bench_report import (
        aligned, floors, tables, write_bench)
    from diffusion_policy_ros.machine import machine_facts, package_versions

    for table in tables(rows, bench):
        print(aligned(*table), end='\n\n')
    print(*floors(bench), sep='\n')
    facts = {
        'model': args.model, 'seed': args.seed,
        'observations': f'{num_windows} of {args.dataset or args.sim or policy.contract.robot}',
        'samples': f'{args.samples} per observation (SDE)',
        'clipped to': policy.config.clip_sample_range if policy.config.clip_sample else 'no range',
        'temperature': policy.sampler.temperature,
        'guidance scale': policy.sampler.guidance_scale,
        **_machine(policy.device), **machine_facts(), **package_versions()}
    with writing_out(args.out):
        write_bench(args.out, rows, bench, facts)
    print(f'written: {args.out}/solvers.csv, solvers.md, solvers.png')


def _machine(device):
    """Return what computed, and with how many threads."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else str(device)
    return {'device': name, 'threads': torch.get_num_threads()}

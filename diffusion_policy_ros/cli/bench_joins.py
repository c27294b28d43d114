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

"""``dpr bench joins``: how plans follow each other, under inference delays in simulation."""

from pathlib import Path

from diffusion_policy_ros.choices import JOINS
from diffusion_policy_ros.cli.bench_rows import measure_rows
from diffusion_policy_ros.cli.out_folder import make_out_folder
from diffusion_policy_ros.cli.simulations import load_policy, load_simulation, SIMULATIONS
from diffusion_policy_ros.cli.usage import check_range, LARGEST_SEED


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The parser of this kind of bench.
    """
    parser.add_argument('model', type=Path, help='checkpoint folder')
    parser.add_argument('--sim', choices=sorted(SIMULATIONS), default='pusht',
                        help='simulated robot')
    parser.add_argument('--joins', nargs='+', choices=JOINS, default=JOINS, metavar='NAME',
                        help=f'one or more of: {", ".join(JOINS)}')
    parser.add_argument('--delays-ms', nargs='+', type=float, default=(0, 50, 100, 200, 300),
                        metavar='MS', help='simulated times from an observation to the arrival '
                        'of its plan, ms')
    parser.add_argument('--episodes', type=int, default=100,
                        help='episodes of each join under each delay, the same ones')
    parser.add_argument('--seed', type=int, default=100_000, help='seed of the first episode')
    parser.add_argument('--execute-horizon', type=int,
                        help='rows executed between two plans; default: all n_action_steps')
    parser.add_argument('--candidates', type=int, default=8, help='candidates of coherent')
    parser.add_argument('--ros', action='store_true',
                        help='run the policy server and the simulated robot as ROS 2 nodes, on a '
                             'clock that waits for both: two to three times slower, and the delay '
                             "comes on top of the contract's settling time")
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 ...')
    parser.add_argument('--out', type=Path, default=Path('join_bench'), metavar='DIR',
                        help='folder for joins.csv, joins.md and joins.png, which are replaced '
                             'where they exist')


def run(args) -> int:
    """
    Measure, print a table and write files; after every row, so that Ctrl-C loses one row at most.

    :param args: Parsed arguments.
    :return: 0, or 130 when it was stopped with Ctrl-C.
    """
    from diffusion_policy_ros.cli.eval import choose_execute_horizon
    from diffusion_policy_ros.cli.ros_runs import ros_runs
    from diffusion_policy_ros.evaluation.join_bench import JoinBench, simulated_runs
    from diffusion_policy_ros.evaluation.rollout import check_delay

    _check(args)
    policy = load_policy(args.model, args.device)
    check_delay(max(args.delays_ms), policy.config, policy.contract)
    make_environment, max_steps = load_simulation(args.sim)
    horizon = choose_execute_horizon(args.execute_horizon, policy.config.n_action_steps)
    seeds = range(args.seed, args.seed + args.episodes)
    runs = ros_runs(args.model, seeds, execute_horizon=horizon, num_candidates=args.candidates) \
        if args.ros else simulated_runs(
            policy, make_environment, seeds, execute_horizon=horizon,
            num_candidates=args.candidates, max_steps=max_steps)
    bench = JoinBench(runs, policy.contract.rate_hz)
    make_out_folder(args.out)
    cases = [(join, delay) for join in args.joins for delay in sorted(args.delays_ms)]
    # The first row is what the others are compared with.
    cases = [('none', 0.0), *(case for case in cases if case != ('none', 0.0))]
    return _measure(args, bench, cases)


def _check(args):
    """Refuse numbers that no bench can have."""
    check_range('episodes', args.episodes, 1, 10**6)
    check_range('seed', args.seed, 0, LARGEST_SEED)
    check_range('candidates', args.candidates, 2, 256)
    check_range('execute-horizon', args.execute_horizon, 1, 1000)
    for delay in args.delays_ms:
        check_range('delays-ms', delay, 0, 10_000)


def _measure(args, bench, cases):
    """Measure until the end or Ctrl-C; return the exit code."""
    from diffusion_policy_ros.evaluation import join_bench_report as report
    from diffusion_policy_ros.machine import machine_facts, package_versions

    facts = {'model': args.model, 'candidates of coherent': args.candidates,
             'sim': args.sim + (' over ROS 2' if args.ros else ''),
             'episodes': f'{args.episodes} of each row, from seed {args.seed}',
             **machine_facts(), **package_versions()}
    if not measure_rows(lambda case, progress: bench.measure(*case, progress), cases, [],
                        report=report, write=lambda rows: report.write_bench(
                            args.out, rows, facts),
                        out=args.out, episodes=args.episodes, remedy='lower --candidates'):
        return 130
    print(f'written: {args.out}/joins.csv, joins.md, joins.png')
    return 0

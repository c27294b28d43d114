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

"""``dpr bench chunk``: how long a whole chunk takes here, beside other ways to draw it."""

from functools import partial
from pathlib import Path
import sys
import tempfile

from diffusion_policy_ros.choices import BACKENDS, BENCH_SOLVERS, SERVED_PRECISIONS
from diffusion_policy_ros.cli.out_folder import make_out_folder, writing_out
from diffusion_policy_ros.cli.stopping import StopRequest
from diffusion_policy_ros.cli.threads import use_threads
from diffusion_policy_ros.cli.usage import as_usage, check_range
from diffusion_policy_ros.errors import UsageError

NETWORKS = ((64, 128, 256), (256, 512, 1024), (512, 1024, 2048))
SHAPE = {'cameras': 0, 'image_size': (96, 96), 'horizon': 16}
RUNTIMES = tuple(name for name in BACKENDS if name != 'auto')
# The least and the greatest number that each argument may be, or hold.
RANGES = {'cameras': (0, 16), 'image_size': (32, 4096), 'horizon': (2, 10_000),
          'evaluations': (1, 1000), 'candidates': (1, 1024), 'repeats': (1, 100_000)}
NOT_EQUAL = 3
OTHERS, WITHHELD = 'cores that others kept busy', 'share of CPU time withheld by the host'
# Above these, times are of little worth.
BUSY_CORES, BUSY_SHARE = 0.1, 0.03


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The parser of this kind of bench.
    """
    parser.add_argument('model', type=Path, nargs='?', metavar='MODEL',
                        help='checkpoint folder; default: untrained policies')
    _add_shape(parser.add_argument_group('untrained policies, of an arm of seven joints'))
    parser.add_argument('--evaluations', type=int, nargs='+', default=[10],
                        metavar='COUNT', help='denoiser calls of a chunk, one or more numbers')
    parser.add_argument('--candidates', type=int, nargs='+', default=[1],
                        metavar='COUNT', help='chunks drawn at a time for one observation, one '
                                              'or more numbers')
    parser.add_argument('--precision', choices=SERVED_PRECISIONS, nargs='+', metavar='NAME',
                        default=['float32'], help='precision of the served policy, one or more '
                        f'of: {", ".join(SERVED_PRECISIONS)}; the others have float32')
    parser.add_argument('--backend', choices=RUNTIMES, nargs='+', metavar='NAME', default=[],
                        help='runtimes by which it is served as well, one or more of: '
                        f'{", ".join(RUNTIMES)}; a MODEL must have been exported for them')
    parser.add_argument('--solver', choices=BENCH_SOLVERS, default='ddim',
                        help='ddim visits the levels that LeRobot visits; LeRobot has no other')
    parser.add_argument('--repeats', type=int, default=30, metavar='COUNT',
                        help='how often each other way is timed, each time after what is served')
    parser.add_argument('--lerobot-python', metavar='PATH',
                        help='Python interpreter that has lerobot and diffusers, or none to '
                             'leave them out; default: this one, where it has lerobot')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 ...')
    parser.add_argument('--threads', type=int, default=0, metavar='COUNT',
                        help='CPU threads for torch; 0 leaves the choice to torch')
    parser.add_argument('--out', type=Path, default=Path('chunk_bench'), metavar='DIR',
                        help='folder for chunk.json, chunk.md and chunk.png, which are replaced '
                             'where they exist')
    parser.epilog = (f'Exit code: 0 measured, {NOT_EQUAL} measured, but not all drew the same '
                     'chunk, 1 it failed (stderr says why), 2 wrong usage, 130 stopped with '
                     'Ctrl-C, after which what was measured is kept.')


def run(args) -> int:
    """
    Measure, print a line for each row and write the report.

    :param args: Parsed arguments.
    :return: Exit code.
    """
    from diffusion_policy_ros.evaluation.chunk_bench_run import ChunkBench
    from diffusion_policy_ros.evaluation.roofline import measure_limits
    from diffusion_policy_ros.machine import OtherPrograms, WithheldTime
    from diffusion_policy_ros.policy.device import choose_device, memory_guard

    _check(args)
    use_threads(args.threads)
    device = choose_device(args.device)
    plan, policies = _plan(args, device)
    make_out_folder(args.out)
    others, withheld = OtherPrograms(), WithheldTime()
    with memory_guard('lower --candidates, or take a smaller network'):
        limits = measure_limits(device, args.precision)
        with tempfile.TemporaryDirectory(prefix='dpr_bench_', dir=args.out) as folder:
            bench = ChunkBench(plan, limits, folder)
            rows, is_whole = _measure(bench, policies)
    cores, share = others.cores(), withheld.share()
    shared = {OTHERS: f'{cores:.2f}', WITHHELD: f'{share:.3f}'}
    is_busy = cores > BUSY_CORES or share > BUSY_SHARE
    if rows:
        with StopRequest(is_quiet=True) as stop:
            stop()  # from here on the first signal waits until all is written
            _report(args, {**_facts(args, device, limits, bench), **shared}, rows,
                    [*bench.notes, *([_busy_note(shared)] if is_busy else [])])
    else:
        print('stopped before anything was measured')
    if not is_whole:
        return 130
    return 0 if bench.is_equal else NOT_EQUAL


def _add_shape(group):
    """Declare what untrained policies are made of."""
    group.add_argument('--down-dims', type=int, nargs='+', action='append',
                       metavar='CHANNELS', help='channels of the levels of the U-Net; may be '
                       'given several times for several networks; default: '
                       f'{", then ".join(map(_words, NETWORKS))}')
    group.add_argument('--cameras', type=int, metavar='COUNT',
                       help='cameras, seen by a ResNet-18 that they share; default: '
                            f'{SHAPE["cameras"]}')
    group.add_argument('--image-size', type=int, nargs=2, metavar=('H', 'W'),
                       help=f'height and width, px; default: {_words(SHAPE["image_size"])}')
    group.add_argument('--horizon', type=int, metavar='ROWS',
                       help=f'rows of a chunk; default: {SHAPE["horizon"]}')


def _check(args):
    """Refuse numbers that no bench can have, and what a checkpoint has of its own."""
    for name, bounds in RANGES.items():
        given = getattr(args, name)
        for value in given if isinstance(given, list) else [given]:
            check_range(name.replace('_', '-'), value, *bounds)
    for name in ('down_dims', *SHAPE) if args.model else ():
        if getattr(args, name) is not None:
            raise UsageError(f'--{name.replace("_", "-")} is for untrained policies, and a '
                             'checkpoint has its own; leave one of the two out')
    if args.image_size and not args.cameras:
        raise UsageError('--image-size is given, but no camera; add --cameras 1')


def _words(numbers):
    """Write numbers as they are typed."""
    return ' '.join(map(str, numbers))


def _plan(args, device):
    """Return what is to be measured: the ``ChunkPlan``, and what makes each policy, by name."""
    from diffusion_policy_ros.evaluation.chunk_bench_run import check_plan, ChunkPlan
    from diffusion_policy_ros.evaluation.train_bench import lerobot_python
    from diffusion_policy_ros.policy.checkpoint import read_description
    from diffusion_policy_ros.policy.policy import Policy

    plan = ChunkPlan(
        args.solver, *(tuple(dict.fromkeys(given)) for given in (
            args.evaluations, args.candidates, args.precision, args.backend)),
        args.repeats, args.model, lerobot_python(args.lerobot_python))
    if args.model is None:
        configs, policies = _untrained(args, device)
    else:
        configs = [read_description(args.model)[0]]
        policies = {args.model.name: partial(Policy.load, args.model, device)}
    with as_usage():
        for config in configs:
            check_plan(plan, config)
    return plan, policies


def _untrained(args, device):
    """Return the configurations of the untrained policies, and what makes each, by name."""
    from diffusion_policy_ros.evaluation.chunk_bench_policy import bench_config, untrained_policy

    shape = {name: default if getattr(args, name) is None else getattr(args, name)
             for name, default in SHAPE.items()}
    with as_usage():
        configs = {'-'.join(map(str, dims)): bench_config(tuple(dims), **shape)
                   for dims in args.down_dims or NETWORKS}
    return configs.values(), {
        name: partial(lambda config: untrained_policy(config).to(device), config)
        for name, config in configs.items()}


def _measure(bench, policies):
    """Measure until the end or Ctrl-C; return the rows, and whether it was the end."""
    from diffusion_policy_ros.evaluation.chunk_bench_report import told

    rows = []
    try:
        for name, make in policies.items():
            for row in bench.measure(name, make()):
                rows.append(row)
                print(told(row), flush=True)
    except KeyboardInterrupt:
        return rows, False
    return rows, True


def _busy_note(shared):
    """Warn of a machine that did other things, too."""
    return 'WARNING: the machine was not idle; ' + ', '.join(
        f'{name}: {value}' for name, value in shared.items())


def _report(args, facts, rows, notes):
    """Print what should be known and write the files."""
    from diffusion_policy_ros.evaluation.chunk_bench_report import OUTPUTS, write_chunks

    for note in notes:
        print(note, file=sys.stderr if note.startswith('WARNING') else sys.stdout)
    with writing_out(args.out):
        write_chunks(args.out, rows, facts, notes)
    print(f'{args.out}: {", ".join(OUTPUTS)}')


def _facts(args, device, limits, bench):
    """Say what was measured on what."""
    from diffusion_policy_ros.machine import machine_facts, package_versions
    import torch

    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else str(device)
    return {
        **machine_facts(), **package_versions(('diffusion_policy_ros', 'torch', 'numpy')),
        **{f'{package} in the other Python': version
           for package, version in bench.versions.items()},
        'device': name, 'threads': str(torch.get_num_threads()), 'solver': args.solver,
        'repeats': str(args.repeats), 'memory read': f'{limits.read_bytes_per_s / 1e9:.1f} GB/s',
        **{f'matrix products, {precision}': f'{flops / 1e9:.0f} GFLOP/s'
           for precision, flops in limits.flops_per_s.items()}}

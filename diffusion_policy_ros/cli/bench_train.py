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

"""``dpr bench train``: how fast policies are trained here, beside a plain loop and LeRobot's."""

from dataclasses import asdict, replace
import json
from pathlib import Path
from statistics import median
import tempfile
import time

from diffusion_policy_ros.cli.out_folder import make_out_folder, writing_out
from diffusion_policy_ros.cli.threads import use_threads
from diffusion_policy_ros.cli.train import load_settings
from diffusion_policy_ros.cli.usage import check_range
from diffusion_policy_ros.errors import ConfigError

EXPLAINED = (
    'Each pair times the same number of steps of each loop, one after the other, after as many '
    'that are not timed. "dpr train" is the command itself: windows cut ahead of time or on the '
    'device, moving average included, without validation and rollouts. The plain loop has the '
    'same networks and the same decoded arrays, one window per item of a DataLoader with worker '
    "processes, AdamW, and no moving average. LeRobot's loop reads the dataset with its own "
    'LeRobotDataset and DataLoader, and '
    'trains its DiffusionPolicy of the same architecture; it decodes videos in each step, while '
    'for the others all of the dataset is decoded before the clock starts ("cache"). All loops '
    'compute in the same precision: float32 unless a setting says otherwise, although "dpr '
    'train" takes bfloat16 by itself on a GPU. Waiting: share of the time in which the step '
    'waited for its batch. Windows: per second.')
DESCRIPTION = f"""
Time the training of a policy on a dataset of yours. {EXPLAINED} LeRobot's loop takes part where
this Python can import lerobot, or with --lerobot-python. Exit code: 0 measured, 1 it failed
(stderr says why), 2 wrong usage.
"""


def add_arguments(parser) -> None:
    """
    Declare the arguments.

    :param parser: The parser of this kind of bench.
    """
    parser.description = DESCRIPTION
    parser.add_argument('dataset', type=Path, help='LeRobotDataset v3.0 folder')
    parser.add_argument('--config', type=Path, help='training configuration, as for dpr train')
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE',
                        dest='overrides', help='override one setting, as for dpr train')
    parser.add_argument('--steps', type=int, default=20, help='steps that are timed at a time')
    parser.add_argument('--pairs', type=int, default=3, help='how often all loops are timed')
    parser.add_argument('--workers', type=int, default=4,
                        help="worker processes of the other loops' DataLoaders")
    parser.add_argument('--lerobot-python', metavar='PATH',
                        help='Python interpreter that has lerobot, or none to leave it out')
    parser.add_argument('--cache', type=Path, metavar='DIR', help='as for dpr train')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 ...')
    parser.add_argument('--threads', type=int, default=0,
                        help='CPU threads for torch; 0 leaves the choice to torch')
    parser.add_argument('--out', type=Path, default=Path('train_bench'), metavar='DIR',
                        help='folder for train.json and train.md, which are replaced where they '
                             'exist')


def run(args) -> int:
    """
    Measure and write the report.

    :param args: Parsed arguments.
    :return: 0.
    """
    from diffusion_policy_ros.evaluation.roofline import measure_limits
    from diffusion_policy_ros.policy.device import choose_device, memory_guard

    for name, high in (('steps', 10**6), ('pairs', 1000)):
        check_range(name, getattr(args, name), 1, high)
    check_range('workers', args.workers, 0, 256)
    use_threads(args.threads)
    config = _settings(load_settings(args.config, args.overrides))
    device = choose_device(args.device)
    make_out_folder(args.out)
    with tempfile.TemporaryDirectory(prefix='dpr_bench_', dir=args.out) as name, \
            memory_guard('lower batch_size'):
        cache_s = _build_cache(args)
        flops_per_s = measure_limits(device, [config.precision]).flops_per_s[config.precision]
        pairs, flops_per_window = _measure(args, config, device, Path(name))
    told = [*_told(pairs), _limit(pairs, flops_per_window, flops_per_s)]
    print(*told, sep='\n')
    _write(args, config, device, pairs, told, cache_s)
    print(f'{args.out}: train.json, train.md')
    return 0


def _settings(config):
    """Return the settings with a precision that all loops have, or refuse what they lack."""
    if config.precision == 'auto':
        config = replace(config, precision='float32')
    if config.pretraining.target or config.freeze_encoder or config.accumulation_steps > 1:
        raise ConfigError('the other loops train end to end, a batch per step; leave out '
                          'pretraining.target, freeze_encoder and accumulation_steps')
    if config.precision == 'float16':
        raise ConfigError('the other loops have no scaled loss, which precision float16 needs; '
                          'choose float32 or bfloat16')
    return config


def _build_cache(args):
    """Decode the dataset, unless that was done before, and return how long it took, s."""
    from diffusion_policy_ros.data.cache import build_cache

    started_s = time.perf_counter()
    build_cache(args.dataset, args.cache)
    return time.perf_counter() - started_s


def _measure(args, config, device, folder):
    """Return ``{loop: Pace}`` of every pair, telling each, and the operations of a window."""
    from diffusion_policy_ros.evaluation.train_bench import measure_ours, OURS, PLAIN

    ours = dict(device=device, steps=args.steps, cache_dir=args.cache)
    first = measure_ours(args.dataset, folder / 'first', config, **{**ours, 'steps': 1})
    del first  # all find the cache and the libraries
    others, close = _other_loops(args, config, device, folder)
    pairs = []
    try:
        for name, loop in others.items():
            loop.measure(args.steps)
        for number in range(args.pairs):
            paces = {OURS: measure_ours(args.dataset, folder / f'pair{number}', config, **ours)}
            paces.update({name: loop.measure(args.steps) for name, loop in others.items()})
            pairs.append(paces)
            print(f'pair {number + 1}: ' + '; '.join(
                f'{name} {pace.windows_per_s:.0f} windows/s, waiting {100 * pace.wait_share:.1f} %'
                + ('' if name == OURS else
                   f', ratio {paces[OURS].windows_per_s / pace.windows_per_s:.2f}')
                for name, pace in paces.items()), flush=True)
        return pairs, others[PLAIN].flops_per_window()
    finally:
        close()


def _other_loops(args, config, device, folder):
    """Return the loops to compare with, by name, and what ends them."""
    from diffusion_policy_ros.data.cache import build_cache
    from diffusion_policy_ros.data.training_windows import TrainingWindows
    from diffusion_policy_ros.evaluation.train_bench import (
        LEROBOT, lerobot_python, LeRobotLoop, PLAIN, PlainLoop)
    from diffusion_policy_ros.policy import lerobot_config
    from diffusion_policy_ros.policy.policy import Policy
    from diffusion_policy_ros.streams import ACTION_KEY

    policy = Policy.load(folder / 'first', str(device))
    cache = build_cache(args.dataset, args.cache)
    windows = TrainingWindows(
        {key: cache.arrays[key] for key in (*policy.config.input_features, ACTION_KEY)},
        cache.episode_ends, n_obs_steps=policy.config.n_obs_steps, horizon=policy.config.horizon)
    others = {PLAIN: PlainLoop(policy, windows, config, device=device, workers=args.workers)}
    python = lerobot_python(args.lerobot_python)
    if python is None:
        return others, lambda: None
    if lerobot_config.refusals(policy.config):
        raise ConfigError('LeRobot has no such networks; leave it out with --lerobot-python none')
    others[LEROBOT] = LeRobotLoop(
        python, policy=folder / 'first', dataset=args.dataset, device=device,
        batch_size=config.batch_size, workers=args.workers, threads=args.threads,
        precision=config.precision)
    return others, others[LEROBOT].close


def _told(pairs):
    """Return the medians in words."""
    from diffusion_policy_ros.evaluation.train_bench import OURS

    lines = []
    for name in pairs[0]:
        paces = [pair[name] for pair in pairs]
        line = (f'{name}: {median(pace.windows_per_s for pace in paces):.0f} windows/s, waiting '
                f'{100 * median(pace.wait_share for pace in paces):.1f} % of the time')
        if name != OURS:
            ratios = [pair[OURS].windows_per_s / pair[name].windows_per_s for pair in pairs]
            line += (f'; {OURS} is {median(ratios):.2f} times as fast ({min(ratios):.2f} to '
                     f'{max(ratios):.2f})')
        lines.append(line)
    return lines


def _limit(pairs, flops_per_window, flops_per_s):
    """Say how near to the arithmetic of the machine the training is."""
    from diffusion_policy_ros.evaluation.train_bench import OURS

    windows_per_s = median(pair[OURS].windows_per_s for pair in pairs)
    return (f'roofline: {flops_per_window / 1e9:.3g} GFLOP a window, forward and backward, and '
            f'{flops_per_s / 1e9:.0f} GFLOP/s in large matrix products allow '
            f'{flops_per_s / flops_per_window:.0f} windows/s; {OURS} reaches '
            f'{100 * windows_per_s * flops_per_window / flops_per_s:.0f} % of that')


def _write(args, config, device, pairs, told, cache_s):
    """Write the files of the report."""
    from diffusion_policy_ros.evaluation.bench_files import write_lines
    from diffusion_policy_ros.machine import machine_facts, package_versions

    facts = {**machine_facts(), **package_versions(), 'device': str(device),
             'dataset': args.dataset.name, 'steps': args.steps, 'workers': args.workers,
             'threads': args.threads or 'as torch chose', 'precision': config.precision,
             'cache': f'{cache_s:.1f} s to decode the dataset, or to find it decoded'}
    document = {'facts': facts, 'settings': asdict(config), 'pairs': [
        {name: asdict(pace) for name, pace in pair.items()} for pair in pairs]}
    lines = ['# Training speed', '', EXPLAINED, '', *(f'- {line}' for line in told), '',
             *(f'- {name}: {value}' for name, value in facts.items()), '', '```yaml',
             config.to_portable_yaml().rstrip(), '```']
    with writing_out(args.out):
        write_lines(args.out / 'train.json', [json.dumps(document, indent=1)])
        write_lines(args.out / 'train.md', lines)

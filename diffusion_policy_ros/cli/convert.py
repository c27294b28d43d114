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

"""`dpr convert`: rosbags become a dataset, datasets another format, or rosbags again."""

import os
from pathlib import Path
import shlex
import sys

DESCRIPTION = """
Convert rosbags into a LeRobotDataset v3.0 (parquet + mp4), a Diffusion Policy zarr replay buffer
or a robomimic HDF5 file; any of these into another; or a zarr replay buffer into rosbags as the
recorder writes them. Exit code: 0 every bag is in the dataset, 3 the dataset is written but at
least one bag is missing from it, whole or in part (stderr says which and why), 1 it failed (stderr
says why), 2 wrong usage, 130 stopped with Ctrl-C. Gaps that split a bag into episodes, and what is
left out beside them, do not change the exit code; what a bag had lost before, and a bag whose end
gave no rows, is a WARNING. Until all is written the output is called OUT.part; when bags are
converted and that is interrupted, the same command goes on where it was.
"""
USAGE_ERROR = 2
INCOMPLETE = 3
CODEC = 'h264'
MIN_ROWS = 8
TARGETS = ('dataset', 'zarr', 'hdf5', 'bags')


def add_arguments(parser) -> None:
    """
    Declare the arguments.

    :param parser: An ``argparse.ArgumentParser``.
    """
    parser.description = DESCRIPTION
    parser.add_argument('source', type=Path, nargs='+',
                        help='bags or folders of bags; or one dataset: a LeRobotDataset, a zarr '
                             'replay buffer, a robomimic HDF5 file')
    parser.add_argument('--out', type=Path, required=True,
                        help='what to create; an existing one is never overwritten')
    parser.add_argument('--to', choices=TARGETS, default='dataset',
                        help='what to make (default: %(default)s, a LeRobotDataset; bags are made '
                             'of zarr buffers only)')
    parser.add_argument('--task', metavar='SENTENCE',
                        help='what the episodes show; by default the sentence inside each bag')
    parser.add_argument('--codec', choices=('h264', 'h264-lossless', 'av1', 'png'), default=CODEC,
                        help='how a LeRobotDataset stores pictures (default: %(default)s, full '
                             'colour resolution; png: inside the rows, without loss)')
    parser.add_argument('--crf', type=int, metavar='N',
                        help='video quality, 0 (best) to 51, or 63 for av1 (default: 12; av1: 30)')
    _add_bag_arguments(parser.add_argument_group('bags'))
    others = parser.add_argument_group('datasets')
    others.add_argument('--rate', type=float, metavar='HZ',
                        help='rows per second, for zarr and HDF5 files that do not say')
    others.add_argument('--mapping', type=Path, metavar='YAML',
                        help='for --to bags: which zarr arrays become which topics, such as '
                             'config/import/pusht_zarr.yaml')


def _add_bag_arguments(group):
    """Declare what concerns the conversion of bags."""
    group.add_argument('--contract', type=Path, metavar='YAML',
                       help='robot contract; by default the one inside the bags')
    group.add_argument('--cut', metavar='BY',
                       help='cut each bag into episodes by services:PREFIX (recorded service '
                            'events of start and stop services), marker:TOPIC (Bool, String or '
                            'Empty), joy:TOPIC:BUTTON, or times:FILE (YAML or CSV with start and '
                            'end, s from the first message used or absolute ns)')
    group.add_argument('--min-rows', type=int, default=MIN_ROWS, metavar='N',
                       help='leave out pieces with fewer rows (default: %(default)s)')
    group.add_argument('--jobs', type=int, metavar='N',
                       help='bags to convert side by side (default: by cores and memory)')
    group.add_argument('--cluster', metavar='ADDRESS',
                       help='convert on a Dask cluster, such as tcp://10.0.0.1:8786, whose '
                            'machines share the folders of the bags and of --out')
    group.add_argument('--no-report', action='store_true',
                       help='leave out report.html, which shows the dataset to a person')


def run(args) -> int:
    """
    Carry the command out.

    :param args: Parsed arguments.
    :return: Exit code: 0 all converted, 1 nothing usable, 2 wrong usage, 3 some bags skipped.
    :raises DiffusionPolicyError: if nothing can be converted; ``dpr`` exits with 1.
    """
    from diffusion_policy_ros.data.datasets.formats import detect_format

    found = detect_format(args.source[0])
    is_dataset = found is not None or '.zarr' in args.source[0].name
    wrong = _wrong_usage(args, is_dataset)
    if wrong:
        print(f'dpr convert: {wrong}', file=sys.stderr)
        return USAGE_ERROR
    if args.to == 'bags':
        return _zarr_to_bags(args)
    return _copy_dataset(args) if is_dataset else _convert_bags(args)


def _wrong_usage(args, is_dataset):
    """Return what is wrong with the combination of arguments, None where nothing is."""
    source = args.source[0]
    if is_dataset and len(args.source) > 1:
        return f'{source} is a dataset; give it alone'
    if args.to == 'bags' and not (args.mapping and args.contract):
        return '--to bags needs --mapping and --contract'
    if args.to == 'bags' and '.zarr' not in source.name:
        return f'--to bags is for zarr buffers, {source} is none'
    if args.to != 'bags' and args.mapping:
        return '--mapping is for --to bags'
    for_bags = {'--contract': args.contract, '--cut': args.cut, '--jobs': args.jobs,
                '--cluster': args.cluster}
    given = [name for name, value in for_bags.items() if value is not None]
    if is_dataset and args.to != 'bags' and given:
        return f'{given[0]} is for bags, {source} is a dataset'
    if not is_dataset and args.rate is not None:
        return '--rate is for zarr and HDF5 files; bags have the rate of their contract'
    return _wrong_number(args)


def _wrong_number(args):
    """Return which number no conversion can have, None where all are fine."""
    from diffusion_policy_ros.data.datasets.video import check_quality
    from diffusion_policy_ros.errors import DatasetError

    if args.min_rows < 1:
        return '--min-rows is at least 1'
    if args.jobs is not None and args.jobs < 1:
        return '--jobs is at least 1'
    if args.jobs is not None and args.cluster:
        return '--jobs is for this machine, --cluster for others; give one of them'
    if args.crf is not None:
        try:
            check_quality(args.codec, args.crf)
        except DatasetError as error:
            return f'--{error}'
    return None


def _zarr_to_bags(args):
    """Write one bag per episode of a replay buffer."""
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.data.conversion.zarr_source import load_mapping, ZarrSource
    source = ZarrSource(args.source[0], load_mapping(args.mapping), load_contract(args.contract))
    messages = source.write_bags(args.out)
    print(f'{len(source)} bags with {messages} messages -> {args.out}')
    print(f'next: dpr convert {shlex.quote(str(args.out))} --out datasets/NAME')
    return 0


def _copy_dataset(args):
    """Write a dataset in another format."""
    from diffusion_policy_ros.data.datasets.formats import open_dataset
    source = open_dataset(args.source[0], rate_hz=args.rate, task=args.task)
    _copy(source, args)
    rows, episodes = int(source.episode_ends[-1]), len(source.episode_ends)
    print(f'{rows} rows in {episodes} episodes from {args.source[0]} -> {args.out}')
    _conclude(args)
    return 0


def _copy(source, args):
    """Copy all rows, with a progress bar."""
    from diffusion_policy_ros.data.datasets.formats import create_dataset
    from diffusion_policy_ros.data.datasets.frames import copy_dataset
    from tqdm import tqdm
    target = 'lerobot' if args.to == 'dataset' else args.to
    writer = create_dataset(args.out, target, like=source, codec=args.codec, crf=args.crf)
    with tqdm(total=int(source.episode_ends[-1]), desc='copying', disable=None) as bar:
        copy_dataset(source, writer, progress=bar.update)


def _convert_bags(args):
    """Convert bags and print the summary."""
    from diffusion_policy_ros.data.bags.bag_paths import find_bags
    found = [bag for source in args.source for bag in find_bags(source)]
    bags = list({os.path.realpath(bag): bag for bag in found}.values())  # each of them once
    if args.to == 'dataset':
        return _bags_to_dataset(args, bags, args.out, args.codec)
    return _bags_to_file(args, bags)


def _bags_to_file(args, bags):
    """Convert bags into a dataset without loss, and that into another format."""
    import shutil

    from diffusion_policy_ros.data.datasets.formats import open_dataset
    from diffusion_policy_ros.data.new_folder import check_new
    from diffusion_policy_ros.errors import DatasetError
    check_new(args.out, DatasetError)
    between = args.out.with_name(f'{args.out.name}.dataset')
    code = _bags_to_dataset(args, bags, between, 'png')
    if code in (0, INCOMPLETE):
        try:
            _copy(open_dataset(between), args)
        finally:
            shutil.rmtree(between)
        _conclude(args)
    return code


def _bags_to_dataset(args, bags, out, codec):
    """Convert bags into a LeRobotDataset and print the summary."""
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.data.conversion.conversion import convert_bags
    from diffusion_policy_ros.data.conversion.cutting import parse_cut
    from diffusion_policy_ros.data.conversion.workers import default_jobs
    from tqdm import tqdm
    try:
        summary = convert_bags(
            bags, out, contract=load_contract(args.contract) if args.contract else None,
            task=args.task, codec=codec, crf=args.crf if codec == args.codec else None,
            min_rows=args.min_rows, cut=parse_cut(args.cut) if args.cut else None,
            jobs=args.jobs or default_jobs(bags), cluster=args.cluster,
            note=lambda sentence: tqdm.write(sentence, file=sys.stderr))
    except KeyboardInterrupt:
        print('dpr convert: the same command goes on where this one was stopped', file=sys.stderr)
        raise
    _print_summary(summary, args.out)
    if not summary.episodes:
        print('dpr convert: no bag gave an episode; nothing was written', file=sys.stderr)
        return 1
    if out == args.out:
        _conclude(args)
    return INCOMPLETE if summary.skipped else 0


def _print_summary(summary, out):
    """Print what was made, and what was lost."""
    reused = f', {summary.reused} from the run before' if summary.reused else ''
    print(f'{summary.rows} rows in {summary.episodes} episodes from {summary.bags} bags '
          f'({summary.skipped} skipped, {summary.splits} splits{reused}) -> {out}')
    print(*summary.lines(), sep='\n')
    for warning in summary.warnings:
        print(f'WARNING: {warning}', file=sys.stderr)


def _conclude(args):
    """Write the report where there can be one, and say what comes next."""
    if args.to != 'dataset':
        return
    if not args.no_report:
        _write_report(args.out)
    print(f'next: dpr train {shlex.quote(str(args.out))} --out models/NAME')


def _write_report(out):
    """Write the report of the dataset; without it, the dataset is none the worse."""
    from diffusion_policy_ros.errors import DatasetError
    try:
        from diffusion_policy_ros.evaluation.dataset_report import write_report
        print(f'report: {write_report(out)}')
    except (ImportError, DatasetError) as error:
        print(f'WARNING: no report was written: {error}', file=sys.stderr)

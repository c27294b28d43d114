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

from diffusion_policy_ros.checks import is_encodable, shown
from diffusion_policy_ros.choices import CODECS
from diffusion_policy_ros.cli.convert_end import (
    conclude, INCOMPLETE, print_summary, warn_of_lost_record)
from diffusion_policy_ros.cli.convert_foreign import note, under_contract, warn_of_limits
from diffusion_policy_ros.cli.usage import as_usage, check_range
from diffusion_policy_ros.data.conversion.settings import MIN_ROWS
from diffusion_policy_ros.errors import UsageError

DESCRIPTION = """
Convert rosbags into a LeRobotDataset v3.0 (parquet + mp4), a Diffusion Policy zarr replay buffer
or a robomimic HDF5 file; any of these into another; a dataset of others into one with a robot
contract, which "dpr train" needs (--contract); or a zarr replay buffer into rosbags as the
recorder writes them. A LeRobotDataset is judged as by "dpr check --count-only": its findings are
printed, but for the notes, and report.html shows them all. Exit code: 0 every bag is in the
dataset, 3 the dataset is written but at least one bag is missing from it, whole or in part (stderr
says which and why), or it has an ERROR, 1 it failed (stderr says why), 2 wrong usage, 130 stopped
with Ctrl-C. Gaps that split a bag into episodes, and what is left out beside them, do not change
the exit code, nor do episodes that the recorder has not finished, which are passed over (stderr
names them); what a bag had lost before, alarms of its recorder, and a beginning or end that gave
no rows are a WARNING.
Until all is written the output is called OUT.part; when bags are converted and that is
interrupted, the same command goes on where it was.
"""
CODEC = 'h264'
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
    parser.add_argument('--contract', type=Path, metavar='YAML',
                        help='robot contract. For bags: by default the one inside them. For a '
                             'dataset without one, to become a LeRobotDataset: its columns that '
                             'the contract names are kept, and must fit it in key, shape, names '
                             'where it has any, and rate; pictures get the size of the contract')
    parser.add_argument('--to', choices=TARGETS, default='dataset',
                        help='what to make (default: %(default)s, a LeRobotDataset; bags are made '
                             'of zarr buffers only)')
    parser.add_argument('--task', metavar='SENTENCE',
                        help='what the episodes show; by default the sentence inside each bag, or '
                             'else "ROBOT task", with a WARNING')
    parser.add_argument('--codec', choices=CODECS,
                        help=f'how a LeRobotDataset stores pictures (default: {CODEC}, full '
                             'colour resolution; png: inside the rows, without loss)')
    parser.add_argument('--crf', type=int, metavar='N',
                        help='video quality, 0 (best) to 51, or 63 for av1 (default: 12; av1: 30)')
    parser.add_argument('--no-report', action='store_true',
                        help='do not judge the dataset, and write no report.html into it')
    _add_bag_arguments(parser.add_argument_group('bags'))
    _add_dataset_arguments(parser.add_argument_group('datasets'))


def _add_dataset_arguments(group):
    """Declare what concerns the conversion of datasets."""
    group.add_argument('--rate', type=float, metavar='HZ',
                       help='rows per second, for zarr and HDF5 files that do not say')
    group.add_argument('--rename', action='append', metavar='COLUMN=KEY',
                       help='with --contract: a column of the dataset and its key in the '
                            'contract, such as img=observation.images.camera; can be given '
                            'several times')
    group.add_argument('--by-order', action='store_true', default=None,
                       help='with --contract: entries that the dataset names otherwise are those '
                            'of the contract, in its order')
    group.add_argument('--mapping', type=Path, metavar='YAML',
                       help='for --to bags: which zarr arrays become which topics, scaled where '
                            'need be, such as config/import/pusht_zarr.yaml; docs/datasets.md '
                            'explains it')


def _add_bag_arguments(group):
    """Declare what concerns the conversion of bags."""
    group.add_argument('--cut', metavar='BY',
                       help='cut each bag into episodes by services:PREFIX (recorded service '
                            'events of start and stop services), marker:TOPIC (Bool, String or '
                            'Empty), joy:TOPIC:BUTTON, or times:FILE (YAML or CSV with start and '
                            'end, s from the first message used or absolute ns)')
    group.add_argument('--only', choices=('success',),
                       help='keep only episodes that are tagged as a success, by the recorder or '
                            'by the cut; failures and episodes without a tag are left out and '
                            'counted')
    group.add_argument('--min-rows', type=int, metavar='N',
                       help=f'leave out pieces with fewer rows (default: {MIN_ROWS})')
    group.add_argument('--jobs', type=int, metavar='N',
                       help='bags, and parts of long ones that are cut, to convert side by '
                            'side (default: by cores and memory)')
    group.add_argument('--cluster', metavar='ADDRESS',
                       help='convert on a Dask cluster, such as tcp://10.0.0.1:8786, whose '
                            'machines share the folders of the bags and of --out')


def run(args) -> int:
    """
    Carry the command out.

    :param args: Parsed arguments.
    :return: Exit code: 0 all converted, 1 nothing usable, 3 some bags skipped or an ERROR in the
        dataset.
    :raises UsageError: if the arguments cannot be, or do not go together.
    :raises DiffusionPolicyError: if nothing can be converted; ``dpr`` exits with 1.
    """
    from diffusion_policy_ros.data.datasets.formats import detect_format

    source = args.source[0]
    found = detect_format(source)
    if found is None and source.name.endswith(('.zarr', '.zarr.zip')):
        found = 'zarr'  # what is missing in it is told when it is opened
    _check_usage(args, found)
    if args.to == 'bags':
        return _zarr_to_bags(args)
    return _copy_dataset(args) if found else _convert_bags(args)


def _check_usage(args, found):
    """Refuse arguments that do not go together, and numbers that no conversion can have."""
    source = args.source[0]
    if found and len(args.source) > 1:
        raise UsageError(f'{source} is a dataset; give it alone')
    if args.to == 'bags' and not (args.mapping and args.contract):
        raise UsageError('--to bags needs --mapping and --contract')
    if args.to == 'bags' and found != 'zarr':
        raise UsageError(f'--to bags is for zarr buffers, {source} is none')
    _check_use(args, found)
    _check_numbers(args)
    for name in ('out', 'task'):
        text = str(getattr(args, name) or '')
        if not is_encodable(text):
            raise UsageError(f'--{name} is {shown(text)}, which is no text in UTF-8')


def _check_use(args, found):
    """Refuse an option that would change nothing."""
    to_bags, for_bags = args.to == 'bags', f'is for bags, {args.source[0]} is a dataset'
    rules = {
        'contract': (not found or args.to in ('bags', 'dataset'),
                     'makes bags, or a LeRobotDataset of a dataset without one, not --to '
                     f'{args.to}'),
        **dict.fromkeys(('rename', 'by_order'), (
            found and args.contract and args.to == 'dataset',
            'is for a dataset that gets a contract with --contract')),
        **dict.fromkeys(('cut', 'min_rows', 'jobs', 'cluster'), (not found, for_bags)),
        'only': (not found, for_bags + (
            '; use dpr edit --only success' if found == 'lerobot' else '')),
        'mapping': (to_bags, 'is for --to bags'),
        'task': (not to_bags, 'is not for --to bags; the sentence is in the mapping'),
        'rate': (found and not to_bags, 'is for zarr and HDF5 files; bags have the rate of their '
                                        'contract'),
        **dict.fromkeys(('codec', 'crf'), (args.to == 'dataset', 'is for LeRobotDatasets, not for '
                                           f'--to {args.to}'))}
    for name, (is_of_use, why) in rules.items():
        if getattr(args, name) is not None and not is_of_use:
            raise UsageError(f'--{name.replace("_", "-")} {why}')


def _check_numbers(args):
    """Refuse numbers that no conversion can have."""
    from diffusion_policy_ros.data.datasets.formats import check_rate
    from diffusion_policy_ros.data.datasets.video import check_quality

    check_range('min-rows', args.min_rows, 1)
    check_range('jobs', args.jobs, 1)
    if args.jobs is not None and args.cluster:
        raise UsageError('--jobs is for this machine, --cluster for others; give one of them')
    with as_usage('--'):
        check_rate(args.rate)
        check_quality(args.codec or CODEC, args.crf)


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
    from diffusion_policy_ros.data.datasets.conversion_record import episode_entries
    from diffusion_policy_ros.data.datasets.formats import open_dataset
    source = open_dataset(args.source[0], rate_hz=args.rate, task=args.task)
    if args.contract:
        source = under_contract(source, args)
    _copy(source, args)
    warn_of_lost_record(args.to, episode_entries(source) or [])
    rows, episodes = int(source.episode_ends[-1]), len(source.episode_ends)
    print(f'{rows} rows in {episodes} episodes from {args.source[0]} -> {args.out}')
    if args.contract:
        warn_of_limits(args.out, source.contract)
    return conclude(args)


def _copy(source, args):
    """Copy all rows, with a progress bar."""
    from diffusion_policy_ros.data.progress import progress_bar
    from diffusion_policy_ros.data.datasets.formats import create_dataset
    from diffusion_policy_ros.data.datasets.frames import copy_dataset
    writer = create_dataset(args.out, _target(args), like=source, codec=args.codec or CODEC,
                            crf=args.crf)
    with progress_bar('copying', int(source.episode_ends[-1])) as bar:
        copy_dataset(source, writer, progress=bar.update)


def _target(args):
    """Return the format to write."""
    return 'lerobot' if args.to == 'dataset' else args.to


def _convert_bags(args):
    """Convert bags and print the summary."""
    from diffusion_policy_ros.data.bags.bag_paths import find_bags
    from diffusion_policy_ros.data.conversion.cutting import parse_cut
    from diffusion_policy_ros.errors import BagError
    with as_usage():
        cut = parse_cut(args.cut) if args.cut is not None else None
    found = [bag for source in args.source for bag in find_bags(source, note=note)]
    bags = list({os.path.realpath(bag): bag for bag in found}.values())  # each of them once
    if not bags:
        raise BagError(f'{" ".join(map(str, args.source))}: there is no finished bag')
    summary = _summary_of(args, bags, cut)
    print_summary(summary, args.out)
    if not summary.episodes:
        print('dpr convert: no bag gave an episode; nothing was written', file=sys.stderr)
        return 1
    warn_of_lost_record(args.to, summary.episode_list)
    if summary.may_pass and args.to == 'dataset':
        print('dpr convert: a bag that failed for a passing reason, such as a network disk or too '
              'little memory, can be added later: dpr convert BAG --out MORE, then dpr edit '
              f'{shlex.quote(str(args.out))} --append MORE', file=sys.stderr)
    code = conclude(args)
    return INCOMPLETE if summary.skipped else code


def _summary_of(args, bags, cut):
    """Convert bags, and tell what is left out of them as it is found."""
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.data.conversion.conversion import convert_bags
    from diffusion_policy_ros.data.conversion.workers import default_jobs
    from tqdm import tqdm
    try:
        return convert_bags(
            bags, args.out, to=_target(args), task=args.task, codec=args.codec or CODEC,
            contract=load_contract(args.contract) if args.contract else None, crf=args.crf,
            min_rows=args.min_rows or MIN_ROWS, cut=cut,
            only_success=args.only is not None, jobs=args.jobs or default_jobs(bags, cut),
            cluster=args.cluster, note=lambda sentence: tqdm.write(sentence, file=sys.stderr))
    except KeyboardInterrupt:
        print('dpr convert: the same command goes on where this one was stopped', file=sys.stderr)
        raise

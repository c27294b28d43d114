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

"""`dpr convert`: rosbags become a dataset; a zarr replay buffer becomes rosbags."""

from pathlib import Path
import shlex
import sys

DESCRIPTION = """
Convert rosbags into a LeRobotDataset v3.0 (parquet + mp4), or a Diffusion Policy zarr replay
buffer into rosbags as the recorder writes them. Exit code: 0 every bag is in the dataset, 3 the
dataset is written but at least one bag is missing from it, whole or in part (stderr says which and
why), 1 it failed (stderr says why), 2 wrong usage. Gaps that split a bag into episodes, and what
is left out beside them, do not change the exit code; a bag whose end gave no rows is a WARNING.
Until all is written the output is called OUT.part; a conversion that is stopped leaves that
behind.
"""
USAGE_ERROR = 2
INCOMPLETE = 3


def add_arguments(parser) -> None:
    """
    Declare the arguments.

    :param parser: An ``argparse.ArgumentParser``.
    """
    parser.description = DESCRIPTION
    parser.add_argument('source', type=Path, help='a bag, a folder of bags, or a zarr buffer')
    parser.add_argument('--out', type=Path, required=True,
                        help='folder to create; an existing one is never overwritten')
    parser.add_argument('--contract', type=Path, metavar='YAML',
                        help='robot contract; by default the one inside the bags')
    parser.add_argument('--to', choices=('dataset', 'bags'), default='dataset',
                        help='what to make (default: %(default)s; zarr can become bags only)')
    parser.add_argument('--task', metavar='SENTENCE',
                        help='what the episodes show; by default the sentence inside each bag')
    parser.add_argument('--codec', choices=('h264', 'h264-lossless', 'av1'), default='h264',
                        help='video codec (default: %(default)s, full colour resolution)')
    parser.add_argument('--crf', type=int, metavar='N',
                        help='video quality, 0 (best) to 51, or 63 for av1 (default: 12; av1: 30)')
    parser.add_argument('--min-rows', type=int, default=8, metavar='N',
                        help='leave out pieces with fewer rows (default: %(default)s)')
    parser.add_argument('--mapping', type=Path, metavar='YAML',
                        help='which zarr arrays become which topics, such as '
                             'config/import/pusht_zarr.yaml')


def run(args) -> int:
    """
    Carry the command out.

    :param args: Parsed arguments.
    :return: Exit code: 0 all converted, 1 nothing usable, 2 wrong usage, 3 some bags skipped.
    :raises DiffusionPolicyError: if nothing can be converted; ``dpr`` exits with 1.
    """
    wrong = _wrong_usage(args)
    if wrong:
        print(f'dpr convert: {wrong}', file=sys.stderr)
        return USAGE_ERROR
    return _zarr_to_bags(args) if args.to == 'bags' else _bags_to_dataset(args)


def _wrong_usage(args):
    """Return what is wrong with the combination of arguments, None where nothing is."""
    is_zarr = '.zarr' in args.source.name
    if args.to == 'bags' and not (args.mapping and args.contract):
        return '--to bags needs --mapping and --contract'
    if is_zarr and args.to == 'dataset':
        return ('a zarr buffer becomes bags first: add --to bags, then convert the bags')
    if args.mapping and not is_zarr:
        return f'--mapping is for zarr buffers, {args.source} is none'
    if args.min_rows < 1:
        return '--min-rows is at least 1'
    if args.crf is not None:
        return _wrong_quality(args)
    return None


def _wrong_quality(args):
    """Return why the codec has no such quality, None where it has."""
    from diffusion_policy_ros.data.datasets.video import check_quality
    from diffusion_policy_ros.errors import DatasetError
    try:
        check_quality(args.codec, args.crf)
    except DatasetError as error:
        return f'--{error}'
    return None


def _zarr_to_bags(args):
    """Write one bag per episode of a replay buffer."""
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.data.conversion.zarr_source import load_mapping, ZarrSource
    source = ZarrSource(args.source, load_mapping(args.mapping), load_contract(args.contract))
    messages = source.write_bags(args.out)
    print(f'{len(source)} bags with {messages} messages -> {args.out}')
    print(f'next: dpr convert {shlex.quote(str(args.out))} --out datasets/NAME')
    return 0


def _bags_to_dataset(args):
    """Convert bags and print the summary."""
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.data.bags.bag_reader import find_bags
    from diffusion_policy_ros.data.conversion.conversion import convert_bags
    from tqdm import tqdm
    contract = load_contract(args.contract) if args.contract else None
    summary = convert_bags(
        find_bags(args.source), args.out, contract=contract, task=args.task, codec=args.codec,
        crf=args.crf, min_rows=args.min_rows,
        note=lambda sentence: tqdm.write(sentence, file=sys.stderr))
    print(f'{summary.rows} rows in {summary.episodes} episodes from {summary.bags} bags '
          f'({summary.skipped} skipped, {summary.splits} splits) -> {args.out}')
    for topic, (median_ms, p95_ms) in summary.age_table().items():
        print(f'  {topic}: age median {median_ms:.1f} ms, 95th percentile {p95_ms:.1f} ms')
    for warning in summary.warnings:
        print(f'WARNING: {warning}', file=sys.stderr)
    if not summary.episodes:
        print('dpr convert: no bag gave an episode; nothing was written', file=sys.stderr)
        return 1
    print(f'next: dpr train {shlex.quote(str(args.out))} --out models/NAME')
    return INCOMPLETE if summary.skipped else 0

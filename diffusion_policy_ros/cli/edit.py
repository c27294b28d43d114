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

"""`dpr edit`: delete or choose episodes of a dataset, split it, merge several, append to one."""

from contextlib import contextmanager
import os
from pathlib import Path
import shlex
import sys

from diffusion_policy_ros.cli.usage import as_usage
from diffusion_policy_ros.data.datasets.episode_ranges import episode_ranges, parse_episodes

DESCRIPTION = """
Delete episodes of a LeRobotDataset v3.0, split it, merge several, append to one, or keep only
the successes. Videos are hard-linked, or copied where the disk has no links, and never encoded
again, but each is read once to see that every row has its frame, which takes time with large ones;
the numbers of episodes and rows, the task table and the statistics are written anew, and
meta/conversion.json keeps bag, task and success of each episode. Datasets that become one must
agree in features, rate and what the numbers mean by their contracts; the first one's contract is
kept. The dataset that is read stays as it is, except with --append: there the new one takes its
place when it is whole. Exit code: 0 done, 1 it failed (stderr says why), 2 wrong usage.
"""


def add_arguments(parser) -> None:
    """
    Declare the arguments.

    :param parser: An ``argparse.ArgumentParser``.
    """
    parser.description = DESCRIPTION
    parser.add_argument('dataset', type=Path, help='folder of the dataset')
    act = parser.add_mutually_exclusive_group(required=True)
    act.add_argument('--delete', metavar='EPISODES',
                     help='leave these episodes out, such as 3,5-7; the rest goes to --out')
    act.add_argument('--only', choices=('success',),
                     help='keep only the episodes that are tagged as a success; they go to --out')
    act.add_argument('--split', nargs='+', metavar='NAME=EPISODES',
                     help='make a dataset of each, such as train=0-89 test=90-99, in --out')
    act.add_argument('--merge', nargs='+', type=Path, metavar='OTHER',
                     help='add the episodes of these datasets; all goes to --out')
    act.add_argument('--append', nargs='+', type=Path, metavar='OTHER',
                     help='add the episodes of these datasets to the dataset itself')
    parser.add_argument('--out', type=Path,
                        help='folder to create; an existing one is never overwritten')


def run(args) -> int:
    """
    Carry the command out.

    :param args: Parsed arguments.
    :return: 0.
    :raises UsageError: if the arguments cannot be, or do not go together.
    :raises DiffusionPolicyError: if it cannot be done; ``dpr`` exits with 1.
    """
    with as_usage():
        _check_usage(args)
        deleted = None if args.delete is None else parse_episodes(args.delete)
        parts = None if args.split is None else _parse_parts(args.split)
    if args.append is not None:
        from diffusion_policy_ros.data.datasets.edit import check_appendable
        # What replaces the folder that one is in is not to be found under "." any more.
        args.dataset = Path(os.path.realpath(args.dataset))
        check_appendable(args.dataset)
    _tell_uncounted([args.dataset, *(args.merge or args.append or ())])
    with _telling_what_stands(args.dataset if args.out is None else args.out):
        if args.only is not None:
            _keep_successes(args)
        elif deleted is not None:
            _delete(args, deleted)
        elif parts is not None:
            _split(args, parts)
        else:
            _join(args)
    return 0


@contextmanager
def _telling_what_stands(place):
    """Say of a run that is stopped too late that its dataset is there."""
    before = _identity(place)
    try:
        yield
    except KeyboardInterrupt:
        if _identity(place) not in (None, before):
            print(f'dpr edit: {place} is there and whole; the command was stopped after that',
                  file=sys.stderr)
        raise


def _identity(path):
    """Return what tells a folder from another one of its name, None without any."""
    return path.stat().st_ino if path.exists() else None


def _check_usage(args):
    """Refuse arguments that do not go together."""
    if args.append is not None and args.out is not None:
        raise ValueError('--append changes the dataset itself; use --merge to make a new one in '
                         '--out')
    if args.append is None and args.out is None:
        raise ValueError('--out is missing: the folder to create')


def _parse_parts(texts):
    """Read ``NAME=EPISODES`` arguments."""
    from diffusion_policy_ros.data.datasets.edit import check_parts
    parts = {}
    for text in texts:
        name, equals, episodes = text.partition('=')
        if not equals:
            raise ValueError(f'--split {text!r}: write NAME=EPISODES, such as train=0-89')
        if name in parts:
            raise ValueError(f'--split: {name!r} is named twice')
        parts[name] = parse_episodes(episodes)
    check_parts(parts)
    return parts


def _delete(args, episodes):
    """Leave episodes out."""
    from diffusion_policy_ros.data.datasets.edit import delete_episodes, shared_videos
    from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
    _tell(delete_episodes(args.dataset, episodes, args.out))
    for file in shared_videos(LeRobotReader(args.dataset), episodes):
        print(f'NOTE: {file} is one video of deleted and of kept episodes; it stays whole, so the '
              'new dataset still has the pictures of the deleted ones in it', file=sys.stderr)


def _keep_successes(args):
    """Leave out the episodes that nobody tagged as a success."""
    from diffusion_policy_ros.data.datasets.conversion_record import episode_entries
    from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
    from diffusion_policy_ros.errors import DatasetError
    entries = episode_entries(LeRobotReader(args.dataset)) or []
    found = [number for number, entry in enumerate(entries) if entry['success'] is not True]
    if len(found) == len(entries):
        raise DatasetError(f'no episode of {args.dataset} is tagged as a success; the recorder '
                           'tags them (docs/recording.md), and dpr convert keeps the tags')
    _delete(args, found)
    tags = [entries[number]['success'] for number in found]
    print(f'NOTE: left out {tags.count(False)} failures, {tags.count(None)} without a tag',
          file=sys.stderr)


def _split(args, parts):
    """Make several datasets."""
    from diffusion_policy_ros.data.datasets.edit import split_dataset
    from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
    made = split_dataset(args.dataset, parts, args.out)
    for dataset in made.values():
        _tell(dataset)
    rest = len(LeRobotReader(args.dataset).episodes) - sum(map(len, parts.values()))
    if rest:
        print(f'NOTE: {rest} episodes are in no part', file=sys.stderr)


def _join(args):
    """Make one dataset of several."""
    from diffusion_policy_ros.data.datasets.edit import append_datasets, merge_datasets
    from diffusion_policy_ros.data.datasets.lerobot_format import REPORT_PATH
    if args.append is not None:
        report = args.dataset / REPORT_PATH
        had_report = report.is_file()
        _tell(append_datasets(args.dataset, args.append))
        if had_report:
            print(f'NOTE: {report} was of the rows before and is removed; dpr check --out writes '
                  'a new one', file=sys.stderr)
    else:
        _tell(merge_datasets([args.dataset, *args.merge], args.out))
    _warn_of_repeated(args.dataset if args.out is None else args.out)


def _warn_of_repeated(folder):
    """Say which episodes are in a dataset twice."""
    from diffusion_policy_ros.data.datasets.conversion_record import (
        episode_entries, repeated_episodes)
    from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
    found = repeated_episodes(episode_entries(LeRobotReader(folder)) or ())
    if found:
        ranges = episode_ranges(found)
        print(f'WARNING: {len(found)} episodes of {folder} are there already: {ranges} begin at '
              'the same time in a bag of the same name as earlier ones. Without them: dpr edit '
              f'{shlex.quote(str(folder))} --delete {ranges} --out NEW', file=sys.stderr)


def _tell_uncounted(folders):
    """Say which episodes will be missing because they never counted."""
    from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
    for folder in folders:
        uncounted = LeRobotReader(folder).uncounted
        if uncounted:
            print(f'NOTE: {uncounted} episodes of {folder} are left out: a writer was stopped '
                  'before it had counted them', file=sys.stderr)


def _tell(dataset):
    """Say what was made."""
    print(f'{len(dataset.episodes)} episodes with {dataset.row_count} rows -> {dataset.folder}')

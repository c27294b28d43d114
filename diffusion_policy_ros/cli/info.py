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

"""`dpr info`: what a bag, a dataset or a checkpoint is, in one screen."""

from datetime import datetime, timezone
import json
from pathlib import Path
import re
from textwrap import fill

from diffusion_policy_ros.cli.info_facts import describe_contract, exports_of, size_of
from diffusion_policy_ros.errors import DiffusionPolicyError

DESCRIPTION = """
Show what a bag, a folder of bags, a dataset, a checkpoint or a training run (OUT.run) is, in one
screen. A bag is read to its end, so that its messages are counted and not only promised. Exit
code: 0, whatever is told; 1 where there is nothing to tell (stderr says why).
"""
MOST_LISTED = 8
MOST_CHARACTERS = 100
BYTE_UNITS = ((1e9, 'GB'), (1e6, 'MB'), (1e3, 'kB'), (1, 'B'))
CARD_ROW = re.compile(r'^\| *([^|]*[^| ]) *\| *([^|]*[^| ]) *\|$', re.MULTILINE)


def add_arguments(parser) -> None:
    """
    Declare the arguments.

    :param parser: An ``argparse.ArgumentParser``.
    """
    parser.description = DESCRIPTION
    parser.add_argument('path', type=Path,
                        help='a bag, a folder of bags, a dataset, a checkpoint or OUT.run of '
                             'dpr train')
    parser.add_argument('--json', action='store_true',
                        help='print JSON, with bytes, seconds and nanoseconds as numbers')


def run(args) -> int:
    """
    Print the facts.

    :param args: Parsed arguments.
    :return: 0.
    :raises DiffusionPolicyError: if the path is nothing that is known, or cannot be read.
    """
    try:
        facts = describe(args.path)
    except OSError as error:
        raise DiffusionPolicyError(f'{args.path} cannot be read: {error}') from error
    print(json.dumps(facts, indent=1) if args.json else '\n'.join(lines_of(facts)))
    return 0


def describe(path) -> dict:
    """
    Find out what a path is, and describe it.

    :param path: Path of anything.
    :return: Facts by name: numbers, texts, lists of texts, and lists of dicts for tables. Names
        end in the unit: ``_bytes``, ``_s``, ``_ns``, ``_hz``.
    :raises DiffusionPolicyError: if it is nothing that is known, or cannot be read.
    """
    from diffusion_policy_ros.data.datasets.formats import detect_format
    path = Path(path)
    try:
        is_there = path.exists()
    except OSError as error:
        raise DiffusionPolicyError(f'{path} cannot be read: {error}') from error
    if not is_there:
        raise DiffusionPolicyError(f'{path} does not exist')
    if (path / 'config.json').is_file():
        return describe_checkpoint(path)
    if detect_format(path):
        return describe_dataset(path)
    from diffusion_policy_ros.cli.info_bag import describe_bags, holds_bags
    if holds_bags(path):
        return describe_bags(path)
    from diffusion_policy_ros.cli.info_run import describe_run, holds_run
    if holds_run(path):
        return describe_run(path)
    raise DiffusionPolicyError(
        f'{path} is neither a bag (metadata.yaml, or a file ending in .mcap, .db3 or .bag), nor a '
        'dataset (meta/info.json, zarr, HDF5), nor a checkpoint (config.json), nor a training '
        'run (OUT.run)')


def describe_dataset(path) -> dict:
    """
    Describe a dataset.

    :param path: Its path.
    :return: Facts by name.
    :raises DatasetError: if its metadata cannot be read.
    """
    from diffusion_policy_ros.data.datasets.formats import detect_format, open_dataset
    import numpy as np
    source, is_lerobot = open_dataset(path), detect_format(path) == 'lerobot'
    lengths = np.diff(source.episode_ends, prepend=0)
    rows, rate_hz = int(source.episode_ends[-1]), source.rate_hz
    facts = {
        'kind': 'dataset', 'path': str(path),
        'format': 'LeRobotDataset v3.0' if is_lerobot else detect_format(path),
        'robot': source.robot_type, 'size_bytes': size_of(path), 'rows': rows,
        'episodes': len(lengths), 'rate_hz': rate_hz or 'not said',
        'duration_s': rows / rate_hz if rate_hz else 'not known',
        'rows per episode': f'{lengths.min()} to {lengths.max()}, median {np.median(lengths):g}',
        'contract': _contract_in(source)}
    tasks = [task for episode in source.episodes for task in episode.tasks] if is_lerobot \
        else [task for task, _ in source.read_episodes()]
    facts['tasks'] = list(dict.fromkeys(filter(None, tasks)))
    if is_lerobot:
        facts.update(_told_of(source))
    facts['features'] = [
        {'name': key, 'dtype': feature['dtype'], 'shape': list(feature['shape']),
         'content': _content(source, key, feature, is_lerobot)}
        for key, feature in source.row_features.items()]
    return facts


def _content(source, key, feature, is_lerobot):
    """Say what a feature holds: its names, or how its pictures are stored."""
    from diffusion_policy_ros.data.datasets.lerobot_format import is_picture
    if feature['dtype'] == 'video' and is_lerobot:
        return _video_of(source, key)
    return 'pictures' if is_picture(feature) else ', '.join(_names_of(feature))


def describe_checkpoint(path) -> dict:
    """
    Describe a checkpoint whose files are those that it was saved with.

    :param path: Its folder.
    :return: Facts by name.
    :raises CheckpointError: if it cannot be read, or a file is missing or another one.
    """
    from dataclasses import asdict

    from diffusion_policy_ros.policy.checkpoint import check_unchanged, read_description
    from diffusion_policy_ros.policy.network_words import network_words
    config, contract, sampler = read_description(path)
    check_unchanged(path)
    raw = json.loads((path / 'config.json').read_text(encoding='utf-8'))
    weights = _weights(path / 'model.safetensors')
    facts = {
        'kind': 'checkpoint', 'path': str(path), 'size_bytes': size_of(path),
        'policy': f'{raw.get("type")}: {network_words(config)}',
        **weights,
        'inputs': [f'{key} {list(feature["shape"])}'
                   for key, feature in config.input_features.items()],
        'outputs': [f'{key} {list(feature["shape"])}'
                    for key, feature in config.output_features.items()],
        'window': f'{config.n_obs_steps} observations in, {config.horizon} rows out, '
                  f'{config.n_action_steps} executed',
        'sampler': ', '.join(f'{name} {value}' for name, value in asdict(sampler).items()
                             if name in ('solver', 'num_inference_steps', 'order', 'spacing')),
        'contract': describe_contract(contract), 'exports': exports_of(path)}
    card = _card(path / 'README.md')
    return {**facts, 'model card': card} if card else facts


def _contract_in(source):
    """Return the contract inside a dataset in one line, or why it is of no use."""
    from diffusion_policy_ros.errors import ContractError, DatasetError
    try:
        return describe_contract(source.contract)
    except (ContractError, DatasetError) as error:
        return f'one that cannot be used: {error}'


def lines_of(facts) -> list:
    """
    Write facts for a person, one per line; lists of dicts become tables.

    :param facts: As ``describe`` returns them.
    """
    width = max(len(_label(name)) for name in facts)
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict):
            value = [fill(f'{key}: {text}', MOST_CHARACTERS, max_lines=MOST_LISTED,
                          placeholder=' ...', subsequent_indent=' ' * (width + 4),
                          break_on_hyphens=False) for key, text in value.items()]
        if not isinstance(value, list):
            lines.append(f'{_label(name):<{width}}  {_shown(name, value)}')
        elif value and isinstance(value[0], dict):
            lines += ['', *_table(value)]
        else:
            shown = value[:MOST_LISTED] + (
                [f'and {len(value) - MOST_LISTED} more'] if value[MOST_LISTED:] else [])
            lines += [f'{_label(name) if place == 0 else "":<{width}}  {text}'
                      for place, text in enumerate(shown or ['none'])]
    return lines


def _table(rows):
    """Return the lines of a table."""
    names = list(rows[0])
    cells = [[_label(name) for name in names],
             *([_shown(name, row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    return ['  '.join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
            for line in cells]


def _label(name):
    """Return the name of a fact without its unit."""
    return re.sub('_(bytes|s|ns|hz)$', '', name)


def _shown(name, value):
    """Write a fact with its unit."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if name.endswith('_bytes'):
            size, unit = next((u for u in BYTE_UNITS if value >= u[0]), BYTE_UNITS[-1])
            return f'{value / size:.4g} {unit}'
        if name.endswith('_ns'):
            return datetime.fromtimestamp(value / 1e9, timezone.utc).isoformat(
                ' ', 'milliseconds')
        if name.endswith('_s'):
            return f'{value:.1f} s' if value < 120 else f'{value:.1f} s ({value / 60:.1f} min)'
        return f'{value:.1f} Hz' if name.endswith('_hz') else f'{value:,}'
    return '' if value is None else str(value)


def _told_of(source):
    """Return the success tags of the episodes, and the recorder's alarms."""
    from diffusion_policy_ros.data.datasets.conversion_record import (
        count_outcomes, episode_entries, told_alarms)
    try:
        entries = episode_entries(source)
    except DiffusionPolicyError as error:
        return {'outcomes': f'not known: {error}'}
    if not entries:
        return {'outcomes': 'not known'}
    is_watched = any(entry['alarms'] is not None for entry in entries)
    return {'outcomes': count_outcomes(entries),
            'alarms': told_alarms(entries) or ('none' if is_watched else 'not watched')}


def _names_of(feature):
    """Return the names of a column's entries."""
    from diffusion_policy_ros.data.datasets.lerobot_format import entry_names
    return entry_names('', feature) if feature.get('names') else ()


def _video_of(source, key):
    """Describe the first video of a camera."""
    from diffusion_policy_ros.data.datasets.video import describe_video
    file = source.episodes[0].videos[key][0]
    if not file.is_file():
        return f'{file.relative_to(source.folder)} is missing'
    try:
        found = describe_video(file)
    except (OSError, ValueError) as error:  # what FFmpeg raises is one of both
        return f'{file.relative_to(source.folder)} cannot be read: {error}'
    return f'{found["video.codec"]} {found["video.pix_fmt"]}, {found["video.fps"]} frames per s'


def _weights(path):
    """Count the weights from the header of their file, which is not loaded."""
    from math import prod

    from diffusion_policy_ros.errors import CheckpointError
    try:
        with open(path, 'rb') as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), 'little')))
        tensors = [value for name, value in header.items() if name != '__metadata__']
        return {'weights': sum(prod(tensor['shape']) for tensor in tensors),
                'stored as': ', '.join(sorted({tensor['dtype'] for tensor in tensors}))}
    except (OSError, ValueError, LookupError, AttributeError, TypeError, OverflowError,
            MemoryError) as error:
        raise CheckpointError(f'{path} is no intact safetensors file ({error}); copy the whole '
                              'checkpoint folder again') from error


def _card(path):
    """Return the first table of a model card, ``{name: value}``."""
    try:
        rows = CARD_ROW.findall(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError):
        return {}
    return {name: value for name, value in rows if set(name) - set('-:')}

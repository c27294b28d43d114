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

"""Find bags: by name, below a folder, or by a pattern."""

from glob import glob
import os
from pathlib import Path
import re
import stat

from diffusion_policy_ros.data.bags import metadata
from diffusion_policy_ros.data.bags.episode_files import NOTE, SET_ASIDE, State, state_of
from diffusion_policy_ros.errors import BagError

STORAGE_SUFFIXES = ('.mcap', '.db3', '.bag', '.bag.active', '.mcap.zstd', '.db3.zstd')
DATASET_FILE = 'meta/info.json'  # what no LeRobot dataset lacks
WILDCARDS = re.compile(r'[*?[]')
UNFINISHED = ('{folder} is being recorded, or was not closed, and was passed over; a recorder '
              'that is started with output {output} repairs what was not closed')


def find_bags(path, note=None) -> list:
    """
    Find the bags at a path.

    What the recorder has set aside, such as ``discarded/``, counts only where it is named itself;
    an episode that it has not finished counts only where its storage file is named.

    :param path: A bag (folder with ``metadata.yaml``, folder of the files of one split recording,
        or one storage file), a folder that holds bags at any depth, or a pattern of such paths
        such as ``bags/*/``.
    :param note: Function that takes a sentence about each unfinished episode, and about what
        cannot be read. Where it is given and there is nothing else, no bag is found.
    :return: Paths of the bags, sorted by name.
    :raises BagError: if the path does not exist, is a dataset or holds no bag.
    """
    if WILDCARDS.search(str(path)) and not os.path.exists(path):
        bags, unfinished, problems, nothing = _matches(str(path))
    else:
        path = Path(path)
        _check_exists(path)
        bags, unfinished, problems = _bags_at(path)
        nothing = f'{path} holds no bag: neither {metadata.NAME} nor a file ending in ' \
                  f'{" or ".join(STORAGE_SUFFIXES)} was found'
    sentences = [UNFINISHED.format(folder=folder, output=folder.parent)
                 for folder in sorted(unfinished)]
    sentences += sorted({f'{error.filename} was passed over, as it cannot be read: '
                         f'{error.strerror}' for error in problems})
    for sentence in sentences if note else ():
        note(sentence)
    if not bags and not (note and sentences):
        raise BagError('; '.join(sentences) or nothing)
    return sorted(bags)


def is_bag_folder(folder) -> bool:
    """
    Tell whether a folder is one bag.

    :param folder: It has metadata, or holds the files ``<its name>_0.mcap``, ``..._1.mcap`` and
        so on of one split recording and no other storage file.
    """
    if os.path.isfile(folder / metadata.NAME):
        return True
    files = storage_files(folder)
    return bool(files) and all(_part_number(file, folder.absolute().name) is not None
                               for file in files)


def storage_files(folder) -> list:
    """
    Return the storage files directly inside a folder in the order of their numbers.

    :param folder: The folder.
    """
    files = [file for file in folder.iterdir()
             if is_storage_name(file.name) and os.path.isfile(file)]
    packed = {file.name for file in files if file.suffix == '.zstd'}
    # `ros2 bag play` leaves what it has decompressed beside the compressed file.
    files = [file for file in files if f'{file.name}.zstd' not in packed]
    return sorted(files, key=lambda file: (
        [int(part) if part.isdigit() else part for part in re.split(r'(\d+)', file.name)]))


def is_storage_name(name) -> bool:
    """
    Tell whether a file is named like the storage of a bag.

    :param name: Name of the file.
    """
    return name.endswith(STORAGE_SUFFIXES)


def _part_number(file, name):
    """Return the number of a split file of a recording, None where it is named otherwise."""
    match = re.fullmatch(re.escape(name) + r'_(\d+)\.[a-z0-9.]+', file.name)
    return int(match[1]) if match else None


def _check_exists(path):
    """Refuse a path that leads nowhere."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise BagError(f'{path} does not exist') from error
    except OSError as error:
        raise BagError(f'{path} cannot be read: {error.strerror}') from error


def _bags_at(path):
    """Return the bags at a path, the folders of unfinished episodes, and what went wrong."""
    problems = []
    try:
        if not os.path.isfile(path) and not os.path.isdir(path):
            raise BagError(f'{path} is neither a file nor a folder')
        if os.path.isdir(path) and _is_unfinished(path):
            return set(), {path}, problems
        if os.path.isfile(path) or is_bag_folder(path):
            return {path}, set(), problems
        bags, unfinished = _bags_below(path, problems)
    except OSError as error:
        return set(), set(), [*problems, error]
    if not bags and os.path.isfile(path / DATASET_FILE):
        raise BagError(f'{path} is a dataset (it holds {DATASET_FILE}), not a bag; name a bag, '
                       'such as one that it was converted from')
    return bags, unfinished, problems


def _bags_below(path, problems):
    """Look through a folder; note as problems what in it cannot be read."""
    inside, seen = [], {os.path.realpath(path)}  # links may lead back, or twice to one bag
    for folder, folders, names in os.walk(path, onerror=problems.append, followlinks=True):
        places = {os.path.realpath(os.path.join(folder, name)): name
                  for name in sorted(folders, reverse=True) if name not in SET_ASIDE}
        folders[:] = [name for place, name in places.items() if place not in seen]
        seen.update(places)
        # By name first: most files of a large folder belong to no bag.
        inside += [Path(folder) / name for name in names
                   if name in (metadata.NAME, NOTE) or is_storage_name(name)]
    unfinished = {file.parent for file in inside
                  if file.name == NOTE and _is_unfinished(file.parent)}
    files = [file for file in inside
             if file.parent not in unfinished and _is_file(file, problems)]
    return {file.parent if is_bag_folder(file.parent) else file
            for file in files if file.name != NOTE}, unfinished


def _is_file(path, problems):
    """Tell whether there is a file; one that cannot be reached is noted as a problem."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError as error:
        problems.append(error)
        return False


def _is_unfinished(folder):
    """Tell whether the recorder still writes into a folder, or was killed while it did."""
    return os.path.exists(folder / NOTE) and state_of(folder) is not State.FINISHED


def _matches(pattern):
    """Return the same of all paths that a pattern stands for, and what to say of none."""
    paths = [Path(path) for path in sorted(glob(os.path.expanduser(pattern), recursive=True))]
    if not paths:
        raise BagError(f'{pattern} matches nothing')
    found, unfinished, problems = set(), set(), []
    for path in paths:
        if path.name in SET_ASIDE or os.path.isfile(path) and not is_storage_name(path.name):
            continue
        try:
            bags, more, errors = _bags_at(path)
        except BagError:
            continue  # one of many that is no bag
        problems += errors
        unfinished |= more | {bag.parent for bag in bags
                              if os.path.isfile(bag) and _is_unfinished(bag.parent)}
        found |= {bag.parent if os.path.isfile(bag) and is_bag_folder(bag.parent) else bag
                  for bag in bags if bag.parent not in unfinished}
    return found, unfinished, problems, (
        f'{pattern} matches {len(paths)} paths, but none of them holds a bag')

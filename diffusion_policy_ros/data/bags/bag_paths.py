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

from diffusion_policy_ros.data.bags import metadata
from diffusion_policy_ros.data.bags.durable import NOTE
from diffusion_policy_ros.data.bags.episode_files import SET_ASIDE
from diffusion_policy_ros.errors import BagError

STORAGE_SUFFIXES = ('.mcap', '.db3', '.bag', '.bag.active', '.mcap.zstd', '.db3.zstd')
DATASET_FILE = 'meta/info.json'  # what no LeRobot dataset lacks
WILDCARDS = re.compile(r'[*?[]')


def find_bags(path) -> list:
    """
    Find the bags at a path.

    :param path: A bag (folder with ``metadata.yaml``, folder of the files of one split recording,
        or one storage file), a folder that holds bags at any depth, or a pattern of such paths
        such as ``bags/*/``. What the recorder has set aside, such as ``discarded/``, or has not
        finished, counts only where it is named itself.
    :return: Paths of the bags, sorted by name.
    :raises BagError: if the path does not exist, is a dataset or holds no bag.
    """
    if WILDCARDS.search(str(path)) and not os.path.exists(path):
        return _matches(str(path))
    path = Path(path)
    if not os.path.exists(path):
        raise BagError(f'{path} does not exist')
    if path.is_file() or is_bag_folder(path):
        return [path]
    # By name first: most files of a large folder belong to no bag.
    inside = [file for file in path.rglob('*')
              if (file.name == metadata.NAME or is_storage_name(file.name))
              and not set(SET_ASIDE) & set(file.relative_to(path).parts)
              and not _is_unfinished(file.parent)]
    files = [file for file in inside if is_storage_name(file.name) and file.is_file()]
    bags = {file.parent if is_bag_folder(file.parent) else file for file in files}
    bags |= {file.parent for file in inside if file.name == metadata.NAME}
    if not bags and (path / DATASET_FILE).is_file():
        raise BagError(f'{path} is a dataset (it holds {DATASET_FILE}), not a bag; name a bag, '
                       'such as one that it was converted from')
    if not bags:
        raise BagError(f'{path} holds no bag: neither {metadata.NAME} nor a file ending in '
                       f'{" or ".join(STORAGE_SUFFIXES)} was found')
    return sorted(bags)


def is_bag_folder(folder) -> bool:
    """
    Tell whether a folder is one bag.

    :param folder: It has metadata, or holds the files ``<its name>_0.mcap``, ``..._1.mcap`` and
        so on of one split recording and no other storage file.
    """
    if (folder / metadata.NAME).is_file():
        return True
    files = storage_files(folder)
    return bool(files) and all(_part_number(file, folder.absolute().name) is not None
                               for file in files)


def _is_unfinished(folder):
    """Tell whether the recorder still writes into a folder, or was killed while it did."""
    return (folder / NOTE).exists() and not (folder / metadata.NAME).exists()


def storage_files(folder) -> list:
    """
    Return the storage files directly inside a folder in the order of their numbers.

    :param folder: The folder.
    """
    files = [file for file in folder.iterdir() if is_storage_name(file.name) and file.is_file()]
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


def _matches(pattern):
    """Return the bags that a pattern stands for; each counts once."""
    paths = [Path(path) for path in sorted(glob(os.path.expanduser(pattern), recursive=True))]
    if not paths:
        raise BagError(f'{pattern} matches nothing')
    found = set()
    for path in paths:
        if path.name in SET_ASIDE or path.is_file() and not is_storage_name(path.name):
            continue
        try:
            bags = find_bags(path)
        except BagError:
            continue  # one of many that is no bag
        found |= {bag.parent if bag.is_file() and is_bag_folder(bag.parent) else bag
                  for bag in bags}
    if not found:
        raise BagError(f'{pattern} matches {len(paths)} paths, but none of them holds a bag')
    return sorted(found)

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

"""The numbered episodes in the recorder's output folder: their states, and where they are put."""

from contextlib import suppress
from enum import Enum
import json
import os
from pathlib import Path
import re

from diffusion_policy_ros.data.bags import metadata
from diffusion_policy_ros.data.bags.mcap_file import MAGIC
from diffusion_policy_ros.errors import BagError
from diffusion_policy_ros.on_disk import sync

NAME = re.compile(r'episode_(\d{6,})')
# Folders inside the output folder. Whoever looks for bags to convert passes over them.
DISCARDED, UNREPAIRED, REPAIRING = 'discarded', 'unrepaired', 'repairing'
SET_ASIDE = (DISCARDED, UNREPAIRED, REPAIRING)
# Holds what metadata.yaml will hold in the end; gone as soon as the bag is closed.
NOTE = 'unfinished.json'
NEW_NOTE = 'unfinished.part'


class State(Enum):
    """How far the recorder came with an episode."""

    FINISHED = 'it was closed'
    UNFINISHED = 'it has a file for messages, and no end'
    EMPTY = 'it has nothing but its folder, and perhaps its note'
    FOREIGN = 'it is no episode'


def state_of(path) -> State:
    """
    Tell how far the recorder came with an episode, whoever may be writing it now.

    :param path: Folder of the episode.
    :raises OSError: if it cannot be read.
    """
    path = Path(path)
    files = list(path.glob('*.mcap'))
    if (path / metadata.NAME).is_file() and all(map(_has_end, files)):
        return State.FINISHED
    if files:
        return State.UNFINISHED
    is_empty = path.is_dir() and {file.name for file in path.iterdir()} <= {NOTE, NEW_NOTE}
    return State.EMPTY if is_empty else State.FOREIGN


def next_number(folder):
    """
    Return the number for the next episode: one more than the largest that is there or discarded.

    :param folder: The output folder; it need not exist.
    """
    # One that is just being put back in its place after a repair is in one or in the other.
    places = (Path(folder) / REPAIRING, Path(folder) / DISCARDED, folder)
    return max((number for place in places for number in _numbers(place)), default=-1) + 1


def episode_path(folder, number):
    """
    Return where an episode's bag belongs.

    :param folder: The output folder.
    :param number: Number from 0.
    """
    return Path(folder) / f'episode_{number:06d}'


def all_episodes(folder):
    """
    Return the folders of all episodes, finished or not, in the order of their numbers.

    :param folder: The output folder; it need not exist.
    """
    return [episode_path(folder, number) for number in sorted(_numbers(folder))]


def finished_bags(folder):
    """
    Return the bags that were closed, in the order of their numbers.

    :param folder: The output folder; it need not exist.
    """
    return [path for path in all_episodes(folder) if state_of(path) is State.FINISHED]


def set_aside(path, name):
    """
    Move an episode into a folder beside it, where nothing is ever overwritten.

    :param path: Folder of the episode.
    :param name: One of ``SET_ASIDE``.
    :return: Its new path; where the number was set aside before, the name ends in ``_2`` etc.
    :raises BagError: if it cannot be moved.
    """
    path = Path(path)
    place = path.parent / name
    try:
        place.mkdir(exist_ok=True)
        target, count = place / path.name, 1
        while target.exists():
            count += 1
            target = place / f'{path.name}_{count}'
        path.rename(target)
    except OSError as error:
        raise BagError(f'{path} could not be moved to {place}: {error}; move it yourself, and '
                       'keep it apart from the finished episodes') from error
    sync(place)
    sync(path.parent)
    return target


def write_note(folder, fields) -> None:
    """
    Put the ``custom_data`` of a bag beside it; ``sync_note`` brings it to the disk.

    :param folder: Folder of the bag.
    :param fields: ``{str: str}``.
    :raises OSError: if there is no room for it.
    """
    part = Path(folder) / NEW_NOTE
    part.write_text(json.dumps(fields, indent=1), encoding='utf-8')
    part.replace(Path(folder) / NOTE)


def sync_note(folder) -> None:
    """
    Bring the note beside a bag to the disk, with the folders that lead to it.

    :param folder: Folder of the bag.
    :raises OSError: if the disk does not take it.
    """
    for path in note_paths(folder):
        sync(path)


def note_paths(folder) -> list:
    """
    Return what has to be on the disk for the note beside a bag to be there: it and its folders.

    :param folder: Folder of the bag.
    """
    return [Path(folder) / NOTE, Path(folder), Path(folder).parent]


def read_note(folder) -> dict:
    """
    Return what ``write_note`` wrote; empty where there is nothing, or nothing that is whole.

    :param folder: Folder of the bag.
    """
    try:
        fields = json.loads((Path(folder) / NOTE).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in fields.items()} \
        if isinstance(fields, dict) else {}


def remove_note(folder) -> None:
    """
    Say that a bag is finished.

    :param folder: Folder of the bag; without a note nothing happens.
    """
    with suppress(OSError):
        (Path(folder) / NOTE).unlink()
        sync(folder)


def _has_end(file):
    """Tell whether an mcap file ends as it must."""
    if file.stat().st_size < 2 * len(MAGIC):
        return False
    with open(file, 'rb') as stream:
        stream.seek(-len(MAGIC), os.SEEK_END)
        return stream.read() == MAGIC


def _numbers(folder):
    """Return the numbers that are taken, by finished bags or by anything else."""
    folder = Path(folder)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return [int(match[1]) for match in map(NAME.fullmatch, names) if match]

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


"""The numbered episode bags in the recorder's output folder, and those that were set aside."""

from pathlib import Path
import re

from diffusion_policy_ros.errors import BagError

NAME = re.compile(r'episode_(\d{6,})')
# Folders inside the output folder. Whoever looks for bags to convert passes over them.
DISCARDED, UNREPAIRED, REPAIRING = 'discarded', 'unrepaired', 'repairing'
SET_ASIDE = (DISCARDED, UNREPAIRED, REPAIRING)


def next_number(folder):
    """
    Return the number for the next episode: one more than the largest that is there.

    :param folder: The output folder; it need not exist.
    """
    # One that is just being put back in its place after a repair is in one or in the other.
    return max([*_numbers(Path(folder) / REPAIRING), *_numbers(folder)], default=-1) + 1


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
    return [path for path in all_episodes(folder) if (path / 'metadata.yaml').is_file()]


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
    return target


def _numbers(folder):
    """Return the numbers that are taken, by finished bags or by anything else."""
    folder = Path(folder)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return [int(match[1]) for match in map(NAME.fullmatch, names) if match]

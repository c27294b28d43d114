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

"""Merge, append to, split and thin out LeRobot datasets, without recoding a picture."""

import os
from pathlib import Path
import re
import shlex
import shutil

from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.selection import link_file, write_selection
from diffusion_policy_ros.data.files import writing
from diffusion_policy_ros.data.new_folder import (
    check_new, check_outside, in_the_way, unfinished_path)
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.on_disk import put_in_place

# What belongs to a dataset, and what is only computed from it.
PARTS = ('meta', 'data', 'videos')
COMPUTED = ('.cache', '.cache.lock', layout.REPORT_PATH)


def merge_datasets(sources, out, progress=True) -> LeRobotReader:
    """
    Make one dataset of several, episodes numbered on.

    :param sources: Folders of whole datasets that agree in features, rate and contract.
    :param out: Folder to create.
    :param progress: Show a progress bar.
    :return: The new dataset, opened.
    :raises DatasetError: if the sources do not agree or one is damaged, or the disk cannot be
        written; the sources are then as before.
    """
    readers = [LeRobotReader(source) for source in sources]
    return write_selection(out, [(r, episode) for r in readers for episode in r.episodes],
                           progress)


def append_datasets(folder, sources) -> LeRobotReader:
    """
    Add the episodes of other datasets to one, in its place.

    The new dataset is made beside the old one and takes its name when it is whole. If that is
    interrupted, the old one is still there, under its name or as ``<name>.before``. What else
    lies in its folder stays, but for what was computed from its rows.

    :param folder: The dataset to add to, or a link to it.
    :param sources: Folders of datasets whose episodes are added.
    :return: The new dataset, opened.
    :raises DatasetError: as ``merge_datasets``, or ``check_appendable``.
    """
    check_appendable(folder)
    folder, new, old = _append_paths(folder)
    try:
        merge_datasets([folder, *sources], new)
        with writing(folder):
            _keep_extras(folder, new)
            _replace(folder, new, old)
    except BaseException:  # Ctrl-C too
        shutil.rmtree(new, ignore_errors=True)
        if folder.exists():  # beside the old one, this is the new one
            shutil.rmtree(old, ignore_errors=True)
        raise
    try:
        shutil.rmtree(old)
    except KeyboardInterrupt:
        shutil.rmtree(old, ignore_errors=True)
        raise
    except OSError as error:
        raise DatasetError(f'{folder} has grown, but {old}, which it was before, cannot be '
                           f'removed: {error}. Remove it yourself') from error
    return LeRobotReader(folder)


def check_appendable(folder) -> None:
    """
    Refuse to append beside what a run left that was killed.

    :param folder: The dataset to add to, or a link to it.
    :raises DatasetError: saying which command puts that right.
    """
    folder, new, old = _append_paths(folder)
    rest = in_the_way(new)
    clear = None if rest is None else f'rm -r {shlex.quote(str(rest))}'
    if os.path.lexists(old) and not folder.exists():
        back = f'mv {shlex.quote(str(old))} {shlex.quote(str(folder))}'
        raise DatasetError(
            f'{old} is all of {folder.name} as it was before a run that was stopped while it '
            f'replaced it. To go back: {" && ".join(filter(None, (back, clear)))}')
    if os.path.lexists(old):
        raise DatasetError(f'{folder} has grown already in a run that was stopped before it '
                           f'removed {old.name}, which it was before. When you have looked at it: '
                           f'rm -r {shlex.quote(str(old))}')
    if rest is not None:
        raise DatasetError(f'{rest} is left of a run that was stopped before its end, or is being '
                           f'written now; {folder.name} is as before. When nothing writes to it '
                           f'any more: {clear}')


def delete_episodes(folder, episodes, out) -> LeRobotReader:
    """
    Make a dataset that lacks some episodes of another.

    :param folder: The dataset, which is not changed.
    :param episodes: Numbers of the episodes to leave out.
    :param out: Folder to create.
    :return: The new dataset, opened.
    :raises DatasetError: if an episode does not exist or none would be left, or as
        ``write_selection``.
    """
    reader = LeRobotReader(folder)
    check_episodes(reader, episodes)
    gone = set(episodes)
    return write_selection(out, [(reader, e) for e in reader.episodes if e.index not in gone])


def split_dataset(folder, parts, out) -> dict:
    """
    Make several datasets of one.

    :param folder: The dataset, which is not changed.
    :param parts: ``{name: numbers of its episodes}``; an episode belongs to one part at most.
    :param out: Folder to create; each part becomes a folder in it.
    :return: ``{name: the new dataset, opened}``.
    :raises DatasetError: if an episode does not exist or is in two parts, a name is no folder
        name, or as ``write_selection``.
    """
    check_parts(parts)
    reader = LeRobotReader(folder)
    check_new(out, DatasetError)
    check_outside(out, folder, DatasetError)
    for episodes in parts.values():
        check_episodes(reader, episodes)
    building = unfinished_path(out)
    try:
        for name, episodes in parts.items():
            write_selection(building / name, [(reader, reader.episodes[e]) for e in episodes])
        with writing(out):
            put_in_place(building, out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return {name: LeRobotReader(Path(out) / name) for name in parts}


def check_parts(parts) -> None:
    """
    Refuse parts that no dataset can be split into.

    :param parts: As for ``split_dataset``.
    :raises DatasetError: if a name is no folder name, or an episode is in two parts.
    """
    seen = {}
    for name, episodes in parts.items():
        if not re.fullmatch(r'\w[\w.-]*', name):
            raise DatasetError(f'part {name!r}: a name is made of letters, digits, "_", "-", "."')
        for episode in episodes:
            if seen.setdefault(episode, name) != name:
                raise DatasetError(f'episode {episode} is in {seen[episode]} and in {name}; it '
                                   'can only be in one part')


def check_episodes(reader, episodes) -> None:
    """
    Refuse numbers of episodes that a dataset does not have, or that come twice.

    :param reader: The opened dataset.
    :param episodes: Numbers.
    :raises DatasetError: naming the first.
    """
    seen = set()
    for episode in episodes:
        if not 0 <= episode < len(reader.episodes):
            raise DatasetError(f'{reader.folder} has no episode {episode}; it has 0 to '
                               f'{len(reader.episodes) - 1}')
        if episode in seen:
            raise DatasetError(f'episode {episode} is named twice')
        seen.add(episode)


def shared_videos(reader, episodes) -> list:
    """
    List the video files that some episodes share with others.

    :param reader: The opened dataset.
    :param episodes: Numbers of the episodes.
    :return: Paths; a dataset without these episodes still has their frames in such files.
    """
    chosen = set(episodes)
    mine, others = (
        {file for e in reader.episodes if (e.index in chosen) == is_chosen
         for file, _ in e.videos.values()} for is_chosen in (True, False))
    return sorted(mine & others)


def _keep_extras(folder, new):
    """Carry along what lies in a dataset's folder, but for what its rows are made anew of."""
    for extra in folder.iterdir():
        if extra.name not in PARTS + COMPUTED:
            _keep(extra, new / extra.name)
    for extra in (folder / 'meta').iterdir():
        if not (new / 'meta' / extra.name).exists():
            _keep(extra, new / 'meta' / extra.name)


def _replace(folder, new, old):
    """Give the new dataset the name of the old one; where that fails, nothing is changed."""
    try:
        folder.rename(old)
        put_in_place(new, folder)
    except BaseException:  # Ctrl-C too
        if not folder.exists():
            old.rename(folder)
        raise


def _append_paths(folder):
    """Return a dataset's folder, and what it is called while it grows and while it is replaced."""
    folder = Path(os.path.realpath(folder))
    return folder, *(folder.with_name(f'{folder.name}.{end}') for end in ('appended', 'before'))


def _keep(path, target):
    """Carry something along that lies in a dataset's folder and is no part of it."""
    if path.is_dir() and not path.is_symlink():
        shutil.copytree(path, target, symlinks=True)
    elif path.is_symlink():
        target.symlink_to(os.readlink(path))
    else:
        link_file(path, target)

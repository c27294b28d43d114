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

"""Putting a whole checkpoint folder in its place, or nothing of it."""

import shutil

from diffusion_policy_ros.errors import CheckpointError
from diffusion_policy_ros.on_disk import sync, sync_whole
from diffusion_policy_ros.policy.checkpoint_files import CONFIG


def write_folder(folder, content):
    """
    Write files beside the place of their folder, then put the folder there by renaming.

    :param folder: pathlib.Path, resolved; see ``check_place``. Files of a checkpoint there that
        are not written anew are carried over.
    :param content: File name -> bytes.
    :raises CheckpointError: if the disk refuses.
    """
    fresh = folder.with_name(f'.{folder.name}.new')
    try:
        shutil.rmtree(fresh, ignore_errors=True)  # left by a process that was killed
        fresh.mkdir(parents=True)
        for name, data in content.items():
            (fresh / name).write_bytes(data)
        _put_in_place(fresh, folder)
    except OSError as error:
        raise CheckpointError(f'{folder} cannot be written: {error}') from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def check_place(folder):
    """
    Refuse to replace what is no checkpoint.

    :param folder: pathlib.Path at which a checkpoint is to be written.
    :raises CheckpointError: if something else is there.
    """
    try:
        is_file = folder.exists() and not folder.is_dir()
        is_foreign = folder.is_dir() and any(folder.iterdir()) and not (folder / CONFIG).exists()
    except OSError as error:
        raise CheckpointError(f'{folder} cannot be written to ({error}); choose another folder'
                              ) from error
    if is_file:
        raise CheckpointError(f'{folder} is a file; choose another folder')
    if is_foreign:
        raise CheckpointError(f'{folder} is not empty and no checkpoint (it has no {CONFIG}); '
                              'choose another folder')


def _put_in_place(fresh, folder):
    """
    Swap a finished folder in, and move over the files that it does not replace.

    A kill between two renames leaves the old folder under a hidden name, where the next write
    finds what is still to be moved.
    """
    old = folder.with_name(f'.{folder.name}.old')
    sync_whole(fresh)  # before the old one goes, as no loss of power may leave neither
    if folder.exists():
        _carry_over(old, folder)
        folder.rename(old)
    fresh.rename(folder)
    sync(folder.parent)
    _carry_over(old, folder)


def _carry_over(old, folder):
    """Move the files that a folder lacks from its predecessor, and remove that."""
    if not old.exists():
        return
    for entry in old.iterdir():
        if not (folder / entry.name).exists():
            entry.rename(folder / entry.name)
    sync(folder)
    shutil.rmtree(old)

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

"""Output folders that get their name only when they are complete."""

import os
from pathlib import Path

from diffusion_policy_ros.checks import is_encodable, shown


def unfinished_path(folder) -> Path:
    """
    Return where a folder is built: beside its place, so that a rename completes it.

    :param folder: The folder's final path.
    """
    folder = Path(folder)
    return folder.with_name(f'{folder.name}.part')


def in_the_way(folder):
    """
    Return what is already where a folder is to be built, finished or not; None when nothing is.

    :param folder: The folder's final path.
    """
    if os.path.lexists(folder):
        return folder
    part = unfinished_path(folder)
    return part if os.path.lexists(part) else None


def check_new(folder, error, or_else='') -> None:
    """
    Refuse to write where something is already, finished or not, and a name that is no text.

    :param folder: The folder's final path.
    :param error: Exception type to raise.
    :param or_else: What else can be done with it.
    :raises error: naming what is there, and what to do.
    """
    if not is_encodable(str(folder)):
        raise error(f'--out is {shown(str(folder))}, which is no text in UTF-8; choose another')
    found = in_the_way(folder)
    if found == folder:
        raise error(f'{folder} exists already and is never overwritten; choose another --out, or '
                    f'remove it yourself{or_else}')
    if found is not None:
        raise error(f'{found} is left of a run that was stopped before its end, or is being '
                    'written now. Remove it when nothing writes to it any more, or choose another '
                    f'--out{or_else}')


def check_outside(folder, source, error) -> None:
    """
    Refuse to write into what is being read.

    :param folder: The new folder.
    :param source: Folder or file that is read.
    :param error: Exception type to raise.
    :raises error: if the new folder is the source, or lies inside it.
    """
    source, place = (Path(os.path.realpath(path)) for path in (source, folder))
    if source in (place, *place.parents):
        raise error(f'{folder} lies inside {source}, which is only read; choose another --out')

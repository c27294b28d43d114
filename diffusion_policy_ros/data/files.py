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

"""Files that get their name when they are whole, and that no loss of power takes back."""

from contextlib import contextmanager, nullcontext, suppress
import json
import os
from pathlib import Path
import stat

from diffusion_policy_ros.errors import DatasetError


def sync(path) -> None:
    """
    Bring a file, or the list of a folder's files, to the disk.

    :param path: File or folder.
    :raises OSError: if the disk does not take the file. A folder passes: not every disk can.
    """
    with _forgiving(os.path.isdir(path)):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def sync_open(number) -> None:
    """
    Do as ``sync`` with what is open already, and may have been moved since.

    :param number: File descriptor.
    :raises OSError: if the disk does not take the file.
    """
    with _forgiving(stat.S_ISDIR(os.fstat(number).st_mode)):
        os.fsync(number)


def put_in_place(built, place) -> None:
    """
    Give what is finished its name, once it is on the disk and no loss of power can undo that.

    :param built: File or folder that was built.
    :param place: Its final path, on the same disk.
    """
    built, place = Path(built), Path(place)
    inside = [path for path in built.rglob('*') if not path.is_symlink()]
    for path in sorted(inside, reverse=True) + [built]:
        sync(path)
    built.rename(place)
    sync(place.parent)


@contextmanager
def replacing(path, is_durable=False):
    """
    Write a file under another name and move it into place only when it is whole.

    :param path: Where the file shall be; its folder is created.
    :param is_durable: Whether no loss of power may undo that.
    :return: Context manager giving the temporary path to write.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'{path.name}.tmp')
    try:
        yield temporary
        if is_durable:
            put_in_place(temporary, path)
        else:
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_json(path, content, is_durable=False) -> None:
    """
    Write a JSON file that is whole or not there.

    :param path: Where the file shall be; its folder is created.
    :param content: What it shall hold.
    :param is_durable: As for ``replacing``.
    """
    with replacing(path, is_durable) as temporary:
        temporary.write_text(json.dumps(content, indent=4), encoding='utf-8')


@contextmanager
def writing(folder):
    """
    Say of a disk that is full or refuses to be written what to do about it.

    :param folder: The dataset that is being written.
    :raises DatasetError: in place of any ``OSError`` inside the context.
    """
    try:
        yield
    except OSError as error:
        raise DatasetError(f'cannot write the dataset {folder}: {error}. Make room on the disk, '
                           'or write it to another one') from error


def _forgiving(is_folder):
    """Pass over any error of a folder."""
    return suppress(OSError) if is_folder else nullcontext()

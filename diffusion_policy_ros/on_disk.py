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

"""Files and folders that no loss of power takes back once they have their name."""

from contextlib import contextmanager, nullcontext, suppress
import fcntl
import os
from pathlib import Path
import stat


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


def sync_whole(built) -> None:
    """
    Bring a file, or a folder with all that is in it, to the disk.

    :param built: Path of the file or folder.
    :raises OSError: if the disk does not take a file.
    """
    inside = [path for path in built.rglob('*') if not path.is_symlink()]
    for path in sorted(inside, reverse=True) + [built]:
        sync(path)


def put_in_place(built, place) -> None:
    """
    Give what is finished its name, once it is on the disk and no loss of power can undo that.

    :param built: File or folder that was built.
    :param place: Its final path, on the same disk.
    """
    built, place = Path(built), Path(place)
    sync_whole(built)
    built.rename(place)
    sync(place.parent)


@contextmanager
def alone_in(folder, refusal):
    """
    Hold the lock of a folder within the context; it ends with this process, however that ends.

    :param folder: The folder, which exists.
    :param refusal: Exception to raise where another process holds it.
    :raises OSError: if the folder cannot be opened.
    """
    number = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise refusal from error
        except OSError:
            pass  # a network disk without locks
        yield
    finally:
        os.close(number)


def _forgiving(is_folder):
    """Pass over any error of a folder."""
    return suppress(OSError) if is_folder else nullcontext()

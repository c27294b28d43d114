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


"""What survives a kill or a power loss: locks, a note beside the bag, and bytes on the disk."""

from contextlib import suppress
import fcntl
import json
import os
from pathlib import Path
import threading

# Holds what metadata.yaml will hold in the end; gone as soon as the bag is closed.
NOTE = 'unfinished.json'


def write_note(folder, fields) -> None:
    """
    Put the ``custom_data`` of a bag beside it; ``sync_note`` brings it to the disk.

    :param folder: Folder of the bag.
    :param fields: ``{str: str}``.
    :raises OSError: if there is no room for it.
    """
    path = Path(folder) / NOTE
    part = path.with_suffix('.part')
    part.write_text(json.dumps(fields, indent=1), encoding='utf-8')
    part.replace(path)


def sync_note(folder) -> None:
    """
    Bring the note beside a bag to the disk, with the folders that lead to it.

    :param folder: Folder of the bag.
    :raises OSError: if the disk does not take it.
    """
    for path in (Path(folder) / NOTE, folder, Path(folder).parent):
        sync(path)


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


def sync(path) -> None:
    """
    Bring a file, or the list of a folder's files, to the disk.

    :param path: File or folder.
    :raises OSError: if the disk does not take it.
    """
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


class FolderLock:
    """
    Held by the one program that writes into a folder; the end of that program frees it.

    Where the file system knows no locks, everybody gets one.
    """

    def __init__(self, folder):
        """
        Take the lock.

        :param folder: An existing folder.
        :raises BlockingIOError: if another program holds it.
        :raises OSError: if the folder cannot be opened.
        """
        self._number = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise
        except OSError:
            pass

    def release(self) -> None:
        """Give it back; once is enough."""
        number, self._number = self._number, None
        if number is not None:
            os.close(number)


class BackgroundSync:
    """Brings a file to the disk in a thread, because that may take long and must delay nobody."""

    def __init__(self, number, first):
        """
        Start the thread.

        :param number: File descriptor, which may be closed at any time.
        :param first: Called in the thread before anything else is brought to the disk; may raise
            an OSError.
        """
        self._number, self._first = os.dup(number), first
        self._wanted, self._is_over, self._error = threading.Event(), False, None
        self._thread = threading.Thread(target=self._run, daemon=True, name='bag sync')
        self._thread.start()

    def ask(self) -> None:
        """
        Ask for all that the file holds now.

        :raises OSError: if the disk did not take what was asked for before.
        """
        if self._error is not None:
            raise self._error
        self._wanted.set()

    def close(self) -> None:
        """End the thread when what was asked for is done."""
        self._is_over = True
        self._wanted.set()
        self._thread.join()

    def _run(self):
        """Do what is asked for."""
        self._try(self._first)
        is_over = False
        while not is_over:
            self._wanted.wait()
            self._wanted.clear()
            is_over = self._is_over  # asked before the last time, which is for all that came
            self._try(lambda: os.fdatasync(self._number))
        os.close(self._number)

    def _try(self, act):
        """Act, and keep the error."""
        try:
            act()
        except OSError as error:
            self._error = error

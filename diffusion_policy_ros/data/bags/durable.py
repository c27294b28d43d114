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

"""What survives a kill or a power loss: the lock on a bag, and bytes on the disk."""

import fcntl
from itertools import takewhile
import os
from pathlib import Path
import threading
import time

from diffusion_policy_ros.on_disk import sync_open

# How long until a lock that another program holds is tried again, s.
LOCK_RETRY_S = 0.01


def missing_parents(path) -> list:
    """
    Return the folders above a path that do not exist, the nearest first.

    :param path: A path.
    """
    return list(takewhile(lambda folder: not folder.exists(), Path(path).parents))


class BagLock:
    """
    Held by the one program that writes a bag; the end of that program frees it.

    :ivar is_held: False where there is nothing to lock yet, or the file system knows no locks:
        then another program may write the bag all the same.
    """

    def __init__(self, folder, wait_s=0.0):
        """
        Take the lock, which is on the mcap file of the bag.

        :param folder: Folder of the bag.
        :param wait_s: How long to wait for another program that holds it, s.
        :raises BlockingIOError: if another program holds it.
        :raises OSError: if the file cannot be opened for writing.
        """
        self.is_held, self._number = False, None
        end_s = time.monotonic() + wait_s
        for file in sorted(Path(folder).glob('*.mcap'))[:1]:
            self._number = os.open(file, os.O_RDWR)  # NFS locks nothing else
            while not self._try():
                if time.monotonic() >= end_s:
                    self.release()
                    raise BlockingIOError(f'{file} is locked by another program')
                time.sleep(LOCK_RETRY_S)

    def _try(self):
        """Take the lock where there are locks; False while another program has it."""
        try:
            fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.is_held = True
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

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
        :param first: Paths to bring to the disk before anything else. They are opened here, since
            they may be moved at any time too.
        :raises OSError: if they cannot be opened.
        """
        self._first = [os.open(path, os.O_RDONLY) for path in first]
        self._number = os.dup(number)
        self._wanted, self._is_over, self._error = threading.Event(), False, None
        self._asked_s = self._synced_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True, name='bag sync')
        self._thread.start()

    @property
    def late_s(self) -> float:
        """Return how long ago all that is on the disk was asked for, s; 0 where nothing waits."""
        synced_s = self._synced_s
        return 0.0 if synced_s >= self._asked_s else time.monotonic() - synced_s

    def ask(self) -> None:
        """
        Ask for all that the file holds now.

        :raises OSError: if the disk did not take what was asked for before.
        """
        if self._error is not None:
            raise self._error
        self._asked_s = time.monotonic()
        self._wanted.set()

    def close(self) -> None:
        """End the thread when what was asked for is done."""
        self._is_over = True
        self._wanted.set()
        self._thread.join()

    def _run(self):
        """Do what is asked for."""
        for number in self._first:
            self._try(lambda: sync_open(number))
            os.close(number)
        is_over = False
        while not is_over:
            self._wanted.wait()
            self._wanted.clear()
            is_over = self._is_over  # asked before the last time, which is for all that came
            asked_s = self._asked_s
            if self._try(lambda: os.fdatasync(self._number)):
                self._synced_s = asked_s
        os.close(self._number)

    def _try(self, act):
        """Act, and keep the error; return whether there was none."""
        try:
            act()
        except OSError as error:
            self._error = error
            return False
        return True

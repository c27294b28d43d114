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

"""Batches of training windows, cut on the device or ahead of time by a thread."""

import queue
import threading
import time

from diffusion_policy_ros.streams import ACTION_KEY
import torch

# Share of a GPU's free memory that the dataset may take when nobody said otherwise.
LARGEST_SHARE = 0.5
AHEAD = 3
# Unsigned types that torch cannot index, and others of their width.
INDEXABLE = {torch.uint16: torch.int16}


class Batches:
    """
    Cuts windows and brings them to the device; the same ones wherever they are cut.

    :ivar waited_s: Time that ``take`` kept its caller waiting so far, s.
    """

    def __init__(self, windows, device, *, on_device='auto'):
        """
        Decide where windows are cut.

        :param windows: ``TrainingWindows``.
        :param device: Torch device that batches are needed on.
        :param on_device: Keep the whole dataset there: True, False, or ``auto``, for a GPU with
            room for it.
        """
        self.waited_s = 0.0
        self._windows, self._device = windows, device
        if on_device == 'auto':
            size = sum(array.nbytes for array in windows.arrays.values())
            on_device = device.type == 'cuda' and (
                size <= LARGEST_SHARE * torch.cuda.mem_get_info(device)[0])
        # A thread pays off where a disk or a GPU is waited for, not for a few vectors.
        pictures = any(array.ndim > 2 for array in windows.arrays.values())
        self._is_ahead = not on_device and (device.type == 'cuda' or pictures)
        self._tensors = {key: torch.tensor(array, device=device) for key, array
                         in windows.arrays.items()} if on_device else None
        self._thread = None

    @property
    def is_on_device(self) -> bool:
        """Tell whether the whole dataset is on the device."""
        return self._tensors is not None

    def at(self, indices):
        """
        Cut the windows of some rows now.

        :param indices: int64 array (B,).
        :return: Key -> tensor on the device, as ``TrainingWindows.gather`` has them.
        """
        if self._tensors is None:
            return self._moved(self._host(indices))
        rows = {is_action: torch.from_numpy(rows).to(self._device, non_blocking=True)
                for is_action, rows in zip((False, True), self._windows.row_numbers(indices))}
        return {key: _indexed(tensor, rows[key == ACTION_KEY])
                for key, tensor in self._tensors.items()}

    def take(self, turn, plan):
        """
        Return the batch of a turn; where a thread works ahead, it goes on with the next turns.

        :param turn: Anything that names it.
        :param plan: Called with nothing: iterator of ``(turn, indices)`` from this turn on.
        :return: As ``at``.
        """
        started = time.perf_counter()
        if self._is_ahead:
            if self._thread is None or not self._thread.is_next(turn):
                self.close()
                self._thread = _Ahead(self._host, plan())
            batch = self._moved(self._thread.get())
        else:
            batch = self.at(next(plan())[1])
        self.waited_s += time.perf_counter() - started
        return batch

    def close(self):
        """End the thread."""
        if self._thread is not None:
            self._thread.close()
            self._thread = None

    def _host(self, indices):
        """Cut windows on the CPU, in memory that a GPU can read by itself."""
        batch = {key: torch.from_numpy(array)
                 for key, array in self._windows.gather(indices).items()}
        if self._device.type == 'cuda':
            batch = {key: tensor.pin_memory() for key, tensor in batch.items()}
        return batch

    def _moved(self, batch):
        """Bring a batch to the device."""
        return {key: tensor.to(self._device, non_blocking=True) for key, tensor in batch.items()}


class _Ahead:
    """A thread that makes the next batches, in order, while the present one is learnt from."""

    def __init__(self, make, plan):
        """Start."""
        self._turns = queue.Queue(AHEAD)
        self._held = None
        self._is_ended = threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(make, plan), name='batches', daemon=True)
        self._thread.start()

    def is_next(self, turn):
        """Tell whether this is the turn of the next batch, waiting until that is made."""
        if self._held is None:
            self._held = self._turns.get()
        return self._held[0] == turn or isinstance(self._held[1], BaseException)

    def get(self):
        """Return the next batch; an error of the thread is raised here."""
        batch = self._held[1] if self._held is not None else self._turns.get()[1]
        self._held = None
        if isinstance(batch, BaseException):
            raise batch
        return batch

    def close(self):
        """Wait for the thread to end."""
        self._is_ended.set()
        while self._thread.is_alive():
            try:
                self._turns.get(timeout=0.01)
            except queue.Empty:
                pass

    def _work(self, make, plan):
        """Make one batch after the other; the queue's length holds it back."""
        try:
            for turn, indices in plan:
                if self._is_ended.is_set():
                    return
                self._turns.put((turn, make(indices)))
        except BaseException as error:
            self._turns.put((None, error))


def _indexed(tensor, rows):
    """Return some rows of a tensor of any type."""
    same_width = INDEXABLE.get(tensor.dtype)
    if same_width is None:
        return tensor[rows]
    return tensor.view(same_width)[rows].view(tensor.dtype)

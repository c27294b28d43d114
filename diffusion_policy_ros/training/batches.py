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

from functools import lru_cache
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

    :ivar waited_s: Time that ``next`` kept its caller waiting so far, s.
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
        self._thread, self._made = None, iter(())

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

    def start(self, plan) -> None:
        """
        Begin with the batches of a plan; where a thread works ahead, it begins now.

        :param plan: Iterator of int64 arrays (B,), the rows of one batch after the other.
        """
        self.close()
        if self._is_ahead:
            self._thread = _Ahead(self._host, plan)
            self._made = map(self._moved, self._thread)
        else:
            self._made = map(self.at, plan)

    def next(self):
        """Return the next batch of the plan, as ``at``."""
        started = time.perf_counter()
        batch = next(self._made)
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
        self._made = queue.Queue(AHEAD)
        self._is_ended = threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(make, plan), name='batches', daemon=True)
        self._thread.start()

    def __iter__(self):
        """Return this."""
        return self

    def __next__(self):
        """Return the next batch; an error of the thread is raised here."""
        batch = self._made.get()
        if isinstance(batch, BaseException):
            raise batch
        return batch

    def close(self):
        """Wait for the thread to end."""
        self._is_ended.set()
        while self._thread.is_alive():
            try:
                self._made.get(timeout=0.01)
            except queue.Empty:
                pass

    def _work(self, make, plan):
        """Make one batch after the other; the queue's length holds it back."""
        try:
            for indices in plan:
                if self._is_ended.is_set():
                    return
                self._made.put(make(indices))
            self._made.put(StopIteration())
        except BaseException as error:
            self._made.put(error)


def _indexed(tensor, rows):
    """Return some rows of a tensor of any type."""
    same_width = INDEXABLE.get(tensor.dtype)
    if same_width is None:
        return tensor[rows]
    return tensor.view(same_width)[rows].view(tensor.dtype)


def epoch_slice(rows, step, batch_size, seed):
    """
    Return the rows of one step: each epoch is one shuffle, so no row is drawn twice in it.

    The result depends on the step alone, which makes a resumed run equal to an unbroken one.

    :param rows: int64 array of rows to draw from, at least ``batch_size``.
    :param step: Optimizer step, from 0.
    :param batch_size: Rows per step.
    :param seed: Of the shuffles.
    :return: int64 array (batch_size,).
    """
    epoch, place = divmod(step, len(rows) // batch_size)
    return rows[_shuffle(len(rows), epoch, seed)[place * batch_size:(place + 1) * batch_size]]


@lru_cache(4)
def _shuffle(count, epoch, seed):
    """Return the order of an epoch, an int64 array (count,)."""
    generator = torch.Generator().manual_seed((seed << 32) + epoch)
    return torch.randperm(count, generator=generator).numpy()

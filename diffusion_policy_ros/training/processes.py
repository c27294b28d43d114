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

"""The processes that train one policy together, as ``torchrun`` starts them; alone by default."""

from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
import os
import time

from diffusion_policy_ros.errors import ConfigError, DiffusionPolicyError
from diffusion_policy_ros.policy.device import choose_device
import torch
from torch import distributed
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

# A process whose peer is gone notices at once; this is for the first one's rollouts.
LONGEST_WAIT = timedelta(days=1)
FAILURES, DONE, ALL_DONE = 'failures', 'done', 'all done'
# torchrun ends all processes when the first one ends; the one that tells why must come first.
TIME_TO_TELL_S = 1.0


class OtherProcessFailed(DiffusionPolicyError):
    """Another process of the same training ended with an error, which it has told."""


class Processes:
    """
    This process among those that train together.

    :ivar rank: Which one this is, from 0; the first one writes, validates and shows progress.
    :ivar count: How many there are.
    """

    def __init__(self, rank=0, count=1):
        """Set which one this is."""
        self.rank, self.count = rank, count

    @property
    def is_first(self) -> bool:
        """Tell whether this is the process that writes."""
        return self.rank == 0

    def any(self, *flags) -> list:
        """
        Tell of each flag whether it is set in any process; all processes must call this.

        :param flags: Booleans of this process.
        :return: Booleans.
        """
        if self.count == 1:
            return list(flags)
        tensor = torch.tensor(flags, dtype=torch.uint8)
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
        return tensor.bool().tolist()

    def mean(self, value) -> float:
        """
        Average a number over the processes; all of them must call this.

        :param value: Scalar tensor.
        """
        if self.count == 1:
            return value.item()
        total = value.detach().double().cpu()
        distributed.all_reduce(total)
        return total.item() / self.count

    def gather(self, tensor) -> list:
        """
        Collect a tensor of the CPU from all processes, in order; all of them must call this.

        :param tensor: Of the same shape and dtype in all of them.
        """
        if self.count == 1:
            return [tensor]
        tensors = [torch.empty_like(tensor) for _ in range(self.count)]
        distributed.all_gather(tensors, tensor)
        return tensors

    def take_buffers_of_first(self, module) -> None:
        """
        Copy buffers, such as running statistics, from the first process; all must call this.

        ``DistributedDataParallel`` does so before a step only: after the last one they differ.

        :param module: In the same form in all processes.
        """
        if self.count > 1:
            for buffer in module.buffers():
                distributed.broadcast(buffer, 0)

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.any(False)

    def wrap(self, module, device):
        """
        Let the processes average the gradients of a module.

        :param module: Whose ``forward`` returns a loss.
        :param device: Torch device of its parameters.
        :return: The module, or torch's ``DistributedDataParallel`` of it.
        """
        if self.count == 1:
            return module
        return DistributedDataParallel(
            module, device_ids=[device.index] if device.type == 'cuda' else None,
            gradient_as_bucket_view=True)


def without_averaging(module):
    """
    Leave gradients in this process for now, as more of them are to be added.

    :param module: From ``Processes.wrap``.
    :return: Context manager.
    """
    return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()


@contextmanager
def joined_processes(wanted_device):
    """
    Join the processes that ``torchrun`` started beside this one, if it did.

    :param wanted_device: ``auto``, ``cpu``, ``cuda`` or, for a single process, ``cuda:<n>``.
    :return: Gives ``(Processes, torch device)``.
    :raises ConfigError: if the device cannot be used, or not by so many processes.
    :raises OtherProcessFailed: in place of whatever another process's end leads to here.
    """
    count = int(os.environ.get('WORLD_SIZE', 1))
    if count == 1:
        yield Processes(), choose_device(wanted_device)
        return
    store, rank, count = next(rendezvous('env://', timeout=LONGEST_WAIT))
    try:
        device = _device_of_this(wanted_device)
        distributed.init_process_group(
            'cpu:gloo,cuda:nccl' if device.type == 'cuda' else 'gloo', store=store, rank=rank,
            world_size=count, timeout=LONGEST_WAIT)
        yield Processes(rank, count), device
        _leave_together(store, count)
    except (DiffusionPolicyError, RuntimeError) as error:
        with suppress(RuntimeError):
            store.set(ALL_DONE, '')  # who is done already waits for nobody
        if not _is_told_here(store):
            time.sleep(TIME_TO_TELL_S)
            raise OtherProcessFailed('another process of this training failed') from error
        if isinstance(error, DiffusionPolicyError):
            raise
        raise DiffusionPolicyError(
            f'process {rank} of {count}: {str(error).splitlines()[0]}; if it lost another '
            'process, that one was killed, perhaps for lack of memory') from error
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _leave_together(store, count):
    """
    Wait until all are done, so that no process ends right after a collective.

    The threads of gloo let go of tensors then, for which they need Python: where it is ending
    already, they end the process ("terminate called without an active exception").
    """
    with suppress(RuntimeError):  # the store ended with the process that held it
        if store.add(DONE, 1) == count:
            store.set(ALL_DONE, '')
        store.wait([ALL_DONE], LONGEST_WAIT)


def _is_told_here(store):
    """Tell whether this process is the first to fail, so that an error is told once."""
    try:
        return store.add(FAILURES, 1) == 1
    except RuntimeError:  # the store ended with the process that held it
        return False


def _device_of_this(wanted):
    """Return the device of one of several processes: each has a GPU of its own, or the CPU."""
    if wanted not in ('auto', 'cpu', 'cuda'):
        raise ConfigError(f'--device is {wanted!r} for several processes, each of which takes the '
                          'GPU of its own number; choose auto, cuda or cpu')
    gpus = torch.cuda.device_count()
    if wanted == 'cpu' or (wanted == 'auto' and not gpus):
        return choose_device('cpu')
    local = int(os.environ.get('LOCAL_WORLD_SIZE', os.environ['WORLD_SIZE']))
    if local > gpus:
        raise ConfigError(f'{local} processes were started on this machine, which has {gpus} '
                          f'GPUs; use torchrun --nproc-per-node {max(gpus, 1)}, or --device cpu')
    return choose_device(f'cuda:{os.environ["LOCAL_RANK"]}')

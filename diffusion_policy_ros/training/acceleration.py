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

"""Lower precision, less memory by computing activations again, and compiled networks."""

from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def autocast(device, precision):
    """
    Within a ``with`` block, compute in a precision.

    :param device: Torch device.
    :param precision: ``float32``, ``bfloat16``, ``float16``, or ``auto``, which is bfloat16 where
        a GPU has it.
    :return: Context manager.
    """
    precision = chosen_precision(device, precision)
    return torch.autocast(device.type, getattr(torch, precision), enabled=precision != 'float32')


def chosen_precision(device, precision) -> str:
    """
    Return the precision that a device computes in.

    :param device: Torch device.
    :param precision: As for ``autocast``.
    """
    if precision != 'auto':
        return precision
    is_fast = device.type == 'cuda' and torch.cuda.is_bf16_supported()
    return 'bfloat16' if is_fast else 'float32'


def checkpoint_blocks(networks) -> int:
    """
    Let the blocks of networks compute their activations again in the backward pass.

    A block is the outermost module in a list or a sequence that has modules of its own. Those
    with a BatchNorm are left as they are: it would count every batch twice.

    :param networks: Module whose blocks are changed, in place.
    :return: How many blocks were changed.
    """
    count = 0
    for module in networks.children():
        if isinstance(networks, (nn.ModuleList, nn.Sequential)) and _is_block(module):
            module.forward = _Recomputed(module.forward)
            count += 1
        else:
            count += checkpoint_blocks(module)
    return count


def _is_block(module):
    """Tell whether a module is worth computing again, and may be."""
    parts = list(module.modules())[1:]
    return bool(parts) and not isinstance(module, (nn.ModuleList, nn.Sequential)) and not any(
        isinstance(part, nn.modules.batchnorm._BatchNorm) for part in parts)


class _Recomputed:
    """A ``forward`` that keeps nothing but its arguments."""

    def __init__(self, forward):
        """Keep the function."""
        self._forward = forward

    def __call__(self, *args, **kwargs):
        """Compute; without gradients, ``checkpoint`` only calls."""
        return checkpoint(self._forward, *args, use_reentrant=False, **kwargs)


class Compiled:
    """
    The parts of networks under ``torch.compile``, which can be switched off for a while.

    :ivar problem: Why they are not compiled here, or None.
    """

    def __init__(self, networks, trial):
        """
        Compile, and try the result out.

        :param networks: Module whose children are compiled, in place.
        :param trial: Called with nothing; computes a loss and its gradients.
        """
        self._parts = [part for child in networks.children() for part in (
            child if isinstance(child, nn.ModuleList) else [child])]
        self.problem = None
        for part in self._parts:
            part.compile()
        try:
            trial()
        except Exception as error:  # whatever a compiler can meet on a machine
            self.problem = f'{type(error).__name__}: {(str(error).splitlines() or [""])[0]}'
            self._set([None] * len(self._parts))

    @contextmanager
    def paused(self):
        """Within a ``with`` block, run the networks as they are: other sizes compile anew."""
        calls = [part._compiled_call_impl for part in self._parts]
        self._set([None] * len(self._parts))
        try:
            yield
        finally:
            self._set(calls)

    def _set(self, calls):
        """Set what a call of each part runs."""
        for part, call in zip(self._parts, calls):
            part._compiled_call_impl = call

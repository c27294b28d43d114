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

"""
A step's windows in equal shares: one for each process and each accumulated micro-batch.

Everything random about a step is drawn for all of its windows, whoever computes them; each share
takes its own rows of every draw. So the sum of the shares is the same step, however it is cut.
"""

from dataclasses import dataclass

import torch
from torch.overrides import TorchFunctionMode

SIZED = {torch.rand, torch.randn, torch.randint}
IN_PLACE = {torch.Tensor.uniform_, torch.Tensor.normal_, torch.Tensor.random_,
            torch.Tensor.bernoulli_}


@dataclass(frozen=True)
class Share:
    """
    One of the equal parts of a step's windows.

    :ivar index: Which one, from 0.
    :ivar count: How many there are.
    """

    index: int = 0
    count: int = 1

    def of(self, items):
        """
        Return this share of something that has a length, which the count must divide.

        :param items: Array, tensor or list of all.
        """
        size = len(items) // self.count
        return items[self.index * size:(self.index + 1) * size]


def own_shares(processes, each) -> list:
    """
    Return the shares that this process computes, in order.

    :param processes: ``Processes``.
    :param each: How many each of them computes.
    """
    return [Share(processes.rank * each + number, processes.count * each)
            for number in range(each)]


class SharedDraws(TorchFunctionMode):
    """
    Within its ``with`` block, draws of one generator are made for all shares and cut.

    The first dimension of each draw must be that of the share's windows.
    """

    def __init__(self, generator, share):
        """
        Set whose draws, and which share of them.

        :param generator: The ``torch.Generator``; draws of others stay as they are.
        :param share: ``Share`` to take.
        """
        super().__init__()
        self._generator, self._share = generator, share

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Call a function of torch, drawing for all shares where it draws from the generator."""
        kwargs = kwargs or {}
        if kwargs.get('generator') is not self._generator:
            return func(*args, **kwargs)
        if func in IN_PLACE:
            tensor, *others = args
            drawn = tensor.new_empty((len(tensor) * self._share.count, *tensor.shape[1:]))
            return tensor.copy_(self._share.of(func(drawn, *others, **kwargs)))
        if func not in SIZED:
            raise NotImplementedError(f'{func.__name__} cannot be drawn for all shares')
        return self._share.of(func(*self._widened(func, args), **kwargs))

    def _widened(self, func, args):
        """Return a drawing function's arguments with the first dimension of all shares."""
        if not isinstance(args[-1], int):
            *others, size = args
        else:  # rand(2, 3)
            others, size = (), args
        first, *rest = size
        return *others, (first * self._share.count, *rest)

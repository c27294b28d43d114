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
"""The exponential moving average of a model's weights."""

from contextlib import contextmanager

import torch


class Ema:
    """
    A slowly following copy of a model's parameters, better to sample from than the last ones.

    The decay grows with training: ``1 - (1 + step) ** -power``, at most ``max_decay``.
    Buffers are not averaged.
    """

    def __init__(self, model, *, power=0.75, max_decay=0.9999):
        """
        Start from the model's present parameters.

        :param model: Module to follow.
        :param power: How fast the decay approaches 1.
        :param max_decay: Largest decay, in [0, 1].
        """
        self.model = model
        self.power, self.max_decay = power, max_decay
        self._shadow = {name: parameter.detach().clone()
                        for name, parameter in model.named_parameters()}

    def decay(self, step):
        """
        Return the share of the old average that a step keeps, in [0, max_decay].

        :param step: Optimizer steps done before this one, from 0.
        """
        return min(1 - (1 + step) ** -self.power, self.max_decay)

    @torch.no_grad()
    def update(self, step):
        """
        Follow the model after one optimizer step.

        :param step: Optimizer steps done before this one, from 0.
        """
        parameters = dict(self.model.named_parameters())
        torch._foreach_lerp_(list(self._shadow.values()),
                             [parameters[name].detach() for name in self._shadow],
                             1 - self.decay(step))

    @torch.no_grad()
    def copy_to(self, model):
        """
        Write the average into a model.

        :param model: Module with the parameters of the followed one.
        """
        for name, parameter in model.named_parameters():
            parameter.copy_(self._shadow[name])

    @contextmanager
    @torch.no_grad()
    def applied(self):
        """Let the model have the averaged weights within a ``with`` block, then its own again."""
        own = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.copy_to(self.model)
        try:
            yield self.model
        finally:
            for name, parameter in self.model.named_parameters():
                parameter.copy_(own[name])

    def state_dict(self):
        """Return the average, parameter name to tensor, without copying it."""
        return dict(self._shadow)

    def load_state_dict(self, state):
        """
        Take over an average that ``state_dict`` returned.

        :param state: Parameter name to tensor.
        """
        for name, tensor in self._shadow.items():
            tensor.copy_(state[name])

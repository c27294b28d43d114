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

"""One optimizer step: scaled, clipped, checked, and refused where it would spoil the weights."""

from dataclasses import dataclass

import torch

SMALLEST_SCALE = 1.0


@dataclass(frozen=True)
class NotFinite:
    """
    A step that was refused.

    :ivar step: Its number, from 0.
    :ivar loss: Its loss.
    :ivar norm: Norm of its gradient.
    """

    step: int
    loss: float
    norm: float


class Optimization:
    """
    AdamW with clipped gradients, and a scaled loss for float16.

    :ivar optimizer: The AdamW.
    :ivar scaler: The ``GradScaler``, disabled unless float16 was asked for.
    """

    def __init__(self, trained, options, *, clip_norm, device, is_scaled=False):
        """
        Take the parameters that require a gradient.

        :param trained: Module.
        :param options: Keyword arguments of AdamW, ``lr`` being the peak.
        :param clip_norm: Largest norm of the gradient.
        :param device: Torch device of the parameters.
        :param is_scaled: Scale the loss, as float16 needs.
        """
        self.optimizer = torch.optim.AdamW(
            parameter_groups(trained, options['weight_decay']), **options, fused=True)
        self.scaler = torch.amp.GradScaler(device.type, enabled=is_scaled)
        self._parameters = [p for group in self.optimizer.param_groups for p in group['params']]
        self._peak, self._clip_norm = options['lr'], clip_norm
        # A GPU is not waited for: it refuses the step by itself and is asked a step later.
        self._is_deferred = device.type == 'cuda'
        self._pending = None

    def start(self, factor) -> None:
        """
        Begin a step without gradients.

        :param factor: Of the peak learning rate.
        """
        for group in self.optimizer.param_groups:
            group['lr'] = factor * self._peak
        self.optimizer.zero_grad(set_to_none=True)

    def backward(self, loss) -> None:
        """
        Add the gradients of a part of the step.

        :param loss: Scalar.
        """
        self.scaler.scale(loss).backward()

    def clip(self):
        """Undo the scale of the gradients, then clip them; return the norm that they had."""
        self.scaler.unscale_(self.optimizer)
        return torch.nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)

    def refused(self, step, loss, norm):
        """
        Tell which step is to be refused, if any.

        :param step: Number of this step, from 0.
        :param loss: Its loss, a scalar without gradient.
        :param norm: From ``clip``.
        :return: ``NotFinite`` of this step, or on a GPU of the one before; None if all is well.
        """
        # float16 overflows now and then: its scaler skips such steps and lowers the scale.
        seen = loss if self.scaler.is_enabled() else torch.stack([loss, norm.to(loss.device)])
        if not self._is_deferred:
            return _found(step, loss, norm, seen)
        if not self.scaler.is_enabled():  # the fused AdamW skips a step by itself, as a scaler's
            self.optimizer.grad_scale = None
            self.optimizer.found_inf = (~torch.isfinite(seen).all()).float()
        found = self.pending()
        self._pending = _Pending(step, loss, norm, seen)
        return found

    def pending(self):
        """Return the ``NotFinite`` of the last step, if a GPU has not told yet; None if well."""
        pending, self._pending = self._pending, None
        return None if pending is None else pending.found()

    def take(self) -> None:
        """Change the weights."""
        self.scaler.step(self.optimizer)
        self.scaler.update()

    @property
    def is_overflowing(self) -> bool:
        """Tell whether the gradients are too large for float16 at any scale."""
        return self.scaler.is_enabled() and self.scaler.get_scale() < SMALLEST_SCALE


class _Pending:
    """The figures of a step on their way from a GPU."""

    def __init__(self, step, loss, norm, seen):
        """Start to copy them."""
        self._step = step
        self._figures = torch.stack([loss.float(), norm.float(), torch.isfinite(seen).all()]).to(
            'cpu', non_blocking=True)
        self._copied = None
        if loss.is_cuda:
            self._copied = torch.cuda.Event()
            self._copied.record()

    def found(self):
        """Wait for them, and return the ``NotFinite``; None if all is well."""
        if self._copied is not None:
            self._copied.synchronize()
        loss, norm, is_finite = self._figures.tolist()
        return None if is_finite else NotFinite(self._step, loss, norm)


def _found(step, loss, norm, seen):
    """Return the ``NotFinite`` of figures that are at hand; None if all is well."""
    if torch.isfinite(seen).all():
        return None
    return NotFinite(step, loss.item(), norm.item())


def parameter_groups(trained, weight_decay) -> list:
    """
    Sort the parameters that require a gradient into those that decay and those that do not.

    Biases and the scales of normalizations, which have one dimension, do not.

    :param trained: Module.
    :param weight_decay: Of the others.
    :return: Groups for an optimizer, none of them empty.
    """
    parameters = [p for p in trained.parameters() if p.requires_grad]
    groups = [{'params': [p for p in parameters if p.ndim >= 2], 'weight_decay': weight_decay},
              {'params': [p for p in parameters if p.ndim < 2], 'weight_decay': 0.0}]
    return [group for group in groups if group['params']]

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

"""What a stage of a training gives to the loop."""

from dataclasses import dataclass
from typing import Callable, Optional

import torch


@dataclass
class Stage:
    """
    What one stage optimizes; the loop supplies everything else.

    :ivar name: Name in snapshots, logs and the progress bar.
    :ivar steps: Optimizer steps.
    :ivar modules: Every module a snapshot must hold, by name.
    :ivar trained: The module whose parameters that require a gradient are optimized.
    :ivar optimizer_options: Keyword arguments of AdamW, ``lr`` being the peak.
    :ivar warmup_steps: Linear warm-up.
    :ivar gradient_clip_norm: Largest gradient norm.
    :ivar loss: ``(step, generator, share) -> scalar loss`` of a ``Share`` of a step's windows.
    :ivar schedule: Of the learning rate, a key of ``SCHEDULES``.
    :ivar accumulation_steps: Shares that each process computes one after the other.
    :ivar is_scaled: Whether the loss is scaled, for float16.
    :ivar prepare: Called once before the first step, when a snapshot, if any, is loaded.
    :ivar after_step: Called after each step with the steps done before it (moving averages).
    :ivar validate: Returns named figures; called now and then and at the end.
    :ivar roll_out: Returns named figures of episodes in simulation, or None for no rollouts.
    :ivar rollout_every: Interval of ``roll_out`` in steps; it is called at the end too.
    :ivar windows_of: All that a step learns from, ``step -> {name: array}``, to look at.
    :ivar publish: Writes what users take from the run, at each checkpoint.
    :ivar publish_best: Does so for the best weights so far.
    :ivar best_by: ``(figure, sign)`` that tells which are best: the largest figure times sign.
    :ivar waited_s: Returns the time spent waiting for data so far, s.
    :ivar windows_per_step: Windows of one step in one process, for the speed in the log.
    :ivar close: Called at the end, however the stage ends.
    """

    name: str
    steps: int
    modules: dict
    trained: torch.nn.Module
    optimizer_options: dict
    warmup_steps: int
    gradient_clip_norm: float
    loss: Callable
    schedule: str = 'cosine'
    accumulation_steps: int = 1
    is_scaled: bool = False
    prepare: Callable = lambda: None
    after_step: Callable = lambda step: None
    validate: Callable = dict
    roll_out: Optional[Callable] = None
    rollout_every: int = 0
    windows_of: Optional[Callable] = None
    publish: Callable = lambda: None
    publish_best: Callable = lambda: None
    best_by: Optional[tuple] = None
    waited_s: Callable = lambda: 0.0
    windows_per_step: int = 0
    close: Callable = lambda: None


class StageLoss(torch.nn.Module):
    """The loss of a stage as a module, whose gradients processes can average."""

    def __init__(self, stage):
        """
        Take the trained module in.

        :param stage: ``Stage``.
        """
        super().__init__()
        self.trained, self._loss = stage.trained, stage.loss

    def forward(self, step, generator, share):
        """
        Compute the loss of one share.

        :param step: Optimizer step, from 0.
        :param generator: CPU generator of the draws.
        :param share: ``Share``.
        """
        return self._loss(step, generator, share)

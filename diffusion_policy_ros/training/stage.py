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

import torch


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
    :ivar schedule: Of the learning rate, a key of ``SCHEDULES``.
    :ivar accumulation_steps: Shares that each process computes one after the other.
    :ivar is_scaled: Whether the loss is scaled, for float16.
    :ivar rollout_every: Interval of ``roll_out`` in steps; 0 for no rollouts.
    :ivar best_by: ``(figure, sign)`` that tells which weights are best: those with the largest
        figure times sign.
    :ivar windows_per_step: Windows of one step in one process, for the speed in the log.
    :ivar waited_s: Time spent waiting for data so far, s.
    """

    schedule = 'cosine'
    accumulation_steps = 1
    is_scaled = False
    rollout_every = 0
    best_by = (None, 1)
    windows_per_step = 0
    waited_s = 0.0

    def prepare(self, step) -> None:
        """
        Get ready, now that a snapshot, if any, is loaded.

        :param step: That the stage goes on from.
        """

    def loss(self, step, generator, share):
        """
        Compute the loss of a part of a step; these come in order, step by step.

        :param step: Optimizer step, from 0.
        :param generator: CPU generator of the draws.
        :param share: ``Share`` of the step's windows.
        :return: Scalar.
        """
        raise NotImplementedError

    def after_step(self, step) -> None:
        """
        Do what follows a step, such as a moving average.

        :param step: Steps done before it.
        """

    def validate(self) -> dict:
        """Return named figures, now and then and at the end."""
        return {}

    def roll_out(self) -> dict:
        """Return named figures of episodes in simulation; at the end, too."""
        return {}

    def windows_of(self, step) -> dict:
        """
        Return all that a step learns from, to look at: name -> array.

        :param step: Its number.
        """
        return {}

    def publish(self) -> None:
        """Write what users take from the run, at each checkpoint."""

    def publish_best(self) -> None:
        """Do so for the best weights so far."""

    def close(self) -> None:
        """Clean up, however the stage ended."""


class StageLoss(torch.nn.Module):
    """The loss of a stage as a module, whose gradients processes can average."""

    def __init__(self, stage):
        """
        Take the trained module in.

        :param stage: ``Stage``.
        """
        super().__init__()
        self.trained, self._stage = stage.trained, stage

    def forward(self, step, generator, share):
        """Compute the loss of one share, as ``Stage.loss``."""
        return self._stage.loss(step, generator, share)

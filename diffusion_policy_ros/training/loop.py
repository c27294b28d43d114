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

"""One optimizer loop that every training stage runs through."""

from dataclasses import dataclass
import math
import time
from typing import Callable

from diffusion_policy_ros.errors import DiffusionPolicyError
from diffusion_policy_ros.training.loss import warmup_cosine
from diffusion_policy_ros.training.snapshot import load_snapshot, read_facts, save_snapshot
import torch
from tqdm import tqdm


class Interrupted(DiffusionPolicyError):
    """The user asked the run to stop; a snapshot was written and the run can be resumed."""


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
    :ivar loss: ``(step, generator) -> scalar loss`` of one batch.
    :ivar prepare: Called once before the first step, when a snapshot, if any, is loaded.
    :ivar after_step: Called after each step with the steps done before it (moving averages).
    :ivar validate: Returns named figures; called now and then and at the end.
    :ivar publish: Writes what users take from the run, at each checkpoint.
    """

    name: str
    steps: int
    modules: dict
    trained: torch.nn.Module
    optimizer_options: dict
    warmup_steps: int
    gradient_clip_norm: float
    loss: Callable
    prepare: Callable = lambda: None
    after_step: Callable = lambda step: None
    validate: Callable = dict
    publish: Callable = lambda: None


class Loop:
    """
    Runs stages with logging, snapshots, exact resume and a clean stop.

    :param folder: The run's folder: snapshots and TensorBoard events.
    :param config: The run's ``TrainConfig``.
    :param identity: JSON-able facts that a resumed run must share, kept in each snapshot.
    :param stop_requested: Called after each step; True ends the run with a snapshot.
    :param seconds_before: Training time spent by earlier sittings of this run, s.
    """

    def __init__(self, folder, config, *, identity, stop_requested, seconds_before=0.0):
        """Open the TensorBoard log."""
        from torch.utils.tensorboard import SummaryWriter
        self.folder = folder
        self.config = config
        self._identity = identity
        self._stop_requested = stop_requested
        self._writer = SummaryWriter(folder / 'tensorboard')
        self._started = time.monotonic() - seconds_before

    @property
    def seconds(self) -> float:
        """Return the time spent training so far, over all sittings, s."""
        return time.monotonic() - self._started

    def run(self, stage):
        """
        Run a stage to its end, going on from a snapshot of the same stage where there is one.

        :param stage: The stage.
        :return: The figures of the last validation.
        :raises Interrupted: after writing a snapshot, when a stop was requested.
        :raises DiffusionPolicyError: when the loss or its gradient is no longer finite; the last
            snapshot stays.
        """
        optimizer = torch.optim.AdamW(
            [p for p in stage.trained.parameters() if p.requires_grad], **stage.optimizer_options)
        generator = torch.Generator().manual_seed(self.config.seed)
        step = self._resume(stage, optimizer, generator)
        stage.prepare()
        figures = {}
        if step == stage.steps:  # killed, or out of room, between its snapshot and this
            stage.publish()
        with tqdm(total=stage.steps, initial=step, desc=stage.name, unit='step') as bar:
            while step < stage.steps:
                loss = self._step(stage, optimizer, generator, step)
                step += 1
                stop = self._stop_requested()
                bar.update()
                if step % self.config.log_every == 0:
                    self._log(stage, step, {'loss': loss.item(),
                                            'learning_rate': optimizer.param_groups[0]['lr']})
                    bar.set_postfix(loss=f'{loss.item():.4f}')
                last = step == stage.steps
                if last or step % self.config.validate_every == 0:
                    figures = stage.validate()
                    self._log(stage, step, figures)
                if last or stop or step % self.config.checkpoint_every == 0:
                    self._snapshot(stage, optimizer, generator, step)
                if stop and not last:
                    raise Interrupted(f'stopped at step {step} of {stage.steps} of stage '
                                      f'"{stage.name}"; run the same command with --resume')
        return figures

    def close(self):
        """Flush the TensorBoard log."""
        self._writer.close()

    def _step(self, stage, optimizer, generator, step):
        """Do one optimizer step and return its loss."""
        factor = warmup_cosine(step, warmup_steps=stage.warmup_steps, total_steps=stage.steps)
        for group in optimizer.param_groups:
            group['lr'] = factor * stage.optimizer_options['lr']
        loss = stage.loss(step, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(
            (p for group in optimizer.param_groups for p in group['params']),
            stage.gradient_clip_norm)
        if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
            raise DiffusionPolicyError(
                f'the loss of stage "{stage.name}" is {loss.item():g} and its gradient\'s norm '
                f'{norm.item():g} at step {step}; lower the learning rate, or check the dataset '
                'for impossible values')
        optimizer.step()
        stage.after_step(step)
        return loss.detach()

    def _resume(self, stage, optimizer, generator):
        """Load the stage's snapshot and return its step, or 0."""
        facts = read_facts(self.folder)
        if facts is None or facts['stage'] != stage.name:
            return 0
        load_snapshot(self.folder, modules=stage.modules, optimizer=optimizer,
                      generator=generator)
        return facts['step']

    def _snapshot(self, stage, optimizer, generator, step):
        """Write the snapshot and what the stage publishes."""
        save_snapshot(self.folder, modules=stage.modules, optimizer=optimizer,
                      generator=generator,
                      facts={'stage': stage.name, 'step': step, 'seconds': self.seconds,
                             **self._identity})
        stage.publish()
        self._writer.flush()

    def _log(self, stage, step, figures):
        """Write scalars under the stage's name."""
        for name, value in figures.items():
            self._writer.add_scalar(f'{stage.name}/{name}', value, step)

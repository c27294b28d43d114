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

from contextlib import nullcontext
from dataclasses import dataclass
import math
import sys
import time

from diffusion_policy_ros.errors import DiffusionPolicyError
from diffusion_policy_ros.training.bad_batch import BAD_BATCHES, save_bad_batch
from diffusion_policy_ros.training.loss import SCHEDULES
from diffusion_policy_ros.training.optimization import NotFinite, Optimization
from diffusion_policy_ros.training.processes import Processes, without_averaging
from diffusion_policy_ros.training.record import NoRecord, Record
from diffusion_policy_ros.training.shares import own_shares
from diffusion_policy_ros.training.snapshot import (
    default_states, load_snapshot, read_facts, save_snapshot)
from diffusion_policy_ros.training.stage import StageLoss
import torch
from tqdm import tqdm


class Interrupted(DiffusionPolicyError):
    """The user asked the run to stop; a snapshot was written and the run can be resumed."""


@dataclass
class _Work:
    """What the loop holds while it runs a stage."""

    stage: object
    optimization: Optimization
    generator: torch.Generator
    module: torch.nn.Module


class Loop:
    """
    Runs stages with logging, snapshots, exact resume and a clean stop.

    :ivar best: ``{'figure': name, 'value': number, 'step': number}`` of the best weights so far,
        or None.

    :param folder: The run's folder: snapshots, TensorBoard events and curves.
    :param config: The run's ``TrainConfig``.
    :param identity: JSON-able facts that a resumed run must share, kept in each snapshot.
    :param stop_requested: Called after each step; True ends the run with a snapshot.
    :param seconds_before: Training time spent by earlier sittings of this run, s.
    :param device: Torch device.
    :param processes: ``Processes`` that train together.
    """

    def __init__(self, folder, config, *, identity, stop_requested, seconds_before=0.0,
                 device=None, processes=None):
        """Open the logs, in the first process."""
        self.folder = folder
        self.config = config
        self.best = None
        self._device = device or torch.device('cpu')
        self._processes = processes or Processes()
        self._identity = identity
        self._stop_requested = stop_requested
        facts = read_facts(folder)
        self._record = NoRecord()
        if self._processes.is_first:
            last = facts and (facts['stage'], facts['step'])
            self._record = Record(folder, config, last)
        self._started = time.monotonic() - seconds_before

    @property
    def seconds(self) -> float:
        """Return the time spent training so far, over all sittings, s."""
        return time.monotonic() - self._started

    def run(self, stage):
        """
        Run a stage to its end, going on from a snapshot of the same stage where there is one.

        :param stage: The stage.
        :return: The figures of the last validation and rollouts.
        :raises Interrupted: after writing a snapshot, when a stop was requested.
        :raises DiffusionPolicyError: when the loss or its gradient is no longer finite; the last
            snapshot stays.
        """
        optimization = Optimization(
            stage.trained, stage.optimizer_options, clip_norm=stage.gradient_clip_norm,
            device=self._device, is_scaled=stage.is_scaled)
        work = _Work(stage, optimization, torch.Generator().manual_seed(self.config.seed),
                     StageLoss(stage))
        step = self._resume(work)
        try:
            stage.prepare(step)
            work.module = self._processes.wrap(work.module, self._device)
            if step == stage.steps and self._processes.is_first:
                stage.publish()  # killed, or out of room, between its snapshot and this
            figures = self._steps(work, step)
            self._processes.take_buffers_of_first(stage.trained)  # what follows may use them
            return figures
        finally:
            stage.close()

    def close(self):
        """Close the logs."""
        self._record.close()

    def _steps(self, work, step):
        """Do the steps that are left and return the last figures."""
        stage, figures, rate = work.stage, {}, _Rate(work.stage, step)
        with tqdm(total=stage.steps, initial=step, desc=stage.name, unit='step',
                  disable=not self._processes.is_first) as bar:
            while step < stage.steps:
                loss = self._step(work, step)
                step += 1
                stop, = self._processes.any(self._stop_requested())
                bar.update()
                if step % self.config.log_every == 0:
                    bar.set_postfix(loss=f'{self._log(work, rate, step, loss):.4f}')
                last, stepped_s = step == stage.steps, time.perf_counter()
                if self._processes.is_first:
                    figures.update(self._measure(stage, step, last))
                if last or stop or step % self.config.checkpoint_every == 0:
                    self._snapshot(work, step)
                rate.leave_out(time.perf_counter() - stepped_s)
                if stop and not last:
                    raise Interrupted(f'stopped at step {step} of {stage.steps} of stage '
                                      f'"{stage.name}"; run the same command with --resume')
        return figures

    def _step(self, work, step):
        """Do one optimizer step, share by share, and return its loss in this process."""
        stage, optimization = work.stage, work.optimization
        optimization.start(SCHEDULES[stage.schedule](
            step, warmup_steps=stage.warmup_steps, total_steps=stage.steps))
        loss = self._add_shares(work, step)
        self._refuse(work, optimization.refused(step, loss, optimization.clip()), step)
        optimization.take()
        stage.after_step(step)
        return loss

    def _add_shares(self, work, step):
        """Add the gradients of this process's shares and return the mean of their losses."""
        shares = own_shares(self._processes, work.stage.accumulation_steps)
        state, losses = work.generator.get_state(), []
        for share in shares:
            work.generator.set_state(state)  # each share cuts its rows out of the same draws
            with nullcontext() if share is shares[-1] else without_averaging(work.module):
                loss = work.module(step, work.generator, share)
                work.optimization.backward(loss / len(shares))
            losses.append(loss.detach())
        return torch.stack(losses).mean()

    def _refuse(self, work, found, step):
        """Raise if a step is not finite in any process, with the windows that it saw saved."""
        if not self._processes.any(found is not None)[0]:
            return
        found = found or NotFinite(step, math.nan, math.nan)  # where only another process saw it
        where, windows = '', work.stage.windows_of(found.step)
        if windows:
            path = self.folder / BAD_BATCHES / f'{work.stage.name}-{found.step:08d}.safetensors'
            if self._processes.is_first:
                save_bad_batch(path, windows)
            where = (f'. Its windows are in {path}; look at them with: python -m '
                     f'diffusion_policy_ros.training.bad_batch {path}')
        self._processes.wait()
        raise DiffusionPolicyError(
            f'the loss of stage "{work.stage.name}" is {found.loss:g} and its gradient\'s norm '
            f'{found.norm:g} at step {found.step}; lower the learning rate, or check the dataset '
            f'for impossible values{where}')

    def _measure(self, stage, step, last):
        """Validate and roll out where it is time to, and return the figures."""
        figures = {}
        if last or step % self.config.validate_every == 0:
            figures.update(stage.validate())
        if stage.rollout_every and (last or step % stage.rollout_every == 0):
            figures.update(stage.roll_out())
        self._record.add(stage.name, step, figures)
        self._keep_best(stage, step, figures)
        return figures

    def _keep_best(self, stage, step, figures):
        """Publish the weights if no others had a better figure."""
        name, sign = stage.best_by
        value = figures.get(name)
        if value is None:
            return
        if not math.isfinite(value):
            tqdm.write(f'{name} is {value:g} after step {step}, so that these weights are not '
                       'taken for the best ones; check the dataset for impossible values',
                       file=sys.stderr)
        elif self.best is None or sign * value > sign * self.best['value']:
            self.best = {'figure': name, 'value': value, 'step': step}
            stage.publish_best()

    def _resume(self, work):
        """Load the stage's snapshot and return its step, or 0."""
        facts = read_facts(self.folder)
        if facts is None or facts['stage'] != work.stage.name:
            return 0
        load_snapshot(self.folder, modules=work.stage.modules,
                      optimizer=work.optimization.optimizer, generator=work.generator,
                      device=self._device, rank=self._processes.rank)
        if work.optimization.scaler.is_enabled():
            work.optimization.scaler.load_state_dict(facts['scaler'])
        self.best = facts.get('best')
        return facts['step']

    def _snapshot(self, work, step):
        """Write the snapshot and what the stage publishes."""
        self._refuse(work, work.optimization.pending(), step - 1)
        generators = [self._processes.gather(state) for state in default_states(self._device)]
        if not self._processes.is_first:
            return
        save_snapshot(self.folder, modules=work.stage.modules,
                      optimizer=work.optimization.optimizer, generator=work.generator,
                      default_states=list(zip(*generators)),
                      facts={'stage': work.stage.name, 'step': step, 'seconds': self.seconds,
                             'scaler': work.optimization.scaler.state_dict(), 'best': self.best,
                             **self._identity})
        work.stage.publish()
        self._record.draw()

    def _log(self, work, rate, step, loss):
        """Write down how the training goes and return the mean loss of the processes."""
        mean = self._processes.mean(loss)
        if work.optimization.is_overflowing:
            self._refuse(work, NotFinite(step - 1, mean, math.inf), step - 1)
        self._record.add(work.stage.name, step, {
            'loss': mean, 'learning_rate': work.optimization.optimizer.param_groups[0]['lr'],
            **rate.figures(step, self._processes.count)})
        return mean


class _Rate:
    """How fast a stage learns, and what share of the time it waits for data."""

    def __init__(self, stage, step):
        """Begin to measure at a step."""
        self.step = step
        self._stage = stage
        self._since_s, self._waited_s = time.perf_counter(), stage.waited_s

    def leave_out(self, seconds):
        """Leave out time in which nothing was learnt."""
        self._since_s += seconds

    def figures(self, step, processes):
        """Return the figures since the last call, for a number of processes."""
        now_s, waited_s = time.perf_counter(), self._stage.waited_s
        passed_s = now_s - self._since_s
        windows = (step - self.step) * self._stage.windows_per_step * processes
        share = (waited_s - self._waited_s) / passed_s
        self.step, self._since_s, self._waited_s = step, now_s, waited_s
        return {'windows_per_s': windows / passed_s, 'data_wait_share': share} if windows else {}

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

"""The main stage: the denoiser, and the encoder unless it is fixed, under the diffusion loss."""

from contextlib import nullcontext
from functools import lru_cache
import sys

from diffusion_policy_ros.data.training_windows import TrainingWindows
from diffusion_policy_ros.diffusion import variational_weights
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.networks.ema import Ema
from diffusion_policy_ros.streams import ACTION_KEY
from diffusion_policy_ros.training.acceleration import checkpoint_blocks, Compiled
from diffusion_policy_ros.training.batches import Batches
from diffusion_policy_ros.training.loss import (
    diffusion_loss, draw_noise_and_levels, drop_conditions)
from diffusion_policy_ros.training.pretraining import cache_features
from diffusion_policy_ros.training.processes import Processes
from diffusion_policy_ros.training.shares import Share
from diffusion_policy_ros.training.stage import Stage
from diffusion_policy_ros.training.validation import evenly_chosen, mean_figures
import torch
from tqdm import tqdm

STAGE = 'diffusion'
FEATURES = 'image_features'
VALIDATION_WINDOWS = 512
BEST_ROLLOUT, BEST_HELD_OUT = ('rollout_score', 1), ('validation_action_mse', -1)


class DiffusionStage:
    """
    Draws windows, computes the loss, keeps the moving average and validates it.

    :param policy: The policy under training.
    :param cache: ``FrameCache`` of the dataset.
    :param split: Tells training rows from held-out rows.
    :param config: The run's ``TrainConfig``.
    :param device: Torch device.
    :param frozen: Keep the image encoder fixed and read its features from a cache.
    :param processes: ``Processes`` that train together.
    :param roll_out: ``policy -> figures`` of episodes in simulation, or None.
    """

    def __init__(self, policy, cache, split, config, device, *, frozen, processes=None,
                 roll_out=None):
        """Set up the moving average, the loss weights and the autocast precision."""
        self.policy = policy
        self.ema = Ema(policy.diffusion, power=config.ema_power, max_decay=config.ema_max)
        self._cache = cache
        self._split = split
        self._config = config
        self._device = device
        self._frozen = frozen
        self._processes = processes or Processes()
        self._shares = config.accumulation_steps * self._processes.count
        self._roll_out = roll_out
        self._weights = _loss_weights(policy, config.loss_weighting, device)
        self._precision = low_precision(config.precision, device)
        self._batches = self._compiled = None
        if frozen:
            policy.diffusion.rgb_encoder.requires_grad_(False)

    def stage(self, publish, publish_best):
        """
        Describe the stage for the loop.

        :param publish: Called at each checkpoint, to write the policy folder.
        :param publish_best: Called when the averaged weights are the best so far.
        :return: The ``Stage``.
        """
        config = self._config
        return Stage(
            name=STAGE, steps=config.steps,
            modules={'policy': self.policy.diffusion, 'ema': self.ema},
            trained=self.policy.diffusion,
            optimizer_options={'lr': config.learning_rate, 'weight_decay': config.weight_decay,
                               'betas': (config.beta1, config.beta2)},
            warmup_steps=config.warmup_steps, gradient_clip_norm=config.gradient_clip_norm,
            schedule=config.schedule, accumulation_steps=config.accumulation_steps,
            is_scaled=self._precision == torch.float16, prepare=self._prepare, loss=self._loss,
            after_step=self.ema.update, validate=self._validate,
            roll_out=self._roll_out and self._score, rollout_every=config.rollouts.every,
            windows_of=self._windows_of, publish=publish, publish_best=publish_best,
            best_by=BEST_ROLLOUT if self._roll_out else BEST_HELD_OUT,
            waited_s=lambda: self._batches.waited_s, close=self._close,
            windows_per_step=config.batch_size * config.accumulation_steps)

    def _prepare(self):
        """Cut the windows; features of a fixed encoder can be cached now that it is loaded."""
        config = self.policy.config
        arrays = {key: self._cache.arrays[key] for key in (*config.input_features, ACTION_KEY)}
        if self._frozen:
            frames = {key: arrays.pop(key) for key in config.image_keys}
            self.policy.eval()
            arrays[FEATURES] = cache_features(self.policy, frames, self._device)
        self._windows = TrainingWindows(
            arrays, self._cache.episode_ends, n_obs_steps=config.n_obs_steps,
            horizon=config.horizon)
        self._rows, held_out = self._split.rows(self._windows.rows())
        self._held_out = evenly_chosen(held_out, VALIDATION_WINDOWS)
        if self._shares > 1 and len(self._rows) < self._config.batch_size * self._shares:
            raise ConfigError(
                f'a step learns from {self._config.batch_size * self._shares} windows (batch_size '
                '* accumulation_steps * processes), and the training episodes have only '
                f'{len(self._rows)}; lower one of them')
        self._batches = Batches(
            self._windows, self._device, on_device=self._config.data_on_device)
        self._accelerate()

    def _accelerate(self):
        """Checkpoint and compile the networks, as far as that was asked for."""
        if self._config.gradient_checkpointing:
            checkpoint_blocks(self.policy.diffusion)
        if self._config.compile:
            self._compiled = Compiled(self.policy.diffusion, self._try)
            if self._compiled.problem and self._processes.is_first:
                tqdm.write('torch.compile cannot compile the networks here; they are trained as '
                           f'they are ({self._compiled.problem})', file=sys.stderr)

    def _try(self):
        """Compute a loss and its gradients, and leave no trace of it."""
        buffers = [(buffer, buffer.clone()) for buffer in self.policy.diffusion.buffers()]
        with torch.random.fork_rng([self._device] if self._device.type == 'cuda' else []):
            self.policy.train()
            rows = self._plan(0, Share(0, self._shares))
            self._batch_loss(self._batches.at(next(rows)[1]), torch.Generator().manual_seed(0),
                             training=True).backward()
        self.policy.diffusion.zero_grad(set_to_none=True)
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)

    def _loss(self, step, generator, share):
        """Return the loss of one share of a step, drawn without replacement in each epoch."""
        self.policy.train()
        batch = self._batches.take((step, share), lambda: self._plan(step, share))
        return self._batch_loss(batch, generator, training=True)

    def _plan(self, step, share):
        """Yield ``(step, share)`` and the rows of this process, from some share on."""
        each, first = self._config.accumulation_steps, share.index
        start = first - first % each
        for number in range(step, self._config.steps):
            rows = self._rows_of(number)
            for index in range(first, start + each):
                turn = Share(index, share.count)
                yield (number, turn), turn.of(rows)
            first = start

    def _rows_of(self, step):
        """Return the rows that all shares of a step learn from."""
        return epoch_slice(
            self._rows, step, self._config.batch_size * self._shares, self._config.seed)

    def _windows_of(self, step):
        """Return all that a step learns from, with the numbers of the rows in the dataset."""
        rows = self._rows_of(step)
        return {'rows': rows, **self._windows.gather(rows)}

    def _batch_loss(self, batch, generator, *, training=False):
        """Normalize, encode, add noise, compare; in training augment and drop observations."""
        actions = self.policy.normalizer.normalize(ACTION_KEY, batch[ACTION_KEY])
        noise, timesteps = draw_noise_and_levels(
            actions.shape, self.policy.config.num_train_timesteps, generator=generator,
            device=self._device)
        with torch.autocast(self._device.type, self._precision,
                            enabled=self._precision is not None):
            cond = self._condition(batch, augment=training and self._config.augmentation,
                                   generator=generator)
            if training:
                cond = drop_conditions(cond, self.policy.config.conditioning_dropout,
                                       generator=generator)
            return diffusion_loss(self.policy, actions, cond, noise=noise, timesteps=timesteps,
                                  weights=self._weights)

    def _condition(self, batch, *, augment=False, generator=None):
        """Encode the observations, from cached features where the encoder is fixed."""
        if FEATURES not in batch:
            return self.policy.encode(batch, augment=augment, generator=generator)
        return self.policy.global_cond(batch[FEATURES], batch)

    @torch.no_grad()
    def _validate(self):
        """Return loss and action error (robot units) of the averaged weights, held out."""
        generator = torch.Generator().manual_seed(0)
        self.policy.eval()
        with self.ema.applied(), self._as_they_are():
            return mean_figures(lambda rows: self._figures(rows, generator), self._held_out,
                                self._config.batch_size)

    def _figures(self, rows, generator):
        """Return the validation figures of one batch."""
        batch = self._batches.at(rows)
        loss = self._batch_loss(batch, generator)
        chunk = self.policy.sample_from(self._condition(batch), generator=generator)
        error = (self.policy.executable(chunk)
                 - self.policy.executable(batch[ACTION_KEY])).square().mean()
        return {'validation_loss': loss.item(), 'validation_action_mse': error.item()}

    def _score(self):
        """Return the figures of episodes in simulation under the averaged weights."""
        self.policy.eval()
        with self.ema.applied(), self._as_they_are():
            return self._roll_out(self.policy)

    def _as_they_are(self):
        """Within a ``with`` block, run the networks without a compiler."""
        return nullcontext() if self._compiled is None else self._compiled.paused()

    def _close(self):
        """End the thread that cuts windows."""
        if self._batches is not None:
            self._batches.close()


def low_precision(precision, device):
    """
    Return the type that mixed precision computes in, or None for float32.

    :param precision: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
    :param device: Torch device.
    """
    if precision == 'auto':
        is_fast = device.type == 'cuda' and torch.cuda.is_bf16_supported()
        precision = 'bfloat16' if is_fast else 'float32'
    return None if precision == 'float32' else getattr(torch, precision)


def _loss_weights(policy, loss_weighting, device):
    """Return the weight of every timestep on the device, None where all weigh the same."""
    if loss_weighting == 'simple':
        return None
    weights = variational_weights(policy.process, policy.config.prediction_type)
    return weights.to(device, torch.float32)


def epoch_slice(rows, step, batch_size, seed):
    """
    Return the rows of one step: each epoch is one shuffle, so no row is drawn twice in it.

    The result depends on the step alone, which makes a resumed run equal to an unbroken one.

    :param rows: int64 array of rows to draw from.
    :param step: Optimizer step, from 0.
    :param batch_size: Rows per step.
    :param seed: Of the shuffles.
    :return: int64 array (batch_size,), or all rows, shuffled, where there are fewer.
    """
    per_epoch = max(1, len(rows) // batch_size)
    epoch, place = divmod(step, per_epoch)
    return rows[_shuffle(len(rows), epoch, seed)[place * batch_size:(place + 1) * batch_size]]


@lru_cache(4)
def _shuffle(count, epoch, seed):
    """Return the order of an epoch, an int64 array (count,)."""
    generator = torch.Generator().manual_seed((seed << 32) + epoch)
    return torch.randperm(count, generator=generator).numpy()

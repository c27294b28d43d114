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
import sys

from diffusion_policy_ros.data.training_windows import TrainingWindows
from diffusion_policy_ros.diffusion import draw_noise, variational_weights
from diffusion_policy_ros.networks.ema import Ema
from diffusion_policy_ros.policy.encoding import encode_maps, encode_prepared, prepared_images
from diffusion_policy_ros.streams import ACTION_KEY
from diffusion_policy_ros.training.acceleration import (
    autocast, checkpoint_blocks, Compiled)
from diffusion_policy_ros.training.batches import Batches, epoch_slice
from diffusion_policy_ros.training.loss import (
    diffusion_loss, draw_dropped, draw_noise_and_levels, drop_conditions)
from diffusion_policy_ros.training.pretraining import cache_frames, frame_features, frame_maps
from diffusion_policy_ros.training.shares import own_shares, SharedDraws
from diffusion_policy_ros.training.stage import Stage
from diffusion_policy_ros.training.validation import evenly_chosen, mean_figures
import numpy as np
import torch
from tqdm import tqdm

STAGE = 'diffusion'
FEATURES, MAPS = 'image_features', 'backbone_maps'
VALIDATION_WINDOWS = 512
BEST_ROLLOUT, BEST_HELD_OUT = ('rollout_score', 1), ('validation_action_mse', -1)


class DiffusionStage(Stage):
    """
    Draws windows, computes the loss, keeps the moving average and validates it.

    :param policy: The policy under training.
    :param cache: ``FrameCache`` of the dataset.
    :param split: Tells training rows from held-out rows.
    :param config: The run's ``TrainConfig``.
    :param device: Torch device.
    :param out: Checkpoint folder of the last averaged weights.
    :param best: Checkpoint folder of the best ones.
    :param processes: ``Processes`` that train together.
    :param roll_out: ``policy -> figures`` of episodes in simulation; needed where
        ``config.rollouts`` asks for them.
    """

    name = STAGE

    def __init__(self, policy, cache, split, config, device, *, out, best, processes, roll_out):
        """Set up the moving average, the loss weights and the autocast precision."""
        self.policy = policy
        self.ema = Ema(policy.diffusion, power=config.ema_power, max_decay=config.ema_max)
        self._cache, self._split = cache, split
        self._config, self._device = config, device
        self._out, self._best = out, best
        self._own_shares = own_shares(processes, config.accumulation_steps)
        self._is_first = processes.is_first
        self._roll_out = roll_out
        self._weights = _loss_weights(policy, config.loss_weighting, device)
        self._batches = self._compiled = None
        if config.is_encoder_fixed:
            for encoder in policy.diffusion.encoders:
                # What follows a backbone that comes from elsewhere must still learn.
                (encoder.backbone if config.freeze_encoder else encoder).requires_grad_(False)
        self._tell_loop(config)

    def _tell_loop(self, config):
        """Set what the loop needs to know."""
        self.modules = {'policy': self.policy.diffusion, 'ema': self.ema}
        self.trained = self.policy.diffusion
        self.optimizer_options = {'lr': config.learning_rate, 'weight_decay': config.weight_decay,
                                  'betas': (config.beta1, config.beta2)}
        for name in ('steps', 'warmup_steps', 'gradient_clip_norm', 'schedule',
                     'accumulation_steps'):
            setattr(self, name, getattr(config, name))
        self.is_scaled = config.precision == 'float16'
        self.rollout_every = config.rollouts.every
        self.best_by = BEST_ROLLOUT if self.rollout_every else BEST_HELD_OUT
        self.windows_per_step = config.batch_size * config.accumulation_steps

    @property
    def waited_s(self) -> float:
        """Return the time spent waiting for data so far, s."""
        return self._batches.waited_s

    def prepare(self, step):
        """Cut the windows; features of a fixed encoder can be cached now that it is loaded."""
        config = self.policy.config
        arrays = {key: self._cache.arrays[key] for key in (*config.input_features, ACTION_KEY)}
        if self._config.is_encoder_fixed:
            frames = {key: arrays.pop(key) for key in config.image_keys}
            self.policy.eval()
            kind, encode = (MAPS, frame_maps) if self._config.freeze_encoder else (
                FEATURES, frame_features)
            arrays[kind] = cache_frames(self.policy, frames, self._device, encode)
        self._windows = TrainingWindows(
            arrays, self._cache.episode_ends, n_obs_steps=config.n_obs_steps,
            horizon=config.horizon)
        self._rows, held_out = self._split.rows(self._windows.rows())
        self._held_out = evenly_chosen(held_out, VALIDATION_WINDOWS)
        self._batches = Batches(
            self._windows, self._device, on_device=self._config.data_on_device)
        self._accelerate()
        self._batches.start(share.of(self._rows_of(number))
                            for number in range(step, self.steps) for share in self._own_shares)

    def _accelerate(self):
        """Checkpoint and compile the networks, as far as that was asked for."""
        if self._config.gradient_checkpointing:
            checkpoint_blocks(self.policy.diffusion)
        if self._config.compile:
            self._compiled = Compiled(self.policy.diffusion, self._try)
            if self._compiled.problem and self._is_first:
                tqdm.write('torch.compile cannot compile the networks here; they are trained as '
                           f'they are ({self._compiled.problem})', file=sys.stderr)

    def _try(self):
        """Compute a loss and its gradients, and leave no trace of it."""
        buffers = [(buffer, buffer.clone()) for buffer in self.policy.diffusion.buffers()]
        with torch.random.fork_rng([self._device] if self._device.type == 'cuda' else []):
            self.policy.train()
            share = self._own_shares[0]
            batch = self._batches.at(share.of(self._rows_of(0)))
            self._training_loss(batch, torch.Generator().manual_seed(0), share).backward()
        self.policy.diffusion.zero_grad(set_to_none=True)
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)

    def loss(self, step, generator, share):
        """Return the loss of one share of a step, drawn without replacement in each epoch."""
        self.policy.train()
        return self._training_loss(self._batches.next(), generator, share)

    def after_step(self, step):
        """Update the moving average."""
        self.ema.update(step)

    def _rows_of(self, step):
        """Return the rows that all shares of a step learn from."""
        return epoch_slice(
            self._rows, step, self._config.batch_size * self._own_shares[0].count,
            self._config.seed)

    def windows_of(self, step):
        """Return all that a step learns from, with the numbers of the rows in the dataset."""
        rows = self._rows_of(step)
        return {'rows': rows, **self._windows.gather(rows)}

    def _training_loss(self, batch, generator, share):
        """Draw all that is random, then compute: a compiler sees no draws."""
        count = len(batch[ACTION_KEY])
        with SharedDraws(generator, share):
            noise, levels = self._noise_and_levels(count, generator)
            pictures = self._pictures(batch, augmentation=self._config.augmentation,
                                      generator=generator)
            dropped = draw_dropped(count, self.policy.config.conditioning_dropout,
                                   generator=generator, device=self._device)
        with autocast(self._device, self._config.precision):
            cond = drop_conditions(self._condition(batch, pictures), dropped)
            return self._loss_of(batch, cond, noise, levels)

    def _noise_and_levels(self, count, generator):
        """Draw the noise and the noise level of some chunks."""
        config = self.policy.config
        return draw_noise_and_levels(
            (count, config.horizon, config.action_dim), config.num_train_timesteps,
            generator=generator, device=self._device)

    def _pictures(self, batch, *, augmentation=None, generator=None):
        """Return images as the encoder wants them; nothing where what it sees is cached."""
        if self._config.is_encoder_fixed:
            return []
        return prepared_images(self.policy, batch, augmentation=augmentation, generator=generator)

    def _condition(self, batch, pictures):
        """Encode the observations, from what is cached where the encoder is fixed."""
        if MAPS in batch:
            features = encode_maps(self.policy, batch[MAPS].flatten(0, 1).unbind(1))
        elif FEATURES in batch:
            features = batch[FEATURES]
        else:
            features = encode_prepared(self.policy, pictures)
        return self.policy.global_cond(features, batch)

    def _loss_of(self, batch, cond, noise, levels):
        """Normalize the actions, add noise, and compare."""
        actions = self.policy.normalizer.normalize(ACTION_KEY, batch[ACTION_KEY])
        return diffusion_loss(self.policy, actions, cond, noise=noise, timesteps=levels,
                              weights=self._weights)

    @torch.no_grad()
    def validate(self):
        """Return loss and action error (robot units) of the averaged weights, held out."""
        generator, count = torch.Generator().manual_seed(0), len(self._held_out)
        self.policy.eval()
        # Drawn for all rows at once, so that the batch size changes no figure.
        noise, levels = self._noise_and_levels(count, generator)
        start = draw_noise(noise.shape, generator=generator, device=self._device)
        with self.ema.applied(), self._as_they_are():
            return mean_figures(
                lambda part: self._figures(
                    self._held_out[part], noise[part], levels[part], start[part]),
                np.arange(count), self._config.batch_size)

    def _figures(self, rows, noise, levels, start):
        """Return the validation figures of one batch."""
        batch = self._batches.at(rows)
        cond = self._condition(batch, self._pictures(batch))
        with autocast(self._device, self._config.precision):
            loss = self._loss_of(batch, cond, noise, levels)
        chunk = self.policy.sample_from(cond, noise=start)
        error = (self.policy.executable(chunk)
                 - self.policy.executable(batch[ACTION_KEY])).square().mean()
        return {'validation_loss': loss.item(), 'validation_action_mse': error.item()}

    def roll_out(self):
        """Return the figures of episodes in simulation under the averaged weights."""
        self.policy.eval()
        with self.ema.applied(), self._as_they_are():
            return self._roll_out(self.policy)

    def publish(self):
        """Write the checkpoint folder of the last weights."""
        self._save(self._out)

    def publish_best(self):
        """Write the checkpoint folder of the best weights."""
        self._save(self._best)

    def _save(self, folder):
        """Write a checkpoint folder with averaged weights, and the settings beside them."""
        with self.ema.applied():
            self.policy.save(folder, weights_dtype=self._config.storage)
        self._config.save(folder)

    def _as_they_are(self):
        """Within a ``with`` block, run the networks without a compiler."""
        return nullcontext() if self._compiled is None else self._compiled.paused()

    def close(self):
        """End the thread that cuts windows."""
        if self._batches is not None:
            self._batches.close()


def _loss_weights(policy, loss_weighting, device):
    """Return the weight of every timestep on the device, None where all weigh the same."""
    if loss_weighting == 'simple':
        return None
    weights = variational_weights(policy.process, policy.config.prediction_type)
    return weights.to(device, torch.float32)

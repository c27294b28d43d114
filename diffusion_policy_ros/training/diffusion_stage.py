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

from diffusion_policy_ros.data.training_windows import TrainingWindows
from diffusion_policy_ros.diffusion import variational_weights
from diffusion_policy_ros.networks.ema import Ema
from diffusion_policy_ros.streams import ACTION_KEY
from diffusion_policy_ros.training.loop import Stage
from diffusion_policy_ros.training.loss import (
    diffusion_loss, draw_noise_and_levels, drop_conditions)
from diffusion_policy_ros.training.pretraining import cache_features
from diffusion_policy_ros.training.validation import evenly_chosen, mean_figures
import torch

STAGE = 'diffusion'
FEATURES = 'image_features'
VALIDATION_WINDOWS = 512


class DiffusionStage:
    """
    Draws windows, computes the loss, keeps the moving average and validates it.

    :param policy: The policy under training.
    :param cache: ``FrameCache`` of the dataset.
    :param split: Tells training rows from held-out rows.
    :param config: The run's ``TrainConfig``.
    :param device: Torch device.
    :param frozen: Keep the image encoder fixed and read its features from a cache.
    """

    def __init__(self, policy, cache, split, config, device, *, frozen):
        """Set up the moving average, the loss weights and the autocast precision."""
        self.policy = policy
        self.ema = Ema(policy.diffusion, power=config.ema_power, max_decay=config.ema_max)
        self._cache = cache
        self._split = split
        self._config = config
        self._device = device
        self._frozen = frozen
        self._weights = _loss_weights(policy, config.loss_weighting, device)
        self._bfloat16 = config.precision == 'bfloat16' or (
            config.precision == 'auto' and device.type == 'cuda'
            and torch.cuda.is_bf16_supported())
        if frozen:
            policy.diffusion.rgb_encoder.requires_grad_(False)

    def stage(self, publish):
        """
        Describe the stage for the loop.

        :param publish: Called at each checkpoint, to write the policy folder.
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
            prepare=self._prepare, loss=self._loss, after_step=self.ema.update,
            validate=self._validate, publish=publish)

    def _prepare(self):
        """Cut the windows; features of a fixed encoder can be cached now that it is loaded."""
        config = self.policy.config
        arrays = {key: self._cache.arrays[key] for key in (*config.input_features, ACTION_KEY)}
        if self._frozen:
            frames = {key: arrays.pop(key) for key in config.image_keys}
            arrays[FEATURES] = cache_features(self.policy, frames, self._device)
        self._windows = TrainingWindows(
            arrays, self._cache.episode_ends, n_obs_steps=config.n_obs_steps,
            horizon=config.horizon)
        self._rows, held_out = self._split.rows(self._windows.rows())
        self._held_out = evenly_chosen(held_out, VALIDATION_WINDOWS)

    def _loss(self, step, generator):
        """Return the loss of one batch, drawn without replacement within each epoch."""
        self.policy.train()
        chosen = epoch_slice(self._rows, step, self._config.batch_size, self._config.seed)
        return self._batch_loss(self._windows.gather(chosen), generator, training=True)

    def _batch_loss(self, batch, generator, *, training=False):
        """Normalize, encode, add noise, compare; in training augment and drop observations."""
        actions = torch.from_numpy(batch[ACTION_KEY]).to(self._device)
        actions = self.policy.normalizer.normalize(ACTION_KEY, actions)
        noise, timesteps = draw_noise_and_levels(
            actions.shape, self.policy.config.num_train_timesteps, generator=generator,
            device=self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            cond = self._condition(batch, augment=training, generator=generator)
            if training:
                cond = drop_conditions(cond, self.policy.config.conditioning_dropout,
                                       generator=generator)
            return diffusion_loss(self.policy, actions, cond, noise=noise, timesteps=timesteps,
                                  weights=self._weights)

    def _condition(self, batch, *, augment=False, generator=None):
        """Encode the observations, from cached features where the encoder is fixed."""
        window = {key: torch.from_numpy(batch[key]).to(self._device, non_blocking=True)
                  for key in batch if key.startswith('observation.')}
        if FEATURES not in batch:
            return self.policy.encode(window, augment=augment, generator=generator)
        features = torch.from_numpy(batch[FEATURES]).to(self._device)
        return self.policy.global_cond(features, window)

    @torch.no_grad()
    def _validate(self):
        """Return loss and action error (robot units) of the averaged weights, held out."""
        generator = torch.Generator().manual_seed(0)
        self.policy.eval()
        with self.ema.applied():
            return mean_figures(lambda rows: self._figures(rows, generator), self._held_out,
                                self._config.batch_size)

    def _figures(self, rows, generator):
        """Return the validation figures of one batch."""
        batch = self._windows.gather(rows)
        loss = self._batch_loss(batch, generator)
        chunk = self.policy.sample_from(self._condition(batch), generator=generator).cpu()
        error = (self.policy.executable(chunk)
                 - self.policy.executable(torch.from_numpy(batch[ACTION_KEY]))).square().mean()
        return {'validation_loss': loss.item(), 'validation_action_mse': error.item()}


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
    generator = torch.Generator().manual_seed((seed << 32) + epoch)
    order = torch.randperm(len(rows), generator=generator).numpy()
    return rows[order[place * batch_size:(place + 1) * batch_size]]

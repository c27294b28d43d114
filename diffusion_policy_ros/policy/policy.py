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
"""The policy: from a window of observations to a chunk of actions in robot units."""

from dataclasses import replace
from pathlib import Path

from diffusion_policy_ros.checks import is_count, shown
from diffusion_policy_ros.diffusion import (
    check_start, DiscreteVp, draw_noise, refine_chunk, sample_chunk, Sampler)
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.policy.assembly import assemble
from diffusion_policy_ros.policy.checkpoint import (
    check_unchanged, Checkpoint, read_checkpoint, write_checkpoint)
from diffusion_policy_ros.policy.checkpoint_files import WEIGHTS
from diffusion_policy_ros.policy.denoiser import check_guidance, Denoiser
from diffusion_policy_ros.policy.device import choose_device
from diffusion_policy_ros.policy.diffusion_networks import DiffusionNetworks
from diffusion_policy_ros.policy.encoding import encode_images, join_observations
from diffusion_policy_ros.policy.normalizer import Normalizer, unit_image_statistics
from diffusion_policy_ros.policy.window_check import check_chunk, checked_window, window_layout
from diffusion_policy_ros.streams import ACTION_KEY
import torch
from torch import nn


class Policy(nn.Module):
    """
    A diffusion policy: observation encoder, denoiser, normalizer and default sampler.

    :ivar config: PolicyConfig.
    :ivar contract: RobotContract of the training data; None for a folder that holds none.
    :ivar normalizer: Normalizer.
    :ivar process: DiscreteVp, the noise process of the training.
    :ivar sampler: Sampler that ``sample`` uses unless told otherwise.
    """

    def __init__(self, config, normalizer, *, contract=None, sampler=None):
        """
        Build a policy with fresh weights.

        :param config: PolicyConfig.
        :param normalizer: Normalizer of the same configuration.
        :param contract: RobotContract; its shapes must be the configuration's.
        :param sampler: Default Sampler; ``Sampler()`` when None.
        :raises ConfigError: if contract or sampler do not fit the configuration.
        """
        super().__init__()
        self.config, self.contract, self.normalizer = config, contract, normalizer
        self.sampler = Sampler() if sampler is None else sampler
        self.process = DiscreteVp.of(config)
        self.check_sampler(self.sampler)
        self._layout = window_layout(config, contract)
        self.diffusion = DiffusionNetworks(config)

    @classmethod
    def from_dataset(cls, config, statistics, contract, *, sampler=None, image_statistics=None):
        """
        Build an untrained policy for a dataset.

        8-bit images are mapped to [-1, 1]; depth images by the dataset's statistics.

        :param config: PolicyConfig.
        :param statistics: Key -> ``min``, ``max``, ``mean``, ``std`` in robot units.
        :param contract: RobotContract of the dataset.
        :param sampler: Default Sampler; ``Sampler()`` when None.
        :param image_statistics: Of 8-bit images as numbers in [0, 1], instead of that mapping.
        :return: The policy.
        :raises ConfigError: if a statistic is missing or the parts do not fit.
        """
        statistics = dict(statistics)
        for key in config.image_keys:
            if window_layout(config, contract)[key][1] == torch.uint8:
                statistics[key] = image_statistics or unit_image_statistics(
                    config.image_shape[0])
        return cls(config, Normalizer.from_dataset(config, statistics), contract=contract,
                   sampler=sampler)

    @classmethod
    def load(cls, folder, device='cpu', *, contract=None):
        """
        Read a policy from a checkpoint folder, ready to sample.

        :param folder: Path of the folder.
        :param device: Device to put it on, as for ``choose_device``.
        :param contract: RobotContract for a folder that holds none, such as LeRobot's.
        :return: The policy.
        :raises CheckpointError: naming the file, what is wrong with it and the remedy.
        :raises ConfigError: if the device cannot be used here.
        """
        device = choose_device(str(device))
        checkpoint = read_checkpoint(folder)
        if checkpoint.contract is None:
            checkpoint = replace(checkpoint, contract=contract)
        policy = assemble(cls, checkpoint, Path(folder) / WEIGHTS)
        check_unchanged(folder)
        return policy.to(device).eval()

    def save(self, folder, *, weights_dtype='float32'):
        """
        Write a checkpoint folder; all of it appears, or nothing changes.

        :param folder: Path of the folder; a checkpoint there is replaced, and files there that
            are not part of a checkpoint stay.
        :param weights_dtype: ``float32``, or ``float16`` for half the size.
        :raises CheckpointError: if the folder holds something else, or a weight does not fit.
        :raises ConfigError: as ``check_sampler``.
        """
        self.check_sampler(self.sampler)
        write_checkpoint(folder, Checkpoint(
            config=self.config, statistics=self.normalizer.statistics, weights=self.state_dict(),
            contract=self.contract, sampler=self.sampler), weights_dtype=weights_dtype)

    @property
    def device(self) -> torch.device:
        """Return the device of the weights."""
        return next(self.parameters()).device

    def image_features(self, window, *, augmentation=None, generator=None):
        """
        Encode the images of a window: resize, crop, normalize, backbone, pooling.

        :param window: Key -> (B, n_obs_steps, H, W, C), uint8 (depth: uint16 or float32).
        :param augmentation: ``Augmentation`` of training images, beside crops at random places
            where the configuration says so; None for the images as they are.
        :param generator: torch.Generator on the CPU for places and changes.
        :return: float32 (B, n_obs_steps, image_feature_dim); None for a policy without cameras.
        :raises ConfigError: naming the key, what was got and what was wanted.
        """
        tensors = self._checked(window, self.config.image_keys)
        return encode_images(self, tensors, augmentation=augmentation, generator=generator)

    def global_cond(self, image_features, window):
        """
        Join image features with the normalized vectors of a window.

        :param image_features: From ``image_features``, perhaps cached; None without cameras.
        :param window: Key -> float32 (B, n_obs_steps, entries) in robot units; images in it are
            not looked at.
        :return: float32 (B, global_cond_dim).
        :raises ConfigError: naming the key, what was got and what was wanted.
        """
        return join_observations(
            self, image_features, self._checked(window, self.config.vector_keys))

    def encode(self, window, *, augmentation=None, generator=None):
        """
        Turn a window into the condition of the denoiser.

        :param window: Key -> (B, n_obs_steps, ...) as for ``sample``.
        :param augmentation: As for ``image_features``.
        :param generator: As for ``image_features``.
        :return: float32 (B, global_cond_dim).
        :raises ConfigError: naming the key, what was got and what was wanted.
        """
        tensors = self._checked(window, self._layout)
        features = encode_images(self, tensors, augmentation=augmentation, generator=generator)
        return join_observations(self, features, tensors)

    def denoise(self, x_t, t, global_cond):
        """
        Call the denoiser: it predicts what ``config.prediction_type`` says.

        :param x_t: Noisy chunk, float32 (B, horizon, action_dim), normalized units.
        :param t: Timesteps, int64 or float32 (B,), or (1,) for the whole batch.
        :param global_cond: From ``encode``, float32 (B, global_cond_dim).
        :return: float32 (B, horizon, action_dim).
        """
        return self.diffusion.denoiser(x_t, t, global_cond)

    def denoiser(self, global_cond, sampler=None):
        """
        Return the function that samplers call: it predicts clean chunks under a condition.

        :param global_cond: From ``encode``, float32 (B, global_cond_dim).
        :param sampler: Sampler, for its ``guidance_scale``; the policy's own when None.
        :return: A ``Denoiser``.
        """
        return Denoiser(self, global_cond, (sampler or self.sampler).guidance_scale)

    def check_sampler(self, sampler):
        """
        Refuse a sampler that cannot work with this policy.

        :param sampler: Sampler.
        :raises ConfigError: if the process has no such levels, noise alone is no chunk of the
            first one, or guidance is asked of a policy that never missed an observation.
        """
        check_start(self.process, sampler)
        check_guidance(self.config, sampler.guidance_scale)

    @torch.inference_mode()
    def sample(self, window, *, sampler=None, generator=None, noise=None):
        """
        Draw one chunk per window.

        :param window: Key -> tensor or array: ``observation.images.<camera>`` uint8
            (B, n_obs_steps, H, W, C), vectors float32 (B, n_obs_steps, entries) in robot units.
        :param sampler: Sampler; the policy's own when None.
        :param generator: torch.Generator for all noise: the same seed, the same chunk.
        :param noise: Start noise, float32 (B, horizon, action_dim), instead of drawing it.
        :return: float32 (B, horizon, action_dim) in robot units, from the first observed row on.
        :raises ConfigError: if the window is not what the policy was built for, or the sampler
            cannot work with this policy.
        :raises SamplingError: if the chunk is not finite, or the adaptive solver gave up.
        """
        return self.sample_from(self.encode(window), sampler=sampler, generator=generator,
                                noise=noise)

    @torch.inference_mode()
    def sample_candidates(self, window, num_candidates, *, sampler=None, generator=None):
        """
        Draw several chunks for each window in one batch; the window is encoded once.

        :param window: As for ``sample``.
        :param num_candidates: Chunks per window, at least 1.
        :param sampler: As for ``sample``.
        :param generator: As for ``sample``.
        :return: float32 (B, num_candidates, horizon, action_dim) in robot units.
        :raises ConfigError: as ``sample``, or if ``num_candidates`` is no such number.
        :raises SamplingError: as ``sample``.
        """
        if not is_count(num_candidates):
            raise ConfigError(f'num_candidates is {shown(num_candidates)}; wanted at least 1')
        global_cond = self.encode(window).repeat_interleave(num_candidates, dim=0)
        chunks = self.sample_from(global_cond, sampler=sampler, generator=generator)
        return chunks.unflatten(0, (-1, num_candidates))

    @torch.inference_mode()
    def sample_from(self, global_cond, *, sampler=None, generator=None, noise=None):
        """
        Draw one chunk per row of a condition; otherwise as ``sample``.

        :param global_cond: From ``encode``, float32 (B, global_cond_dim).
        :param sampler: As for ``sample``.
        :param generator: As for ``sample``.
        :param noise: As for ``sample``.
        :return: float32 (B, horizon, action_dim) in robot units.
        """
        sampler = self.sampler if sampler is None else sampler
        noise = self._start_noise(len(global_cond), generator, noise)
        chunk = sample_chunk(self.denoiser(global_cond, sampler), noise, self.process, sampler,
                             generator=generator)
        return self.normalizer.unnormalize(ACTION_KEY, chunk)

    @torch.inference_mode()
    def refine_from(self, global_cond, chunk, *, sampler, generator=None, noise=None):
        """
        Noise chunks up to ``sampler.start_timestep`` and sample again from there.

        :param global_cond: From ``encode``, float32 (B, global_cond_dim).
        :param chunk: float32 (B, horizon, action_dim) in robot units.
        :param sampler: Sampler; its ``start_timestep`` says how little of the chunk is kept.
        :param generator: As for ``sample``.
        :param noise: Noise to add, float32 (B, horizon, action_dim), instead of drawing it.
        :return: float32 (B, horizon, action_dim) in robot units.
        :raises ConfigError: if chunk, noise or sampler do not fit.
        :raises SamplingError: as ``sample``.
        """
        check_chunk('chunk', chunk, len(global_cond), self.config)
        noise = self._start_noise(len(global_cond), generator, noise)
        clean = self.normalizer.normalize(ACTION_KEY, chunk.to(self.device))
        refined = refine_chunk(self.denoiser(global_cond, sampler), clean, noise, self.process,
                               sampler, generator=generator)
        return self.normalizer.unnormalize(ACTION_KEY, refined)

    def executable(self, chunk):
        """
        Cut the rows that may be executed, from the newest observation on.

        :param chunk: (B, horizon, action_dim) from ``sample``.
        :return: (B, n_action_steps, action_dim), a view.
        """
        start = self.config.n_obs_steps - 1
        return chunk[:, start:start + self.config.n_action_steps]

    def _checked(self, window, keys):
        """Return the entries of a window under some keys as tensors on the policy's device."""
        return checked_window(window, {key: self._layout[key] for key in keys}, self.device)

    def _start_noise(self, count, generator, noise):
        """Draw the noise that sampling starts from, or check the noise that was given."""
        if noise is None:
            shape = (count, self.config.horizon, self.config.action_dim)
            return draw_noise(shape, generator=generator, device=self.device)
        check_chunk('noise', noise, count, self.config)
        return noise.to(self.device)

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

from diffusion_policy_ros.diffusion.prediction import clean_from_prediction
from diffusion_policy_ros.diffusion.sampling import (
    draw_noise, inference_levels, sample_chunk, Sampler)
from diffusion_policy_ros.diffusion.schedule import NoiseSchedule
from diffusion_policy_ros.errors import CheckpointError, ConfigError
from diffusion_policy_ros.networks.observation_encoder import (
    center_crop, join_features, random_crop, RgbEncoder)
from diffusion_policy_ros.networks.unet1d import ConditionalUnet1d
from diffusion_policy_ros.policy.checkpoint import (
    check_unchanged, check_weights, Checkpoint, read_checkpoint, write_checkpoint)
from diffusion_policy_ros.policy.device import choose_device
from diffusion_policy_ros.policy.normalizer import Normalizer, unit_image_statistics
from diffusion_policy_ros.policy.window_check import checked_window, window_layout
from diffusion_policy_ros.streams import ACTION_KEY
import torch
from torch import nn

PIXEL_MAX = 255.0


class DiffusionNetworks(nn.Module):
    """The trained parts of a policy, under LeRobot's names."""

    def __init__(self, config):
        """
        Build the networks with fresh weights.

        :param config: PolicyConfig.
        """
        super().__init__()
        if config.image_keys:
            shape = (config.image_shape[0],) + (config.crop_shape or config.image_shape[1:])
            separate = config.use_separate_rgb_encoder_per_camera
            encoders = [RgbEncoder(config.vision_backbone, shape,
                                   config.spatial_softmax_num_keypoints)
                        for _ in (config.image_keys if separate else config.image_keys[:1])]
            self.rgb_encoder = nn.ModuleList(encoders) if separate else encoders[0]
        self.unet = ConditionalUnet1d(
            config.action_dim, config.global_cond_dim, down_dims=config.down_dims,
            kernel_size=config.kernel_size, n_groups=config.n_groups,
            step_embed_dim=config.diffusion_step_embed_dim,
            use_film_scale=config.use_film_scale_modulation)


class Policy(nn.Module):
    """
    A diffusion policy: observation encoder, denoiser, normalizer and default sampler.

    :ivar config: PolicyConfig.
    :ivar contract: RobotContract of the training data; None for a folder that holds none.
    :ivar normalizer: Normalizer.
    :ivar schedule: NoiseSchedule of the training.
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
        self.schedule = NoiseSchedule(config.num_train_timesteps, config.beta_schedule,
                                      config.beta_start, config.beta_end)
        inference_levels(self.schedule, self.sampler)
        self._layout = window_layout(config, contract)
        self.diffusion = DiffusionNetworks(config)

    @classmethod
    def from_dataset(cls, config, statistics, contract, *, sampler=None):
        """
        Build an untrained policy for a dataset.

        8-bit images are mapped to [-1, 1]; depth images by the dataset's statistics.

        :param config: PolicyConfig.
        :param statistics: Key -> ``min``, ``max``, ``mean``, ``std`` in robot units.
        :param contract: RobotContract of the dataset.
        :param sampler: Default Sampler; ``Sampler()`` when None.
        :return: The policy.
        :raises ConfigError: if a statistic is missing or the parts do not fit.
        """
        statistics = dict(statistics)
        for key in config.image_keys:
            if window_layout(config, contract)[key][1] == torch.uint8:
                statistics[key] = unit_image_statistics(config.image_shape[0])
        return cls(config, Normalizer.from_dataset(config, statistics), contract=contract,
                   sampler=sampler)

    @classmethod
    def load(cls, folder, device='cpu'):
        """
        Read a policy from a checkpoint folder, ready to sample.

        :param folder: Path of the folder.
        :param device: Device to put it on, as for ``choose_device``.
        :return: The policy.
        :raises CheckpointError: naming the file, what is wrong with it and the remedy.
        :raises ConfigError: if the device cannot be used here.
        """
        device = choose_device(str(device))
        checkpoint = read_checkpoint(folder)
        try:
            normalizer = Normalizer(checkpoint.config, checkpoint.statistics)
            with torch.device('meta'):  # shapes only, so that absurd sizes cost no memory
                networks = nn.ModuleDict({'diffusion': DiffusionNetworks(checkpoint.config)})
            check_weights(networks.state_dict(), checkpoint.weights, folder)
            policy = cls(checkpoint.config, normalizer, contract=checkpoint.contract,
                         sampler=checkpoint.sampler)
        except ConfigError as error:
            raise CheckpointError(f'{folder}: the files do not fit each other: {error}') from error
        check_unchanged(folder)
        policy.load_state_dict(checkpoint.weights)
        return policy.to(device).eval()

    def save(self, folder, *, weights_dtype='float32'):
        """
        Write a checkpoint folder; all of it appears, or nothing changes.

        :param folder: Path of the folder; a checkpoint there is replaced, and files there that
            are not part of a checkpoint stay.
        :param weights_dtype: ``float32``, or ``float16`` for half the size.
        :raises CheckpointError: if the folder holds something else, or a weight does not fit.
        """
        write_checkpoint(folder, Checkpoint(
            config=self.config, statistics=self.normalizer.statistics, weights=self.state_dict(),
            contract=self.contract, sampler=self.sampler), weights_dtype=weights_dtype)

    @property
    def device(self) -> torch.device:
        """Return the device of the weights."""
        return next(self.parameters()).device

    def image_features(self, window, *, augment=False, generator=None):
        """
        Encode the images of a window: crop, normalize, backbone, keypoints.

        :param window: Key -> (B, n_obs_steps, H, W, C), uint8 (depth: uint16 or float32).
        :param augment: Crop at random places where the configuration says so; for training.
        :param generator: torch.Generator on the CPU for those places.
        :return: float32 (B, n_obs_steps, image_feature_dim); None for a policy without cameras.
        :raises ConfigError: naming the key, what was got and what was wanted.
        """
        tensors = self._checked(window, self.config.image_keys)
        return self._image_features(tensors, augment, generator)

    def global_cond(self, image_features, window):
        """
        Join image features with the normalized vectors of a window.

        :param image_features: From ``image_features``, perhaps cached; None without cameras.
        :param window: Key -> float32 (B, n_obs_steps, entries) in robot units; images in it are
            not looked at.
        :return: float32 (B, global_cond_dim).
        :raises ConfigError: naming the key, what was got and what was wanted.
        """
        return self._global_cond(image_features, self._checked(window, self.config.vector_keys))

    def encode(self, window, *, augment=False, generator=None):
        """
        Turn a window into the condition of the denoiser.

        :param window: Key -> (B, n_obs_steps, ...) as for ``sample``.
        :param augment: As for ``image_features``.
        :param generator: As for ``image_features``.
        :return: float32 (B, global_cond_dim).
        :raises ConfigError: naming the key, what was got and what was wanted.
        """
        tensors = self._checked(window, self._layout)
        return self._global_cond(self._image_features(tensors, augment, generator), tensors)

    def denoise(self, x_t, t, global_cond):
        """
        Call the denoiser: it predicts what ``config.prediction_type`` says.

        :param x_t: Noisy chunk, float32 (B, horizon, action_dim), normalized units.
        :param t: Timesteps, int64 (B,), or (1,) for the whole batch.
        :param global_cond: From ``encode``, float32 (B, global_cond_dim).
        :return: float32 (B, horizon, action_dim).
        """
        return self.diffusion.unet(x_t, t, global_cond)

    @torch.inference_mode()
    def sample(self, window, *, sampler=None, generator=None, noise=None):
        """
        Draw one chunk per window.

        :param window: Key -> tensor or array: ``observation.images.<camera>`` uint8
            (B, n_obs_steps, H, W, C), vectors float32 (B, n_obs_steps, entries) in robot units.
        :param sampler: Sampler; the policy's own when None.
        :param generator: torch.Generator for all noise: the same seed, the same chunk.
        :param noise: Start noise, float32 (B, horizon, action_dim), instead of drawing it.
        :return: float32 (B, horizon, action_dim) in robot units, counted from the first observed
            row.
        :raises ConfigError: if the window is not what the policy was built for, or the sampler
            has more steps than there are noise levels.
        """
        return self.sample_from(self.encode(window), sampler=sampler, generator=generator,
                                noise=noise)

    @torch.inference_mode()
    def sample_from(self, global_cond, *, sampler=None, generator=None, noise=None):
        """
        Draw one chunk per row of a condition; otherwise as ``sample``.

        :param global_cond: From ``encode``, float32 (B, global_cond_dim).
        :param sampler: As for ``sample``.
        :param generator: As for ``sample``.
        :param noise: As for ``sample``.
        :return: float32 (B, horizon, action_dim) in robot units.
        :raises ConfigError: if noise or sampler do not fit.
        """
        sampler = self.sampler if sampler is None else sampler
        levels = inference_levels(self.schedule, sampler)
        shape = (len(global_cond), self.config.horizon, self.config.action_dim)
        if noise is None:
            noise = draw_noise(shape, generator=generator, device=self.device)
        elif tuple(noise.shape) != shape or noise.dtype != torch.float32:
            raise ConfigError(f'noise: got {str(noise.dtype)[6:]} {tuple(noise.shape)}, wanted '
                              f'float32 {shape}')
        chunk = sample_chunk(lambda x_t, level: self._clean(x_t, level, global_cond),
                             noise.to(self.device), levels, sampler, generator=generator)
        return self.normalizer.unnormalize(ACTION_KEY, chunk)

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

    def _image_features(self, tensors, augment, generator):
        """Encode the images of a checked window."""
        keys = self.config.image_keys
        if not keys:
            return None
        random = augment and self.config.crop_is_random and self.config.crop_shape is not None
        cropped = {key: random_crop(tensors[key], self.config.crop_shape, generator=generator)
                   if random else center_crop(tensors[key], self.config.crop_shape)
                   for key in keys}
        pictures = [self._normalized_pictures(key, images) for key, images in cropped.items()]
        encoder = self.diffusion.rgb_encoder
        if isinstance(encoder, nn.ModuleList):
            features = [one(picture) for one, picture in zip(encoder, pictures)]
        else:
            features = encoder(torch.cat(pictures)).chunk(len(keys))
        return torch.cat(features, dim=-1).unflatten(0, (-1, self.config.n_obs_steps))

    def _global_cond(self, image_features, tensors):
        """Join image features with the vectors of a checked window."""
        states, environment = (
            [self.normalizer.normalize(key, tensors[key]) for key in self.config.keys_of(kind)]
            for kind in ('STATE', 'ENV'))
        return join_features(states, image_features, environment)

    def _clean(self, x_t, level, global_cond):
        """Predict the clean chunk at a noise level, clipped where the configuration says so."""
        t = torch.full((1,), level.timestep, device=x_t.device)
        x0_hat = clean_from_prediction(self.denoise(x_t, t, global_cond), x_t, level.alpha,
                                       level.sigma, self.config.prediction_type)
        if not self.config.clip_sample:
            return x0_hat
        # Clipping must not turn an overflow into a plausible action at the edge of the range.
        limit = self.config.clip_sample_range
        return torch.where(x0_hat.isfinite(), x0_hat.clamp(-limit, limit), torch.nan)

    def _normalized_pictures(self, key, images):
        """Return images as normalized float32 (B * rows, channels, height, width)."""
        pictures = images.flatten(0, 1).permute(0, 3, 1, 2).float()
        if images.dtype == torch.uint8:
            pictures = pictures.div_(PIXEL_MAX)
        return self.normalizer.normalize(key, pictures)

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

"""
The encoder's first stage: learn to see what an auxiliary stream tells.

A small image encoder trained only through the denoising loss learns slowly where things are.
Regressing a recorded ground truth (an object's pose, keypoints) teaches it in minutes; the
denoiser then starts from features that hold the scene's geometry.
"""

import math

from diffusion_policy_ros.policy.encoding import backbone_maps, prepared_images
from diffusion_policy_ros.training.shares import SharedDraws
from diffusion_policy_ros.training.stage import Stage
from diffusion_policy_ros.training.validation import evenly_chosen, mean_figures
import numpy as np
import torch
from torch import nn
from torch.nn import functional

STAGE = 'pretraining'
VALIDATION_FRAMES = 1024
FRAMES_PER_PASS = 256


class PretrainingStage(Stage):
    """
    Regress an auxiliary vector from single frames.

    :param policy: The policy whose image encoder is trained.
    :param frames: ``{image key: uint8 array (rows, H, W, C)}``, memory maps.
    :param targets: Auxiliary vectors, float32 array (rows, D), any unit.
    :param rows: int64 array, rows to train on.
    :param held_out: int64 array, rows to validate on; may be empty.
    :param config: The run's ``TrainConfig``.
    :param device: Torch device.
    """

    name = STAGE

    def __init__(self, policy, frames, targets, rows, held_out, config, device):
        """Scale the targets and add the regression's own last layer."""
        settings = config.pretraining
        self._policy = policy
        self._frames = frames
        self._rows = rows
        self._held_out = evenly_chosen(held_out, VALIDATION_FRAMES)
        self._batch_size = settings.batch_size
        self._device = device
        self._targets = _scaled(targets, rows)
        self._head = nn.Linear(policy.config.image_feature_dim, targets.shape[1]).to(device)
        self.trained = nn.ModuleDict({'encoder': policy.diffusion.rgb_encoder,
                                      'head': self._head})
        self.modules = {'trained': self.trained}
        self.steps = settings.steps
        self.optimizer_options = {'lr': settings.learning_rate, 'weight_decay': 1e-4}
        self.warmup_steps = min(200, settings.steps // 10)
        self.gradient_clip_norm = config.gradient_clip_norm

    def loss(self, step, generator, share):
        """Return the error of one random batch."""
        with SharedDraws(generator, share):
            chosen = torch.randint(len(self._rows), (self._batch_size,), generator=generator)
        self._policy.train()
        return self._error(self._rows[chosen.numpy()])

    def _error(self, rows):
        """Return the mean squared error on some rows, in units of each entry's half range."""
        features = frame_features(self._policy, self._frames, rows, self._device)
        return functional.mse_loss(self._head(features), self._targets[rows].to(self._device))

    @torch.no_grad()
    def validate(self):
        """Return the root mean squared error on held-out frames, as a share of the half range."""
        self._policy.eval()
        squared = mean_figures(lambda rows: {'validation_rmse': self._error(rows).item()},
                               self._held_out, self._batch_size)
        return {name: math.sqrt(value) for name, value in squared.items()}


def frame_features(policy, frames, rows, device):
    """
    Encode single frames.

    :param policy: The policy whose image encoder is used.
    :param frames: ``{image key: array (rows, H, W, C)}``.
    :param rows: int64 array (N,).
    :param device: Torch device.
    :return: float32 tensor (N, image_feature_dim).
    """
    window = _window(policy, frames, rows, device)
    return policy.image_features(window).flatten(0, 1)[:len(rows)]


def frame_maps(policy, frames, rows, device):
    """
    Compute what the backbone puts out for single frames; otherwise as ``frame_features``.

    :param policy: The policy whose image encoder is used.
    :param frames: As for ``frame_features``.
    :param rows: int64 array (N,).
    :param device: Torch device.
    :return: float32 tensor (N, cameras, channels, height, width).
    """
    pictures = prepared_images(policy, _window(policy, frames, rows, device),
                               augmentation=None, generator=None)
    return torch.stack(backbone_maps(policy, pictures), dim=1)[:len(rows)]


def _window(policy, frames, rows, device):
    """Return frames as windows; the encoder itself looks at one frame at a time."""
    steps = policy.config.n_obs_steps
    padded = np.concatenate([rows, np.repeat(rows[-1:], -len(rows) % steps)])
    return {key: torch.from_numpy(array[padded]).unflatten(0, (-1, steps)).to(device)
            for key, array in frames.items()}


@torch.no_grad()
def cache_frames(policy, frames, device, encode=frame_features):
    """
    Encode every frame once, for a stage in which that part stays fixed, in eval mode.

    :param policy: The policy whose image encoder is used.
    :param frames: ``{image key: uint8 array (rows, H, W, C)}``.
    :param device: Torch device.
    :param encode: ``frame_features``, or ``frame_maps`` where only the backbone stays fixed.
    :return: float32 array (rows, ...).
    """
    policy.diffusion.rgb_encoder.eval()
    rows = np.arange(len(next(iter(frames.values()))))
    cached = None
    for start in range(0, len(rows), FRAMES_PER_PASS):
        part = encode(policy, frames, rows[start:start + FRAMES_PER_PASS], device).cpu().numpy()
        if cached is None:
            cached = np.empty((len(rows), *part.shape[1:]), part.dtype)
        cached[start:start + len(part)] = part
    return cached


def _scaled(targets, rows):
    """Scale each entry to [-1, 1] over the training rows; constant entries become 0."""
    low, high = targets[rows].min(axis=0), targets[rows].max(axis=0)
    half = (high - low) / 2
    scaled = np.where(half > 1e-9, (targets - (low + high) / 2) / np.maximum(half, 1e-9), 0)
    return torch.from_numpy(scaled.astype(np.float32))

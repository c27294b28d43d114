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

"""The training objective of a diffusion policy."""

import math

from diffusion_policy_ros.diffusion.prediction import prediction_target
from diffusion_policy_ros.diffusion.sampling import draw_noise
import torch
from torch.nn import functional


def diffusion_loss(policy, actions, global_cond, *, noise, timesteps, weights=None):
    """
    Return the mean squared error of the denoiser's prediction.

    The simplified variational bound, Eq. 14 of Ho et al. 2020 (arXiv:2006.11239), for whichever
    prediction type the policy has: ``E |target - network(alpha_t x_0 + sigma_t eps, t, cond)|^2``.

    :param policy: The policy under training.
    :param actions: Clean chunks in normalized units, float32 (B, horizon, action_dim).
    :param global_cond: Encoded observations, float32 (B, D).
    :param noise: Standard normal, shaped like ``actions``.
    :param timesteps: Integer levels, int64 (B,), in [0, num_train_timesteps).
    :param weights: Of every level's squared error, float32 (num_train_timesteps,); None for 1.
    :return: Scalar loss.
    """
    x_t = policy.process.add_noise(actions, noise, timesteps)
    predicted = policy.denoise(x_t, timesteps, global_cond)
    alpha, sigma = policy.process.coefficients(timesteps, actions)
    target = prediction_target(actions, noise, alpha, sigma, policy.config.prediction_type)
    if weights is None:
        return functional.mse_loss(predicted.float(), target)
    errors = (predicted.float() - target).square().flatten(1).mean(1)  # (B,)
    return (weights[timesteps] * errors).mean()


def draw_noise_and_levels(shape, num_train_timesteps, *, generator, device):
    """
    Draw what one training batch adds: Gaussian noise and one level per chunk.

    Both are drawn on the CPU, so that a run gives the same batches on every device.

    :param shape: (B, horizon, action_dim).
    :param num_train_timesteps: Number of levels.
    :param generator: CPU generator that advances by this draw.
    :param device: Where the tensors are needed.
    :return: ``noise`` float32 of the shape, ``timesteps`` int64 (B,).
    """
    noise = draw_noise(shape, generator=generator, device=device)
    timesteps = torch.randint(num_train_timesteps, (shape[0],), generator=generator)
    return noise, timesteps.to(device, non_blocking=True)


def draw_dropped(count, probability, *, generator, device):
    """
    Draw which windows lose their observation, each as a whole.

    So that one network learns the chunks of an observation and those of any, which guidance
    needs (Ho and Salimans 2022, arXiv:2207.12598, algorithm 1). Drawn on the CPU, so that a run
    gives the same batches on every device.

    :param count: Windows.
    :param probability: Of each to be dropped, in [0, 1).
    :param generator: CPU generator that advances by this draw, unless the probability is 0.
    :param device: Where the result is needed.
    :return: bool (count, 1); None where the probability is 0.
    """
    if probability == 0:
        return None
    dropped = torch.rand(count, 1, generator=generator) < probability
    return dropped.to(device, non_blocking=True)


def drop_conditions(global_cond, dropped):
    """
    Replace the observations of some windows by zeros.

    :param global_cond: Encoded observations, float (B, D).
    :param dropped: From ``draw_dropped``.
    :return: Shaped like ``global_cond``.
    """
    return global_cond if dropped is None else global_cond.masked_fill(dropped, 0)


def warmup_cosine(step, *, warmup_steps, total_steps):
    """
    Return the learning rate's factor: linear warm-up, then half a cosine down to zero.

    :param step: Optimizer step, from 0.
    :param warmup_steps: Steps until the factor reaches 1.
    :param total_steps: Step at which the factor reaches 0.
    :return: Factor in [0, 1].
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def warmup_constant(step, *, warmup_steps, total_steps):
    """
    Return the learning rate's factor: linear warm-up, then 1.

    :param step: Optimizer step, from 0.
    :param warmup_steps: Steps until the factor reaches 1.
    :param total_steps: Not looked at.
    :return: Factor in [0, 1].
    """
    return min(1.0, (step + 1) / max(1, warmup_steps))


SCHEDULES = {'cosine': warmup_cosine, 'constant': warmup_constant}

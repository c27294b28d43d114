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

"""Chunks and their latents: the probability-flow ODE as a map that can be undone."""

from diffusion_policy_ros.diffusion.flow import flow_levels, follow_flow
from diffusion_policy_ros.errors import ConfigError, SamplingError
import torch

# Sine of the angle below which a great circle is as good as straight, or has no one direction.
NEARLY_PARALLEL = 1e-6


def invert(denoiser, chunk, process, *, steps=100):
    """
    Return the latent that a chunk comes from, in units of standard normal noise.

    The chunk is placed at the least noisy level without noise and carried to the noisiest one.

    :param denoiser: Callable ``(x_t, level) -> x0_hat``, not clipped, for a clipped field cannot
        be undone.
    :param chunk: Clean chunk, float (B, horizon, action_dim), normalized units.
    :param process: Process of the training.
    :param steps: RK4 steps, four denoiser calls each.
    :return: Latent, shaped like ``chunk``.
    :raises ConfigError: if ``steps`` is not a whole number above 0.
    :raises SamplingError: if a value is not finite.
    """
    levels = flow_levels(process, steps)
    x = follow_flow(denoiser, levels[0].alpha * chunk, levels, process)
    return x / process.prior_std(levels[-1])


def generate(denoiser, latent, process, *, steps=100):
    """
    Return the chunk of a latent: ``invert`` backwards.

    Unlike a sampler it ends at the least noisy level, ``x / alpha`` there, and does not take the
    last jump to the predicted clean chunk, which cannot be undone; the two differ by the noise of
    that level.

    :param denoiser: As for ``invert``.
    :param latent: Float (B, horizon, action_dim), units of standard normal noise.
    :param process: Process of the training.
    :param steps: RK4 steps, as many as ``invert`` took.
    :return: Chunk, shaped like ``latent``, normalized units.
    :raises ConfigError: if ``steps`` is not a whole number above 0.
    :raises SamplingError: if a value is not finite.
    """
    levels = flow_levels(process, steps)[::-1]
    x = follow_flow(denoiser, process.prior_std(levels[0]) * latent, levels, process)
    return x / levels[-1].alpha


def interpolate(first, second, weights):
    """
    Go from one latent to another along a great circle (Shoemake 1985).

    ``(sin((1 - w) theta) first + sin(w theta) second) / sin(theta)``: latents of equal norm keep
    it, where a straight line would pass through chunks too close to the mean. Two latents that
    are nearly parallel, or nearly opposite, so that no circle is the shortest, are joined by a
    straight line.

    :param first: Float (B, horizon, action_dim), w = 0.
    :param second: Shaped like ``first``, w = 1.
    :param weights: Numbers or tensor (K,), each from 0 to 1.
    :return: (B, K, horizon, action_dim), of the dtype of ``first``; both ends are exact.
    :raises ConfigError: if the shapes differ or a weight is out of range.
    :raises SamplingError: if a latent is not finite.
    """
    weights = torch.as_tensor(weights, dtype=torch.float64).to(first)
    if weights.dim() != 1 or not ((weights >= 0) & (weights <= 1)).all():
        raise ConfigError(f'weights are {weights.tolist()}; wanted a list of numbers from 0 to 1')
    if not (torch.isfinite(first).all() and torch.isfinite(second).all()):
        raise SamplingError('a latent is not finite; look for NaN or infinity in what it was '
                            'made from')
    if first.shape != second.shape:
        raise ConfigError(f'first is {tuple(first.shape)} and second {tuple(second.shape)}; they '
                          'must have the same shape')
    angle = _angle(first.flatten(1), second.flatten(1))  # (B, 1)
    sine = angle.sin()
    straight = sine < NEARLY_PARALLEL
    sine = torch.where(straight, 1, sine)
    ends = [torch.where(straight, share, (share * angle).sin() / sine)
            for share in (1 - weights, weights)]  # two of (B, K)
    shape = (len(first), len(weights), *[1] * (first.dim() - 1))
    return (ends[0].view(shape) * first.unsqueeze(1) + ends[1].view(shape) * second.unsqueeze(1))


def _angle(first, second):
    """Return the angle between vectors (B, D), (B, 1); it is exact for small angles, too."""
    scaled = first * second.norm(dim=1, keepdim=True)
    other = second * first.norm(dim=1, keepdim=True)
    return 2 * torch.atan2((scaled - other).norm(dim=1, keepdim=True),
                           (scaled + other).norm(dim=1, keepdim=True))

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
A policy's chunks as points of a space: how likely they are, their latents, ways between them.

The network is asked without clipping, unlike in sampling: only an unclipped flow can be undone
and has a density.
"""

from diffusion_policy_ros.diffusion import latent, likelihood
from diffusion_policy_ros.policy.denoiser import unclipped_denoiser
from diffusion_policy_ros.policy.window_check import check_chunk
from diffusion_policy_ros.streams import ACTION_KEY
import torch


@torch.no_grad()
def log_likelihood(policy, window, chunk, *, steps=100, probes=0, generator=None):
    """
    Return how likely a policy finds chunks where it sees certain windows, in nats.

    It is the density in normalized units. Call it outside ``torch.inference_mode``.

    :param policy: The ``Policy``.
    :param window: As for ``Policy.sample``, of B windows.
    :param chunk: float32 (B, horizon, action_dim) in robot units.
    :param steps: As for ``diffusion.log_likelihood``.
    :param probes: Likewise; 0 costs ``horizon * action_dim`` backward passes per denoiser call.
    :param generator: Likewise.
    :return: Nats, float32 (B,).
    :raises ConfigError: if window or chunk do not fit the policy, or as
        ``diffusion.log_likelihood``.
    :raises SamplingError: if a value is not finite.
    """
    return log_likelihood_from(policy, policy.encode(window), chunk, steps=steps, probes=probes,
                               generator=generator)


@torch.no_grad()
def log_likelihood_from(policy, global_cond, chunk, *, steps=100, probes=0, generator=None):
    """
    Return how likely a policy finds chunks under certain conditions; otherwise ``log_likelihood``.

    :param policy: The ``Policy``.
    :param global_cond: From ``Policy.encode``, float32 (B, global_cond_dim).
    :param chunk: As for ``log_likelihood``.
    :param steps: Likewise.
    :param probes: Likewise.
    :param generator: Likewise.
    :return: Nats, float32 (B,).
    """
    # What was encoded under inference mode is kept from gradients; its copy is not.
    denoiser = unclipped_denoiser(policy, global_cond.clone())
    return likelihood.log_likelihood(
        denoiser, _normalized(policy, chunk, len(global_cond)), policy.process, steps=steps,
        probes=probes, generator=generator)


def confidence(policy, global_cond, chunk, *, steps, generator):
    """
    Return how likely a policy finds its own plans, as cheaply as a running robot needs it.

    One random direction stands for the trace, so that the number is noisy: in a few steps it is
    also off, by about as much for every plan. It compares plans that were measured alike.

    :param policy: The ``Policy``.
    :param global_cond: As for ``log_likelihood_from``.
    :param chunk: As for ``log_likelihood``.
    :param steps: RK4 steps, of four denoiser calls with gradient each.
    :param generator: torch.Generator of the random directions.
    :return: Nats per entry of a chunk, float32 (B,), density in normalized units.
    """
    nats = log_likelihood_from(policy, global_cond, chunk, steps=steps, probes=1,
                               generator=generator)
    return nats / chunk[0].numel()


@torch.no_grad()
def invert(policy, window, chunk, *, steps=100):
    """
    Return the latents that a policy would make chunks from.

    :param policy: The ``Policy``.
    :param window: As for ``Policy.sample``, of B windows.
    :param chunk: float32 (B, horizon, action_dim) in robot units.
    :param steps: RK4 steps, four denoiser calls each.
    :return: float32 (B, horizon, action_dim), units of standard normal noise.
    :raises ConfigError: if window or chunk do not fit the policy.
    :raises SamplingError: if a value is not finite.
    """
    global_cond = policy.encode(window)
    return latent.invert(unclipped_denoiser(policy, global_cond),
                         _normalized(policy, chunk, len(global_cond)), policy.process, steps=steps)


@torch.no_grad()
def generate(policy, window, latents, *, steps=100):
    """
    Return the chunks of latents: ``invert`` backwards.

    :param policy: The ``Policy``.
    :param window: As for ``Policy.sample``, of B windows.
    :param latents: float32 (B, horizon, action_dim), units of standard normal noise.
    :param steps: RK4 steps, as many as ``invert`` took.
    :return: float32 (B, horizon, action_dim) in robot units.
    :raises ConfigError: if window or latents do not fit the policy.
    :raises SamplingError: if a value is not finite.
    """
    global_cond = policy.encode(window)
    check_chunk('latents', latents, len(global_cond), policy.config)
    return _generate_from(policy, global_cond, latents, steps)


@torch.no_grad()
def interpolate(policy, window, first, second, weights, *, steps=100):
    """
    Go from one chunk to another through chunks that the policy could have drawn.

    :param policy: The ``Policy``.
    :param window: As for ``Policy.sample``, of B windows.
    :param first: Chunks at weight 0, float32 (B, horizon, action_dim) in robot units.
    :param second: Chunks at weight 1, likewise.
    :param weights: K numbers from 0 to 1.
    :param steps: As for ``invert``.
    :return: float32 (B, K, horizon, action_dim) in robot units.
    :raises ConfigError: if window or chunks do not fit the policy, or a weight is out of range.
    :raises SamplingError: if a value is not finite.
    """
    global_cond = policy.encode(window)
    denoiser = unclipped_denoiser(policy, global_cond)
    ends = [latent.invert(denoiser, _normalized(policy, chunk, len(global_cond)), policy.process,
                          steps=steps) for chunk in (first, second)]
    between = latent.interpolate(*ends, weights)
    count = between.shape[1]
    chunks = _generate_from(policy, global_cond.repeat_interleave(count, dim=0),
                            between.flatten(0, 1), steps)
    return chunks.unflatten(0, (-1, count))


def _generate_from(policy, global_cond, latents, steps):
    """Return the chunks of latents under a condition, in robot units."""
    chunk = latent.generate(unclipped_denoiser(policy, global_cond), latents.to(policy.device),
                            policy.process, steps=steps)
    return policy.normalizer.unnormalize(ACTION_KEY, chunk)


def _normalized(policy, chunk, count):
    """Return chunks in normalized units on the policy's device."""
    check_chunk('chunk', chunk, count, policy.config)
    return policy.normalizer.normalize(ACTION_KEY, chunk.to(policy.device))

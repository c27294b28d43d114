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

"""How likely a policy is to produce a chunk: its exact density under the probability-flow ODE."""

import math

from diffusion_policy_ros.checks import is_count, shown
from diffusion_policy_ros.diffusion.flow import flow_levels, follow_flow_with_volume
from diffusion_policy_ros.errors import ConfigError, SamplingError
import torch


def log_likelihood(denoiser, chunk, process, *, steps=100, probes=0, generator=None):
    """
    Return the logarithm of the density of chunks, in nats.

    The chunk is carried to pure noise, and what the way there does to volumes is counted in:
    ``log p(y) = log N(x_T; 0, prior_std^2) + D log(alpha_T) + integral of the divergence`` with
    ``x_T = alpha_T y_T`` (Eq. 39 of Song et al. 2021, arXiv:2011.13456, appendix D.2).

    It is the density of ``y = x / alpha`` at the least noisy level, that is, of the data with
    noise of deviation ``rho_min = sigma / alpha`` added: a denoiser knows nothing finer. Where
    the noisiest level still holds something of the data, the prior is not quite the density there
    and the result is off by as much; it is what sampling from that prior produces.

    :param denoiser: Callable ``(x_t, level) -> x0_hat``. It must not clip, for a clipped field has
        another flow, and torch must be able to differentiate it; ``torch.no_grad`` around the
        call does not matter, ``torch.inference_mode`` does.
    :param chunk: Clean chunk, float32 or float64 (B, horizon, action_dim), normalized units.
    :param process: Process of the training.
    :param steps: RK4 steps, four denoiser calls each; the error falls with their fourth power.
    :param probes: 0 for the exact trace, at one backward pass per entry of a chunk and call; else
        the number of random directions that estimate it without bias (Hutchinson), one pass each.
    :param generator: torch.Generator of the directions.
    :return: Nats, (B,), of the chunk's dtype.
    :raises ConfigError: if ``steps`` or ``probes`` is no such number, or no gradient runs through
        the denoiser.
    :raises SamplingError: if a value is not finite.
    """
    if not is_count(probes, least=0):
        raise ConfigError(f'probes is {shown(probes)}; it must be a whole number, at least 0')
    levels = flow_levels(process, steps)
    directions = _probes(chunk, probes, generator) if probes else _axes(chunk)
    x, volume = follow_flow_with_volume(denoiser, levels[0].alpha * chunk, levels, process,
                                        directions)
    std = process.prior_std(levels[-1])
    entries = -(x / std) ** 2 / 2 + math.log(levels[-1].alpha / std) - math.log(2 * math.pi) / 2
    result = entries.flatten(1).sum(1) + volume
    if not torch.isfinite(result).all():
        raise SamplingError('the log-likelihood is not finite; look for NaN or infinity in the '
                            "denoiser's gradient")
    return result


def bits_per_dimension(nats, chunk):
    """
    Return what it costs to write down one entry of a chunk: ``-log2(p) / D``.

    :param nats: From ``log_likelihood``, (B,).
    :param chunk: The chunks, (B, horizon, action_dim); only their size matters.
    :return: Bits, (B,); below 0 where the density is high.
    """
    return -nats / (math.prod(chunk.shape[1:]) * math.log(2))


def _axes(chunk):
    """Return one unit vector per entry of a chunk, (D, 1, horizon, action_dim) expanded to B."""
    size = math.prod(chunk.shape[1:])
    axes = torch.eye(size, dtype=chunk.dtype, device=chunk.device).view(size, 1, *chunk.shape[1:])
    return axes.expand(size, *chunk.shape)


def _probes(chunk, count, generator):
    """Return Rademacher directions (count, B, horizon, action_dim), scaled to a mean."""
    source = chunk.device if generator is None else generator.device
    signs = torch.randint(0, 2, (count, *chunk.shape), generator=generator, device=source)
    return (2 * signs - 1).to(chunk) / math.sqrt(count)

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

"""What limits a chunk on a machine: weights that must be read, multiply-adds that must be made."""

from dataclasses import dataclass
from functools import partial
import time

from diffusion_policy_ros.networks.packed_layers import can_pack, PackedLinear
import torch
from torch.utils.flop_counter import FlopCounterMode

# Larger than any cache; a matrix product large enough for full speed.
READ_BYTES = {'cpu': 2**28, 'cuda': 2**32}
MATRIX_SIDE = {'cpu': 2048, 'cuda': 8192}
TRIES = 8
BYTES = {'float32': 4, 'bfloat16': 2}


@dataclass(frozen=True)
class MachineLimits:
    """
    What was measured of a machine.

    :ivar read_bytes_per_s: Bytes per second of one large read.
    :ivar flops_per_s: Precision -> floating-point operations per second of a matrix product; a
        multiply-add is two.
    """

    read_bytes_per_s: float
    flops_per_s: dict


@dataclass(frozen=True)
class ChunkWork:
    """
    What one chunk needs; of the denoiser, for one evaluation.

    :ivar encoder_weights: Weights of all that is computed once per chunk.
    :ivar denoiser_weights: Weights of the denoiser.
    :ivar encoder_flops: Floating-point operations that are made once per chunk.
    :ivar denoiser_flops: Those of one evaluation, of all candidates.
    """

    encoder_weights: int
    denoiser_weights: int
    encoder_flops: int
    denoiser_flops: int


@dataclass(frozen=True)
class Roofline:
    """
    Times that no program can go below while weights are read anew for each evaluation.

    :ivar read_ms: Reading the weights, ms.
    :ivar arithmetic_ms: Multiply-adds, ms.
    """

    read_ms: float
    arithmetic_ms: float

    @property
    def ms(self) -> float:
        """Return the larger of the two, ms."""
        return max(self.read_ms, self.arithmetic_ms)


def measure_limits(device, precisions) -> MachineLimits:
    """
    Measure what a device can do, with as many threads as torch uses at present.

    :param device: torch.device.
    :param precisions: Names in ``BYTES``; float32 is always measured.
    :return: The limits, the best of several tries each.
    """
    numbers = torch.ones(READ_BYTES[device.type] // BYTES['float32'], device=device)
    read_s = _best_seconds(device, numbers.sum)
    numbers = None  # a robot's memory may not hold it beside the matrices
    return MachineLimits(READ_BYTES[device.type] / read_s, {
        precision: _product_flops_per_s(device, getattr(torch, precision))
        for precision in dict.fromkeys(('float32', *precisions))})


def chunk_work(policy, window, candidates) -> ChunkWork:
    """
    Count what a chunk needs.

    :param policy: ``Policy`` whose networks are ordinary modules.
    :param window: Window of one observation.
    :param candidates: Chunks that are drawn at a time.
    :return: ``ChunkWork``.
    """
    config, networks = policy.config, policy.diffusion
    chunk = torch.zeros(candidates, config.horizon, config.action_dim, device=policy.device)
    level = torch.zeros(1, device=policy.device)
    with torch.no_grad():
        cond, encoder_flops = _counted(lambda: policy.encode(window))
        cond = cond.repeat_interleave(candidates, dim=0)
        _, denoiser_flops = _counted(lambda: policy.denoise(chunk, level, cond))
    every, denoiser = (sum(weight.numel() for weight in module.parameters())
                       for module in (networks, networks.denoiser))
    return ChunkWork(every - denoiser, denoiser, encoder_flops, denoiser_flops)


def roofline(work, evaluations, precision, limits) -> Roofline:
    """
    Return the least time of a chunk.

    The encoder works in float32 whatever the denoiser does.

    :param work: ``ChunkWork``.
    :param evaluations: Denoiser calls.
    :param precision: That of the denoiser, a name in ``BYTES``.
    :param limits: ``MachineLimits``.
    """
    read = BYTES['float32'] * work.encoder_weights
    read += BYTES[precision] * work.denoiser_weights * evaluations
    float32_s = limits.flops_per_s['float32']
    seconds = work.encoder_flops / float32_s
    # Where a machine multiplies rounded weights more slowly, they can be made float32 again.
    seconds += work.denoiser_flops * evaluations / max(float32_s, limits.flops_per_s[precision])
    return Roofline(1e3 * read / limits.read_bytes_per_s, 1e3 * seconds)


def _product_flops_per_s(device, dtype):
    """Return how fast two square matrices are multiplied, on a CPU by the faster library."""
    side = MATRIX_SIDE[device.type]
    left, right = torch.ones(2, side, side, dtype=dtype, device=device)
    ways = [lambda: left @ right]
    if device.type == 'cpu' and can_pack():
        ways.append(partial(PackedLinear(right.float(), None, dtype), left))
    return 2 * side**3 / min(_best_seconds(device, way) for way in ways)


def _best_seconds(device, work):
    """Return the shortest of some tries: what else runs on the machine only makes them longer."""
    best = float('inf')
    for _ in range(TRIES):
        started_s = time.perf_counter()
        work()
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started_s)
    return best


def _counted(work):
    """Return what a function returns, and how many floating-point operations it made."""
    with FlopCounterMode(display=False) as counter:
        result = work()
    return result, counter.get_total_flops()

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
"""How far an exported graph is from the policy, on random inputs."""

from diffusion_policy_ros.policy.export.graphs import CHUNK
from diffusion_policy_ros.streams import ACTION_KEY
import torch

LARGEST = 1e-4
BATCHES = (1, 2, 5)


@torch.inference_mode()
def largest_difference(graph, run, policy, sampler) -> float:
    """
    Compare a graph, as its runtime computes it, with the policy that it was made of.

    Chunks are compared with those of ``Policy.sample``, in normalized units, in which the
    demonstrated actions span 2 under ``MIN_MAX``. Of what a network puts out, the difference
    counts relative to the largest number, where that is above 1.

    :param graph: Graph.
    :param run: Function from the graph's inputs to its output.
    :param policy: The ``Policy``.
    :param sampler: ``Sampler`` of the chunk.
    :return: The largest difference, not a number where one comes out.
    """
    random = torch.Generator().manual_seed(0)
    return max((_difference(graph, run, policy, sampler, _drawn(graph, batch, policy, random))
                for batch in BATCHES), key=lambda number: (number != number, number))


def _difference(graph, run, policy, sampler, inputs):
    """Compare for one batch of inputs."""
    got = run(*inputs)
    if graph.name == CHUNK:
        *_, noise = inputs
        window = {port.name: tensor for port, tensor in zip(graph.inputs[:-1], inputs)}
        wanted = policy.sample(window, sampler=sampler, noise=noise)
        got, wanted = (policy.normalizer.normalize(ACTION_KEY, chunk) for chunk in (got, wanted))
        return float((got - wanted).abs().max())
    wanted = graph.network(*inputs)
    return float((got - wanted).abs().max() / wanted.abs().max().clamp(min=1))


def _drawn(graph, batch, policy, random):
    """Draw inputs such as come."""
    return tuple(_drawn_port(port, port.sized(batch), policy, random) for port in graph.inputs)


def _drawn_port(port, shape, policy, random):
    """Draw one input: a window's entries from the range of the demonstrations."""
    if port.dtype == torch.uint8:
        return torch.randint(256, shape, generator=random, dtype=torch.uint8)
    if port.name == 't':
        return torch.randint(policy.process.num_train_timesteps, shape, generator=random).float()
    if port.name not in policy.config.input_features:
        return torch.randn(shape, generator=random)
    is_picture = port.name in policy.config.image_keys
    if is_picture:  # depth, whose statistics have the channels first
        shape = (*shape[:2], shape[4], *shape[2:4])
    values = policy.normalizer.unnormalize(
        port.name, 2 * torch.rand(shape, generator=random) - 1)
    if is_picture:
        values = values.permute(0, 1, 3, 4, 2)
    return values.clamp(min=0).to(port.dtype) if port.dtype == torch.uint16 else values

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
"""The parts of a policy that another runtime can compute: functions of tensors, with names."""

from typing import NamedTuple

from diffusion_policy_ros.diffusion import Unrolled
from diffusion_policy_ros.policy.encoding import encode_images, join_observations
from diffusion_policy_ros.policy.window_check import window_layout
from diffusion_policy_ros.streams import ACTION_KEY
import torch
from torch import nn

BATCH = 'batch'  # stands in shapes for any number
DENOISER, ENCODER, CHUNK = 'denoiser', 'encoder', 'chunk'
NOISE = 'noise'


class Port(NamedTuple):
    """
    A tensor that goes into a graph or comes out of it.

    :ivar name: Its name.
    :ivar shape: Its shape; the first entry may be ``BATCH``.
    :ivar dtype: torch.dtype.
    """

    name: str
    shape: tuple
    dtype: torch.dtype = torch.float32

    def sized(self, batch) -> tuple:
        """
        Return the shape for one batch.

        :param batch: Number of samples.
        """
        return tuple(batch if entry == BATCH else entry for entry in self.shape)

    def as_json(self) -> dict:
        """Return it as JSON holds it."""
        return {'name': self.name, 'dtype': str(self.dtype)[6:], 'shape': list(self.shape)}


class Graph(NamedTuple):
    """
    A function of tensors that can be recorded.

    :ivar name: ``denoiser``, ``encoder`` (``encoder_0`` and so on where every camera has its
        own) or ``chunk``.
    :ivar network: Module in eval mode that computes it.
    :ivar inputs: Tuple of Port, in the order of its arguments.
    :ivar output: Port.
    """

    name: str
    network: nn.Module
    inputs: tuple
    output: Port

    @property
    def is_batched(self) -> bool:
        """Tell whether any number of samples goes in at once, and not only one."""
        return self.output.shape[0] == BATCH

    def example(self, batch=1) -> tuple:
        """
        Return zeros for all inputs.

        :param batch: Number of samples, where it is batched.
        """
        return tuple(torch.zeros(port.sized(batch), dtype=port.dtype) for port in self.inputs)


class ChunkNetwork(nn.Module):
    """From a window in robot units and noise to a chunk in robot units, all steps in a row."""

    def __init__(self, policy, sampler):
        """
        Take the parts.

        :param policy: ``Policy`` in eval mode.
        :param sampler: ``Sampler`` of an ODE with fixed steps.
        :raises ConfigError: if it is another one, or one that the policy cannot use.
        """
        super().__init__()
        policy.check_sampler(sampler)
        self.policy, self._sampler = policy, sampler
        self._keys = tuple(window_layout(policy.config, policy.contract))
        self._steps = Unrolled(policy.process, sampler)

    def forward(self, *tensors):
        """
        Sample.

        :param tensors: The window's entries in the order of ``window_layout``, each with a batch
            of 1, then the noise.
        :return: float32 (1, horizon, action_dim), robot units.
        """
        window = dict(zip(self._keys, tensors))
        features = encode_images(self.policy, window, augmentation=None, generator=None)
        cond = join_observations(self.policy, features, window)
        chunk = self._steps(self.policy.denoiser(cond, self._sampler), tensors[-1])
        return self.policy.normalizer.unnormalize(ACTION_KEY, chunk)


def network_graphs(policy) -> list:
    """
    Return the networks that are asked again and again: the denoiser and the image encoders.

    :param policy: The ``Policy``.
    :return: List of Graph.
    """
    config = policy.config
    chunk = (BATCH, config.horizon, config.action_dim)
    denoiser = Graph(DENOISER, policy.diffusion.denoiser, (
        Port('x_t', chunk), Port('t', (BATCH,)),
        Port('global_cond', (BATCH, config.global_cond_dim))), Port('prediction', chunk))
    if not config.image_keys:
        return [denoiser]
    is_list = config.use_separate_rgb_encoder_per_camera
    features = config.image_feature_dim // len(config.image_keys)
    return [denoiser, *(
        Graph(f'{ENCODER}_{number}' if is_list else ENCODER, network,
              (Port('pictures', (BATCH, *config.encoded_shape)),),
              Port('features', (BATCH, features)))
        for number, network in enumerate(policy.diffusion.encoders))]


def chunk_graph(policy, sampler) -> Graph:
    """
    Return the whole way from one window and noise to a chunk.

    :param policy: The ``Policy``.
    :param sampler: As for ``ChunkNetwork``.
    :return: Graph, not batched.
    :raises ConfigError: as ``ChunkNetwork``.
    """
    config = policy.config
    chunk = (1, config.horizon, config.action_dim)
    window = [Port(key, (1, *shape), dtype)
              for key, (shape, dtype) in window_layout(config, policy.contract).items()]
    return Graph(CHUNK, ChunkNetwork(policy, sampler), (*window, Port(NOISE, chunk)),
                 Port('actions', chunk))

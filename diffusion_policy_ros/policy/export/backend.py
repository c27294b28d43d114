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
"""A policy whose networks the wanted runtime computes."""

from copy import deepcopy

from diffusion_policy_ros.checks import check_choice
from diffusion_policy_ros.choices import BACKENDS
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.policy.acceleration import accelerated
from diffusion_policy_ros.policy.export.graphs import DENOISER, network_graphs
from diffusion_policy_ros.policy.export.record import exported_files
from diffusion_policy_ros.policy.export.runtimes import FORMAT_OF, load_graph
import torch
from torch import nn


class ExportedNetwork(nn.Module):
    """A network that another runtime computes, in the place of the trained one."""

    def __init__(self, run):
        """
        Hold on to the runtime.

        :param run: From ``load_graph``.
        """
        super().__init__()
        self._run = run
        # A policy is where its parameters are.
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)

    def forward(self, *tensors):
        """Compute the output."""
        return self._run(*tensors)


class ExportedDenoiser(ExportedNetwork):
    """A denoiser that another runtime computes."""

    def forward(self, x_t, t, global_cond):
        """Predict, as the denoisers of ``networks``; its graph has a timestep for each chunk."""
        return super().forward(x_t, t.float().expand(x_t.shape[0]), global_cond)


def served_policy(policy, model, *, precision='float32', backend='auto'):
    """
    Return a policy as it is served: it can be neither trained, differentiated nor saved.

    :param policy: ``Policy`` in eval mode; it stays as it is.
    :param model: Path of the checkpoint folder that it was loaded from.
    :param precision: As for ``accelerated``; float32 with any backend but ``auto``.
    :param backend: ``auto`` for ``accelerated``; else the runtime of its exported networks.
    :return: Another ``Policy``; the same one for ``auto`` on a GPU.
    :raises ConfigError: if backend and precision or device do not go together, the runtime or
        the export is missing, or the export is of other weights.
    :raises CheckpointError: if the export is damaged.
    """
    check_choice('backend', backend, BACKENDS, ConfigError)
    if backend == 'auto':
        return accelerated(policy, precision=precision)
    if precision != 'float32':
        raise ConfigError(f'precision is {precision!r} with backend {backend!r}, which computes '
                          'in float32; set one of them back')
    if policy.device.type != 'cpu':
        raise ConfigError(f'backend {backend!r} runs on the CPU, and the policy is on '
                          f'{policy.device}; set device to cpu, or backend to auto')
    graphs = network_graphs(policy)
    files = exported_files(model, FORMAT_OF[backend], graphs)
    # A copy takes from the memo what is there already: so no trained network is copied.
    return deepcopy(policy, {
        id(graph.network): (ExportedDenoiser if graph.name == DENOISER else ExportedNetwork)(
            load_graph(files[graph.name], backend)).eval() for graph in graphs})

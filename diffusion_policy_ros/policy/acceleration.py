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

"""A policy made fast for the machine that it runs on; what it computes stays the same."""

from copy import deepcopy

from diffusion_policy_ros.checks import check_choice
from diffusion_policy_ros.choices import SERVED_PRECISIONS
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.networks.packed_layers import can_pack, pack_layers
from diffusion_policy_ros.networks.packed_unet1d import PackedUnet1d
from diffusion_policy_ros.networks.traced import traced
from diffusion_policy_ros.networks.unet1d import ConditionalUnet1d
import torch


def accelerated(policy, *, precision='float32'):
    """
    Return a policy that samples faster; it can be neither trained, differentiated nor saved.

    On a CPU weights are laid out for oneDNN and Python takes no part in a denoiser call.

    :param policy: The ``Policy``, in eval mode; it stays as it is, with its weights.
    :param precision: ``float32``: chunks stay equal up to rounding. ``bfloat16``: the
        denoiser's weights take half the memory, and are rounded to 8 bits.
    :return: Another ``Policy``; the same one where it is on a GPU.
    :raises ConfigError: for another precision, or for ``bfloat16`` where it cannot be used.
    """
    check_choice('precision', precision, SERVED_PRECISIONS, ConfigError)
    on_cpu = policy.device.type == 'cpu'
    is_packed = on_cpu and can_pack()
    if precision != 'float32' and not is_packed:
        raise ConfigError(f'precision is {precision!r}, which is for a CPU and a torch with '
                          f'oneDNN; the policy is on {policy.device}. Take float32')
    if not on_cpu:
        return policy
    fast = deepcopy(policy)
    networks = fast.diffusion
    with torch.inference_mode():
        if is_packed:
            networks.replace_encoders([
                _packed_encoder(encoder, fast.config) for encoder in networks.encoders])
        networks.replace_denoiser(_accelerated(
            networks.denoiser, fast.config, getattr(torch, precision), is_packed))
    return fast


def _packed_encoder(encoder, config):
    """Return an image encoder, packed in place, as a trace."""
    example = torch.zeros(1, *config.encoded_shape).to(memory_format=torch.channels_last),
    pack_layers(encoder, example)
    return traced(encoder, example)


def _accelerated(denoiser, config, dtype, is_packed):
    """Return a faster form of a denoiser."""
    example = (torch.zeros(1, config.horizon, config.action_dim),
               torch.zeros(1), torch.zeros(1, config.global_cond_dim))
    if is_packed and isinstance(denoiser, ConditionalUnet1d):
        return PackedUnet1d(denoiser, example, dtype)
    if is_packed:
        pack_layers(denoiser, example, dtype)
    return traced(denoiser, example)

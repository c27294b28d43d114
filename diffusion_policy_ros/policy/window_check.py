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
"""The check that windows and chunks are what a policy was built for."""

from diffusion_policy_ros.errors import ConfigError
import numpy as np
import torch

ENCODING_DTYPES = {'rgb8': torch.uint8, 'mono8': torch.uint8, '16UC1': torch.uint16,
                   '32FC1': torch.float32}


def window_layout(config, contract=None):
    """
    Return what a window must hold.

    :param config: PolicyConfig.
    :param contract: RobotContract whose image encodings say each camera's dtype; uint8 without.
    :return: Key -> (shape without the batch, dtype); images are (rows, height, width, channels).
    :raises ConfigError: if the contract has other observations or actions than the policy.
    """
    layout = {}
    for key, feature in config.input_features.items():
        shape = feature['shape']
        if feature['type'] == 'VISUAL':
            shape, dtype = (shape[1], shape[2], shape[0]), torch.uint8
            if contract is not None and contract.streams_of(key):
                dtype = ENCODING_DTYPES[contract.streams_of(key)[0].image.encoding]
        else:
            dtype = torch.float32
        layout[key] = ((config.n_obs_steps,) + shape, dtype)
    if contract is not None:
        _check_contract(config, contract, layout)
    return layout


def checked_window(window, layout, device):
    """
    Return a window's entries as tensors on a device.

    :param window: Key -> tensor or array with a leading batch axis; other keys are ignored.
    :param layout: Key -> (shape without the batch, dtype), from ``window_layout``.
    :param device: Device of the result.
    :return: Key -> tensor, of the layout's keys only.
    :raises ConfigError: naming the key, what was got and what was wanted.
    """
    tensors = {}
    for key, (shape, dtype) in layout.items():
        wanted = f'{str(dtype)[6:]} (batch, {", ".join(map(str, shape))})'
        if key not in window:
            raise ConfigError(f'window has no {key!r}, wanted {wanted}; it has: '
                              f'{", ".join(window) or "nothing"}')
        value = window[key]
        if not isinstance(value, torch.Tensor):
            value = torch.from_numpy(np.require(value, requirements=('C', 'W')))
        if value.dtype != dtype or tuple(value.shape[1:]) != shape or value.dim() == len(shape):
            raise ConfigError(f'window[{key!r}]: got {str(value.dtype)[6:]} '
                              f'{tuple(value.shape)}, wanted {wanted}')
        tensors[key] = value.to(device)
    batches = {key: len(value) for key, value in tensors.items()}
    if len(set(batches.values())) > 1:
        raise ConfigError(f'window: the entries have different batch sizes: {batches}')
    return tensors


def check_chunk(name, chunk, count, config):
    """
    Refuse chunks, noise or latents that do not fit a policy or its windows.

    :param name: What it is, for the message.
    :param chunk: Tensor.
    :param count: Number of windows.
    :param config: PolicyConfig.
    :raises ConfigError: naming what was got and what was wanted.
    """
    shape = (count, config.horizon, config.action_dim)
    if tuple(chunk.shape) != shape or chunk.dtype != torch.float32:
        raise ConfigError(f'{name}: got {str(chunk.dtype)[6:]} {tuple(chunk.shape)}, wanted '
                          f'float32 {shape}')


def _check_contract(config, contract, layout):
    """Refuse a contract whose shapes are not the policy's."""
    robot = dict.fromkeys(stream.key for stream in contract.policy_observations)
    for key, (shape, _) in layout.items():
        if key not in robot:
            raise ConfigError(f'the policy sees {key!r}, the contract of {contract.robot!r} shows '
                              f'a policy only: {", ".join(robot)}')
        if contract.shape_of(key) != shape[1:]:
            raise ConfigError(f'{key!r}: the policy sees shape {shape[1:]}, the contract of '
                              f'{contract.robot!r} shows {contract.shape_of(key)}')
    if len(contract.action_names) != config.action_dim:
        raise ConfigError(f'the policy commands {config.action_dim} entries, the contract of '
                          f'{contract.robot!r} {len(contract.action_names)}: '
                          f'{", ".join(contract.action_names)}')

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

"""The parts of Diffusion Policy's state dict, under the names and in the order they have here."""

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.errors import CheckpointError
from diffusion_policy_ros.policy.diffusion_networks import ENCODER, UNET
import torch

# Parts of tensor names there and here.
UNET_NAMES = (('.blocks.0.block.', '.conv1.block.'), ('.blocks.1.block.', '.conv2.block.'),
              ('.2.conv.', '.2.'))
ENCODER_NAMES = (('nets.0.nets.', 'backbone.'), ('nets.1.nets.', 'pool.nets.'),
                 ('nets.3.', 'out.'))
# The same tensors once more, and what is computed.
REPEATED = ('backbone.', 'pool.')
GRID = ('nets.1.pos_x', 'nets.1.pos_y')
COMPUTED = (*GRID, 'nets.1.temperature')


def unet_tensors(unet) -> dict:
    """
    Rename the U-Net's tensors.

    :param unet: Name -> tensor, as in Diffusion Policy's ``ConditionalUnet1D``.
    :return: Name -> tensor.
    """
    return {UNET + _renamed(name, UNET_NAMES): tensor for name, tensor in unet.items()}


def rgb_encoder(tensors, place, is_separate, path) -> dict:
    """
    Rename the tensors of one camera's encoder, robomimic's ``VisualCore``.

    :param tensors: Name -> tensor.
    :param place: Number of the camera.
    :param is_separate: Whether there are several encoders.
    :param path: Where they come from, for messages.
    :return: Name -> tensor.
    :raises CheckpointError: if it has layers that are not here.
    """
    prefix, found = f'{ENCODER}{place}.' if is_separate else ENCODER, {}
    if not torch.all(tensors.get('nets.1.temperature', torch.ones(1)) == 1):
        raise CheckpointError(f'{path}: the temperature of the spatial softmax is not 1')
    for name, tensor in tensors.items():
        if name.startswith(REPEATED) or name in COMPUTED:
            continue
        if not name.startswith(tuple(there for there, _ in ENCODER_NAMES)):
            raise CheckpointError(f'{path}: the image encoder has the unknown tensor {name!r}; '
                                  'only ResNets with a spatial softmax and one linear layer can '
                                  'be imported')
        found[prefix + _renamed(name, ENCODER_NAMES)] = tensor
    grid = [tensors[name].flatten() for name in GRID if name in tensors]
    if len(grid) < 2 or len(grid[0]) != len(grid[1]):
        raise CheckpointError(f'{path}: the image encoder lacks {" or ".join(GRID)}, the places '
                              'of the pixels, or has more of one than of the other')
    return {**found, f'{prefix}pool.pos_grid': torch.stack(grid, dim=-1).float()}


def reordered_condition(tensors, config, keys) -> dict:
    """
    Reorder the observation in every FiLM layer, from their order of a row to ours.

    :param tensors: Name -> tensor, under the names here, with the shapes of the configuration.
    :param config: PolicyConfig.
    :param keys: Keys of the observations in their order of a row.
    :return: Name -> tensor.
    """
    sizes = {key: config.feature_dim(key) for key in keys}
    starts = dict(zip(keys, torch.tensor([0, *sizes.values()]).cumsum(0).tolist()))
    row = torch.cat([torch.arange(starts[key], starts[key] + sizes[key])
                     for key in config.row_keys])
    time = config.diffusion_step_embed_dim
    columns = torch.cat([torch.arange(time), *(
        time + step * len(row) + row for step in range(config.n_obs_steps))])
    return {name: tensor[:, columns] if name.endswith('cond_encoder.1.weight') else tensor
            for name, tensor in tensors.items()}


def statistics_of(normalizer, name, key, config, path) -> dict:
    """
    Turn scale and offset of an observation or action into statistics.

    ``x * scale + offset`` is what MIN_MAX, or MEAN_STD for images, makes of them.

    :param normalizer: Name -> tensor.
    :param name: Name of the observation or action there.
    :param key: Its key here.
    :param config: PolicyConfig.
    :param path: Where they come from, for messages.
    :return: Statistic -> float32.
    :raises CheckpointError: if they are missing or no such map.
    """
    scale, offset = (normalizer.get(f'{name}.{what}') for what in ('scale', 'offset'))
    if scale is None or offset is None:
        there = sorted({name.split('.')[0] for name in normalizer})
        raise CheckpointError(f'{path}: the normalizer does not know {name!r}; it knows: '
                              f'{", ".join(there)}')
    shape = {**config.input_features, **config.output_features}[key]['shape']
    is_map = torch.isfinite(scale).all() and torch.isfinite(offset).all() and (scale > 0).all()
    if scale.shape != offset.shape or scale.numel() not in (1, shape[0]) or not is_map:
        raise CheckpointError(f'{path}: the normalizer of {name!r} has the scale '
                              f'{shown(scale.tolist())} and the offset {shown(offset.tolist())}; '
                              f'wanted {shape[0]} finite numbers each, the scale above 0')
    scale, offset = (x.double().flatten().expand(shape[0]) for x in (scale, offset))
    low, high = (-1 - offset) / scale, (1 - offset) / scale
    known = {'min': low, 'max': high, 'mean': (low + high) / 2, 'std': 1 / scale}
    return {statistic: values.float() for statistic, values in known.items()}


def _renamed(name, pairs):
    """Return a name with parts of it replaced."""
    name = f'.{name}'
    for there, here in pairs:
        name = name.replace(there if there.startswith('.') else f'.{there}',
                            here if here.startswith('.') else f'.{here}')
    return name[1:]

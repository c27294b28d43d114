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

"""What the shapes of weights say of a policy, where its configuration is silent or wrong."""

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.config import entries_of
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.policy.diffusion_networks import ENCODER, UNET

# Blocks of the first layer of each ResNet, by which they are told apart.
RESNETS = {2: 'resnet18', 3: 'resnet34'}


def inferred_fields(shapes, said) -> dict:
    """
    Infer fields of a configuration, and hold those that are said against them.

    :param shapes: Tensor name -> shape, of a LeRobot DiffusionPolicy.
    :param said: Fields that the configuration has, by name.
    :return: Inferred fields by name, as far as the tensors are there that tell.
    :raises ConfigError: if the configuration says something else.
    """
    shapes = {name: shape for name, shape in shapes.items() if shape}  # a lone number has no size
    inferred = {**_of_unet(shapes), **_of_encoder(shapes)}
    for name, value in inferred.items():
        told = said.get(name, value)
        if (tuple(told) if isinstance(told, list) else told) != value:
            raise ConfigError(f'{name} is {shown(told)}, but the tensors are those of '
                              f'{shown(value)}; the weights are of another policy')
    rows = _observed_rows(shapes, {**inferred, **said})
    return {**inferred, **({'n_obs_steps': rows} if rows else {})}


def _of_unet(shapes):
    """Infer what the U-Net has."""
    found, dims = {}, []
    while f'{UNET}down_modules.{len(dims)}.0.conv1.block.0.weight' in shapes:
        dims.append(shapes[f'{UNET}down_modules.{len(dims)}.0.conv1.block.0.weight'][0])
    if dims:
        found['down_dims'] = tuple(dims)
        found['kernel_size'] = shapes[f'{UNET}down_modules.0.0.conv1.block.0.weight'][-1]
    film = shapes.get(f'{UNET}down_modules.0.0.cond_encoder.1.bias')
    if dims and film:
        found['use_film_scale_modulation'] = film[0] == 2 * dims[0]
    embedding = shapes.get(f'{UNET}diffusion_step_encoder.3.bias')
    if embedding:
        found['diffusion_step_embed_dim'] = embedding[0]
    return found


def _of_encoder(shapes):
    """Infer what the image encoder has."""
    names = [name for name in shapes if name.startswith(ENCODER)]
    if not names:
        return {}
    separate = any(name.startswith(f'{ENCODER}0.') for name in names)
    one = f'{ENCODER}0.' if separate else ENCODER
    found = {'use_separate_rgb_encoder_per_camera': separate}
    if f'{one}pool.nets.weight' in shapes:
        found['spatial_softmax_num_keypoints'] = shapes[f'{one}pool.nets.weight'][0]
    if f'{one}backbone.1.weight' in shapes:
        found['use_group_norm'] = f'{one}backbone.1.running_mean' not in shapes
    blocks = sum(f'{one}backbone.4.{index}.conv1.weight' in shapes for index in range(10))
    if blocks in RESNETS and f'{one}backbone.4.0.conv3.weight' not in shapes:
        found['vision_backbone'] = RESNETS[blocks]
    return found


def _observed_rows(shapes, fields):
    """Return the number of observed rows that the condition has room for, None if none fits."""
    weight = shapes.get(f'{UNET}mid_modules.0.cond_encoder.1.weight')
    features, embedding = fields.get('input_features'), fields.get('diffusion_step_embed_dim')
    if not weight or len(weight) != 2 or not isinstance(features, dict) or not embedding:
        return None
    try:
        row = sum(entries_of(feature, fields.get('spatial_softmax_num_keypoints'))
                  for feature in features.values())
        rows, rest = divmod(weight[1] - embedding, row)
    except (KeyError, TypeError, IndexError, ZeroDivisionError):
        return None  # a feature that is malformed is refused by name elsewhere
    return None if rest or rows < 1 else rows

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

"""The networks of a policy in one line."""

POOLINGS = {'spatial_softmax': 'spatial softmax', 'average': 'average pooling'}


def network_words(config) -> str:
    """
    Say what networks a policy has, from the observation to the prediction.

    :param config: PolicyConfig.
    """
    encoder = config.observation_encoder
    parts = [_camera_words(config)] if config.image_keys else []
    if encoder.state_dims:
        parts.append(f'state MLP {_sizes(encoder.state_dims)}')
    if encoder.fusion == 'transformer':
        parts.append(f'fusing Transformer of {encoder.fusion_layers} layers of '
                     f'{encoder.fusion_dim}')
    return ', '.join([*parts, _denoiser_words(config), f'predicts {config.prediction_type}'])


def _camera_words(config):
    """Say what encodes pictures."""
    encoder, kind = config.observation_encoder, config.vision_backbone
    if kind == 'vit':
        kind += f' of {encoder.vit_layers} layers of {encoder.vit_dim}'
    else:
        norm = '' if config.use_group_norm else ' with BatchNorm'
        kind += f'{norm} and {POOLINGS[encoder.pooling]}'
    several = config.use_separate_rgb_encoder_per_camera and len(config.image_keys) > 1
    return f'{kind}, one per camera' if several else kind


def _denoiser_words(config):
    """Say what takes the noise away."""
    denoiser = config.denoiser
    if denoiser.type == 'unet':
        return f'FiLM U-Net {_sizes(config.down_dims)}'
    if denoiser.type == 'mlp':
        return f'MLP of {denoiser.layers} layers of {4 * denoiser.dim} (4 * dim {denoiser.dim})'
    if denoiser.type == 'dit':
        return f'DiT of {denoiser.layers} blocks of {denoiser.dim}'
    causal = 'causal ' if denoiser.causal else ''
    return f'{causal}Transformer of {denoiser.layers} layers of {denoiser.dim}'


def _sizes(numbers):
    """Write widths in a row."""
    return '-'.join(map(str, numbers))

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

"""What must hold for the configuration of a policy, field by field and between them."""

from diffusion_policy_ros.checks import check_choice, is_count, is_number, shown
from diffusion_policy_ros.choices import (
    BETA_SCHEDULES, NORMALIZATIONS, PREDICTION_TYPES, VISION_BACKBONES)
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.streams import ACTION_KEY, MAX_PIXELS

FEATURE_TYPES = ('STATE', 'VISUAL', 'ENV', 'ACTION')
# The last convolution block of the U-Net has eight groups whatever the others have, as LeRobot's.
FINAL_GROUPS = 8
CHOICES = {
    'vision_backbone': VISION_BACKBONES, 'use_group_norm': (True, False),
    'beta_schedule': BETA_SCHEDULES, 'prediction_type': PREDICTION_TYPES,
    'clip_sample': (True, False),
    'crop_is_random': (True, False), 'use_film_scale_modulation': (True, False),
    'use_separate_rgb_encoder_per_camera': (True, False)}
# The largest value of each count: beyond any policy, so that a mistyped one is refused before
# memory for it is asked for.
LARGEST_COUNTS = {
    'n_obs_steps': 1000, 'horizon': 10_000, 'n_action_steps': 10_000,
    'spatial_softmax_num_keypoints': 10_000, 'kernel_size': 1000, 'n_groups': 10_000,
    'diffusion_step_embed_dim': 10_000, 'num_train_timesteps': 100_000}
POSITIVE = ('beta_start', 'beta_end', 'clip_sample_range')
LARGEST_CHANNELS = 16_384
LARGEST_LEVELS = 8
LARGEST_CLIP = 1e6


def check_policy_config(config):
    """
    Check the fields of a configuration, alone and against each other.

    :param config: PolicyConfig whose features are checked already.
    :raises ConfigError: naming the field, its value and what it may be.
    """
    check_values(vars(config))
    _check_betas(config)
    _check_action(config)
    _check_steps(config)
    if config.denoiser.type == 'unet':
        _check_unet(config)
    if config.image_keys:
        _check_images(config)
    _check_encoder(config)
    _check_normalization(config)


def checked_features(where, features) -> dict:
    """
    Return features with tuple shapes.

    :param where: Name of the field, for error messages.
    :param features: Key -> ``{'type': ..., 'shape': ...}``, from anywhere.
    :raises ConfigError: if a feature is malformed.
    """
    if not isinstance(features, dict) or not features:
        raise ConfigError(f'{where} is {shown(features)}; it must map keys to features')
    checked = {}
    for key, feature in features.items():
        if not isinstance(feature, dict) or set(feature) != {'type', 'shape'}:
            raise ConfigError(f'{where}.{key} is {shown(feature)}; it needs exactly "type" and '
                              '"shape"')
        check_choice(f'{where}.{key}.type', feature['type'], FEATURE_TYPES, ConfigError)
        wanted = 3 if feature['type'] == 'VISUAL' else 1
        shape = feature['shape']
        if not _are_counts(shape, MAX_PIXELS) or len(shape) != wanted:
            raise ConfigError(f'{where}.{key}.shape is {shown(shape)}; a {feature["type"]} '
                              f'feature needs {wanted} positive whole number(s), at most '
                              f'{MAX_PIXELS}')
        checked[key] = {'type': feature['type'], 'shape': tuple(shape)}
    return checked


def check_values(settings, where=''):
    """
    Check the fields that stand alone, whatever robot they are for.

    :param settings: Some fields of a PolicyConfig by name, from anywhere.
    :param where: What to write before the name of a field.
    :raises ConfigError: naming the field, its value and what it may be.
    """
    for name, largest in LARGEST_COUNTS.items():
        if name in settings and not is_count(settings[name], most=largest):
            raise ConfigError(f'{where}{name} is {shown(settings[name])}; it must be a whole '
                              f'number from 1 to {largest}')
    for name in POSITIVE:
        value = settings.get(name, 1)
        if not is_number(value) or not 0 < value <= LARGEST_CLIP:
            raise ConfigError(f'{where}{name} is {shown(value)}; it must be a number above 0, at '
                              f'most {LARGEST_CLIP:g}')
    dropout = settings.get('conditioning_dropout', 0)
    if not is_number(dropout) or not 0 <= dropout < 1:
        raise ConfigError(f'{where}conditioning_dropout is {shown(dropout)}; it must be a number '
                          'from 0 to below 1')
    for name, choices in CHOICES.items():
        if name in settings:
            check_choice(f'{where}{name}', settings[name], choices, ConfigError)


def _check_betas(config):
    """Check the ends of the linear schedules against each other."""
    if not config.beta_start <= config.beta_end < 1:
        raise ConfigError(f'beta_start is {config.beta_start} and beta_end {config.beta_end}; '
                          'wanted beta_start <= beta_end < 1')


def _check_action(config):
    """Check that the action comes out, and only there."""
    if set(config.output_features) != {ACTION_KEY}:
        raise ConfigError(f'output_features has {shown(list(config.output_features))}; exactly '
                          f'"{ACTION_KEY}" is needed')
    if config.output_features[ACTION_KEY]['type'] != 'ACTION' or config.keys_of('ACTION'):
        raise ConfigError(f'output_features.{ACTION_KEY} must have the type ACTION, and no entry '
                          'of input_features may')


def _check_steps(config):
    """Check the rows of a chunk against each other."""
    most = config.horizon - config.n_obs_steps + 1
    if config.n_action_steps > most:
        raise ConfigError(f'n_action_steps is {config.n_action_steps}; horizon {config.horizon} '
                          f'and n_obs_steps {config.n_obs_steps} leave at most {most}')


def _check_unet(config):
    """Check the U-Net's sizes."""
    dims = config.down_dims
    if not _are_counts(dims, LARGEST_CHANNELS) or len(dims) > LARGEST_LEVELS \
            or any(dim % config.n_groups for dim in dims):
        raise ConfigError(f'down_dims is {shown(dims)}; it needs 1 to {LARGEST_LEVELS} positive '
                          f'multiples of n_groups ({config.n_groups}), at most '
                          f'{LARGEST_CHANNELS} each')
    if dims[0] % FINAL_GROUPS:
        raise ConfigError(f'down_dims[0] is {dims[0]}; the last block needs a multiple of '
                          f'{FINAL_GROUPS}')
    if config.horizon % 2 ** len(dims):
        raise ConfigError(f'horizon is {config.horizon}; with {len(dims)} levels in down_dims it '
                          f'must be a multiple of {2 ** len(dims)}')
    if config.kernel_size % 2 == 0:
        raise ConfigError(f'kernel_size is {config.kernel_size}; it must be odd')
    if config.diffusion_step_embed_dim % 2 or config.diffusion_step_embed_dim < 4:
        raise ConfigError(f'diffusion_step_embed_dim is {config.diffusion_step_embed_dim}; it '
                          'must be even and at least 4')


def _check_images(config):
    """Check that all cameras have one shape, and how it becomes what the backbone sees."""
    shapes = {config.input_features[key]['shape'] for key in config.image_keys}
    if len(shapes) > 1:
        raise ConfigError(f'the cameras have the shapes {sorted(shapes)}; all need one shape, '
                          'set it in the contract')
    resize, crop = config.resize_shape, config.crop_shape
    if resize is not None and not _is_size(resize):
        raise ConfigError(f'resize_shape is {shown(resize)}; it must be (height, width) in px')
    size = resize or config.image_shape[1:]
    if crop is not None and (not _is_size(crop)
                             or any(want > have for want, have in zip(crop, size))):
        raise ConfigError(f'crop_shape is {shown(crop)}; it must be (height, width) in px within '
                          f'{size}')
    patch = config.observation_encoder.vit_patch
    if config.vision_backbone == 'vit' and any(px % patch for px in config.encoded_shape[1:]):
        raise ConfigError(f'observation_encoder.vit_patch is {patch}; it must divide the height '
                          f'and width of the images, {config.encoded_shape[1:]} px')


def _check_encoder(config):
    """Check what the encoder makes of images and vectors against what there is."""
    if not config.use_group_norm and not config.vision_backbone.startswith('resnet'):
        raise ConfigError(f'use_group_norm is false, but {config.vision_backbone} has no '
                          'BatchNorm; set it to true, or take a ResNet')
    if config.observation_encoder.state_dims and not config.vector_keys:
        raise ConfigError('observation_encoder.state_dims is given, but the policy observes no '
                          'vector; leave it out')


def _check_normalization(config):
    """Check that every feature type in use has a known normalization."""
    if not isinstance(config.normalization_mapping, dict):
        raise ConfigError(f'normalization_mapping is {shown(config.normalization_mapping)}; it '
                          'must map feature types to normalizations')
    features = {**config.input_features, **config.output_features}
    for feature_type in {feature['type'] for feature in features.values()}:
        check_choice(f'normalization_mapping[{feature_type!r}]',
                     config.normalization_mapping.get(feature_type), NORMALIZATIONS, ConfigError)


def _is_size(values):
    """Tell whether values are a height and a width, px."""
    return _are_counts(values, MAX_PIXELS) and len(values) == 2


def _are_counts(values, largest):
    """Tell whether all values are whole numbers from 1 to the largest, and there is one."""
    return isinstance(values, (list, tuple)) and len(values) > 0 and all(
        is_count(value, most=largest) for value in values)

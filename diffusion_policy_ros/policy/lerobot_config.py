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

"""LeRobot's ``config.json``: what it says of a policy, and what it can say of ours."""

from dataclasses import asdict, fields
import math

from diffusion_policy_ros.checks import check_choice, is_count, is_number, shown
from diffusion_policy_ros.config import OWN_FIELDS, PolicyConfig
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.streams import ACTION_KEY, ENVIRONMENT_KEY, STATE_KEY

# Fields of PolicyConfig that LeRobot has too.
SHARED = tuple(f.name for f in fields(PolicyConfig) if f.name not in OWN_FIELDS)
# What a sampler may do besides, and LeRobot does not.
PLAIN = {'then': None, 'temperature': 1, 'guidance_scale': 1, 'eta': 0}
LEROBOT_TYPE, OWN_TYPE = 'diffusion', 'diffusion_policy_ros'
PREDICTION_TYPES = ('epsilon', 'sample')
SCHEDULERS = ('DDPM', 'DDIM')
# Fields that say how LeRobot trains, stores or runs a policy, not what the policy computes.
HARMLESS = (
    'type', 'device', 'use_amp', 'push_to_hub', 'repo_id', 'private', 'tags', 'license',
    'pretrained_path', 'pretrained_revision', 'drop_n_last_frames',
    'pretrained_backbone_weights', 'gradient_checkpointing', 'compile_model', 'compile_mode',
    'do_mask_loss_for_padding', 'optimizer_lr', 'optimizer_betas', 'optimizer_eps',
    'optimizer_weight_decay', 'scheduler_name', 'scheduler_warmup_steps')
# Fields that are read here but are none of PolicyConfig's.
READ_HERE = ('use_peft', 'crop_ratio', 'noise_scheduler_type', 'num_inference_steps',
             'input_shapes', 'output_shapes', 'input_normalization_modes',
             'output_normalization_modes')
LEROBOT_NORMALIZATION = {'VISUAL': 'MEAN_STD', 'STATE': 'MIN_MAX', 'ACTION': 'MIN_MAX'}
# What an absent field means. LeRobot changed its defaults when it began to resize images.
EARLY = {'horizon': 16, 'n_action_steps': 8, 'crop_shape': (84, 84), 'use_group_norm': True,
         'use_separate_rgb_encoder_per_camera': False}
LATE = {'horizon': 64, 'n_action_steps': 32, 'crop_shape': None, 'use_group_norm': False,
        'use_separate_rgb_encoder_per_camera': True}


def check_type(raw):
    """
    Refuse what describes no diffusion policy.

    :param raw: Parsed ``config.json``.
    :raises ConfigError: naming what was found.
    """
    types = (LEROBOT_TYPE, OWN_TYPE)
    if not isinstance(raw, dict):
        raise ConfigError(f'the document is {shown(raw)}; it must map names to values')
    if raw.get('type') not in types and ('type' in raw or 'input_shapes' not in raw):
        raise ConfigError(f'type is {shown(raw.get("type"))}; a policy with "type": '
                          f'"{LEROBOT_TYPE}" is needed')


def from_json(raw, inferred=None) -> PolicyConfig:
    """
    Read the content of a ``config.json``, LeRobot's or ours.

    :param raw: Parsed JSON document.
    :param inferred: Fields that hold where the document is silent, by name; LeRobot's defaults
        of its time hold for the others.
    :return: The checked configuration.
    :raises ConfigError: if it is no diffusion policy, or uses what does not exist here.
    """
    said = said_fields(raw)
    return PolicyConfig(**{**_default_fields(raw, said), **(inferred or {}), **said})


def said_fields(raw) -> dict:
    """
    Return what a ``config.json`` says of a policy, under the names of ``PolicyConfig``.

    :param raw: Parsed document, of any version of LeRobot.
    :return: Values by name, of the fields that are there.
    :raises ConfigError: if it is no diffusion policy, or has a field whose meaning is not known.
    """
    check_type(raw)
    if raw.get('use_peft'):
        raise ConfigError('use_peft is true: the folder holds changes to other weights, not a '
                          'policy; merge them with LeRobot first')
    for name in raw:
        if name not in SHARED and name not in HARMLESS and name not in READ_HERE:
            raise ConfigError(
                f'unknown field {shown(name)}, which may change what the policy computes; where '
                'you know that it does not, delete it from a copy of the folder')
    said = {name: raw[name] for name in SHARED if name in raw}
    if 'input_shapes' in raw:
        said = {**_features_of_shapes(raw), **said}
    if isinstance(said.get('input_features'), dict):
        said['normalization_mapping'] = _modes(raw, said)
    if raw.get('resize_shape') is not None and raw.get('type') != OWN_TYPE:
        said['crop_shape'] = _ratio_crop(raw)
    return said


def sampler_fields(raw) -> dict:
    """
    Return the sampler that draws the chunk that LeRobot draws.

    LeRobot goes down from ``(steps - 1) * (T // steps)`` by ``T // steps``, so that a short run
    starts below the noisiest of the T levels.

    :param raw: Parsed ``config.json``.
    :return: Arguments of ``Sampler``.
    :raises ConfigError: if LeRobot cannot sample so, or has no policy left to start from.
    """
    kind, levels = raw.get('noise_scheduler_type', 'DDPM'), raw.get('num_train_timesteps', 100)
    steps = raw.get('num_inference_steps')
    check_choice('noise_scheduler_type', kind, SCHEDULERS, ConfigError)
    if not is_count(levels):
        raise ConfigError(f'num_train_timesteps is {shown(levels)}; it must be a whole number')
    if steps is not None and not is_count(steps, most=levels):
        raise ConfigError(f'num_inference_steps is {shown(steps)}; it must be null or a whole '
                          f'number from 1 to {levels}')
    return scheduler_sampler(kind, steps, levels, raw.get('clip_sample', True))


def scheduler_sampler(kind, steps, levels, clip_sample) -> dict:
    """
    Return the sampler that does what one of LeRobot's schedulers does.

    :param kind: ``DDPM`` or ``DDIM``.
    :param steps: Steps of a run, None for all levels.
    :param levels: Noise levels of the training.
    :param clip_sample: Whether clean chunks are clipped.
    :return: Arguments of ``Sampler``.
    """
    steps = steps or levels
    start = (steps - 1) * (levels // steps)
    ddim = 'ddim_unclipped' if clip_sample else 'ddim'
    return {'solver': 'ddpm' if kind == 'DDPM' else ddim, 'num_inference_steps': steps,
            'spacing': 'linspace',
            'start_timestep': float(start) if start < levels - 1 else None}


def scheduler_fields(sampler, config) -> dict:
    """
    Return the scheduler with which LeRobot draws as a policy does, where it has one.

    :param sampler: Fields of the policy's ``Sampler``, by name.
    :param config: PolicyConfig.
    :return: Fields of ``config.json``; all steps of DDPM where LeRobot has no such sampler.
    """
    levels, steps = config.num_train_timesteps, sampler['num_inference_steps']
    for kind in SCHEDULERS:
        wanted = {**scheduler_sampler(kind, steps, levels, config.clip_sample), **PLAIN} \
            if steps <= levels else {'solver': None}
        if all(sampler[name] == value for name, value in wanted.items()):
            return {'noise_scheduler_type': kind, 'num_inference_steps': steps}
    return {'noise_scheduler_type': 'DDPM', 'num_inference_steps': None}


def refusals(config) -> list:
    """
    Say why LeRobot cannot build a policy.

    :param config: PolicyConfig.
    :return: One sentence per field that it has no network or rule for; empty when it can.
    """
    encoder, states = config.observation_encoder, config.keys_of('STATE')
    channels = {config.input_features[key]['shape'][0] for key in config.image_keys}
    resized = config.resize_shape is not None
    wrong = {
        f'denoiser.type is {config.denoiser.type}': config.denoiser.type != 'unet',
        f'vision_backbone is {config.vision_backbone}':
            not config.vision_backbone.startswith('resnet'),
        f'observation_encoder.pooling is {encoder.pooling}': encoder.pooling != 'spatial_softmax',
        f'observation_encoder.fusion is {encoder.fusion}': encoder.fusion != 'concatenate',
        'observation_encoder.state_dims is given': bool(encoder.state_dims),
        f'prediction_type is {config.prediction_type}':
            config.prediction_type not in PREDICTION_TYPES,
        f'input_features has images of {sorted(channels)} channels, not of 3':
            bool(channels - {3}),
        f'input_features has the states {", ".join(states) or "none"}, not exactly {STATE_KEY}':
            states != (STATE_KEY,),
        f'input_features has neither an image nor {ENVIRONMENT_KEY}':
            not config.image_keys and not config.keys_of('ENV'),
        f'input_features has an ENV feature other than {ENVIRONMENT_KEY}':
            bool(set(config.keys_of('ENV')) - {ENVIRONMENT_KEY}),
        f'crop_shape is {config.crop_shape}, which is no one share of resize_shape '
        f'{config.resize_shape}': resized and crop_ratio(config) is None}
    return [sentence for sentence, is_wrong in wrong.items() if is_wrong]


def to_json(config) -> dict:
    """
    Return the content of ``config.json`` for a policy.

    LeRobot is told to sample with all DDPM steps, and refuses by the type what it has no network
    for.

    :param config: PolicyConfig.
    :return: Document.
    """
    known = asdict(config)
    document = {'type': OWN_TYPE if refusals(config) else LEROBOT_TYPE,
                **{name: known[name] for name in SHARED},
                'noise_scheduler_type': 'DDPM', 'num_inference_steps': None,
                'pretrained_backbone_weights': None}
    if config.resize_shape is not None and crop_ratio(config) is not None:
        document['crop_ratio'] = crop_ratio(config)
    return document


def crop_ratio(config):
    """
    Return the share of the resized images that LeRobot cuts to get the crop of a policy.

    :param config: PolicyConfig with a ``resize_shape``.
    :return: Number in (0, 1]; None where no one share gives both height and width.
    """
    if config.crop_shape is None:
        return 1.0
    pairs = list(zip(config.crop_shape, config.resize_shape))
    low = max(crop / size for crop, size in pairs)
    high = min(min((crop + 1) / size for crop, size in pairs), 1.0)
    ratio = (low + high) / 2
    fits = ratio < 1 and all(int(size * ratio) == crop for crop, size in pairs)
    return ratio if fits else None


def _default_fields(raw, said):
    """Return what LeRobot meant by the fields that a ``config.json`` does not have."""
    defaults = dict(LATE if 'resize_shape' in raw else EARLY)
    features = said.get('input_features')
    if not isinstance(features, dict) or not any(
            isinstance(feature, dict) and feature.get('type') == 'VISUAL'
            for feature in features.values()):
        defaults['crop_shape'] = None
    return {'input_features': None, 'output_features': None, **defaults}


def _ratio_crop(raw):
    """Return the crop of a policy that resizes, which LeRobot computes and does not believe."""
    ratio, size = raw.get('crop_ratio', 1.0), raw['resize_shape']
    if not is_number(ratio) or not 0 < ratio <= 1:
        raise ConfigError(f'crop_ratio is {shown(ratio)}; it must be a number above 0, at most 1')
    if ratio == 1 or not isinstance(size, (list, tuple)) or not all(map(is_number, size)):
        return None  # a size that is none is refused by name elsewhere
    return tuple(math.floor(px * ratio) for px in size)


def _modes(raw, said):
    """Return the normalization of every feature type in use; LeRobot leaves others as they are."""
    modes = raw.get('normalization_mapping', said.get('normalization_mapping',
                                                      LEROBOT_NORMALIZATION))
    if not isinstance(modes, dict):
        return modes
    sides = [said.get(name) for name in ('input_features', 'output_features')]
    types = {feature['type'] for side in sides if isinstance(side, dict)
             for feature in side.values()
             if isinstance(feature, dict) and isinstance(feature.get('type'), str)}
    return {**dict.fromkeys(sorted(types), 'IDENTITY'), **modes}


def _features_of_shapes(raw):
    """Read features and normalizations as LeRobot wrote them in 2024."""
    fields, modes = {}, {}
    for side in ('input', 'output'):
        shapes, given = raw.get(f'{side}_shapes'), raw.get(f'{side}_normalization_modes')
        if not isinstance(shapes, dict) or not isinstance(given, dict):
            raise ConfigError(f'{side}_shapes is {shown(shapes)} and {side}_normalization_modes '
                              f'{shown(given)}; both must map keys to values')
        fields[f'{side}_features'] = {
            key: {'type': _type_of(key), 'shape': shape} for key, shape in shapes.items()}
        for key in shapes:
            mode = str(given.get(key, 'identity')).upper()
            if modes.setdefault(_type_of(key), mode) != mode:
                raise ConfigError(f'{side}_normalization_modes has {shown(mode)} for {key!r} and '
                                  f'another mode for a feature of the same type; the type '
                                  f'{_type_of(key)} can have one')
    return {**fields, 'normalization_mapping': modes}


def _type_of(key):
    """Return the feature type that LeRobot took from a key's name."""
    if key == ACTION_KEY:
        return 'ACTION'
    if key.startswith('observation.image'):
        return 'VISUAL'
    return 'ENV' if key == ENVIRONMENT_KEY else 'STATE'

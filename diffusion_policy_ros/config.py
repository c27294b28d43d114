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

"""What a policy is made of: its inputs, its chunk, its networks and its noise process."""

from dataclasses import asdict, dataclass, field, fields
import math

from diffusion_policy_ros.checks import check_choice
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.streams import ACTION_KEY, IMAGE_KEY_PREFIX

ENVIRONMENT_KEY = 'observation.environment_state'
FEATURE_TYPES = ('STATE', 'VISUAL', 'ENV', 'ACTION')
NORMALIZATIONS = ('MEAN_STD', 'MIN_MAX', 'IDENTITY')
FINAL_GROUPS = 8
CHOICES = {
    'vision_backbone': ('resnet18', 'light_cnn'), 'use_group_norm': (True,),
    'beta_schedule': ('linear', 'scaled_linear', 'squaredcos_cap_v2'),
    'prediction_type': ('epsilon', 'sample', 'v_prediction'), 'clip_sample': (True, False),
    'crop_is_random': (True, False), 'use_film_scale_modulation': (True, False),
    'use_separate_rgb_encoder_per_camera': (True, False)}
DEFAULT_NORMALIZATION = {'VISUAL': 'MEAN_STD', 'STATE': 'MIN_MAX', 'ENV': 'MIN_MAX',
                         'ACTION': 'MIN_MAX'}


@dataclass(frozen=True)
class PolicyConfig:
    """
    Configuration of one diffusion policy, under LeRobot's field names.

    A feature is ``{'type': STATE|VISUAL|ENV|ACTION, 'shape': tuple}``; shapes are (entries,) or
    (channels, height, width).

    :ivar input_features: Observation key -> feature, in the order the network sees them.
    :ivar output_features: ``{'action': feature}``.
    :ivar normalization_mapping: Feature type -> ``MEAN_STD``, ``MIN_MAX`` or ``IDENTITY``.
    :ivar n_obs_steps: Observed rows, the newest included.
    :ivar horizon: Rows of a chunk, counted from the first observed row; a multiple of
        ``2 ** len(down_dims)``.
    :ivar n_action_steps: Rows that may be executed, from the newest observation on.
    :ivar vision_backbone: ``resnet18`` or ``light_cnn``.
    :ivar crop_shape: (height, width) cut from every image, px, or None.
    :ivar crop_is_random: Cut at random places while training; always the centre otherwise.
    :ivar use_group_norm: GroupNorm in the backbone; the only kind there is here.
    :ivar spatial_softmax_num_keypoints: Keypoints per camera; twice as many features.
    :ivar use_separate_rgb_encoder_per_camera: One encoder per camera instead of a shared one.
    :ivar down_dims: Channels of the U-Net's levels.
    :ivar kernel_size: Width of the U-Net's convolutions, odd, rows.
    :ivar n_groups: Groups of the U-Net's GroupNorm; divides every entry of ``down_dims``.
    :ivar diffusion_step_embed_dim: Entries of the time embedding, even, at least 4.
    :ivar use_film_scale_modulation: FiLM scales and shifts; otherwise it only shifts.
    :ivar num_train_timesteps: Noise levels of the training process.
    :ivar beta_schedule: ``linear``, ``scaled_linear`` or ``squaredcos_cap_v2``.
    :ivar beta_start: First beta of the linear schedules, in (0, 1).
    :ivar beta_end: Last beta of the linear schedules, in [beta_start, 1).
    :ivar prediction_type: What the network predicts: ``epsilon``, ``sample``, ``v_prediction``.
    :ivar clip_sample: Clip every predicted clean chunk.
    :ivar clip_sample_range: To plus and minus this, in normalized units.
    """

    input_features: dict
    output_features: dict
    normalization_mapping: dict = field(default_factory=lambda: dict(DEFAULT_NORMALIZATION))
    n_obs_steps: int = 2
    horizon: int = 16
    n_action_steps: int = 8
    vision_backbone: str = 'resnet18'
    crop_shape: tuple = None
    crop_is_random: bool = True
    use_group_norm: bool = True
    spatial_softmax_num_keypoints: int = 32
    use_separate_rgb_encoder_per_camera: bool = False
    down_dims: tuple = (512, 1024, 2048)
    kernel_size: int = 5
    n_groups: int = 8
    diffusion_step_embed_dim: int = 128
    use_film_scale_modulation: bool = True
    num_train_timesteps: int = 100
    beta_schedule: str = 'squaredcos_cap_v2'
    beta_start: float = 0.0001
    beta_end: float = 0.02
    prediction_type: str = 'epsilon'
    clip_sample: bool = True
    clip_sample_range: float = 1.0

    def __post_init__(self):
        """Make sequences tuples, then check every field, naming it in each error."""
        for name in ('input_features', 'output_features'):
            object.__setattr__(self, name, _checked_features(name, getattr(self, name)))
        for name in ('down_dims', 'crop_shape'):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        _check_values(self)
        _check_steps(self)
        _check_unet(self)
        _check_images(self)
        _check_normalization(self)

    @property
    def action_dim(self) -> int:
        """Return the number of entries of one action."""
        return self.output_features[ACTION_KEY]['shape'][0]

    @property
    def image_keys(self) -> tuple:
        """Return the keys of the cameras, in order."""
        return self.keys_of('VISUAL')

    @property
    def vector_keys(self) -> tuple:
        """Return the keys of the vectors, in order."""
        return self.keys_of('STATE') + self.keys_of('ENV')

    @property
    def image_shape(self) -> tuple:
        """Return (channels, height, width) of every camera, before the crop."""
        return self.input_features[self.image_keys[0]]['shape']

    @property
    def image_feature_dim(self) -> int:
        """Return the number of image features of one row, over all cameras."""
        return 2 * self.spatial_softmax_num_keypoints * len(self.image_keys)

    @property
    def global_cond_dim(self) -> int:
        """Return the number of entries that condition the denoiser."""
        vectors = sum(self.input_features[key]['shape'][0] for key in self.vector_keys)
        return self.n_obs_steps * (vectors + self.image_feature_dim)

    def keys_of(self, feature_type) -> tuple:
        """Return the input keys of one feature type, in order."""
        return tuple(key for key, feature in self.input_features.items()
                     if feature['type'] == feature_type)

    @classmethod
    def from_contract(cls, contract, **changes):
        """
        Build the configuration of a policy for a robot.

        :param contract: RobotContract; its policy observations become the input features.
        :param changes: Any other field of this class, by name.
        :return: The checked configuration.
        :raises ConfigError: if a value cannot work.
        """
        keys = dict.fromkeys(stream.key for stream in contract.policy_observations)
        action = {'type': 'ACTION', 'shape': contract.shape_of(ACTION_KEY)}
        return cls(input_features={key: _feature(contract, key) for key in keys},
                   output_features={ACTION_KEY: action}, **changes)

    def to_lerobot_json(self) -> dict:
        """
        Return the content of LeRobot's ``config.json`` for this policy.

        LeRobot is told to sample with all DDPM steps: its DDIM starts a short run below the
        noisiest level.
        """
        return {'type': 'diffusion', **asdict(self), 'noise_scheduler_type': 'DDPM',
                'num_inference_steps': None, 'pretrained_backbone_weights': None}

    @classmethod
    def from_lerobot_json(cls, raw):
        """
        Read the content of a ``config.json``, LeRobot's or ours.

        Fields about training and devices are ignored.

        :param raw: Parsed JSON document.
        :return: The checked configuration.
        :raises ConfigError: if it is no diffusion policy, or uses what does not exist here.
        """
        if not isinstance(raw, dict) or raw.get('type') != 'diffusion':
            got = raw.get('type') if isinstance(raw, dict) else type(raw).__name__
            raise ConfigError(f'type is {got!r}; a policy with "type": "diffusion" is needed')
        if raw.get('resize_shape') is not None:
            raise ConfigError(f'resize_shape is {raw["resize_shape"]}; images are resized by the '
                              "contract's image size here, train with resize_shape null")
        known = {f.name: raw[f.name] for f in fields(cls) if f.name in raw}
        return cls(**{'input_features': None, 'output_features': None, **known})


def _feature(contract, key):
    """Describe one observation key of a contract as a feature."""
    shape = contract.shape_of(key)
    if key.startswith(IMAGE_KEY_PREFIX):
        return {'type': 'VISUAL', 'shape': (shape[2], shape[0], shape[1])}
    return {'type': 'ENV' if key == ENVIRONMENT_KEY else 'STATE', 'shape': shape}


def _checked_features(where, features):
    """Return the features with tuple shapes, refusing malformed ones."""
    if not isinstance(features, dict) or not features:
        raise ConfigError(f'{where} is {features!r}; it must map keys to features')
    checked = {}
    for key, feature in features.items():
        if not isinstance(feature, dict) or set(feature) != {'type', 'shape'}:
            raise ConfigError(f'{where}.{key} is {feature!r}; it needs exactly "type" and "shape"')
        check_choice(f'{where}.{key}.type', feature['type'], FEATURE_TYPES, ConfigError)
        wanted = 3 if feature['type'] == 'VISUAL' else 1
        shape = feature['shape']
        if not _are_counts(shape) or len(shape) != wanted:
            raise ConfigError(f'{where}.{key}.shape is {shape!r}; a {feature["type"]} feature '
                              f'needs {wanted} positive whole number(s)')
        checked[key] = {'type': feature['type'], 'shape': tuple(shape)}
    return checked


def _check_values(config):
    """Check the fields that stand alone."""
    for name in ('n_obs_steps', 'horizon', 'n_action_steps', 'spatial_softmax_num_keypoints',
                 'kernel_size', 'n_groups', 'diffusion_step_embed_dim', 'num_train_timesteps'):
        if not _are_counts([getattr(config, name)]):
            raise ConfigError(f'{name} is {getattr(config, name)!r}; it must be a whole number, '
                              'at least 1')
    for name in ('beta_start', 'beta_end', 'clip_sample_range'):
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) \
                or not 0 < value < math.inf:
            raise ConfigError(f'{name} is {value!r}; it must be a finite number above 0')
    if not config.beta_start <= config.beta_end < 1:
        raise ConfigError(f'beta_start is {config.beta_start} and beta_end {config.beta_end}; '
                          'wanted beta_start <= beta_end < 1')
    for name, choices in CHOICES.items():
        check_choice(name, getattr(config, name), choices, ConfigError)
    if set(config.output_features) != {ACTION_KEY}:
        raise ConfigError(f'output_features has {list(config.output_features)}; exactly '
                          f'"{ACTION_KEY}" is needed')


def _check_steps(config):
    """Check the rows of a chunk against each other."""
    most = config.horizon - config.n_obs_steps + 1
    if config.n_action_steps > most:
        raise ConfigError(f'n_action_steps is {config.n_action_steps}; horizon {config.horizon} '
                          f'and n_obs_steps {config.n_obs_steps} leave at most {most}')


def _check_unet(config):
    """Check the U-Net's sizes."""
    dims = config.down_dims
    if not _are_counts(dims) or any(dim % config.n_groups for dim in dims):
        raise ConfigError(f'down_dims is {dims!r}; it needs positive multiples of n_groups '
                          f'({config.n_groups})')
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
    """Check that all cameras have one shape and that the crop fits it."""
    shapes = {config.input_features[key]['shape'] for key in config.image_keys}
    if len(shapes) > 1:
        raise ConfigError(f'the cameras have the shapes {sorted(shapes)}; all need one shape, '
                          'set it in the contract')
    crop = config.crop_shape
    if crop is not None and shapes and (not _are_counts(crop) or len(crop) != 2 or any(
            want > have for want, have in zip(crop, config.image_shape[1:]))):
        raise ConfigError(f'crop_shape is {crop!r}; it must be (height, width) in px within '
                          f'{config.image_shape[1:]}')


def _check_normalization(config):
    """Check that every feature type in use has a known normalization."""
    if not isinstance(config.normalization_mapping, dict):
        raise ConfigError(f'normalization_mapping is {config.normalization_mapping!r}; it must '
                          'map feature types to normalizations')
    features = {**config.input_features, **config.output_features}
    for feature_type in {feature['type'] for feature in features.values()}:
        check_choice(f'normalization_mapping[{feature_type!r}]',
                     config.normalization_mapping.get(feature_type), NORMALIZATIONS, ConfigError)


def _are_counts(values):
    """Tell whether all values are whole numbers of at least 1, and there is one."""
    return isinstance(values, (list, tuple)) and len(values) > 0 and all(
        isinstance(v, int) and not isinstance(v, bool) and v >= 1 for v in values)

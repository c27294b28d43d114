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

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.config_checks import check_policy_config, checked_features
from diffusion_policy_ros.config_networks import DenoiserConfig, EncoderConfig
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.settings import from_mapping
from diffusion_policy_ros.streams import ACTION_KEY, ENVIRONMENT_KEY, IMAGE_KEY_PREFIX

FEATURE_FIELDS = ('input_features', 'output_features')
# LeRobot refuses a config.json with fields that it does not know, so these are kept elsewhere.
OWN_FIELDS = ('conditioning_dropout', 'denoiser', 'observation_encoder')
GROUPS = {'denoiser': DenoiserConfig, 'observation_encoder': EncoderConfig}
DEFAULT_NORMALIZATION = {'VISUAL': 'MEAN_STD', 'STATE': 'MIN_MAX', 'ENV': 'MIN_MAX',
                         'ACTION': 'MIN_MAX'}


@dataclass(frozen=True)
class PolicyConfig:
    """
    Configuration of one diffusion policy, under LeRobot's field names where it has one.

    A feature is ``{'type': STATE|VISUAL|ENV|ACTION, 'shape': tuple}``; shapes are (entries,) or
    (channels, height, width).

    :ivar input_features: Observation key -> feature, in the order the network sees them.
    :ivar output_features: ``{'action': feature}``.
    :ivar normalization_mapping: Feature type -> one of ``choices.NORMALIZATIONS``.
    :ivar n_obs_steps: Observed rows, the newest included.
    :ivar horizon: Rows of a chunk, counted from the first observed row; a multiple of
        ``2 ** len(down_dims)``.
    :ivar n_action_steps: Rows that may be executed, from the newest observation on.
    :ivar vision_backbone: ``resnet18``, ``resnet34``, ``light_cnn`` or ``vit``.
    :ivar resize_shape: (height, width) that every image is resized to before the crop, px, or
        None.
    :ivar crop_shape: (height, width) cut from every image, px, or None.
    :ivar crop_is_random: Cut at random places while training; always the centre otherwise.
    :ivar use_group_norm: GroupNorm in a ResNet; otherwise BatchNorm.
    :ivar spatial_softmax_num_keypoints: Keypoints per camera; twice as many features, with any
        pooling.
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
    :ivar prediction_type: What the network predicts: ``epsilon``, ``sample``, ``v_prediction``
        or ``score``.
    :ivar clip_sample: Clip every predicted clean chunk.
    :ivar clip_sample_range: To plus and minus this, in normalized units; in a new policy at least
        as far as the demonstrated actions reach.
    :ivar conditioning_dropout: Share of the training windows whose observation is replaced by
        zeros, in [0, 1); above 0, samplers can be guided.
    :ivar denoiser: ``DenoiserConfig``, or a mapping of its fields.
    :ivar observation_encoder: ``EncoderConfig``, or a mapping of its fields.
    """

    input_features: dict
    output_features: dict
    normalization_mapping: dict = field(default_factory=lambda: dict(DEFAULT_NORMALIZATION))
    n_obs_steps: int = 2
    horizon: int = 16
    n_action_steps: int = 8
    vision_backbone: str = 'resnet18'
    resize_shape: tuple = None
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
    conditioning_dropout: float = 0.0
    denoiser: DenoiserConfig = DenoiserConfig()
    observation_encoder: EncoderConfig = EncoderConfig()

    def __post_init__(self):
        """Make sequences tuples, then check every field, naming it in each error."""
        for name in FEATURE_FIELDS:
            object.__setattr__(self, name, checked_features(name, getattr(self, name)))
        for name, cls in GROUPS.items():
            object.__setattr__(self, name, from_mapping(cls, name, getattr(self, name)))
        for name in ('down_dims', 'resize_shape', 'crop_shape'):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        check_policy_config(self)

    @classmethod
    def setting_names(cls) -> tuple:
        """Return the names of the fields that a robot's contract does not decide."""
        return tuple(f.name for f in fields(cls) if f.name not in FEATURE_FIELDS)

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
    def row_keys(self) -> tuple:
        """Return all keys in the order of an observed row: states, cameras, environment."""
        return self.keys_of('STATE') + self.image_keys + self.keys_of('ENV')

    @property
    def image_shape(self) -> tuple:
        """Return (channels, height, width) of every camera, before any resizing and crop."""
        return self.input_features[self.image_keys[0]]['shape']

    @property
    def encoded_shape(self) -> tuple:
        """Return (channels, height, width) that the backbone sees."""
        channels, *size = self.image_shape
        return channels, *(self.crop_shape or self.resize_shape or size)

    @property
    def image_feature_dim(self) -> int:
        """Return the number of image features of one row, over all cameras."""
        return sum(map(self.feature_dim, self.image_keys))

    @property
    def vector_dim(self) -> int:
        """Return the number of entries of the joined vectors of one row, as they are observed."""
        return sum(map(self.feature_dim, self.vector_keys))

    @property
    def cond_row_dim(self) -> int:
        """Return the number of entries of one observed row that condition the denoiser."""
        encoder = self.observation_encoder
        if encoder.fusion == 'transformer':
            return encoder.fusion_dim
        vectors = encoder.state_dims[-1] if encoder.state_dims else self.vector_dim
        return vectors + self.image_feature_dim

    @property
    def global_cond_dim(self) -> int:
        """Return the number of entries that condition the denoiser, of all rows in turn."""
        return self.n_obs_steps * self.cond_row_dim

    def feature_dim(self, key) -> int:
        """Return the number of entries that one observation has in a row, before any fusion."""
        return entries_of(self.input_features[key], self.spatial_softmax_num_keypoints)

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

    def to_own_json(self) -> dict:
        """Return the fields that LeRobot does not know."""
        known = asdict(self)
        return {name: known[name] for name in OWN_FIELDS}


def own_fields(raw) -> dict:
    """
    Return the fields that LeRobot does not know, for ``PolicyConfig``, which checks the values.

    :param raw: From ``to_own_json``.
    :raises ConfigError: if it is no mapping, or a field is unknown.
    """
    if not isinstance(raw, dict) or not raw.keys() <= set(OWN_FIELDS):
        raise ConfigError(f'config is {shown(raw)}; it must map fields among '
                          f'{", ".join(OWN_FIELDS)} to values')
    return raw


def entries_of(feature, num_keypoints) -> int:
    """
    Return the number of entries that one observation has in a row.

    :param feature: As in ``PolicyConfig.input_features``.
    :param num_keypoints: ``spatial_softmax_num_keypoints``.
    """
    return 2 * num_keypoints if feature['type'] == 'VISUAL' else feature['shape'][0]


def _feature(contract, key):
    """Describe one observation key of a contract as a feature."""
    shape = contract.shape_of(key)
    if key.startswith(IMAGE_KEY_PREFIX):
        return {'type': 'VISUAL', 'shape': (shape[2], shape[0], shape[1])}
    return {'type': 'ENV' if key == ENVIRONMENT_KEY else 'STATE', 'shape': shape}

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

"""Settings that would have no effect are refused, as whoever wrote them expects one."""

from dataclasses import asdict

from diffusion_policy_ros.checks import check_choice, shown
from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.config_checks import FEATURE_TYPES
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.settings import flattened
from diffusion_policy_ros.training.config import TrainConfig

# Settings or groups of them; whether a policy, trained by a configuration, has a use for them; why
# otherwise not, and what to do besides leaving them out. The sizes of the U-Net are not among
# them: settings that are right for it may be tried with another denoiser.
RULES = (
    (('encoder_weights', 'freeze_encoder', 'augmentation', 'pretraining',
      'policy.vision_backbone', 'policy.resize_shape', 'policy.crop_shape',
      'policy.crop_is_random', 'policy.use_group_norm', 'policy.spatial_softmax_num_keypoints',
      'policy.use_separate_rgb_encoder_per_camera', 'policy.observation_encoder.pooling',
      'policy.observation_encoder.vit_patch', 'policy.observation_encoder.vit_dim',
      'policy.observation_encoder.vit_layers', 'policy.observation_encoder.vit_heads'),
     lambda config, policy: bool(policy.image_keys),
     'the contract has no camera for the policy', ''),
    (('policy.crop_is_random',), lambda config, policy: policy.crop_shape is not None,
     'no image is cropped', 'set policy.crop_shape, or '),
    (tuple(f'policy.observation_encoder.vit_{name}' for name in (
        'patch', 'dim', 'layers', 'heads')),
     lambda config, policy: policy.vision_backbone == 'vit',
     'the image encoder is no ViT', 'set policy.vision_backbone=vit, or '),
    (('policy.observation_encoder.pooling',),
     lambda config, policy: policy.vision_backbone != 'vit', 'a ViT pools nothing', ''),
    (tuple(f'policy.observation_encoder.fusion_{name}' for name in ('dim', 'layers', 'heads')),
     lambda config, policy: policy.observation_encoder.fusion == 'transformer',
     'features are not fused by a Transformer',
     'set policy.observation_encoder.fusion=transformer, or '),
    (tuple(f'policy.denoiser.{name}' for name in ('dim', 'layers', 'heads', 'dropout')),
     lambda config, policy: policy.denoiser.type != 'unet', 'the denoiser is a U-Net',
     'set policy.denoiser.type, or '),
    (('policy.denoiser.causal',), lambda config, policy: policy.denoiser.type == 'transformer',
     'the denoiser is no Transformer', 'set policy.denoiser.type=transformer, or '),
    (('policy.beta_start', 'policy.beta_end'),
     lambda config, policy: policy.beta_schedule != 'squaredcos_cap_v2',
     'policy.beta_schedule is squaredcos_cap_v2, which has no such ends',
     'set policy.beta_schedule, or '),
    (('policy.clip_sample_range',), lambda config, policy: policy.clip_sample,
     'policy.clip_sample is false', ''),
    (('pretraining',), lambda config, policy: config.pretraining.target is not None,
     'no pretraining was asked for', 'set pretraining.target, or '),
    (('rollouts',), lambda config, policy: config.rollouts.sim is not None,
     'no rollouts were asked for', 'set rollouts.sim and rollouts.every, or '),
)
# Settings that change pictures of some encodings only; those; what no camera shows otherwise.
PICTURE_RULES = (
    (('augmentation.brightness', 'augmentation.contrast'), {'rgb8', 'mono8'}, 'colours or grey'),
    (('augmentation.saturation', 'augmentation.hue'), {'rgb8'}, 'colours'),
)


def check_effects(config, policy_config, contract) -> None:
    """
    Refuse settings that differ from their defaults and would change nothing.

    :param config: ``TrainConfig``.
    :param policy_config: ``PolicyConfig`` that is made of it and the contract.
    :param contract: ``RobotContract``.
    :raises ConfigError: naming the first such setting, why nothing uses it, and what to do.
    """
    for feature_type in policy_config.normalization_mapping:
        check_choice('a feature type of policy.normalization_mapping', feature_type,
                     FEATURE_TYPES, ConfigError)
    features = policy_config.input_features, policy_config.output_features
    plain = _flat(TrainConfig(), PolicyConfig(*features))
    asked_for = {name: value for name, value in _flat(config, policy_config).items()
                 if name not in plain or plain[name] != value}
    for names, why, remedy in _unused(config, policy_config, contract):
        for name, value in asked_for.items():
            if any(name == known or name.startswith(f'{known}.') for known in names):
                raise ConfigError(f'{name} is {shown(value)}, which would have no effect, as '
                                  f'{why}; {remedy}leave it out')


def _unused(config, policy_config, contract):
    """Yield settings that nothing uses, why, and what to do besides leaving them out."""
    for names, is_used, why, remedy in RULES:
        if not is_used(config, policy_config):
            yield names, why, remedy
    shown_by_cameras = {stream.image.encoding for stream in contract.policy_observations
                        if stream.image is not None}
    for names, encodings, what in PICTURE_RULES:
        if not encodings & shown_by_cameras:
            yield names, f'no camera of the policy shows {what}', ''


def _flat(config, policy_config):
    """Return all settings under their dotted names."""
    return flattened({**asdict(config), 'policy': asdict(policy_config)})

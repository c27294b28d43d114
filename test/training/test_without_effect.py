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

"""Settings that nothing would use are refused, with the reason and what to do instead."""

from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.training.config import load_train_config
from diffusion_policy_ros.training.without_effect import (
    check_effects, PICTURE_RULES, RULES)
import pytest

ROBOT = """
robot: dot
rate_hz: 10
actions:
  - {topic: joint_commands, type: sensor_msgs/msg/JointState, joints: [x, y], max_age_ms: 150}
observations:
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [x, y], max_age_ms: 150}
"""


def robot_with(*encodings):
    """Return the contract of a robot with some cameras."""
    return parse_contract(ROBOT + ''.join(
        f'  - {{key: observation.images.{name}, topic: {name}/image_raw, max_age_ms: 150, '
        f'type: sensor_msgs/msg/Image, image: {{height: 96, width: 96, encoding: {encoding}}}}}\n'
        for name, encoding in zip(('front', 'wrist'), encodings)))


STATE, CAMERA = robot_with(), robot_with('rgb8')


def check(contract, *overrides):
    """Check some settings for a policy of a robot."""
    config = load_train_config(None, overrides)
    check_effects(config, PolicyConfig.from_contract(contract, **config.policy), contract)


@pytest.mark.parametrize('override, shown', [
    ('policy.vision_backbone=vit', "policy.vision_backbone is 'vit'"),
    ('policy.crop_shape=[84,84]', 'policy.crop_shape is .84, 84.'),
    ('policy.observation_encoder.pooling=average', "pooling is 'average'"),
    ('augmentation.shift_px=4', 'augmentation.shift_px is 4'),
    ('encoder_weights=a.safetensors', "encoder_weights is 'a.safetensors'")])
def test_settings_of_images_are_refused_without_a_camera(override, shown):
    with pytest.raises(ConfigError, match=f'{shown}, which would have no effect, as the contract '
                       'has no camera for the policy; leave it out'):
        check(STATE, override)


@pytest.mark.parametrize('unused, why, used', [
    ('policy.observation_encoder.vit_dim=96', 'set policy.vision_backbone=vit, or leave it out',
     ['policy.vision_backbone=vit']),
    ('policy.observation_encoder.fusion_layers=3', 'not fused by a Transformer',
     ['policy.observation_encoder.fusion=transformer']),
    ('policy.denoiser.dim=64', 'the denoiser is a U-Net', ['policy.denoiser.type=mlp']),
    ('policy.denoiser.causal=false', 'is no Transformer', ['policy.denoiser.type=transformer']),
    ('policy.crop_is_random=false', 'no image is cropped', ['policy.crop_shape=[84,84]']),
    ('policy.beta_end=0.1', 'set policy.beta_schedule, or', ['policy.beta_schedule=linear']),
    ('pretraining.steps=200', 'no pretraining was asked for',
     ['pretraining.target=observation.state']),
    ('rollouts.episodes=9', 'set rollouts.sim and', ['rollouts.sim=pusht', 'rollouts.every=5'])])
def test_a_setting_is_refused_exactly_where_nothing_uses_it(unused, why, used):
    with pytest.raises(ConfigError, match=f'would have no effect, as .*{why}'):
        check(CAMERA, unused)
    check(CAMERA, unused, *used)


def test_a_vit_pools_nothing_and_nothing_is_clipped_where_clipping_is_off():
    with pytest.raises(ConfigError, match='a ViT pools nothing; leave it out'):
        check(CAMERA, 'policy.vision_backbone=vit', 'policy.observation_encoder.pooling=average')
    with pytest.raises(ConfigError, match='policy.clip_sample is false; leave it out'):
        check(CAMERA, 'policy.clip_sample=false', 'policy.clip_sample_range=2')


@pytest.mark.parametrize('name, encodings, what', [
    ('brightness', ['16UC1'], 'colours or grey'), ('contrast', ['32FC1', '16UC1'], 'colours or '),
    ('saturation', ['32FC1'], 'colours'), ('hue', ['mono8', '16UC1'], 'colours')])
def test_changes_of_colour_are_refused_where_no_camera_shows_any(name, encodings, what):
    with pytest.raises(ConfigError, match=f'augmentation.{name} is 0.3, which would have no '
                       f'effect, as no camera of the policy shows {what}.*; leave it out'):
        check(robot_with(*encodings), f'augmentation.{name}=0.3')
    check(CAMERA, f'augmentation.{name}=0.3')
    check(robot_with(*encodings), 'augmentation.shift_px=4')


@pytest.mark.parametrize('encodings', [['mono8'], ['16UC1', 'mono8']])
def test_grey_pictures_are_made_brighter_beside_depth_too(encodings):
    check(robot_with(*encodings), 'augmentation.brightness=0.3', 'augmentation.contrast=0.3')


@pytest.mark.parametrize('mapping', ['STAET: QUANTILES', 'state: QUANTILES', '3: QUANTILES'])
def test_a_normalization_of_no_feature_type_is_refused(mapping):
    usual = 'VISUAL: MEAN_STD, STATE: MIN_MAX, ENV: MIN_MAX, ACTION: MIN_MAX'
    check(STATE, f'policy.normalization_mapping={{{usual}}}')
    with pytest.raises(ConfigError, match='a feature type of policy.normalization_mapping is .*; '
                       'choose one of: STATE, VISUAL, ENV, ACTION'):
        check(STATE, f'policy.normalization_mapping={{{usual}, {mapping}}}')


def test_what_is_as_by_default_is_asked_of_nobody():
    check(STATE, 'policy.vision_backbone=resnet18', 'policy.denoiser.dim=256')


def test_every_rule_names_settings_that_exist():
    from diffusion_policy_ros.training import without_effect
    known = without_effect._flat(load_train_config(), PolicyConfig.from_contract(CAMERA))
    for names, *_ in (*RULES, *PICTURE_RULES):
        for name in names:
            assert any(key == name or key.startswith(f'{name}.') for key in known), name

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
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.training.config import load_train_config
from diffusion_policy_ros.training.without_effect import check_effects, RULES
import pytest

ACTION = {'action': {'type': 'ACTION', 'shape': (2,)}}
STATE = {'observation.state': {'type': 'STATE', 'shape': (2,)}}
CAMERA = {**STATE, 'observation.images.camera': {'type': 'VISUAL', 'shape': (3, 96, 96)}}


def check(features, *overrides):
    """Check some settings for a policy with these observations."""
    config = load_train_config(None, overrides)
    check_effects(config, PolicyConfig(features, ACTION, **config.policy))


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


def test_what_is_as_by_default_is_asked_of_nobody():
    check(STATE, 'policy.vision_backbone=resnet18', 'policy.denoiser.dim=256')


def test_every_rule_names_settings_that_exist():
    from diffusion_policy_ros.training import without_effect
    known = without_effect._flat(load_train_config(), PolicyConfig(CAMERA, ACTION))
    for names, *_ in RULES:
        for name in names:
            assert any(key == name or key.startswith(f'{name}.') for key in known), name

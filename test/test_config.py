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
"""Tests of the policy configuration."""

from dataclasses import replace
from pathlib import Path

from diffusion_policy_ros.config import own_fields, PolicyConfig
from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.errors import ConfigError
import pytest

ROBOTS = Path(__file__).resolve().parents[1] / 'config' / 'robots'


def pusht_config(**changes):
    """Return the configuration of the Push-T robot."""
    return PolicyConfig.from_contract(load_contract(ROBOTS / 'pusht.yaml'), **changes)


def test_contract_gives_features_in_its_order_without_auxiliary_streams():
    config = pusht_config()
    assert config.input_features == {
        'observation.images.camera': {'type': 'VISUAL', 'shape': (3, 96, 96)},
        'observation.state': {'type': 'STATE', 'shape': (2,)}}
    assert config.output_features == {'action': {'type': 'ACTION', 'shape': (2,)}}
    assert config.image_keys == ('observation.images.camera',)
    assert config.global_cond_dim == 2 * (2 + 64)


def test_two_cameras_and_two_state_streams_add_up():
    config = PolicyConfig.from_contract(load_contract(ROBOTS / 'arm6.yaml'))
    assert config.image_feature_dim == 128
    assert config.global_cond_dim == 2 * (7 + 128)
    assert config.action_dim == 7


def test_what_lerobot_does_not_know_travels_apart():
    config = pusht_config(conditioning_dropout=0.1)
    assert replace(pusht_config(), **own_fields(config.to_own_json())) == config
    assert own_fields({}) == {}


@pytest.mark.parametrize('raw, message', [
    ([], r'config is \[\]; it must map fields among conditioning_dropout, '
     'denoiser, observation_encoder to values'),
    ({'horizon': 8}, "config is {'horizon': 8}; it must map"),
    ({'conditioning_dropout': 1}, 'conditioning_dropout is 1; it must be a number from 0')])
def test_own_fields_that_cannot_work_are_refused(raw, message):
    with pytest.raises(ConfigError, match=message):
        replace(pusht_config(), **own_fields(raw))


@pytest.mark.parametrize('changes, message', [
    ({'horizon': 12}, 'horizon is 12; with 3 levels in down_dims it must be a multiple of 8'),
    ({'n_action_steps': 16}, 'n_action_steps is 16; horizon 16 and n_obs_steps 2 leave at most'),
    ({'n_obs_steps': 0}, 'n_obs_steps is 0; it must be a whole number'),
    ({'n_obs_steps': True}, 'n_obs_steps is True'),
    ({'down_dims': ()}, 'down_dims is'),
    ({'down_dims': (60, 128, 256)}, 'positive multiples of n_groups'),
    ({'down_dims': (20, 40), 'n_groups': 4}, r'down_dims\[0\] is 20'),
    ({'down_dims': 'wide'}, 'down_dims is'),
    ({'kernel_size': 4}, 'kernel_size is 4; it must be odd'),
    ({'diffusion_step_embed_dim': 7}, 'must be even'),
    ({'crop_shape': (84, 97)}, r'crop_shape is \(84, 97\)'),
    ({'crop_shape': 84}, 'crop_shape is 84'),
    ({'vision_backbone': 'resnet50'}, 'choose one of: resnet18, resnet34, light_cnn, vit'),
    ({'beta_schedule': 'cosine'}, 'squaredcos_cap_v2'),
    ({'beta_start': 0.1, 'beta_end': 0.02}, 'beta_start <= beta_end'),
    ({'beta_start': 'low'}, "beta_start is 'low'"),
    ({'clip_sample_range': float('nan')}, 'clip_sample_range is nan'),
    ({'prediction_type': 'v'}, 'v_prediction'),
    ({'use_group_norm': 0.5}, 'use_group_norm is 0.5; choose one of: True, False'),
    ({'use_group_norm': False, 'vision_backbone': 'vit'}, 'vit has no BatchNorm'),
    ({'resize_shape': (64,)}, r'resize_shape is \(64,\)'),
    ({'resize_shape': (64, 64), 'crop_shape': (70, 60)}, r'crop_shape .* within \(64, 64\)'),
    ({'vision_backbone': 'vit', 'crop_shape': (84, 84)}, r'vit_patch is 8; .* \(84, 84\) px'),
    ({'denoiser': {'type': 'gru'}}, 'choose one of: unet, transformer, dit, mlp'),
    ({'normalization_mapping': {'VISUAL': 'MEAN_STD'}}, r'normalization_mapping\['),
    ({'normalization_mapping': None}, 'normalization_mapping is None'),
    ({'horizon': 10**12}, 'horizon is 1000000000000; it must be a whole number from 1 to 10000'),
    ({'n_obs_steps': 10**9}, 'n_obs_steps is 1000000000; .* from 1 to 1000'),
    ({'num_train_timesteps': 10**9}, 'num_train_timesteps is .* from 1 to 100000'),
    ({'kernel_size': 10**9 + 1}, 'kernel_size is .* from 1 to 1000'),
    ({'down_dims': (10**9, 10**9)}, 'down_dims is .* at most 16384 each'),
    ({'down_dims': (8,) * 9}, 'down_dims is .* needs 1 to 8 positive multiples'),
    ({'clip_sample_range': 1e300}, r'clip_sample_range is 1e\+300; it must be .* at most 1e\+06'),
    *(({'conditioning_dropout': value}, 'conditioning_dropout is .* from 0 to below 1')
      for value in (1.0, -0.1, float('nan'), '0.1', True, None)),
    ({'beta_end': 10**400}, 'beta_end is 1000'),
])
def test_value_that_cannot_work_is_refused_by_name(changes, message):
    with pytest.raises(ConfigError, match=message):
        pusht_config(**changes)


def test_configuration_cannot_be_changed():
    with pytest.raises(AttributeError):
        pusht_config().horizon = 8

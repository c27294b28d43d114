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
"""Tests of LeRobot's ``config.json``: what of it is read, and what is written."""

from dataclasses import asdict
from pathlib import Path

from diffusion_policy_ros.choices import PREDICTION_TYPES
from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.diffusion.sampler import Sampler
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.policy import lerobot_config
import pytest

ROBOTS = Path(__file__).resolve().parents[2] / 'config' / 'robots'


def pusht_config(**changes):
    """Return the configuration of the Push-T robot."""
    return PolicyConfig.from_contract(load_contract(ROBOTS / 'pusht.yaml'), **changes)


def test_json_round_trip_keeps_every_field():
    config = pusht_config(down_dims=[64, 128], crop_shape=[84, 80], prediction_type='sample',
                          clip_sample_range=1.5, vision_backbone='light_cnn')
    assert lerobot_config.from_json(lerobot_config.to_json(config)) == config


@pytest.mark.parametrize('prediction_type', PREDICTION_TYPES)
def test_json_round_trip_keeps_every_prediction_type(prediction_type):
    config = pusht_config(prediction_type=prediction_type)
    assert lerobot_config.from_json(lerobot_config.to_json(config)) == config


def test_json_uses_only_field_names_of_lerobot():
    known = set(
        'type n_obs_steps input_features output_features horizon n_action_steps '
        'normalization_mapping vision_backbone resize_shape crop_shape crop_is_random '
        'pretrained_backbone_weights use_group_norm spatial_softmax_num_keypoints '
        'use_separate_rgb_encoder_per_camera down_dims kernel_size n_groups '
        'diffusion_step_embed_dim use_film_scale_modulation noise_scheduler_type '
        'num_train_timesteps beta_schedule beta_start beta_end prediction_type clip_sample '
        'clip_sample_range num_inference_steps'.split())
    assert set(lerobot_config.to_json(pusht_config())) == known


def test_fields_about_training_are_ignored_and_absent_ones_take_defaults():
    raw = {'type': 'diffusion', 'optimizer_lr': 1e-4, 'device': 'cuda',
           'input_features': {'observation.state': {'type': 'STATE', 'shape': [2]}},
           'output_features': {'action': {'type': 'ACTION', 'shape': [2]}}}
    config = lerobot_config.from_json(raw)
    assert config.crop_shape is None and not config.use_separate_rgb_encoder_per_camera
    assert config.image_feature_dim == 0


@pytest.mark.parametrize('features, message', [
    ({}, 'input_features is {}'),
    ({'observation.state': {'type': 'STATE'}}, 'needs exactly "type" and "shape"'),
    ({'observation.state': {'type': 'JOINTS', 'shape': [2]}}, 'choose one of: STATE'),
    ({'observation.state': {'type': 'STATE', 'shape': [2, 3]}}, r'needs 1 positive whole'),
    ({'observation.state': {'type': 'STATE', 'shape': [10**9]}}, 'at most 16384'),
    ({'observation.state': {'type': 'ACTION', 'shape': [2]}}, 'no entry of input_features may'),
    ({'observation.images.a': {'type': 'VISUAL', 'shape': [3, 96, 96]},
      'observation.images.b': {'type': 'VISUAL', 'shape': [3, 48, 96]}}, 'all need one shape'),
])
def test_malformed_feature_is_refused(features, message):
    raw = {**lerobot_config.to_json(pusht_config()), 'input_features': features}
    with pytest.raises(ConfigError, match=message):
        lerobot_config.from_json(raw)


def test_another_kind_of_policy_is_refused():
    with pytest.raises(ConfigError, match="type is 'act'"):
        lerobot_config.from_json({'type': 'act'})
    with pytest.raises(ConfigError, match=r'the document is \[\]; it must map names'):
        lerobot_config.from_json([])
    for wrong in ('x', 3, None, []):
        with pytest.raises(ConfigError, match='output_features is'):
            lerobot_config.from_json(
                {**lerobot_config.to_json(pusht_config()), 'output_features': wrong})
    with pytest.raises(ConfigError, match='output_features has'):
        lerobot_config.from_json({**lerobot_config.to_json(pusht_config()), 'output_features': {
            'torque': {'type': 'ACTION', 'shape': [2]}}})
    with pytest.raises(ConfigError, match="unknown field 'conditioning_dropout', which may"):
        lerobot_config.from_json({**lerobot_config.to_json(pusht_config()),
                                  'conditioning_dropout': 0.1})


def test_what_lerobot_does_not_know_is_left_out():
    config = pusht_config(conditioning_dropout=0.1)
    assert lerobot_config.from_json(lerobot_config.to_json(config)) == pusht_config()


@pytest.mark.parametrize('changes, is_lerobot', (
    ({}, True), ({'vision_backbone': 'resnet34', 'use_group_norm': False}, True),
    ({'conditioning_dropout': 0.1}, True), ({'vision_backbone': 'light_cnn'}, False),
    ({'denoiser': {'type': 'dit'}}, False), ({'observation_encoder': {'state_dims': [8]}}, False),
    ({'observation_encoder': {'pooling': 'average'}}, False),
    ({'observation_encoder': {'fusion': 'transformer'}}, False)))
def test_it_is_known_what_lerobot_has_networks_for(changes, is_lerobot):
    assert (not lerobot_config.refusals(pusht_config(**changes))) is is_lerobot


@pytest.mark.parametrize('change', [
    {'temperature': 0.5}, {'guidance_scale': 3.0}, {'then': 'dpm_solver++'}, {'eta': 0.5}])
def test_a_sampler_that_does_more_than_a_scheduler_of_lerobot_is_not_taken_for_it(change):
    config = pusht_config()
    sampler = {**asdict(Sampler()), **lerobot_config.scheduler_sampler(
        'DDIM', 10, config.num_train_timesteps, config.clip_sample)}
    assert lerobot_config.scheduler_fields(sampler, config) == {
        'noise_scheduler_type': 'DDIM', 'num_inference_steps': 10}
    assert lerobot_config.scheduler_fields({**sampler, **change}, config) == {
        'noise_scheduler_type': 'DDPM', 'num_inference_steps': None}

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
"""Tests of the groups of settings about networks."""

from dataclasses import replace
from pathlib import Path

from diffusion_policy_ros.config import own_fields, PolicyConfig
from diffusion_policy_ros.config_networks import DenoiserConfig, EncoderConfig
from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.settings import from_mapping
import pytest

ROBOTS = Path(__file__).resolve().parents[1] / 'config' / 'robots'


def pusht_config(**changes):
    """Return the configuration of the Push-T robot."""
    return PolicyConfig.from_contract(load_contract(ROBOTS / 'pusht.yaml'), **changes)


@pytest.mark.parametrize('changes', (
    {'denoiser': {'type': 'transformer', 'dim': 64, 'causal': False}},
    {'observation_encoder': {'fusion': 'transformer', 'fusion_dim': 32}},
    {'observation_encoder': {'state_dims': [16, 8], 'pooling': 'average'}}))
def test_own_json_keeps_every_group(changes):
    config = pusht_config(**changes)
    assert replace(pusht_config(), **own_fields(config.to_own_json())) == config


@pytest.mark.parametrize('cls, changes, message', (
    (DenoiserConfig, {'layer': 3}, 'denoiser: unknown key .layer.; did you mean "layers"'),
    (DenoiserConfig, {'dim': 12, 'heads': 4}, r'denoiser.dim is 12; .* 2 x heads \(4\)'),
    (DenoiserConfig, {'dim': 2, 'heads': 1}, 'at least 4'),
    (DenoiserConfig, {'layers': 0}, 'denoiser.layers is 0; .* from 1 to 1000'),
    (DenoiserConfig, {'layers': 10**9}, 'denoiser.layers is 1000000000'),
    (DenoiserConfig, {'heads': True}, 'denoiser.heads is True'),
    (DenoiserConfig, {'dropout': 1}, 'denoiser.dropout is 1.0; .* from 0 to below 1'),
    (DenoiserConfig, {'dropout': float('nan')}, 'denoiser.dropout is nan'),
    (DenoiserConfig, {'causal': 'yes'}, "denoiser.causal is 'yes'"),
    (DenoiserConfig, 'transformer', "denoiser is 'transformer'; it must be a group of settings"),
    (EncoderConfig, {'pooling': 'max'}, 'choose one of: spatial_softmax, average'),
    (EncoderConfig, {'fusion': 'sum'}, 'choose one of: concatenate, transformer'),
    (EncoderConfig, {'vit_dim': 100}, r'vit_dim is 100; .* 2 x vit_heads \(3\)'),
    (EncoderConfig, {'fusion_dim': 30}, r'fusion_dim is 30; .* 2 x fusion_heads \(4\)'),
    (EncoderConfig, {'state_dims': [0]}, r'state_dims is \(0,\)'),
    (EncoderConfig, {'state_dims': 64}, 'state_dims is 64; it must be a list'),
    (EncoderConfig, {'vit_patch': None}, 'vit_patch is None')))
def test_settings_that_cannot_work_are_refused_by_name(cls, changes, message):
    where = 'denoiser' if cls is DenoiserConfig else 'observation_encoder'
    with pytest.raises(ConfigError, match=message):
        from_mapping(cls, where, changes)


def test_state_layers_need_a_state():
    features = {'observation.images.top': {'type': 'VISUAL', 'shape': (3, 32, 32)}}
    action = {'action': {'type': 'ACTION', 'shape': (2,)}}
    with pytest.raises(ConfigError, match='observes no vector'):
        PolicyConfig(features, action, observation_encoder={'state_dims': [8]})


def test_the_entries_of_a_row_follow_from_how_it_is_encoded():
    row = {'plain': {}, 'layers': {'state_dims': [16, 8]},
           'fused': {'fusion': 'transformer', 'fusion_dim': 32}}
    wanted = {'plain': 2 + 64, 'layers': 8 + 64, 'fused': 32}
    got = {name: pusht_config(observation_encoder=group) for name, group in row.items()}
    assert {name: config.cond_row_dim for name, config in got.items()} == wanted
    assert all(config.global_cond_dim == 2 * wanted[name] for name, config in got.items())


def test_only_a_unet_limits_the_horizon():
    for kind in ('transformer', 'dit', 'mlp'):
        assert pusht_config(denoiser={'type': kind}, horizon=13, n_action_steps=6).horizon == 13


def test_the_backbone_sees_what_resizing_and_cropping_leave():
    shapes = [pusht_config(**changes).encoded_shape for changes in (
        {}, {'crop_shape': (84, 80)}, {'resize_shape': (48, 64)},
        {'resize_shape': (48, 64), 'crop_shape': (40, 60)})]
    assert shapes == [(3, 96, 96), (3, 84, 80), (3, 48, 64), (3, 40, 60)]

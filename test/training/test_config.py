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

"""Training settings are checked once, with errors that name the setting."""

from pathlib import Path

from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.training.config import load_train_config
import pytest

CONFIG = Path(__file__).parents[2] / 'config'


def test_defaults_load_without_a_file():
    assert load_train_config().batch_size == 64


def test_yaml_round_trip_gives_an_equal_configuration(tmp_path):
    config = load_train_config(None, ['pretraining.target=observation.environment_state',
                                      'policy.horizon=8', 'learning_rate=3e-4',
                                      'policy.conditioning_dropout=0.1',
                                      'policy.denoiser.type=transformer', 'schedule=constant',
                                      'augmentation.hue=0.1', 'pretraining.freeze=false',
                                      'rollouts.sim=pusht',
                                      'rollouts.every=5', 'data_on_device=false',
                                      'loss_weighting=variational'])
    path = tmp_path / 'train.yaml'
    path.write_text(config.to_yaml())
    assert load_train_config(path) == config


def test_overrides_reach_into_groups_and_win_over_the_file(tmp_path):
    path = tmp_path / 'train.yaml'
    path.write_text('steps: 10\npretraining: {steps: 20}\n')
    config = load_train_config(path, ['pretraining.steps=30'])
    assert (config.steps, config.pretraining.steps) == (10, 30)


@pytest.mark.parametrize('name, crop', [('pusht_image', None), ('resnet18', (84, 84))])
def test_the_settings_of_the_package_make_a_policy_for_push_t(name, crop):
    contract = load_contract(CONFIG / 'robots' / 'pusht.yaml')
    settings = load_train_config(CONFIG / 'train' / f'{name}.yaml').policy
    policy = PolicyConfig.from_contract(contract, **settings)
    assert policy.image_shape == (3, 96, 96)
    assert (policy.crop_shape, policy.crop_is_random) == (crop, True)


def test_scientific_notation_is_a_number():
    config = load_train_config(None, [
        'learning_rate=1e-3', 'pretraining.learning_rate=2e-3', 'augmentation.hue=1e-1',
        'policy.beta_start=1e-4', 'policy.conditioning_dropout=1e-1', 'policy.clip_sample_range=3',
        'policy.denoiser.dropout=2e-1'])
    assert (config.learning_rate, config.pretraining.learning_rate) == (0.001, 0.002)
    assert config.augmentation.hue == 0.1
    contract = load_contract(CONFIG / 'robots' / 'pusht.yaml')
    policy = PolicyConfig.from_contract(contract, **config.policy)
    assert (policy.beta_start, policy.conditioning_dropout) == (0.0001, 0.1)
    assert (policy.clip_sample_range, policy.denoiser.dropout) == (3.0, 0.2)


@pytest.mark.parametrize('override, message', [
    ('step=5', "unknown key 'step'; did you mean \"steps\""),
    ('pretraining.stepz=5', 'did you mean "steps"'),
    ('steps=0', 'steps is 0; it must be from 1 to'),
    ('steps=2.5', 'steps is 2.5; it must be a whole number'),
    ('batch_size=many', "batch_size is 'many'"),
    ('learning_rate=-1', 'learning_rate is -1.0; it must be from'),
    ('learning_rate=.nan', 'learning_rate is nan'),
    ('precision=half', 'choose one of: auto, float32, bfloat16, float16'),
    ('schedule=linear', "schedule is 'linear'; choose one of: cosine, constant"),
    ('accumulation_steps=0', 'accumulation_steps is 0'),
    ('data_on_device=maybe', "data_on_device is 'maybe'; choose one of: auto, True, False"),
    ('data_on_device=1', 'data_on_device is 1; it must be auto, true or false'),
    ('compile=yes please', 'compile is .*; it must be true or false'),
    ('augmentation.hue=2', 'augmentation.hue is 2'),
    ('augmentation.blur=2', "augmentation: unknown key 'blur'; known"),
    ('augmentation=3', 'augmentation is 3; it must be a group'),
    ('rollouts.every=100', 'rollouts.sim is None and rollouts.every 100; set both'),
    ('rollouts.sim=pusht', "rollouts.sim is 'pusht' and rollouts.every 0; set both"),
    ('rollouts.episodes=0', 'rollouts.episodes is 0'),
    ('wandb_project=3', 'wandb_project is 3; it must be a text'),
    ('freeze_encoder=true', 'freeze_encoder is true without encoder_weights'),
    ('loss_weighting=snr', "loss_weighting is 'snr'; choose one of: simple, variational"),
    ('pretraining.freeze=1', 'pretraining.freeze is 1; it must be true or false'),
    ('steps', 'not of the form key=value'),
    ('encoder_weights=', "override 'encoder_weights=' has no value; write null where none is"),
    ('policy.crop_shape= ', 'has no value'),
    ('steps.more=3', 'unknown key|not a group|must be a whole number'),
    ('ema_max=2', 'ema_max is 2.0; it must be from 0 to 1'),
    ('ema_max=.nan', 'ema_max is nan'),
    ('ema_power=-1', 'ema_power is -1.0'),
    ('beta1=2', 'beta1 is 2.0'),
    ('beta2=.nan', 'beta2 is nan'),
    ('weight_decay=.nan', 'weight_decay is nan'),
    ('seed=100000000000000000000000', 'seed is'),
    ('seed=!!int foo', 'not what its YAML type says'),
    ('pretraining.learning_rate=0', 'pretraining.learning_rate is 0'),
    ('policy=3', 'policy is 3; it must be a group'),
    ('policy.horizont=8', "policy: unknown key 'horizont'; did you mean \"horizon\""),
    ('policy.beta_start=many', "policy.beta_start is 'many'; it must be a number"),
    ('policy.horizon=2.5', 'policy.horizon is 2.5; it must be a whole number'),
    ('policy.denoiser=mlp', "policy.denoiser is 'mlp'; it must be a group of settings"),
    ('policy.denoiser.dropout=much', "policy.denoiser.dropout is 'much'; it must be a number"),
    ('policy.denoiser.layer=3', 'policy.denoiser: unknown key .layer.; did you mean "layers"'),
    ('policy.observation_encoder.vit_dim=1e2', "vit_dim is '1e2'; it must be a whole number"),
    ('policy.foo=1', "policy: unknown key 'foo'; known: .*n_obs_steps.*down_dims"),
    ('policy.input_features={}', "policy: unknown key 'input_features'"),
    ('policy={1: 2}', 'policy: unknown key 1;'),
    ('pretraining.target=[1]', r'target is \[1\]; it must be a text'),
])
def test_bad_settings_are_refused_by_name(override, message):
    with pytest.raises(ConfigError, match=message):
        load_train_config(None, [override])


def test_null_is_no_value_that_was_forgotten(tmp_path):
    (tmp_path / 'train.yaml').write_text('encoder_weights: a.safetensors')
    config = load_train_config(tmp_path / 'train.yaml', ['encoder_weights=null'])
    assert config.encoder_weights is None


def test_a_file_that_is_no_mapping_is_named(tmp_path):
    (tmp_path / 'list.yaml').write_text('[1, 2]')
    with pytest.raises(ConfigError, match='list.yaml: a training configuration is a mapping'):
        load_train_config(tmp_path / 'list.yaml', ['steps=3'])


@pytest.mark.parametrize('text, message', [
    ('polcy: {}', "unknown key 'polcy'; did you mean \"policy\""),
    ('policy: {down_dim: [8]}', "unknown key 'down_dim'; did you mean \"down_dims\""),
    ('pretraining: {batchsize: 8}', "unknown key 'batchsize'; did you mean \"batch_size\"")])
def test_a_misspelt_key_in_a_file_is_named_with_the_nearest(tmp_path, text, message):
    (tmp_path / 'train.yaml').write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_train_config(tmp_path / 'train.yaml')


def test_an_empty_file_gives_the_defaults(tmp_path):
    (tmp_path / 'empty.yaml').touch()
    assert load_train_config(tmp_path / 'empty.yaml') == load_train_config()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match='nowhere.yaml'):
        load_train_config(tmp_path / 'nowhere.yaml')


@pytest.mark.parametrize('more, message', [
    ('pretraining.target=observation.pose', 'pretraining.target trains it'),
    ('augmentation.shift_px=4', 'augmentation changes images')])
def test_settings_that_a_frozen_encoder_leaves_without_effect_are_refused(more, message):
    with pytest.raises(ConfigError, match=message):
        load_train_config(None, ['freeze_encoder=true', 'encoder_weights=a.safetensors', more])


def test_augmentation_is_refused_where_the_encoder_is_frozen_after_its_pretraining():
    settings = ['pretraining.target=observation.pose', 'augmentation.shift_px=4']
    with pytest.raises(ConfigError, match='leave out augmentation, or set .*pretraining.freeze'):
        load_train_config(None, settings)
    assert load_train_config(None, [*settings, 'pretraining.freeze=false']).augmentation.shift_px

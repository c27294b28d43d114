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
"""A run says what it is about to do, and refuses settings that do not fit."""

from diffusion_policy_ros.diffusion import DiscreteVp
from diffusion_policy_ros.errors import ConfigError, DatasetError
from diffusion_policy_ros.policy.policy import Policy
from diffusion_policy_ros.training import run as run_module
from diffusion_policy_ros.training.config import load_train_config
from diffusion_policy_ros.training.loop import Interrupted
from diffusion_policy_ros.training.run import train
import pytest
from safetensors.torch import load_file
import torch

PRETRAINED = ['pretraining.target=observation.environment_state', 'pretraining.steps=4']


def run(dataset, out, config, resume=False, stop_after=None):
    """Train on the CPU, asking for a stop after some steps."""
    done = []

    def stop_requested():
        done.append(1)
        return len(done) == stop_after

    return train(dataset, out, config, device=torch.device('cpu'), resume=resume,
                 stop_requested=stop_requested)


def test_resume_without_a_snapshot_or_with_other_settings_is_refused(
        dataset, tmp_path, small_config):
    with pytest.raises(ConfigError, match='no snapshot'):
        run(dataset, tmp_path / 'model', small_config('steps=1'), resume=True)
    run(dataset, tmp_path / 'model', small_config('steps=1'))
    with pytest.raises(ConfigError, match=r'settings differ .*\(policy.crop_shape: None -> '
                       r'\[28, 28\], steps: 1 -> 2, seed: 0 -> 1\); resume '
                       rf'with .*: --config {tmp_path / "model.run"}/train.yaml --resume'):
        run(dataset, tmp_path / 'model', small_config(
            'steps=2', 'policy.crop_shape=[28,28]', 'seed=1'), resume=True)


def test_a_default_that_was_written_out_is_no_other_setting(dataset, tmp_path, small_config):
    written_out = ('policy.n_obs_steps=2', 'policy.denoiser.type=unet', 'policy.crop_shape=null',
                   'policy.normalization_mapping={VISUAL: MEAN_STD, STATE: MIN_MAX, ENV: MIN_MAX, '
                   'ACTION: MIN_MAX}')
    with pytest.raises(Interrupted):
        run(dataset, tmp_path / 'model', small_config('steps=2', *written_out), stop_after=1)
    run(dataset, tmp_path / 'model', small_config('steps=2'), resume=True)


def test_a_run_goes_on_with_the_settings_that_its_folder_holds(dataset, tmp_path, small_config):
    with pytest.raises(Interrupted):
        run(dataset, tmp_path / 'model', small_config('steps=2'), stop_after=1)
    config = load_train_config(tmp_path / 'model.run' / 'train.yaml')
    assert 'trained 2 steps' in run(dataset, tmp_path / 'model', config, resume=True)


def test_a_run_that_a_newer_version_would_refuse_goes_on(
        dataset, tmp_path, small_config, monkeypatch):
    config = small_config('steps=2', 'policy.beta_schedule=linear', 'augmentation.hue=0.1')
    with monkeypatch.context() as older:
        older.setattr(run_module, '_check_schedule', lambda policy_config: None)
        with pytest.raises(Interrupted):
            run(dataset, tmp_path / 'model', config, stop_after=1)
    with pytest.raises(ConfigError, match='policy.beta_end is 0.02'):
        run(dataset, tmp_path / 'other', config)
    assert 'trained 2 steps' in run(dataset, tmp_path / 'model', config, resume=True)


def test_a_chunk_longer_than_every_training_episode_is_refused(dataset, tmp_path, small_config):
    with pytest.raises(ConfigError, match='policy.horizon is 16, and the longest training episode '
                       'has 12 rows, .*; take at most 12'):
        run(dataset, tmp_path / 'model', small_config('steps=1', 'policy.horizon=16'))


def test_a_run_says_at_its_start_what_it_trains_and_on_what(
        dataset, tmp_path, small_config, capsys):
    config = small_config('steps=2', 'batch_size=4', 'accumulation_steps=2')
    with pytest.raises(Interrupted):
        run(dataset, tmp_path / 'model', config, stop_after=1)
    said = capsys.readouterr().err
    weights = load_file(tmp_path / 'model' / 'model.safetensors')
    count = sum(tensor.numel() for tensor in weights.values())
    assert f'{count / 1e6:.2f} M weights (light_cnn and ' in said
    assert ', FiLM U-Net 16-32, predicts epsilon) on cpu in float32\n' in said
    assert ('24 windows of 2 episodes to learn from, 1 held out; 2 steps of 8 windows each\n'
            ) in said
    run(dataset, tmp_path / 'model', config, resume=True)
    assert 'going on after step 1 of stage "diffusion"' in capsys.readouterr().err
    run(dataset, tmp_path / 'all', small_config('steps=1', 'validation_episodes=0', *PRETRAINED))
    assert ('36 windows of 3 episodes to learn from, none held out, so that overfitting will not '
            'be seen; 4 steps of pretraining, then 1 steps of 8 windows each\n'
            ) in capsys.readouterr().err


def test_resume_takes_the_same_settings_in_another_order(dataset, tmp_path, small_config):
    first, second = 'policy.crop_shape=[28,28]', 'policy.num_train_timesteps=20'
    with pytest.raises(Interrupted):
        run(dataset, tmp_path / 'model', small_config('steps=2', first, second), stop_after=1)
    run(dataset, tmp_path / 'model', small_config('steps=2', second, first), resume=True)
    assert Policy.load(tmp_path / 'model').config.num_train_timesteps == 20


@pytest.mark.parametrize('override, error, message', [
    ('validation_episodes=3', DatasetError, 'only 3 episodes'),
    ('pretraining.target=observation.force', ConfigError, 'observation.environment_state'),
    ('pretraining.target=observation.images.camera', ConfigError,
     'recorded vectors: observation.state, observation.environment_state, action$'),
    ('policy.horizon=7', ConfigError, 'horizon'),
    ('policy.denoiser.dim=64', ConfigError, 'policy.denoiser.dim is 64, which would have no '),
    ('batch_size=25', ConfigError, 'from 25 windows .*have only 24; lower one of them'),
])
def test_settings_that_do_not_fit_the_dataset_are_refused(
        dataset, tmp_path, small_config, override, error, message):
    with pytest.raises(error, match=message):
        run(dataset, tmp_path / 'model', small_config(override))


@pytest.mark.parametrize('schedule, levels, remedy', [
    ('linear', 100, 'policy.beta_end=0.2'), ('scaled_linear', 100, 'policy.beta_end=0.2'),
    ('linear', 20, 'policy.beta_end=0.99'), ('linear', 2, 'policy.beta_end=0.99'),
    ('scaled_linear', 150, 'policy.beta_end=0.13'),
    ('linear', 1, 'policy.beta_schedule=squaredcos_cap_v2')])
def test_a_schedule_that_ends_before_pure_noise_is_refused_with_one_that_does_not(
        dataset, tmp_path, small_config, schedule, levels, remedy):
    settings = ['steps=1', f'policy.num_train_timesteps={levels}',
                f'policy.beta_schedule={schedule}']
    with pytest.raises(ConfigError, match=rf'policy.beta_end is 0.02: with .* {schedule} and '
                       rf'{levels} levels alpha is [01]\.\d\d .*; set {remedy}'):
        run(dataset, tmp_path / 'model', small_config(*settings))
    run(dataset, tmp_path / 'model', small_config(*settings, remedy))
    process = DiscreteVp.of(Policy.load(tmp_path / 'model').config)
    assert process.alphas_cumprod[-1] < 0.15 ** 2


@pytest.mark.parametrize('levels, steps', [(1, 1), (9, 8), (10, 9), (11, 10), (100, 10)])
def test_the_sampler_makes_no_more_steps_than_the_training_has_levels(
        dataset, tmp_path, small_config, levels, steps):
    run(dataset, tmp_path / 'model', small_config(
        'steps=1', f'policy.num_train_timesteps={levels}'))
    policy = Policy.load(tmp_path / 'model')
    assert (policy.config.num_train_timesteps, policy.sampler.num_inference_steps) == (
        levels, steps)

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

"""The stage trains what its options say: weights, dropped observations, prediction types."""

from diffusion_policy_ros.diffusion import variational_weights
from diffusion_policy_ros.policy.policy import Policy
from diffusion_policy_ros.training import diffusion_stage
from diffusion_policy_ros.training.run import train
import pytest
import torch

PRETRAINED = ('pretraining.target=observation.environment_state', 'pretraining.steps=1')


def run(dataset, out, config):
    """Train on the CPU."""
    train(dataset, out, config, device=torch.device('cpu'), resume=False,
          stop_requested=lambda: False)


@pytest.fixture
def seen(monkeypatch):
    """Record the conditions that the network is shown, as (training, condition)."""
    calls, denoise = [], Policy.denoise

    def recorded(policy, x_t, t, global_cond):
        calls.append((policy.training, global_cond.detach()))
        return denoise(policy, x_t, t, global_cond)

    monkeypatch.setattr(Policy, 'denoise', recorded)
    return calls


def rows(seen, training):
    """Return whether each condition was zeros, of training or of validation."""
    return torch.cat([(cond == 0).all(1) for mode, cond in seen if mode == training])


@pytest.mark.parametrize('overrides', [(), PRETRAINED], ids=['end to end', 'frozen encoder'])
def test_observations_are_dropped_in_training_and_never_in_validation(
        dataset, tmp_path, small_config, seen, overrides):
    run(dataset, tmp_path / 'model', small_config(
        'steps=8', 'policy.conditioning_dropout=0.5', *overrides))
    assert 0.25 < rows(seen, True).float().mean() < 0.75  # of 64 windows
    assert not rows(seen, False).any()
    assert Policy.load(tmp_path / 'model').config.conditioning_dropout == 0.5


def test_without_dropout_every_observation_is_seen(dataset, tmp_path, small_config, seen):
    run(dataset, tmp_path / 'model', small_config('steps=2'))
    assert not rows(seen, True).any()


@pytest.mark.parametrize('weighting', ['simple', 'variational'])
def test_the_loss_gets_the_weights_of_the_choice(
        dataset, tmp_path, small_config, monkeypatch, weighting):
    given, loss = [], diffusion_stage.diffusion_loss

    def recorded(policy, *args, weights, **kwargs):
        given.append((policy, weights))
        return loss(policy, *args, weights=weights, **kwargs)

    monkeypatch.setattr(diffusion_stage, 'diffusion_loss', recorded)
    run(dataset, tmp_path / 'model', small_config(
        'steps=1', f'loss_weighting={weighting}', 'policy.prediction_type=v_prediction'))
    policy, weights = given[0]
    if weighting == 'simple':
        assert weights is None
    else:
        assert weights.dtype == torch.float32
        torch.testing.assert_close(
            weights.double(), variational_weights(policy.process, 'v_prediction'), rtol=1e-6,
            atol=0)


@pytest.mark.parametrize('weighting', ['simple', 'variational'])
def test_a_policy_that_predicts_the_score_trains_and_samples(
        dataset, tmp_path, small_config, weighting):
    run(dataset, tmp_path / 'model', small_config(
        'steps=4', 'policy.prediction_type=score', f'loss_weighting={weighting}'))
    policy = Policy.load(tmp_path / 'model')
    assert policy.config.prediction_type == 'score'
    cond = torch.zeros(2, policy.config.global_cond_dim)
    chunk = policy.sample_from(cond, generator=torch.Generator().manual_seed(0))
    assert torch.isfinite(chunk).all()

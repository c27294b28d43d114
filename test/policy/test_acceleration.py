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
"""An accelerated policy draws the chunks of the policy that it was made of."""

from diffusion_policy_ros.diffusion import Sampler
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.networks.packed_layers import can_pack
from diffusion_policy_ros.policy import acceleration
from diffusion_policy_ros.policy.acceleration import accelerated
import pytest
import torch

NETWORKS = {
    'unet': {'down_dims': (64, 128)},
    'guided': {'down_dims': (64, 128), 'conditioning_dropout': 0.1},
    'transformer': {'denoiser': {'type': 'transformer', 'dim': 64, 'layers': 2, 'heads': 2}},
    'dit': {'denoiser': {'type': 'dit', 'dim': 64, 'layers': 2, 'heads': 2}},
    'mlp': {'denoiser': {'type': 'mlp', 'dim': 64, 'layers': 2}},
    'resnet': {'vision_backbone': 'resnet18'},
    'batch norm': {'vision_backbone': 'resnet18', 'use_group_norm': False},
    'vit': {'vision_backbone': 'vit', 'observation_encoder': {
        'vit_patch': 4, 'vit_dim': 64, 'vit_layers': 2, 'vit_heads': 2}},
    'separate': {'use_separate_rgb_encoder_per_camera': True},
    'fusion': {'observation_encoder': {'fusion': 'transformer', 'fusion_dim': 64,
                                       'fusion_heads': 2, 'state_dims': (64, 64)}}}
needs_onednn = pytest.mark.skipif(not can_pack(), reason='this torch has no oneDNN')


@pytest.fixture(params=NETWORKS)
def policy_of(request, make_policy):
    """Return a small policy of every kind of network, whose weights all take part."""
    policy = make_policy(**NETWORKS[request.param]).eval()
    with torch.no_grad():
        for parameter in policy.diffusion.denoiser.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    scale = 1.5 if request.param == 'guided' else 1.0
    policy.sampler = Sampler('ddim', num_inference_steps=5, guidance_scale=scale)
    return policy


def sampled(policy, window, **options):
    """Return the chunks of a seed."""
    return policy.sample(window, generator=torch.Generator().manual_seed(5), **options)


def test_it_draws_the_same_chunks_up_to_rounding(policy_of, window):
    wanted = sampled(policy_of, window)
    fast = accelerated(policy_of)
    torch.testing.assert_close(sampled(fast, window), wanted, atol=1e-5, rtol=0)
    one = {key: value[:1] for key, value in window.items()}
    torch.testing.assert_close(sampled(fast, one), sampled(policy_of, one), atol=1e-5, rtol=0)
    many = fast.sample_candidates(one, 7, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(many, policy_of.sample_candidates(
        one, 7, generator=torch.Generator().manual_seed(5)), atol=1e-4, rtol=0)


def test_the_policy_it_was_made_of_stays_as_it_is(policy_of, window):
    before = {name: tensor.clone() for name, tensor in policy_of.state_dict().items()}
    wanted = sampled(policy_of, window)
    accelerated(policy_of)
    after = policy_of.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(sampled(policy_of, window), wanted)


def test_every_solver_works_with_it(make_policy, window):
    # Untrained weights that predicted noise would blow every rounding up, at the noisiest level.
    policy = make_policy(down_dims=(64, 128), prediction_type='sample').eval()
    fast = accelerated(policy)
    for solver in ('dpm_solver++', 'heun', 'unipc', 'adaptive', 'sde_dpm_solver++'):
        sampler = Sampler(solver, num_inference_steps=5)
        torch.testing.assert_close(sampled(fast, window, sampler=sampler),
                                   sampled(policy, window, sampler=sampler), atol=1e-5, rtol=0)


@needs_onednn
def test_bfloat16_moves_a_chunk_by_less_than_a_hundredth_of_its_range(make_policy, window):
    policy = make_policy(down_dims=(64, 128, 256)).eval()
    wanted, got = sampled(policy, window), sampled(accelerated(policy, precision='bfloat16'),
                                                   window)
    assert got.dtype == torch.float32
    assert 0 < (got - wanted).abs().max() < 0.005  # of 0.5 m


def test_without_onednn_it_still_draws_the_same_chunks(policy_of, window, monkeypatch):
    monkeypatch.setattr(acceleration, 'can_pack', lambda: False)
    wanted = sampled(policy_of, window)
    torch.testing.assert_close(sampled(accelerated(policy_of), window), wanted, atol=1e-6, rtol=0)
    with pytest.raises(ConfigError, match="precision is 'bfloat16', .* Take float32"):
        accelerated(policy_of, precision='bfloat16')


def test_an_unknown_precision_is_refused_by_name(policy):
    with pytest.raises(ConfigError, match="precision is 'int8'.*float32.*bfloat16"):
        accelerated(policy, precision='int8')

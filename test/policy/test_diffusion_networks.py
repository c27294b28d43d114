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
"""Every denoiser is a policy: it samples, is stored, and comes back the same."""

from diffusion_policy_ros.policy import Policy
from diffusion_policy_ros.policy.diffusion_networks import DiffusionNetworks
import pytest
import torch

DENOISERS = {'unet': {}, 'transformer': {'dim': 16, 'layers': 2, 'heads': 2},
             'dit': {'dim': 16, 'layers': 2, 'heads': 2}, 'mlp': {'dim': 16, 'layers': 2}}


@pytest.fixture(params=DENOISERS)
def policy_of(request, make_policy):
    """Return a small policy with each denoiser, whose weights all take part."""
    policy = make_policy(denoiser={'type': request.param, **DENOISERS[request.param]}).eval()
    with torch.no_grad():
        for parameter in policy.diffusion.denoiser.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return policy


def sampled(policy, window):
    """Return the chunks of a seed."""
    return policy.sample(window, generator=torch.Generator().manual_seed(5))


def test_a_policy_samples_and_its_checkpoint_samples_the_same(policy_of, window, tmp_path):
    chunk = sampled(policy_of, window)
    assert chunk.shape == (2, 16, 2) and chunk.isfinite().all()
    policy_of.save(tmp_path / 'model')
    loaded = Policy.load(tmp_path / 'model')
    assert loaded.config == policy_of.config
    assert torch.equal(sampled(loaded, window), chunk)


def test_the_observation_reaches_the_chunk(policy_of, window):
    other = {**window, 'observation.state': window['observation.state'] + 0.2}
    assert not torch.allclose(sampled(policy_of, other), sampled(policy_of, window))


@pytest.mark.parametrize('name', DENOISERS)
def test_the_denoiser_is_stored_under_its_type(make_policy, name):
    networks = DiffusionNetworks(make_policy(denoiser={'type': name, **DENOISERS[name]}).config)
    prefixes = {key.split('.')[0] for key in networks.state_dict()}
    assert prefixes == {'rgb_encoder', name}
    assert networks.denoiser is getattr(networks, name)

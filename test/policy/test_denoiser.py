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

"""What samplers see of a policy: guidance, levels of a batch, clipping."""

from diffusion_policy_ros.diffusion import clean_from_prediction, Level, Sampler
from diffusion_policy_ros.errors import ConfigError
import pytest
import torch


@pytest.fixture(scope='module')
def guided(make_policy):
    """Return a policy that has been told of missing observations."""
    return make_policy(conditioning_dropout=0.1, clip_sample=False).eval()


@pytest.fixture
def noisy():
    """Return noisy chunks."""
    return torch.randn(2, 16, 2, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def network_clean(policy, x_t, level, global_cond):
    """Ask the network itself for the clean chunk."""
    t = torch.full((len(x_t),), level.timestep)
    return clean_from_prediction(policy.denoise(x_t, t, global_cond), x_t, level.alpha,
                                 level.sigma, policy.config.prediction_type)


@pytest.mark.parametrize('scale', (0.0, 0.5, 1.0, 3.0))
@torch.no_grad()
def test_guidance_extrapolates_from_the_unconditioned_prediction(guided, window, noisy, scale):
    level, cond = guided.process.level(60), guided.encode(window)
    free = network_clean(guided, noisy, level, torch.zeros_like(cond))
    told = network_clean(guided, noisy, level, cond)
    assert not torch.allclose(free, told)
    denoiser = guided.denoiser(cond, Sampler(guidance_scale=scale))
    torch.testing.assert_close(denoiser(noisy, level), (1 - scale) * free + scale * told)


def test_guidance_without_an_observation_does_not_depend_on_it(guided, window):
    other = {key: value[::-1].copy() for key, value in window.items()}
    sampler, noise = Sampler(guidance_scale=0.0), torch.randn(2, 16, 2)
    assert torch.equal(guided.sample(window, sampler=sampler, noise=noise),
                       guided.sample(other, sampler=sampler, noise=noise))


def test_guidance_of_a_policy_that_never_missed_an_observation_is_refused(policy, window):
    with pytest.raises(ConfigError, match='guidance_scale is 2.0, but this policy was trained '
                                          'without conditioning_dropout'):
        policy.sample(window, sampler=Sampler(guidance_scale=2.0))


@torch.no_grad()
@torch.no_grad()
def test_what_was_not_clipped_is_told_beside_what_was(policy, window, noisy):
    level, cond = policy.process.level(60), policy.encode(window)
    clean = network_clean(policy, 5 * noisy, level, cond)
    clipped, unclipped = policy.denoiser(cond).both(5 * noisy, level)
    torch.testing.assert_close(unclipped, clean)
    assert torch.equal(clipped, unclipped.clamp(-1, 1)) and not torch.equal(clipped, unclipped)
    assert torch.equal(policy.denoiser(cond)(5 * noisy, level), clipped)


def test_every_chunk_of_a_batch_may_have_a_level_of_its_own(policy, window, noisy):
    denoiser, cond = policy.denoiser, policy.encode(window)
    levels = [policy.process.level(t) for t in (80, 12)]
    together = denoiser(cond)(noisy, Level(*(
        torch.tensor(values, dtype=torch.float32).view(2, 1, 1) for values in zip(*levels))))
    for row, level in enumerate(levels):
        alone = denoiser(cond[row:row + 1])(noisy[row:row + 1], level)
        torch.testing.assert_close(together[row:row + 1], alone)


def test_the_adaptive_solver_gives_each_window_what_it_gets_alone(policy, window):
    noise = torch.randn(2, 16, 2, generator=torch.Generator().manual_seed(3))
    sampler = Sampler('adaptive', max_evaluations=2000)
    whole = policy.sample(window, sampler=sampler, noise=noise)
    for row in range(2):
        part = {key: value[row:row + 1] for key, value in window.items()}
        alone = policy.sample(part, sampler=sampler, noise=noise[row:row + 1])
        torch.testing.assert_close(alone[0], whole[row], rtol=1e-3, atol=1e-3)

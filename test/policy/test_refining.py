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

"""Several chunks for one window, and chunks that are refined."""

from diffusion_policy_ros.diffusion import Sampler
from diffusion_policy_ros.errors import ConfigError
import pytest
import torch


def seeded(seed=0):
    """Return a generator."""
    return torch.Generator().manual_seed(seed)


def test_candidates_are_what_as_many_equal_windows_would_give(policy, window):
    repeated = {key: value.repeat(3, axis=0) for key, value in window.items()}
    chunks = policy.sample_candidates(window, 3, generator=seeded())
    assert chunks.shape == (2, 3, 16, 2)
    torch.testing.assert_close(chunks.flatten(0, 1),
                               policy.sample(repeated, generator=seeded()))
    assert not torch.equal(chunks[:, 0], chunks[:, 1])


def test_candidates_encode_each_window_once(policy, window, monkeypatch):
    seen, encode = [], policy.diffusion.rgb_encoder.forward
    monkeypatch.setattr(policy.diffusion.rgb_encoder, 'forward',
                        lambda images: seen.append(len(images)) or encode(images))
    policy.sample_candidates(window, 8, generator=seeded())
    assert seen == [4]  # two windows of two pictures


@pytest.mark.parametrize('count', [0, -1, 2.0, '3'])
def test_a_number_of_candidates_that_cannot_be_is_refused(policy, window, count):
    with pytest.raises(ConfigError, match='num_candidates is .*; wanted at least 1'):
        policy.sample_candidates(window, count)


def test_refining_keeps_less_the_higher_it_starts(policy, window):
    cond = policy.encode(window).detach()
    chunk = policy.sample(window, generator=seeded(1))
    moved = []
    for start in (2, 20, 90):
        sampler = Sampler('ddim', 3, start_timestep=start)
        refined = policy.refine_from(cond, chunk, sampler=sampler, generator=seeded(2))
        assert refined.shape == chunk.shape
        moved.append(float((refined - chunk).abs().mean()))
    assert moved[0] < moved[1] < moved[2]
    assert moved[0] < 0.02


def test_refining_from_the_given_noise_repeats(policy, window):
    cond, noise = policy.encode(window).detach(), torch.randn(2, 16, 2)
    chunk, sampler = torch.full((2, 16, 2), 0.2), Sampler(num_inference_steps=4,
                                                          start_timestep=50)
    first, second = (policy.refine_from(cond, chunk, sampler=sampler, noise=noise)
                     for _ in range(2))
    assert torch.equal(first, second)
    with pytest.raises(ConfigError, match=r'noise: got float32 \(1, 16, 2\), wanted float32'):
        policy.refine_from(cond, chunk, sampler=sampler, noise=noise[:1])
    with pytest.raises(ConfigError, match=r'chunk: got float32 \(1, 16, 2\), wanted float32'):
        policy.refine_from(cond, chunk[:1], sampler=sampler)


def test_a_default_sampler_that_loading_would_refuse_is_not_saved(make_policy, tmp_path):
    policy = make_policy()
    policy.sampler = Sampler(num_inference_steps=1000)
    with pytest.raises(ConfigError, match='num_inference_steps is 1000'):
        policy.save(tmp_path / 'model')
    assert not (tmp_path / 'model').exists()

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

"""``ddim_unclipped`` takes diffusers' DDIM steps where clean chunks are clipped; ``ddim`` not."""

from diffusion_policy_ros.diffusion import DiscreteVp, Inpainted, sample_chunk, Sampler
import pytest
import torch

LEVELS, STEPS, LIMIT = 100, 10, 0.8


class Clipping:
    """A denoiser with a definite answer, clipped."""

    def __call__(self, x_t, level):
        return self.both(x_t, level)[0]

    def both(self, x_t, level):
        unclipped = (x_t - level.sigma * guess(x_t, level.timestep)) / level.alpha
        return unclipped.clamp(-LIMIT, LIMIT), unclipped


def guess(x_t, t):
    """Return the predicted noise."""
    return x_t * (0.9 - 0.2 * torch.sin(3 * x_t + t / 20))


def theirs(x):
    """Run diffusers' scheduler as LeRobot does."""
    diffusers = pytest.importorskip('diffusers')
    scheduler = diffusers.DDIMScheduler(LEVELS, beta_schedule='squaredcos_cap_v2',
                                        clip_sample=True, clip_sample_range=LIMIT)
    scheduler.set_timesteps(STEPS)
    for t in scheduler.timesteps:
        x = scheduler.step(guess(x, int(t)), t, x).prev_sample
    return x


def test_it_takes_the_steps_of_diffusers_and_ddim_does_not():
    noise = torch.randn(64, 8, 2, generator=torch.Generator().manual_seed(0))
    wanted, process = theirs(noise), DiscreteVp(LEVELS)
    run = {'num_inference_steps': STEPS, 'spacing': 'linspace', 'start_timestep': 90.0}
    ours = sample_chunk(Clipping(), noise, process, Sampler('ddim_unclipped', **run))
    torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-5)
    other = sample_chunk(Clipping(), noise, process, Sampler('ddim', **run))
    assert (other - wanted).abs().max() > 0.01
    assert (wanted.abs() < 0.99 * LIMIT).any()


def test_of_a_denoiser_that_does_not_clip_it_is_ddim():
    noise = torch.randn(4, 8, 2, generator=torch.Generator().manual_seed(0))

    def denoiser(x_t, level):
        return (x_t - level.sigma * guess(x_t, level.timestep)) / (level.alpha + 0.1)

    first, second = (sample_chunk(denoiser, noise, DiscreteVp(LEVELS), Sampler(name, STEPS))
                     for name in ('ddim', 'ddim_unclipped'))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)


def test_promises_that_weigh_nothing_leave_the_unclipped_direction():
    noise = torch.randn(4, 8, 2, generator=torch.Generator().manual_seed(0))
    chunks = [sample_chunk(denoiser, noise, DiscreteVp(LEVELS), Sampler('ddim_unclipped', STEPS))
              for denoiser in (Clipping(), Inpainted(Clipping(), noise, torch.zeros(8, 1)))]
    assert torch.equal(*chunks)

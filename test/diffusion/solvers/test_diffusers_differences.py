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

"""Where diffusers does something else under the same name, the exact answer is nearer to ours."""

import math

from diffusion_policy_ros.diffusion import CLEAN, DiscreteVp, inference_levels, integrate, Sampler
import pytest
import torch

diffusers = pytest.importorskip('diffusers')

LINEAR, COSINE = DiscreteVp(1000, 'linear'), DiscreteVp(100)
POINTS = torch.linspace(-2.5, 2.5, 101, dtype=torch.float64).view(1, -1, 1)


def multistep(process, order, timesteps=None, steps=None, **options):
    """Make their multistep DPM-Solver++ over given timesteps or over its own."""
    theirs = diffusers.DPMSolverMultistepScheduler(
        process.num_train_timesteps, beta_schedule=process.beta_schedule, solver_order=order,
        prediction_type='sample', **options)
    theirs.set_timesteps(num_inference_steps=steps, timesteps=timesteps)
    return theirs


def run(scheduler, denoiser, process, x=POINTS):
    """Run a scheduler over its own timesteps."""
    for t in scheduler.timesteps.tolist():
        x = scheduler.step(denoiser(x, process.level(t)), t, x).prev_sample
    return x


def run_ours(sampler, denoiser, process):
    return integrate(denoiser, POINTS, inference_levels(process, sampler), process, sampler).x


def distance(x, data, start, end=CLEAN):
    """Return the mean distance from where the exact flow takes the points."""
    return float((x - data.flow(POINTS, start, end)).abs().mean())


@pytest.fixture(params=('line_gaussian', 'line_mixture'))
def data(request):
    """Return data with one and with two modes."""
    return request.getfixturevalue(request.param)


def test_3m_is_of_order_3_here_and_of_order_2_there(data):
    # Their update weighs h^2 / 2 times the second derivative of the prediction by phi_3, where
    # its Taylor expansion has h^2 times that derivative: half of what belongs there.
    ours, theirs = [], []
    for steps in (64, 128):
        levels = [LINEAR.level_at(-4 + 7 * k / steps) for k in range(steps + 1)]
        scheduler = multistep(LINEAR, 3, [999 - k for k in range(steps)],
                              final_sigmas_type='sigma_min')
        scheduler.sigmas = torch.tensor([level.sigma / level.alpha for level in levels],
                                        dtype=torch.float64)
        x = POINTS
        for t, level in zip(scheduler.timesteps.tolist(), levels):
            x = scheduler.step(data.denoise(x, level), t, x).prev_sample
        theirs.append(distance(x, data, levels[0], levels[-1]))
        x = integrate(data.denoise, POINTS, levels, LINEAR, Sampler('dpm_solver++', order=3)).x
        ours.append(distance(x, data, levels[0], levels[-1]))
    assert math.log2(theirs[0] / theirs[1]) == pytest.approx(2, abs=0.3)
    assert math.log2(ours[0] / ours[1]) > 2.7
    assert ours[1] < theirs[1] / 5


@pytest.mark.parametrize('order', (2, 3))
@pytest.mark.parametrize('steps', (5, 10, 20))
def test_without_clipped_lambda_the_end_of_the_cosine_schedule_ruins_a_chunk(data, order, steps):
    # A network errs by a little in the noise it predicts. At the last level of the cosine
    # schedule, where alpha is 1/2000, that little is multiplied by 2000.
    def denoise(x, level):
        return data.denoise(x, level) + 0.01 * level.sigma / level.alpha

    sampler = Sampler('dpm_solver++', steps, order=order)
    theirs = multistep(COSINE, order, steps=steps, timestep_spacing='trailing')
    assert theirs.timesteps[0] == COSINE.t_max
    start = inference_levels(COSINE, sampler)[0]
    assert start.timestep < COSINE.t_max and start.lambda_t > -5.1
    error = distance(run_ours(sampler, denoise, COSINE), data, start)
    assert error < 0.15
    assert distance(run(theirs, denoise, COSINE), data, COSINE.level(COSINE.t_max)) > 4 * error


def ddim(steps, spacing):
    scheduler = diffusers.DDIMScheduler(
        100, beta_schedule='squaredcos_cap_v2', prediction_type='sample', clip_sample=False,
        timestep_spacing=spacing)
    scheduler.set_timesteps(steps)
    scheduler.alphas_cumprod = COSINE.alphas_cumprod
    return scheduler


@pytest.mark.parametrize('spacing, first', (('leading', 78), ('trailing', 99)))
def test_ddim_with_steps_that_do_not_divide_the_schedule(data, spacing, first):
    # Leading spacing takes pure noise for a chunk at level 78, trailing spacing steps to
    # t - 100 // 40 and takes that for the next level of the grid, which is half a step lower.
    theirs = ddim(40, spacing)
    assert theirs.timesteps[0] == first
    noisiest = COSINE.level(COSINE.t_max)
    error = distance(run_ours(Sampler('ddim', 40), data.denoise, COSINE), data, noisiest)
    assert error < 0.03
    assert distance(run(theirs, data.denoise, COSINE), data, noisiest) > 1.1 * error


def test_leading_spacing_leaves_an_error_that_no_solver_removes(data):
    # Their leading grid of 10 steps begins at 90; even the exact flow from there misses the
    # data. Every grid of ours begins at the noisiest level.
    begin = ddim(10, 'leading').timesteps[0].item()
    assert begin == 90
    truth = data.flow(POINTS, COSINE.level(99), CLEAN)
    floor = float((data.flow(POINTS, COSINE.level(begin), CLEAN) - truth).abs().mean())
    fine = Sampler('heun', 90, spacing='lambda')
    assert inference_levels(COSINE, Sampler('ddim', 10, spacing='leading'))[0].timestep == 99
    assert distance(run_ours(fine, data.denoise, COSINE), data, COSINE.level(99)) < floor / 2

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

"""From one noise over one grid, every method that diffusers has too gives what diffusers gives."""

import math

from diffusion_policy_ros.diffusion import (
    DiscreteVp, inference_levels, integrate, sample_chunk, Sampler)
import pytest
import torch

diffusers = pytest.importorskip('diffusers')

LINEAR, COSINE = DiscreteVp(1000, 'linear'), DiscreteVp(100)
STEPS = pytest.mark.parametrize('steps', (1, 2, 5, 10, 20, 50))
DPM_SOLVERS = [(f'{stem}dpm_solver++', order, f'{stem}dpmsolver++'.replace('_', '-'))
               for stem, orders in (('', (1, 2)), ('sde_', (1, 2))) for order in orders]


def make(scheduler, process, **options):
    """Make a scheduler of diffusers for a process and a denoiser that predicts clean chunks."""
    return getattr(diffusers, scheduler)(
        process.num_train_timesteps, beta_schedule=process.beta_schedule, beta_start=1e-4,
        beta_end=0.02, prediction_type='sample', **options)


def noise_like_theirs(dtype=torch.float32):
    return torch.randn(4, 16, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)


def fresh():
    """Return the source of the noise on the way, the same for both."""
    return torch.Generator().manual_seed(7)


def run(scheduler, denoiser, levels, x, **options):
    """Run a scheduler whose timesteps stand for the levels."""
    for t, level in zip(scheduler.timesteps, levels):
        x = scheduler.step(denoiser(x, level), int(t), x, **options).prev_sample
    return x


def run_scaled(scheduler, denoiser, levels, x):
    """Run a scheduler that works on ``x / alpha`` and tells the scale of the denoiser's input."""
    x = x / levels[0].alpha
    for t, level in zip(scheduler.timesteps, levels):
        x = scheduler.step(denoiser(scheduler.scale_model_input(x, t), level), t, x).prev_sample
    return x


# The rounding of 50 steps in float32 is another one on each kind of CPU; up to 1.1e-5 was seen.
ROUNDING = 2e-5


def assert_equal(ours, theirs, tolerance=ROUNDING):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


@STEPS
@pytest.mark.parametrize('process', (LINEAR, COSINE), ids=('linear', 'cosine'))
@pytest.mark.parametrize('sampler, scheduler, options, step_options', [
    (Sampler('ddim'), 'DDIMScheduler', {'clip_sample': False}, {}),
    (Sampler('ddim', eta=1.0), 'DDIMScheduler', {'clip_sample': False}, {'eta': 1.0}),
    (Sampler('ddpm'), 'DDPMScheduler', {'clip_sample': False}, {})],
    ids=('ddim', 'ddim eta 1', 'ddpm'))
def test_ddim_and_ddpm(process, steps, sampler, scheduler, options, step_options, bent):
    sampler = sampler.changed(num_inference_steps=steps)
    theirs = make(scheduler, process, timestep_spacing='trailing', **options)
    # Their products of alphas are float32; near the end of the cosine schedule, where alpha^2 is
    # 2e-7, that leaves few digits of beta: that schedule runs in float64, from exact products.
    # (Their DDPM adds noise of deviation 1e-10 in the last step, ours none.)
    exact = process is COSINE
    if exact:
        theirs.alphas_cumprod = process.alphas_cumprod
    theirs.set_timesteps(steps)
    levels = inference_levels(process, sampler)
    assert theirs.timesteps.tolist() == [level.timestep for level in levels[:-1]]
    noise = noise_like_theirs(torch.float64 if exact else torch.float32)
    if sampler.is_stochastic:
        step_options = {**step_options, 'generator': fresh()}
    assert_equal(sample_chunk(bent, noise, process, sampler, generator=fresh()),
                 run(theirs, bent, levels, noise, **step_options), 1e-9 if exact else ROUNDING)


@STEPS
@pytest.mark.parametrize('process', (LINEAR, COSINE), ids=('linear', 'cosine'))
@pytest.mark.parametrize('solver, order, algorithm', DPM_SOLVERS)
def test_multistep_dpm_solver(process, steps, solver, order, algorithm, bent):
    sampler = Sampler(solver, steps, order=order)
    theirs = make('DPMSolverMultistepScheduler', process, solver_order=order,
                  algorithm_type=algorithm)
    levels, noise = inference_levels(process, sampler), noise_like_theirs()
    theirs.set_timesteps(timesteps=[level.timestep for level in levels[:-1]])
    if sampler.is_stochastic and steps > 10:
        # Short steps h leave few digits of 1 - exp(-2 h) in their float32 tables.
        theirs.sigmas = torch.tensor([level.sigma / level.alpha for level in levels],
                                     dtype=torch.float64)
    assert_equal(sample_chunk(bent, noise, process, sampler, generator=fresh()),
                 run(theirs, bent, levels, noise, generator=fresh()))


@STEPS
@pytest.mark.parametrize('sampler, scheduler', [(Sampler('euler'), 'EulerDiscreteScheduler'),
                                                (Sampler('heun'), 'HeunDiscreteScheduler')],
                         ids=('euler', 'heun'))
def test_euler_and_heun(steps, sampler, scheduler, bent):
    # They work on x / alpha in float32, which is up to 600 where the linear schedule begins and
    # 10^4 where the cosine one does: rounding alone is more than 1e-5. So both start below that.
    sampler = sampler.changed(num_inference_steps=steps, start_timestep=600)
    levels, noise = inference_levels(LINEAR, sampler), noise_like_theirs()
    theirs = make(scheduler, LINEAR)
    theirs.set_timesteps(timesteps=[level.timestep for level in levels[:-1]])
    stages = levels
    if scheduler.startswith('Heun'):
        stages = [levels[0], *(level for level in levels[1:] for _ in range(2))]
    assert_equal(sample_chunk(bent, noise, LINEAR, sampler),
                 run_scaled(theirs, bent, stages, noise))


@pytest.mark.parametrize('order', (1, 2))
@pytest.mark.parametrize('solver, algorithm', [
    ('dpm_solver', 'dpmsolver'), ('dpm_solver++_singlestep', 'dpmsolver++')])
@pytest.mark.parametrize('steps', (5, 10))
@pytest.mark.filterwarnings('ignore::FutureWarning')
def test_singlestep_dpm_solver(solver, algorithm, order, steps, bent):
    # Their inner stages lie on the grid, ours in the middle of each step in lambda: one grid
    # for both is even in lambda, and ours is every second level of it.
    theirs = make('DPMSolverSinglestepScheduler', LINEAR, solver_order=order,
                  algorithm_type=algorithm, final_sigmas_type='sigma_min')
    first, last = -4.0, 2.0
    stages = tuple(LINEAR.level_at(first + (last - first) * k / (steps * order))
                   for k in range(steps * order + 1))
    theirs.set_timesteps(timesteps=[999 - k for k in range(len(stages) - 1)])
    theirs.sigmas = torch.tensor([math.exp(-level.lambda_t) for level in stages])
    noise = noise_like_theirs()
    ours = integrate(bent, noise, stages[::order], LINEAR, Sampler(solver, order=order)).x
    assert_equal(ours, run(theirs, bent, stages, noise))

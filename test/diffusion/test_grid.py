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
"""Tests of the step grids."""

import math

from diffusion_policy_ros.choices import SOLVERS, SPACINGS
from diffusion_policy_ros.diffusion import (
    CLEAN, ContinuousVp, default_sampler, DiscreteVp, GeometricVe, has_levels, inference_levels,
    KarrasVe, Sampler)
from diffusion_policy_ros.diffusion.grid import LAMBDA_MIN
from diffusion_policy_ros.diffusion.solvers import load_solver
from diffusion_policy_ros.errors import ConfigError
from hypothesis import example, given, settings, strategies as st
import pytest
import torch

IN_TIME = ('trailing', 'linspace', 'leading')
IN_LAMBDA = ('lambda', 'karras')
COSINE, LINEAR = DiscreteVp(), DiscreteVp(1000, 'linear')
CONTINUOUS = (ContinuousVp(), ContinuousVp(0.5, 9.0), GeometricVe(), KarrasVe())
PROCESSES = (COSINE, LINEAR, DiscreteVp(7, 'scaled_linear'), DiscreteVp(1), *CONTINUOUS)
SAMPLERS = st.builds(
    Sampler, st.sampled_from(sorted(SOLVERS)), st.one_of(st.integers(1, 20), st.integers(1, 200)),
    spacing=st.sampled_from(SPACINGS))


def noisy(process, sampler):
    """Return the levels without clean data, which must be the last."""
    *levels, last = inference_levels(process, sampler)
    assert last is CLEAN
    return levels


def times(process, steps, spacing, solver='ddim'):
    """Return the times of the noisy levels."""
    return [level.timestep for level in noisy(process, Sampler(solver, steps, spacing=spacing))]


def spreads(levels):
    """Return sigma / alpha, float64."""
    return torch.tensor([math.exp(-level.lambda_t) for level in levels], dtype=torch.float64)


def first_time(process, sampler):
    """Search all levels for the one to start at."""
    if sampler.start_timestep is not None:
        return sampler.start_timestep
    if not process.is_discrete or not (
            load_solver(sampler.solver).clips_lambda or sampler.spacing in IN_LAMBDA):
        return process.t_max
    usable = [t for t in range(process.num_train_timesteps)
              if process.level(t).lambda_t >= LAMBDA_MIN]
    return max(usable)


def is_possible(process, sampler):
    """Tell whether there is a level for every step at which a denoiser is trained."""
    start, steps = first_time(process, sampler), sampler.num_inference_steps
    if load_solver(sampler.solver).is_adaptive or steps == 1:
        return True
    if sampler.spacing not in IN_TIME or (sampler.spacing == 'linspace'
                                          and not process.is_discrete):
        return start > process.t_min
    if process.is_discrete and sampler.spacing == 'leading' and steps <= start + 1:
        stride, rest = divmod(start + 1, steps)
        return rest <= stride
    if process.is_discrete:
        return steps <= start + 1
    return (start - process.t_clean) / steps > process.t_min - process.t_clean - 1e-12


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PROCESSES), SAMPLERS, st.one_of(st.none(), st.floats(0.01, 1)))
@example(ContinuousVp(), Sampler('ddim', 1000), None)
@example(ContinuousVp(), Sampler('ddim', 1100), None)
@example(ContinuousVp(), Sampler('ddim', 12, spacing='linspace'), None)
@example(LINEAR, Sampler('ddim', 12, spacing='quadratic'), None)
@example(DiscreteVp(1), Sampler('ddim', 2, spacing='lambda'), None)
def test_every_grid_falls_strictly_from_its_start_to_clean_data_or_is_refused(
        process, sampler, share):
    if share is not None and process.t_max > process.t_min:
        start = process.t_min + share * (process.t_max - process.t_min)
        sampler = sampler.changed(
            start_timestep=math.ceil(start) if process.is_discrete else start)
    if not is_possible(process, sampler):
        with pytest.raises(ConfigError, match=f'^num_inference_steps is '
                                              f'{sampler.num_inference_steps}; .*ask for'):
            inference_levels(process, sampler)
        return
    levels = inference_levels(process, sampler)
    assert levels[0].timestep == first_time(process, sampler)
    assert levels[-1] is CLEAN
    if not load_solver(sampler.solver).is_adaptive:
        assert len(levels) == sampler.num_inference_steps + 1
        assert all(a.lambda_t < b.lambda_t for a, b in zip(levels, levels[1:]))
    assert levels[-2].timestep >= process.t_min * (1 - 1e-9)
    for level in levels[:-1]:
        assert level == process.level(level.timestep)
        if sampler.spacing in IN_TIME and process.is_discrete:
            assert isinstance(level.timestep, int)


@pytest.mark.parametrize('spacing', SPACINGS)
@pytest.mark.parametrize('process', PROCESSES, ids=str)
def test_one_step_goes_from_the_noisiest_level_to_clean_data(process, spacing):
    start = 98 if process is COSINE and spacing in IN_LAMBDA else process.t_max
    assert times(process, 1, spacing) == [start]


@pytest.mark.parametrize('steps, last, instead', [(30, 12, 25), (34, 33, 33), (51, 49, 50)])
def test_leading_that_would_jump_from_amid_the_noise_is_refused(steps, last, instead):
    with pytest.raises(ConfigError, match=f'num_inference_steps is {steps}; leading .* from '
                                          f'{last}; ask for {instead} or take the spacing'):
        times(COSINE, steps, 'leading')
    assert times(COSINE, instead, 'leading')[-1] < 2 * (100 // instead)


@pytest.mark.parametrize('switch', (-8.0, -7.5, 3.8, 50.0))
def test_a_switch_that_leaves_one_solver_without_work_is_refused(switch):
    sampler = Sampler('ddim', 20, spacing='linspace', then='ddpm', switch_lambda=switch)
    if switch == -7.5:
        assert len(inference_levels(COSINE, sampler)) == 21
        return
    with pytest.raises(ConfigError, match='only one of ddim and ddpm would work; it must be '
                                          'above -7.62, at most 3.68'):
        inference_levels(COSINE, sampler)


@pytest.mark.parametrize('spacing', ('linspace', 'quadratic', 'lambda', 'karras'))
@pytest.mark.parametrize('process', (COSINE, LINEAR, *CONTINUOUS), ids=str)
def test_these_grids_end_on_the_least_noisy_level(process, spacing):
    assert times(process, 6, spacing)[-1] == pytest.approx(process.t_min)


@pytest.mark.parametrize('process', (LINEAR, *CONTINUOUS), ids=str)
def test_lambda_steps_are_equal(process):
    lambdas = torch.tensor([level.lambda_t for level in
                            noisy(process, Sampler('ddim', 9, spacing='lambda'))])
    torch.testing.assert_close(lambdas.diff(), (lambdas[-1] - lambdas[0]).expand(8) / 8)


def test_quadratic_times_are_squares_of_even_steps():
    assert times(COSINE, 12, 'quadratic') == pytest.approx([99 * (i / 11) ** 2
                                                            for i in range(11, -1, -1)])


def test_grids_of_variance_exploding_processes_are_even_in_their_own_time():
    for process, spacing in ((GeometricVe(), 'lambda'), (KarrasVe(), 'karras')):
        assert times(process, 9, spacing) == pytest.approx(times(process, 9, 'linspace'), abs=1e-9)


@pytest.mark.parametrize('process', CONTINUOUS, ids=str)
def test_trailing_steps_of_a_continuous_process_are_equal_parts_of_its_time(process):
    assert times(process, 4, 'trailing') == pytest.approx([1, 0.75, 0.5, 0.25])
    assert times(process, 4, 'leading') == pytest.approx([1, 0.75, 0.5, 0.25])


@pytest.mark.parametrize('steps', (1, 2, 4, 5, 10, 20, 25, 50, 100))
def test_trailing_equals_that_of_diffusers(ddim_times, steps):
    assert times(COSINE, steps, 'trailing') == ddim_times(steps, 'trailing')


@pytest.mark.parametrize('steps', (2, 4, 5, 10, 20, 25, 50, 100))
def test_linspace_equals_that_of_diffusers(ddim_times, steps):
    assert times(COSINE, steps, 'linspace') == ddim_times(steps, 'linspace')


@pytest.fixture(scope='module')
def diffusers():
    return pytest.importorskip('diffusers')


@pytest.fixture(scope='module')
def ddim_times(diffusers):
    def get(steps, spacing, **options):
        scheduler = diffusers.DDIMScheduler(100, beta_schedule='squaredcos_cap_v2',
                                            timestep_spacing=spacing, **options)
        scheduler.set_timesteps(steps)
        return scheduler.timesteps.tolist()

    return get


@pytest.fixture(scope='module')
def dpm_grid(diffusers):
    def get(process, steps, **options):
        scheduler = diffusers.DPMSolverMultistepScheduler(
            process.num_train_timesteps, beta_schedule=process.beta_schedule, **options)
        scheduler.set_timesteps(steps)
        return scheduler.timesteps.tolist(), scheduler.sigmas[:-1].double()

    return get


@pytest.mark.parametrize('steps', (29, 31, 58, 62, 97))
def test_trailing_has_as_many_steps_as_asked_for_where_diffusers_has_one_more(ddim_times, steps):
    # numpy.arange counts a step too many when the stride has been rounded down: the denoiser is
    # called once more, at time -1, which it was never trained on.
    theirs = ddim_times(steps, 'trailing')
    assert (len(theirs), theirs[-1]) == (steps + 1, -1)
    ours = times(COSINE, steps, 'trailing')
    assert len(ours) == steps and ours[-1] >= 0
    assert all(abs(a - b) <= 1 for a, b in zip(ours, theirs))


def test_single_linspace_step_starts_at_the_noisiest_level_unlike_that_of_diffusers(ddim_times):
    # At time 0 the denoiser takes the pure noise that it is given for all but clean data.
    assert ddim_times(1, 'linspace') == [0]
    assert times(COSINE, 1, 'linspace') == [99]


@pytest.mark.parametrize('steps', (2, 5, 7, 10, 33))
def test_leading_starts_at_the_noisiest_level_unlike_that_of_diffusers(ddim_times, steps):
    # Sampling begins on pure noise, so the first level must be the one that is pure noise; with
    # 10 steps diffusers' first level is 90, where a seventh of the deviation is still data.
    theirs, ours = ddim_times(steps, 'leading'), times(COSINE, steps, 'leading')
    assert ours[0] == 99 > theirs[0]
    assert COSINE.level(99).alpha < 0.001 and COSINE.level(90).alpha > 0.13
    # Moved there by its option for just that, diffusers has the same grid.
    assert ours == ddim_times(steps, 'leading', steps_offset=99 - theirs[0])


@pytest.mark.parametrize('spacing, option', [('lambda', 'use_lu_lambdas'),
                                             ('karras', 'use_karras_sigmas')])
def test_levels_in_lambda_equal_those_of_diffusers_but_keep_their_own_time(
        dpm_grid, spacing, option):
    their_times, theirs = dpm_grid(LINEAR, 10, **{option: True})
    levels = noisy(LINEAR, Sampler('dpm_solver++', 10, spacing=spacing))
    torch.testing.assert_close(spreads(levels), theirs, rtol=2e-4, atol=0)
    assert [level.timestep for level in levels] == pytest.approx(their_times, abs=0.51)
    # diffusers tells the denoiser the nearest whole time, whose noise is another than that of
    # the chunk; ours is told the time at which the process has just this noise.
    of_their_times = spreads(LINEAR.level(t) for t in their_times)
    assert float((of_their_times / theirs).log().abs().max()) > 0.01
    of_our_times = spreads(LINEAR.level(level.timestep) for level in levels)
    torch.testing.assert_close(of_our_times, spreads(levels))


@pytest.mark.parametrize('spacing, option', [('lambda', 'use_lu_lambdas'),
                                             ('karras', 'use_karras_sigmas')])
def test_cosine_grid_in_lambda_leaves_out_the_end_point_that_diffusers_starts_from(
        dpm_grid, spacing, option):
    # From lambda -7.6 at time 99 to -4.2 at 98 there is no level that the denoiser knows, but
    # diffusers takes several of its ten steps there and tells it time 98 over and over.
    their_times, theirs = dpm_grid(COSINE, 10, **{option: True})
    assert -math.log(theirs[0]) == pytest.approx(-7.6, abs=0.05)
    assert their_times.count(98) >= 2
    assert int((-theirs.log() < LAMBDA_MIN).sum()) >= 3
    levels = noisy(COSINE, Sampler('dpm_solver++', 10, spacing=spacing))
    assert levels[0] == COSINE.level(98)
    assert levels[0].lambda_t == pytest.approx(-4.16, abs=0.01)
    assert len({level.timestep for level in levels}) == 10
    # What the data still are at the start is lost to the noise anyway.
    assert levels[0].alpha < 0.016


@pytest.mark.parametrize('spacing', IN_TIME)
def test_solvers_in_lambda_start_where_diffusers_clips_when_told_to(dpm_grid, spacing):
    clipped, _ = dpm_grid(COSINE, 10, timestep_spacing='linspace', lambda_min_clipped=LAMBDA_MIN)
    unclipped, _ = dpm_grid(COSINE, 10, timestep_spacing='linspace')
    assert times(COSINE, 10, spacing, solver='dpm_solver++')[0] == clipped[0] == 98
    assert times(COSINE, 10, spacing, solver='ddim')[0] == unclipped[0] == 99


def test_a_second_solver_in_lambda_clips_the_start_of_the_first():
    assert inference_levels(COSINE, Sampler('ddim', then='dpm_solver++'))[0].timestep == 98


def test_more_steps_than_clipped_levels_are_refused_and_not_cut_as_by_diffusers(dpm_grid):
    theirs, _ = dpm_grid(COSINE, 100, timestep_spacing='trailing', lambda_min_clipped=LAMBDA_MIN)
    assert len(theirs) == 99
    with pytest.raises(ConfigError, match=r'num_inference_steps is 100; dpm_solver\+\+ has 99 '
                                          'noise levels in a schedule of 100, ask for'):
        inference_levels(COSINE, Sampler('dpm_solver++', 100))


def test_more_steps_than_levels_are_refused_but_lambda_has_levels_between_them():
    with pytest.raises(ConfigError, match='num_inference_steps is 101; ddim has 100 noise levels'):
        inference_levels(COSINE, Sampler('ddim', 101))
    assert len(noisy(COSINE, Sampler('ddim', 250, spacing='lambda'))) == 250


def test_steps_below_the_least_noisy_time_are_refused():
    with pytest.raises(ConfigError, match='num_inference_steps is 2000; trailing would go down to '
                                          '0.0005, below the least noisy time 0.001'):
        inference_levels(ContinuousVp(), Sampler('ddim', 2000))
    assert times(ContinuousVp(), 2000, 'linspace')[-1] == pytest.approx(1e-3)


@pytest.mark.parametrize('spacing', SPACINGS)
@pytest.mark.parametrize('process, start', [(COSINE, 40), (COSINE, 99), (COSINE, 40.0),
                                            (ContinuousVp(), 0.4), (KarrasVe(), 0.4)])
def test_grid_starts_where_it_is_asked_to(process, start, spacing):
    levels = noisy(process, Sampler(num_inference_steps=5, spacing=spacing, start_timestep=start))
    assert levels[0] == process.level(start) and len(levels) == 5


@pytest.mark.parametrize('process, start, wanted', [
    (COSINE, 100, 'above 0, at most 99, and whole'), (COSINE, 0, 'above 0'),
    (COSINE, -1, 'above 0'), (COSINE, 12.5, 'and whole'), (ContinuousVp(), 1.5, 'at most 1'),
    (ContinuousVp(), 0.001, 'above 0.001'), (GeometricVe(), 0, 'above 0, at most 1')])
def test_start_outside_the_process_is_refused(process, start, wanted):
    with pytest.raises(ConfigError, match=f'start_timestep is {start:g}; .*{wanted}'):
        inference_levels(process, Sampler(start_timestep=start))


@pytest.mark.parametrize('levels', [1, 2, 5, 10, 11, 12, 100])
@pytest.mark.parametrize('schedule', ['squaredcos_cap_v2', 'linear'])
def test_the_default_sampler_takes_as_many_steps_as_a_process_has_levels_for(levels, schedule):
    process = DiscreteVp(levels, schedule)
    sampler = default_sampler(process)
    possible = [steps for steps in range(1, Sampler().num_inference_steps + 1)
                if has_levels(process, Sampler(num_inference_steps=steps))]
    assert sampler == Sampler(num_inference_steps=max(possible))


@pytest.mark.parametrize('process', (COSINE, *CONTINUOUS), ids=str)
def test_adaptive_solver_is_given_the_ends_only(process):
    first, last = noisy(process, Sampler('adaptive'))
    assert first.timestep == (98 if process is COSINE else process.t_max)
    assert last == process.level(process.t_min)

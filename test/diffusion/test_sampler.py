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
"""Tests of the one configuration of sampling."""

import dataclasses
import json
import math

from diffusion_policy_ros.choices import SOLVERS, SPACINGS
from diffusion_policy_ros.diffusion import (
    DiscreteVp, inference_levels, integrate, sample_chunk, Sampler)
from diffusion_policy_ros.diffusion.solvers import load_solver, Solver
from diffusion_policy_ros.errors import ConfigError
from hypothesis import given, settings, strategies as st
import pytest
import torch

NAMES = tuple(SOLVERS)
NOT_ADAPTIVE = tuple(name for name in NAMES if name != 'adaptive')
EVERY_ORDER = [(name, order) for name in NAMES for order in load_solver(name).orders]


@st.composite
def samplers(draw):
    """Return any sampler that its checks let through."""
    solver = draw(st.sampled_from(NAMES))
    share = st.floats(0.001, 1)
    then = None if solver == 'adaptive' else draw(
        st.one_of(st.none(), st.sampled_from(NOT_ADAPTIVE)))
    return Sampler(
        solver, draw(st.integers(1, 1000)),
        draw(st.one_of(st.none(), st.sampled_from(load_solver(solver).orders))),
        draw(st.sampled_from(SPACINGS)), draw(st.floats(0, 1)) if solver == 'ddim' else 0.0,
        draw(st.one_of(st.none(), st.integers(1, 99), st.floats(0.1, 1))),
        draw(st.floats(0, 100)), draw(st.floats(0, 100)),
        then, draw(st.floats(-10, 10)) if then else 0.0,
        draw(st.integers(1, 5)), draw(share), draw(share), draw(share),
        draw(st.integers(1, 10000)))


def half(x_t, level):
    """Return something bounded in place of a prediction."""
    return torch.tanh(x_t / 2)


def test_a_switch_without_a_second_solver_is_refused():
    with pytest.raises(ConfigError, match='switch_lambda is 3.0, but no second solver is given'):
        Sampler(switch_lambda=3.0)


def test_eta_may_be_that_of_the_second_solver():
    assert Sampler('dpm_solver++', then='ddim', eta=0.5).is_stochastic


@pytest.mark.parametrize('name, most', [('num_inference_steps', 10_000),
                                        ('corrector_steps', 1000), ('max_evaluations', 10**6)])
def test_counts_beyond_any_use_are_refused(name, most):
    assert getattr(Sampler(**{name: most}), name) == most
    with pytest.raises(ConfigError, match=f'{name} is .*at least 1 and at most {most}'):
        Sampler(**{name: most + 1})


@settings(max_examples=200, deadline=None)
@given(samplers())
def test_json_gives_back_the_same_sampler(sampler):
    again = Sampler(**json.loads(json.dumps(dataclasses.asdict(sampler))))
    assert again == sampler and hash(again) == hash(sampler)


@pytest.mark.parametrize('name', NAMES)
def test_every_solver_loads_by_name(name):
    solver = load_solver(name)
    assert isinstance(solver, Solver) and callable(solver.step)
    assert solver.default_order in solver.orders
    assert Sampler(name).order == solver.default_order


@pytest.mark.parametrize('field', ('solver', 'then'))
@pytest.mark.parametrize('name', ('plms', '', ['ddim'], {}, 3))
def test_unknown_solver_is_refused_with_a_list_of_all(field, name):
    with pytest.raises(ConfigError) as refused:
        Sampler(**{field: name})
    assert str(refused.value) == f'{field} is {name!r}; choose one of: {", ".join(SOLVERS)}'


@pytest.mark.parametrize('field', ('num_inference_steps', 'corrector_steps', 'max_evaluations'))
@pytest.mark.parametrize('value', (0, -1, 2.0, True, None, '10', math.nan))
def test_impossible_count_is_refused(field, value):
    with pytest.raises(ConfigError, match=f'^{field} is {value!r}; it must be a whole number, '):
        Sampler(**{field: value})


@pytest.mark.parametrize('field, high', [
    ('eta', 1), ('temperature', 100), ('guidance_scale', 100), ('corrector_snr', 1), ('rtol', 1),
    ('atol', 1)])
def test_number_out_of_bounds_is_refused(field, high):
    for value in (-0.1, high + 0.1, math.nan, math.inf, '0.5', None, True):
        with pytest.raises(ConfigError, match=f'^{field} is {value!r}; it must be .* to {high}$'):
            Sampler('ddim', **{field: value})
    assert getattr(Sampler('ddim', **{field: high}), field) == high


@pytest.mark.parametrize('field', ('corrector_snr', 'rtol', 'atol'))
def test_number_that_must_be_positive_is_not_zero(field):
    with pytest.raises(ConfigError, match=f'^{field} is 0; it must be above 0 to 1'):
        Sampler(**{field: 0})


@pytest.mark.parametrize('field', ('eta', 'temperature', 'guidance_scale'))
def test_number_that_may_be_zero_is_let_through(field):
    assert getattr(Sampler(**{field: 0}), field) == 0


@pytest.mark.parametrize('field', ('start_timestep', 'switch_lambda'))
@pytest.mark.parametrize('value', (math.nan, math.inf, 'ten', True, [3]))
def test_level_that_is_no_number_is_refused(field, value):
    with pytest.raises(ConfigError) as refused:
        Sampler(**{field: value})
    assert str(refused.value) == f'{field} is {value!r}; it must be a number'


def test_unknown_spacing_is_refused():
    for spacing in ('log', None, ['trailing']):
        with pytest.raises(ConfigError, match='^spacing is .*; choose one of: trailing, linspace'):
            Sampler(spacing=spacing)


@pytest.mark.parametrize('name', NAMES)
def test_order_that_a_solver_lacks_is_refused(name):
    for order in {1, 2, 3, 4, 5} - set(load_solver(name).orders):
        with pytest.raises(ConfigError) as refused:
            Sampler(name, order=order)
        assert str(refused.value).startswith(f'order of {name} is {order}; choose one of: ')


@pytest.mark.parametrize('order', (2.0, True, '2', [2], 0, math.nan))
def test_order_that_is_no_whole_number_is_refused(order):
    with pytest.raises(ConfigError) as refused:
        Sampler(order=order)
    assert str(refused.value) == f'order is {order!r}; it must be a whole number, at least 1'


@pytest.mark.parametrize('name', sorted(set(NAMES) - {'ddim'}))
def test_eta_is_refused_where_it_would_do_nothing(name):
    with pytest.raises(ConfigError, match='^eta is 0.5 with solver .*only with ddim'):
        Sampler(name, eta=0.5)


@pytest.mark.parametrize('solver, then', [('adaptive', 'ddim'), ('ddim', 'adaptive')])
def test_adaptive_solver_is_refused_as_a_part_of_two(solver, then):
    with pytest.raises(ConfigError, match=f"^then is '{then}' with solver '{solver}'; adaptive "):
        Sampler(solver, then=then)


def test_fields_cannot_be_set_later():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Sampler().order = 3


def test_option_names_are_all_that_can_be_set():
    assert set(Sampler.option_names()) == set(dataclasses.asdict(Sampler()))


def test_changed_keeps_what_nobody_asked_to_change():
    sampler = Sampler('ddim', 20, eta=0.5, temperature=0.8)
    assert sampler.changed() == sampler
    assert sampler.changed(num_inference_steps=5, spacing=None, eta=None) \
        == Sampler('ddim', 5, eta=0.5, temperature=0.8)
    assert sampler.changed(eta=0.0) == Sampler('ddim', 20, temperature=0.8)
    assert sampler.changed(solver='ddim') == sampler


@pytest.mark.parametrize('name', NAMES)
def test_another_solver_takes_over_only_what_every_solver_has(name):
    hybrid = Sampler('ddim', 20, eta=0.5, temperature=0.8, then='heun')
    if name != 'ddim':
        assert hybrid.changed(solver=name) == Sampler(name, 20, temperature=0.8)
    third = Sampler('dpm_solver++', 20, order=3).changed(solver=name)
    assert third.order == (3 if name == 'dpm_solver++' else load_solver(name).default_order)


def test_change_to_something_impossible_is_refused():
    with pytest.raises(ConfigError, match='order of euler is 2; choose one of: 1'):
        Sampler().changed(solver='euler', order=2)
    with pytest.raises(ConfigError, match='num_inference_steps is 0'):
        Sampler().changed(num_inference_steps=0)


@pytest.mark.parametrize('name, order', EVERY_ORDER)
@pytest.mark.parametrize('steps', (1, 2, 6))
def test_evaluations_are_the_calls_of_the_denoiser(name, order, steps):
    sampler, process = Sampler(name, steps, order, corrector_steps=2), DiscreteVp()
    levels = inference_levels(process, sampler)
    calls = integrate(half, torch.ones(1, 2, 2), levels, process, sampler).evaluations
    if name == 'adaptive':
        assert calls < sampler.evaluations
    else:
        assert calls == sampler.evaluations


@pytest.mark.parametrize('solver, then', [('ddim', 'heun'), ('heun', 'ddim'),
                                          ('ddim', 'dpm_solver'), ('dpm_solver', 'ddpm')])
def test_evaluations_of_two_solvers_are_at_most_those_of_the_dearer(solver, then):
    sampler, process = Sampler(solver, 6, then=then), DiscreteVp()
    assert sampler.evaluations == 11
    levels = inference_levels(process, sampler)
    assert 6 < integrate(half, torch.ones(1, 2, 2), levels, process, sampler).evaluations < 11


def test_adaptive_solver_may_need_all_that_it_is_allowed():
    assert Sampler('adaptive', max_evaluations=77).evaluations == 77


EVERY_NOISE = [*(Sampler(name, 4) for name in NAMES), Sampler('ddim', 4, eta=0.5),
               Sampler('ddim', 10, then='ddpm'), Sampler('ddpm', 10, then='ddim'),
               Sampler('heun', 10, then='ddim')]


@pytest.mark.parametrize('sampler', EVERY_NOISE,
                         ids=lambda sampler: f'{sampler.solver}-{sampler.eta}-{sampler.then}')
def test_stochastic_samplers_are_those_whose_chunk_depends_on_the_seed(sampler):
    noise = torch.randn(1, 4, 2, generator=torch.Generator().manual_seed(0))
    chunks = [sample_chunk(half, noise, DiscreteVp(), sampler,
                           generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    assert torch.equal(*chunks) != sampler.is_stochastic

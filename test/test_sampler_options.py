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

"""The sampler's options: all of them, in the ranges of the sampler, read from a command line."""

from diffusion_policy_ros.choices import SOLVERS
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.sampler_options import BY_NAME, OPTIONS, parse_change
import pytest

torch = pytest.importorskip('torch')
from diffusion_policy_ros.diffusion import DiscreteVp, inference_levels, Sampler  # noqa: E402,I100
from diffusion_policy_ros.diffusion.sampler import BOUNDS  # noqa: E402
from diffusion_policy_ros.diffusion.solvers import load_solver  # noqa: E402

NUMBERS = [option for option in OPTIONS if not option.choices]
UNBOUNDED = 'switch_lambda'  # a sampler takes any; beyond the range, none makes a difference
# What else a number needs to be of use.
COMPANIONS = {'eta': {'solver': 'ddim'}, 'switch_lambda': {'then': 'ddim'}}


def _usable(name, value):
    """Tell whether a sampler takes a value, with any solver."""
    def works(changes):
        try:
            sampler = Sampler(**{**COMPANIONS.get(name, {}), **changes, name: value})
            if name == 'start_timestep':
                inference_levels(DiscreteVp(num_train_timesteps=100_000), sampler)
        except ConfigError:
            return False
        return True

    return any(works({'solver': solver} if name == 'order' else {}) for solver in SOLVERS)


def test_every_option_of_the_sampler_is_there_once_and_in_order():
    assert tuple(option.name for option in OPTIONS) == Sampler.option_names()
    assert len(BY_NAME) == len(OPTIONS)


@pytest.mark.parametrize('option', NUMBERS, ids=lambda option: option.name)
def test_the_ends_of_a_range_are_numbers_that_a_sampler_takes(option):
    assert option.low == option.unset or _usable(option.name, option.low)
    highest = {'start_timestep': 99_999}.get(option.name, option.high)
    assert _usable(option.name, highest) and option.high >= highest


@pytest.mark.parametrize('option', [option for option in NUMBERS if option.name != UNBOUNDED],
                         ids=lambda option: option.name)
def test_a_sampler_takes_no_number_below_a_range(option):
    assert not _usable(option.name, option.low - 0.001)
    assert not _usable(option.name, option.unset)


@pytest.mark.parametrize('name', BOUNDS)
def test_a_range_ends_where_the_sampler_says(name):
    assert (BY_NAME[name].low, BY_NAME[name].high) == BOUNDS[name]
    assert not _usable(name, BY_NAME[name].high + 0.001)


def test_orders_end_where_the_solvers_end():
    orders = [order for name in SOLVERS for order in load_solver(name).orders]
    assert (min(orders), max(orders)) == (BY_NAME['order'].low, BY_NAME['order'].high)


@pytest.mark.parametrize('option', [option for option in OPTIONS if option.choices],
                         ids=lambda option: option.name)
def test_the_words_are_those_of_the_sampler(option):
    with pytest.raises(ConfigError, match='choose one of') as refusal:
        Sampler(**{option.name: 'none such'})
    assert str(refusal.value).endswith(f'choose one of: {", ".join(option.choices)}')
    assert option.unset not in option.choices


@pytest.mark.parametrize('text, change', [
    ('eta=1', ('eta', 1.0)), ('rtol=1e-3', ('rtol', 0.001)), ('order=3', ('order', 3)),
    ('spacing=karras', ('spacing', 'karras')), ('then=ddim', ('then', 'ddim')),
    ('switch_lambda=-0.5', ('switch_lambda', -0.5))])
def test_a_value_is_read_in_the_type_of_its_option(text, change):
    assert parse_change(text) == change
    assert type(parse_change(text)[1]) is type(change[1])


@pytest.mark.parametrize('text, words', [
    ('temprature=1', "'temprature'; did you mean \"temperature\"\\?"),
    ('=1', "''; known: solver, num_inference_steps, order"), ('eta', 'not of the form name=value'),
    ('order=2.5', "order is '2.5'; it must be a whole number"),
    ('order=null', "order is 'null'; it must be a whole number"),
    ('rtol=small', "rtol is 'small'; it must be a number"),
    ('rtol=' + 'x' * 5000, "rtol is 'x.*x'; it must be a number")])
def test_what_cannot_be_read_is_refused_with_the_remedy(text, words):
    with pytest.raises(ConfigError, match=words) as refusal:
        parse_change(text)
    assert len(str(refusal.value)) < 400

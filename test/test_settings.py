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
"""Settings of any group become numbers, or an error that names the setting by its full name."""

from dataclasses import dataclass
import typing
from typing import Optional, Union

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.settings import checked_settings, flattened, from_mapping
import pytest


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    count: int = 1


@dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    name: Optional[str] = None
    mode: Union[bool, str] = 'auto'
    sizes: tuple = ()


@pytest.mark.parametrize('value, wanted', [
    ('1e-4', 0.0001), (1, 1.0), (0.25, 0.25), ('.5', 0.5), ('-2E+3', -2000.0)])
def test_texts_and_whole_numbers_become_floats_where_these_are_wanted(value, wanted):
    rate = from_mapping(Inner, 'inner', {'rate': value}).rate
    assert rate == wanted and isinstance(rate, float)
    assert checked_settings(Outer, '', {'inner': {'rate': value}}) == {'inner': {'rate': wanted}}


def test_only_what_was_set_is_there_and_objects_stay():
    inner = Inner(0.1)
    assert checked_settings(Outer, '', {'inner': inner, 'name': None, 'sizes': [1]}) == {
        'inner': inner, 'name': None, 'sizes': [1]}
    assert from_mapping(Inner, 'inner', inner) is inner


def test_nothing_is_a_value_however_many_types_were_written_since():
    for forget in typing._cleanups:  # as happens when a large library is imported
        forget()
    assert from_mapping(Outer, '', {'name': None}).name is None


@pytest.mark.parametrize('raw, said', [
    ({'inner': {'rate': 'fast'}}, "outer.inner.rate is 'fast'; it must be a number"),
    ({'inner': {'rate': True}}, 'outer.inner.rate is True; it must be a number'),
    ({'inner': {'rate': 10**400}}, 'outer.inner.rate is 1000.*; it must be a number'),
    ({'inner': {'count': '1e2'}}, "outer.inner.count is '1e2'; it must be a whole number"),
    ({'inner': {'count': False}}, 'outer.inner.count is False; it must be a whole number'),
    ({'inner': {'rates': 1}}, "outer.inner: unknown key 'rates'; did you mean \"rate\""),
    ({'inner': [1]}, r'outer.inner is \[1\]; it must be a group of settings'),
    ({'mode': 1}, 'outer.mode is 1; it must be auto, true or false'),
    ({'name': 3}, 'outer.name is 3; it must be a text'),
    ('x', "outer is 'x'; it must be a group of settings")])
def test_what_cannot_be_meant_is_refused_by_its_full_name(raw, said):
    with pytest.raises(ConfigError, match=f'^{said}'):
        from_mapping(Outer, 'outer', raw)


def test_names_that_are_not_to_be_set_are_unknown():
    with pytest.raises(ConfigError, match="^unknown key 'mode'; known: name"):
        checked_settings(Outer, '', {'mode': True}, known=['name'])


def test_groups_are_flattened_to_dotted_names():
    assert flattened({'a': 1, 'b': {'c': [2], 'd': {'e': None}}, 'f': {}}) == {
        'a': 1, 'b.c': [2], 'b.d.e': None}

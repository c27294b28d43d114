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

"""Whatever is wrong with a YAML text gives the one promised error, quickly."""

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.yaml_text import parse_yaml
from hypothesis import given, strategies as st
import pytest
import yaml


@pytest.mark.parametrize('text, words', [
    ('a: 1\na: 2', "key 'a' is written twice"),
    ('a: {b: 1, b: 2}', "key 'b' is written twice"),
    ('a: [1', 'not valid YAML'),
    ('a: 2020-13-45', 'a value is not what its YAML type says'),
    ('a: !!bool x', 'not what its YAML type says'),
    ('a: !!int foo', 'not what its YAML type says'),
    ('a: !!timestamp x', 'not what its YAML type says'),
    ('a: !!python/object/apply:os.getcwd []', 'could not determine a constructor'),
    ('a: "\x00"', 'not valid YAML'),
    ('[' * 20000, 'not valid YAML: its lists or mappings lie too deep in each other'),
    ('a: ' * 2 + 'x' * 2_000_000, 'is it the right file'),
])
def test_each_mistake_is_one_error_that_names_the_source(text, words):
    with pytest.raises(ConfigError, match='file.yaml: ') as caught:
        parse_yaml(text, 'file.yaml', ConfigError)
    assert words in str(caught.value) and '\n' not in str(caught.value)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.floats(
    allow_nan=False), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8))
def test_what_was_dumped_is_read_back(value):
    assert parse_yaml(yaml.safe_dump(value), 'x', ConfigError) == value


def test_merge_keys_still_work():
    text = 'base: &b {x: 1, y: 2}\nmore: {<<: *b, y: 3}'
    assert parse_yaml(text, 'x', ConfigError)['more'] == {'x': 1, 'y': 3}

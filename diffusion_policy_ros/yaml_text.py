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

"""Read YAML that people wrote: strictly, and with one kind of error whatever is wrong with it."""

import yaml

MAX_CHARACTERS = 1_000_000


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, which also refuses a key that is written twice."""

    def construct_mapping(self, node, deep=False):
        """Build a mapping; the last of two equal keys must not win silently."""
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == 'tag:yaml.org,2002:merge':
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f'key {key!r} is written twice', key_node.start_mark)
            seen.add(key if isinstance(key, str) else id(key_node))
        return super().construct_mapping(node, deep)


def parse_yaml(text, source, error):
    """
    Parse one YAML document of plain values.

    :param text: The document.
    :param source: Where it came from, for the error message.
    :param error: Exception type to raise.
    :return: What the document holds: mappings, lists, texts, numbers, booleans, None.
    :raises error: naming the source and what is wrong.
    """
    if len(text) > MAX_CHARACTERS:
        raise error(f'{source}: {len(text)} characters are more than any such file needs '
                    f'({MAX_CHARACTERS}); is it the right file?')
    try:
        return _StrictLoader(text).get_single_data()
    except (yaml.YAMLError, RecursionError) as problem:
        raise error(f'{source}: not valid YAML: {_first_words(problem)}') from problem
    except (ValueError, KeyError, AttributeError, TypeError, OverflowError) as problem:
        # PyYAML lets these out for values such as 2020-13-45 or "!!bool x".
        raise error(f'{source}: a value is not what its YAML type says: '
                    f'{_first_words(problem)}') from problem


def _first_words(problem):
    """Return an error's text on one line of bearable length."""
    if isinstance(problem, RecursionError):
        return 'its lists or mappings lie too deep in each other'
    return ' '.join(str(problem).split())[:300]

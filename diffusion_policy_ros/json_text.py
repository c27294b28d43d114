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

"""Read JSON that may be damaged, or be no JSON: what is wrong is said in words for people."""

import json

from diffusion_policy_ros.checks import told


# More lists and groups in each other are no document of ours, and to walk them costs the stack.
MOST_NESTED = 100


def parse_json(data):
    """
    Parse a JSON document.

    :param data: The document, str or bytes.
    :return: What it holds: dicts, lists, texts, numbers, booleans, None.
    :raises ValueError: saying what is wrong.
    """
    try:
        document = json.loads(data)
    except json.JSONDecodeError as error:
        raise ValueError(f'it is no JSON: {error}') from error
    except UnicodeDecodeError as error:
        raise ValueError(f'it is no JSON: {told(error)}') from error
    except RecursionError as error:
        raise ValueError(_too_deep()) from error
    except ValueError as error:  # Python reads whole numbers of some thousand digits at most
        raise ValueError('a number in it has thousands of digits') from error
    inside = [document]
    for _ in range(MOST_NESTED):
        inside = [below for each in inside if isinstance(each, (dict, list))
                  for below in (each.values() if isinstance(each, dict) else each)]
    if inside:
        raise ValueError(_too_deep())
    return document


def _too_deep():
    """Say that a document is nested too deeply."""
    return f'more than {MOST_NESTED} lists or groups lie in each other'

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

"""Every way in which one value of a JSON document can be damaged, and what errors may not say."""

import copy
import math
import re

VALUES = (None, 'x', [], {}, 3, -1, math.nan, True, 10**400)
# What only who knows Python can read.
PYTHON = re.compile(
    r'NoneType|\w+Error\b|Traceback|\bobject\b|unhashable|subscript|iterable|\barguments?\b|<class'
    r"|__\w|'(str|int|float|list|dict|tuple|bool)'|not supported|indices|unpack|codec|\n")


def damaged(document):
    """Yield (path, document) with each leaf and each subtree replaced or deleted."""
    for value in VALUES:
        yield (), copy.deepcopy(value)
    for path in _paths(document):
        for value in (*VALUES, ...):
            changed = copy.deepcopy(document)
            place = changed
            for name in path[:-1]:
                place = place[name]
            if value is ...:
                del place[path[-1]]
            else:
                place[path[-1]] = copy.deepcopy(value)
            yield path, changed


def _paths(document, above=()):
    """Yield the path of everything inside a document."""
    items = document.items() if isinstance(document, dict) else \
        enumerate(document) if isinstance(document, list) else ()
    for name, value in items:
        yield (*above, name)
        yield from _paths(value, (*above, name))


def holds(document, part):
    """Tell whether a document says all that a part of it says."""
    if isinstance(part, dict) and isinstance(document, dict):
        return all(name in document and holds(document[name], value)
                   for name, value in part.items())
    return document == part or part != part and document != document  # not a number

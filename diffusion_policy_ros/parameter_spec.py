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

"""One parameter of a node: its type, its limits, and what it does."""

from dataclasses import dataclass
import math

TYPE_WORDS = {bool: 'true or false', int: 'a whole number', float: 'a number', str: 'text'}


@dataclass(frozen=True)
class ParameterSpec:
    """
    One parameter of a node: the type is that of its default.

    :ivar name: Name in snake_case, with the unit as suffix where it has one.
    :ivar default: Value without an override: bool, int, float or str.
    :ivar description: What it does, with unit; shown by ``ros2 param describe``.
    :ivar low: Smallest allowed number, None for no limit; give both limits or neither.
    :ivar high: Largest allowed number.
    :ivar choices: The allowed words, for a str; empty when any text will do.
    :ivar fixed: Whether it may change only while the node says that it is not locked, which
        for a lifecycle node means: while unconfigured.
    :ivar read_only: Whether only an override at start may set it.
    """

    name: str
    default: object
    description: str
    low: object = None
    high: object = None
    choices: tuple = ()
    fixed: bool = False
    read_only: bool = False

    def refusal(self, value):
        """
        Say why a value cannot be accepted.

        :param value: What somebody wants to set; an int is fine where a float is expected, and
            where a text is: on a command line, 205 is an int even if it names a folder.
        :return: One sentence with the remedy, or the empty string when the value is fine.
        """
        kind = type(self.default)
        if type(value) is not kind and not (kind in (float, str) and type(value) is int):
            return f'{self.name} is {value!r}; it must be {TYPE_WORDS[kind]}'
        if self.choices and str(value) not in self.choices:
            return f'{self.name} is {value!r}; choose one of: {", ".join(self.choices)}'
        if kind is float and not math.isfinite(value):
            return f'{self.name} is {value!r}; it must be finite'
        if self.low is not None and not self.low <= value <= self.high:
            return (f'{self.name} is {_written(value)}; it must be from {_written(self.low)} to '
                    f'{_written(self.high)}')
        return ''

    def read(self, text):
        """
        Read a value from a command line.

        :param text: What was typed.
        :return: The value; the text itself where it is none, which ``refusal`` then names.
        """
        if isinstance(self.default, bool):
            return {'true': True, 'false': False}.get(text, text)
        try:
            return type(self.default)(text)
        except ValueError:
            return text


def _written(number):
    """Write a number as people do, where that is exact."""
    return f'{number:g}' if isinstance(number, float) and float(f'{number:g}') == number \
        else str(number)


# Of every node that keeps itself to some cores, see ``real_time.keep_to_cpus``.
CPUS = ParameterSpec('cpus', '', 'CPU cores that the node runs on, such as "2,4-6"; empty: all',
                     fixed=True)

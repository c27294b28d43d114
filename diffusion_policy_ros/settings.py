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

"""Settings that people wrote, in YAML or on the command line, as dataclasses."""

from dataclasses import fields, is_dataclass
from typing import Optional, Union

from diffusion_policy_ros.checks import shown, suggestion
from diffusion_policy_ros.errors import ConfigError

# Type of a field: the type of its value, and that in words. Classes check others by themselves.
KINDS = {int: (int, 'a whole number'), float: (float, 'a number'), bool: (bool, 'true or false'),
         str: (str, 'a text'), Optional[str]: (str, 'a text'),
         Union[bool, str]: ((bool, str), 'auto, true or false'),
         dict: (dict, 'a group of settings')}


def from_mapping(cls, where, raw):
    """
    Build a dataclass from a mapping of its fields.

    :param cls: The dataclass, which checks values by itself.
    :param where: Dotted name of the group, for error messages; empty for the whole.
    :param raw: The mapping, from anywhere; an object of the class is returned as it is.
    :raises ConfigError: as ``checked_settings``, and as the class does.
    """
    return raw if isinstance(raw, cls) else cls(**checked_settings(cls, where, raw))


def checked_settings(cls, where, raw, known=None) -> dict:
    """
    Return a mapping of a dataclass's fields, with numbers where numbers are wanted.

    YAML takes 1e-4 for a text and 1 for a whole number; both may stand for a float.

    :param cls: The dataclass.
    :param where: As for ``from_mapping``.
    :param raw: The mapping, from anywhere.
    :param known: Names that may be set; by default all fields.
    :raises ConfigError: if it is no mapping, a name is unknown, or a value of another type.
    """
    if not isinstance(raw, dict):
        raise ConfigError(f'{where} is {shown(raw)}; it must be a group of settings')
    types = {f.name: f.type for f in fields(cls) if known is None or f.name in known}
    checked = {}
    for name, value in raw.items():
        if name not in types:
            raise ConfigError(f'{where}{where and ": "}unknown key {shown(name)}; '
                              f'{suggestion(name, types)}')
        checked[name] = _converted(f'{where}{where and "."}{name}', types[name], value)
    return checked


def _converted(where, wanted, value):
    """Return a value of the wanted type, or refuse it."""
    if is_dataclass(wanted):
        return value if isinstance(value, wanted) else checked_settings(wanted, where, value)
    if wanted is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass  # the refusal below names the value
    if wanted == Optional[str] and value is None or wanted not in KINDS:
        return value
    kind, words = KINDS[wanted]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError(f'{where} is {shown(value)}; it must be {words}')
    return value


def flattened(settings, prefix='') -> dict:
    """
    Return the settings of nested groups under their dotted names.

    :param settings: Mapping of names to values and mappings.
    :param prefix: Before every name.
    """
    flat = {}
    for name, value in settings.items():
        key = f'{prefix}{name}'
        flat.update(flattened(value, f'{key}.') if isinstance(value, dict) else {key: value})
    return flat

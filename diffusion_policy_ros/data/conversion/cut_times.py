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

"""The list of times that cuts recordings into episodes: a YAML or CSV file."""

import csv
from dataclasses import dataclass
import io

from diffusion_policy_ros.checks import is_encodable, is_number, shown, told
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.yaml_text import parse_yaml

COLUMNS = ('start', 'end', 'task', 'success')
# Nobody records for three years; a number from here on counts nanoseconds on the bag's clock.
ABSOLUTE_FROM = 1e8
EXAMPLE = '"start,end" in the first line, then one episode a line such as 2.5,31.0; or YAML ' \
    'such as "- {start: 2.5, end: 31.0, task: Pick the cup., success: true}"'


@dataclass(frozen=True)
class Times:
    """
    One episode of the list.

    :ivar start: s from the first message that the contract names, or absolute ns (from 1e8 on).
    :ivar end: The same of the first moment after it.
    :ivar task: Task sentence, '' for that of the recording.
    :ivar success: True, False, or None where nobody said.
    """

    start: float
    end: float
    task: str = ''
    success: bool = None

    @property
    def is_absolute(self) -> bool:
        """Tell whether the times are absolute ns."""
        return self.start >= ABSOLUTE_FROM

    def start_ns(self, begin_ns) -> int:
        """Return the start, ns, of a recording that begins at ``begin_ns``."""
        return _absolute(self.start, begin_ns)

    def end_ns(self, begin_ns) -> int:
        """Return the end, ns, of a recording that begins at ``begin_ns``."""
        return _absolute(self.end, begin_ns)


def read_times(path) -> tuple:
    """
    Read a list of times.

    :param path: ``Path`` of a ``.csv`` file, or of a YAML file with a list.
    :return: ``Times`` in the order of time.
    :raises ConfigError: naming the file, the entry and what is wrong with it.
    """
    try:
        text = path.read_text(encoding='utf-8-sig')  # spreadsheets write the mark
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f'the list of times {path} cannot be read: {told(error)}') from error
    is_csv = path.suffix.lower() == '.csv'
    entries = _csv_entries(text, path) if is_csv else parse_yaml(text, str(path), ConfigError)
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f'the list of times {path} holds no episode; write {EXAMPLE}')
    found = [_entry(entry, f'{path}, episode {number}') for number, entry in enumerate(entries)]
    if len({times.is_absolute for times in found}) > 1:
        raise ConfigError(f'{path} mixes seconds from the beginning and absolute nanoseconds; use '
                          'one of them throughout')
    found.sort(key=lambda times: times.start)
    for first, second in zip(found, found[1:]):
        if second.start < first.end:
            raise ConfigError(f'{path}: the episode from {second.start} begins before the one '
                              f'from {first.start} ends at {first.end}')
    return tuple(found)


def _csv_entries(text, path):
    """Read the lines of a CSV file as a YAML list would have them."""
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    if not set(COLUMNS[:2]) <= set(reader.fieldnames or ()):
        first = shown(','.join(reader.fieldnames or ()))
        raise ConfigError(f'the first line of {path} is {first}; write {EXAMPLE}')
    entries = []
    for line in reader:
        entry = {key: value for key, value in line.items() if value not in ('', None)}
        entries.append({**entry, **{key: _number(entry[key]) for key in COLUMNS[:2]
                                    if key in entry}})
    return entries


def _entry(entry, where):
    """Check one episode."""
    if not isinstance(entry, dict) or set(entry) - set(COLUMNS):
        raise ConfigError(f'{where}: {shown(entry)} is no episode of {", ".join(COLUMNS)}; write '
                          f'{EXAMPLE}')
    start, end = entry.get('start'), entry.get('end')
    if not is_number(start) or not is_number(end) or not 0 <= start < end \
            or (start >= ABSOLUTE_FROM) != (end >= ABSOLUTE_FROM):
        raise ConfigError(f'{where}: from {shown(start)} to {shown(end)}; start and end must be '
                          'numbers, both s from the beginning or both absolute ns, the end later')
    task, success = entry.get('task', ''), parse_success(entry.get('success'))
    if not isinstance(task, str) or not is_encodable(task):
        raise ConfigError(f'{where}: task is {shown(task)}; it must be a sentence')
    if success is None and entry.get('success') is not None:
        raise ConfigError(f'{where}: success is {shown(entry["success"])}; it must be true or '
                          'false')
    return Times(start, end, task, success)


def parse_success(value):
    """
    Read whether an episode succeeded.

    :param value: A bool, or a text such as ``true`` or ``failure``.
    :return: True, False, or None for anything else.
    """
    word = str(value).strip().lower()
    if word in ('true', 'yes', '1', 'success'):
        return True
    return False if word in ('false', 'no', '0', 'fail', 'failure') else None


def _number(text):
    """Read a number, whole ones exactly; what is none stays a text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _absolute(time, begin_ns):
    """Return a time of the list as ns on the recording's clock."""
    return int(time) if time >= ABSOLUTE_FROM else begin_ns + round(time * 1e9)

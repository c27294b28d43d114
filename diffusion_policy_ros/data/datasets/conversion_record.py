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

"""What `dpr convert` found out about the bags, carried along when datasets are edited."""

from pathlib import PurePath

from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.episode_ranges import episode_ranges
from diffusion_policy_ros.data.datasets.lerobot_files import read_json
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.errors import DatasetError

FIELD_TYPES = {'bag': str, 'cut': int, 'piece': int, 'start_ns': int, 'rows': int, 'task': str,
               'success': bool, 'alarms': list, 'repaired': str}
EPISODE_FIELDS = tuple(FIELD_TYPES)


def carried_record(picks):
    """
    Return what the record of some episodes is: bag, task and success of each of them.

    The figures of a conversion (ages, lags, losses) are about all its bags. They stay as they
    were, in ``conversions``.

    :param picks: List of ``(LeRobotReader, Episode)`` in their new order.
    :return: Content of ``meta/conversion.json``; None where no source has such a file.
    :raises DatasetError: if one does not describe the episodes beside it.
    """
    readers = {id(reader): reader for reader, _ in picks}
    records = {key: _read(reader) for key, reader in readers.items()}
    if not any(records.values()):
        return None
    conversions = []
    for record in filter(None, records.values()):
        conversions += [found for found in record['conversions'] if found not in conversions]
    return {
        'episodes': len(picks), 'rows': sum(episode.length for _, episode in picks),
        'conversions': conversions,
        'episode_list': [_entry(records[id(reader)], episode) for reader, episode in picks]}


def episode_entries(source):
    """
    Return what is known of each episode of a dataset; None where it has no record.

    :param source: A ``FrameSource``; only a LeRobotDataset can have a record.
    :return: For each episode a dict of ``EPISODE_FIELDS``, None where a field is unknown:
        ``bag`` as it was given, ``cut`` the number of the cut's episode in it and ``piece`` that
        of the piece between gaps (both from 1), ``start_ns`` of the first row, ``rows``, ``task``,
        ``success``, the recorder's ``alarms`` of the whole bag, one sentence each, and how the
        bag was ``repaired`` that its recorder had not closed.
    :raises DatasetError: if the record does not describe the episodes beside it.
    """
    record = _read(source) if isinstance(source, LeRobotReader) else None
    return record and [{name: entry.get(name) for name in EPISODE_FIELDS}
                       for entry in record['episode_list']]


def repeated_episodes(entries) -> list:
    """
    Return the numbers of the episodes that are in a dataset a second time.

    They are of a bag of the same name, and begin at the same nanosecond.

    :param entries: As ``episode_entries``.
    """
    seen, found = set(), []
    for number, entry in enumerate(entries):
        if entry['bag'] is None or entry['start_ns'] is None:
            continue
        start = PurePath(entry['bag']).name, entry['start_ns']
        if start in seen:
            found.append(number)
        seen.add(start)
    return found


def told_alarms(entries) -> str:
    """
    Say which episodes were recorded with alarms, or are of a bag that was repaired.

    :param entries: As ``episode_entries``.
    :return: Such as ``4 episodes with alarms: 6-9; 1 of a repaired bag: 4``;
        empty without any.
    """
    return '; '.join(
        f'{len(numbers)} {what}: {episode_ranges(numbers)}' for field, what in (
            ('alarms', 'episodes with alarms'), ('repaired', 'of a repaired bag'))
        if (numbers := [n for n, entry in enumerate(entries) if entry.get(field)]))


def count_outcomes(entries) -> str:
    """
    Say how many episodes are tagged as what.

    :param entries: Episodes, each with ``success``: True, False, or None where nobody tagged it.
    """
    found = [entry.get('success') for entry in entries]
    return f'{found.count(True)} success, {found.count(False)} failure, ' \
        f'{found.count(None)} without a tag'


def _entry(record, episode):
    """Return what is known of an episode."""
    if record:
        return record['episode_list'][episode.index]
    return {**dict.fromkeys(EPISODE_FIELDS), 'rows': episode.length,
            'task': '; '.join(episode.tasks)}


def _read(reader):
    """Return ``{conversions, episode_list}`` of a dataset, None where it has no record."""
    path = reader.folder / layout.RECORD_PATH
    if not path.is_file():
        return None
    try:
        found = read_json(path)
        entries = found.pop('episode_list')
        conversions = list(found.get('conversions', [found]))
        rows = [entry['rows'] for entry in entries] if all(map(_is_entry, entries)) else None
    except (DatasetError, LookupError, TypeError, AttributeError):
        rows = None
    if rows != [episode.length for episode in reader.episodes]:
        raise DatasetError(f'{path} does not list the episodes that are here; restore it from a '
                           'copy, or remove it: their bags and success tags are then forgotten')
    return {'conversions': conversions, 'episode_list': entries}


def _is_entry(entry):
    """Tell whether each field that is known of an episode is of its kind."""
    return all(entry.get(name) is None or type(entry[name]) is kind
               for name, kind in FIELD_TYPES.items()) and all(
        isinstance(alarm, str) for alarm in entry.get('alarms') or ())

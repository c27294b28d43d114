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

"""What `dpr convert` found out about the bags goes where the episodes go."""

import json

from diffusion_policy_ros.data.datasets.conversion_record import (
    episode_entries, repeated_episodes)
from diffusion_policy_ros.data.datasets.edit import (
    append_datasets, delete_episodes, merge_datasets, split_dataset)
from diffusion_policy_ros.data.datasets.formats import create_dataset, open_dataset
from diffusion_policy_ros.data.datasets.frames import copy_dataset
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.errors import DatasetError
import pytest

EPISODES = [('push', range(5)), ('pull', range(5, 6)), ('push', range(6, 15))]
RECORD = 'meta/conversion.json'


def record(folder, lag_ms=40, bag='bag'):
    """Write what a conversion leaves: a figure of all bags, and a list of three episodes."""
    found = {'bags': 2, 'lags': [{'topic': 'cmd', 'lag_ms': lag_ms}], 'episode_list': [
        {'bag': f'{bag}{number}', 'rows': len(rows), 'task': task, 'success': number != 1,
         'start_ns': 10**18 + number} for number, (task, rows) in enumerate(EPISODES)]}
    (folder / RECORD).write_text(json.dumps(found))
    return found


def found_in(folder):
    """Read it back."""
    return json.loads((folder / RECORD).read_text())


def repeated_in(folder):
    """Return the numbers of the episodes that are there twice."""
    return repeated_episodes(episode_entries(LeRobotReader(folder)))


@pytest.fixture
def dataset(tmp_path, contract, named):
    """Give three episodes with their record."""
    folder = named.write(tmp_path / 'whole', contract, EPISODES)
    record(folder)
    return folder


def test_thinned_and_split_datasets_keep_bag_task_and_success(dataset, tmp_path):
    before = found_in(dataset)
    entries = before.pop('episode_list')
    delete_episodes(dataset, [0], tmp_path / 'thin')
    split_dataset(dataset, {'a': [2, 0], 'b': [1]}, tmp_path / 'parts')
    for folder, numbers in (('thin', [1, 2]), ('parts/a', [2, 0]), ('parts/b', [1])):
        chosen = [entries[number] for number in numbers]
        assert found_in(tmp_path / folder) == {
            'episodes': len(numbers), 'rows': sum(e['rows'] for e in chosen),
            'conversions': [before], 'episode_list': chosen}


def test_a_copy_with_another_codec_keeps_bag_task_and_success(dataset, tmp_path):
    before = found_in(dataset)
    entries = before.pop('episode_list')
    source = open_dataset(dataset)
    copy_dataset(source, create_dataset(tmp_path / 'copy', 'lerobot', like=source, codec='png'))
    assert found_in(tmp_path / 'copy') == {'episodes': 3, 'rows': 15, 'conversions': [before],
                                           'episode_list': entries}


def test_a_copy_of_a_wrong_record_is_refused_before_anything_is_copied(dataset, tmp_path):
    (dataset / RECORD).write_text('{}')
    source = open_dataset(dataset)
    with pytest.raises(DatasetError, match='conversion.json does not list the episodes'):
        copy_dataset(source, create_dataset(tmp_path / 'copy', 'lerobot', like=source))
    assert not list(tmp_path.glob('copy*'))


def test_merged_and_appended_datasets_keep_the_records_of_all(dataset, tmp_path, contract, named):
    other = named.write(tmp_path / 'other', contract, EPISODES)
    figures = [found_in(dataset), record(other, lag_ms=80, bag='later')]
    entries = [entry for figure in figures for entry in figure.pop('episode_list')]
    merge_datasets([dataset, other], tmp_path / 'all')
    append_datasets(dataset, [other])
    assert found_in(dataset) == found_in(tmp_path / 'all') == {
        'episodes': 6, 'rows': 30, 'conversions': figures, 'episode_list': entries}
    delete_episodes(dataset, [0, 1, 2, 3], tmp_path / 'thin')  # of what was edited before
    merge_datasets([tmp_path / 'thin', tmp_path / 'all'], tmp_path / 'again')
    found = found_in(tmp_path / 'again')
    assert found['conversions'] == figures
    assert found['episode_list'] == [*entries[4:], *entries]


def test_of_episodes_without_a_record_nothing_is_invented(dataset, tmp_path, contract, named):
    other = named.write(tmp_path / 'other', contract, [('lift', range(4))])
    append_datasets(dataset, [other])
    assert found_in(dataset)['episode_list'][3] == {
        'bag': None, 'cut': None, 'piece': None, 'start_ns': None, 'rows': 4, 'task': 'lift',
        'success': None, 'alarms': None, 'repaired': None}
    delete_episodes(other, [], tmp_path / 'copy')
    assert not (tmp_path / 'copy' / RECORD).exists()


def test_episodes_that_are_there_twice_are_found(dataset, tmp_path):
    """By the bag's name and the first row's time; what nobody knows is never the same."""
    record = json.loads((dataset / RECORD).read_text())
    for number, entry in enumerate(record['episode_list']):
        entry.update(bag=f'bags/{number}', start_ns=7)
    (dataset / RECORD).write_text(json.dumps(record))
    assert repeated_in(dataset) == []
    delete_episodes(dataset, [1], tmp_path / 'thin')
    append_datasets(dataset, [tmp_path / 'thin'])
    count = len(LeRobotReader(dataset).episodes)
    again = list(range(len(record['episode_list']), count))
    assert again and repeated_in(dataset) == again
    record = json.loads((dataset / RECORD).read_text())
    record['episode_list'][again[0]]['start_ns'] += 1
    record['episode_list'][0]['bag'] = None
    (dataset / RECORD).write_text(json.dumps(record))
    assert repeated_in(dataset) == again[1:]


@pytest.mark.parametrize('text', ['{', '[]', '{}', '{"episode_list": [{}]}', json.dumps(
    {'episode_list': [{'rows': 5}, {'rows': 1}]})])
def test_a_record_of_other_episodes_is_not_carried_on_in_silence(dataset, tmp_path, text):
    (dataset / RECORD).write_text(text)
    with pytest.raises(DatasetError, match='conversion.json does not list the episodes that are'):
        delete_episodes(dataset, [0], tmp_path / 'thin')
    assert not (tmp_path / 'thin').exists()


@pytest.mark.parametrize('field, value', [
    ('bag', 5), ('bag', ['a']), ('start_ns', [1]), ('start_ns', 1.5), ('start_ns', True),
    ('cut', 'a'), ('piece', [1]), ('task', 3), ('success', []), ('success', 1), ('alarms', 5),
    ('alarms', [5])])
def test_a_record_of_other_kinds_is_refused_before_anything_changes(
        dataset, tmp_path, contract, named, field, value):
    other = named.write(tmp_path / 'other', contract, EPISODES[:1])
    found = found_in(dataset)
    found['episode_list'][1][field] = value
    (dataset / RECORD).write_text(json.dumps(found))
    for read in (lambda: episode_entries(LeRobotReader(dataset)),
                 lambda: append_datasets(dataset, [other]),
                 lambda: append_datasets(other, [dataset])):
        with pytest.raises(DatasetError, match='conversion.json does not list the episodes that'):
            read()
    assert found_in(dataset) == found and not (other / RECORD).exists()
    assert [len(LeRobotReader(folder).episodes) for folder in (dataset, other)] == [3, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ['other', 'whole']


def test_a_format_without_a_record_has_none(tmp_path, dataset):
    class Frames:
        folder = dataset

    assert episode_entries(Frames()) is None

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

"""Edited datasets equal what one writer would have written of the same rows."""

import json
import os
import shutil

from diffusion_policy_ros.data.datasets.edit import (
    append_datasets, delete_episodes, merge_datasets, shared_videos, split_dataset)
from diffusion_policy_ros.data.datasets.lerobot_files import episode_table, read_tasks
from diffusion_policy_ros.data.datasets.lerobot_format import (
    task_table, TASKS_PATH, write_parquet)
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.errors import ContractError, DatasetError
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SO101 = 'lerobot/so101_v3/lerobot_dataset_example'
PUSHT = 'lerobot/pusht_v3_no_video/pusht'
EPISODES = [('push', range(5)), ('pull', range(5, 6)), ('push', range(6, 15)),
            ('lift', range(15, 18))]


@pytest.mark.parametrize('codec', ['h264-lossless', 'png'])
def test_a_merged_dataset_is_what_one_writer_would_have_written(tmp_path, contract, codec, named):
    parts = [named.write(tmp_path / f'part{n}', contract, EPISODES[a:b], codec)
             for n, (a, b) in enumerate([(0, 1), (1, 3), (3, 4)])]
    merge_datasets(parts, tmp_path / 'merged')
    whole = named.write(tmp_path / 'whole', contract, EPISODES, codec)
    named.assert_same(tmp_path / 'merged', whole)


def test_thinned_split_and_appended_datasets_are_too(tmp_path, contract, named):
    def check(folder, *numbers):
        place = tmp_path / f'wanted{len(list(tmp_path.iterdir()))}'
        named.assert_same(folder, named.write(place, contract, [EPISODES[n] for n in numbers]))

    whole = named.write(tmp_path / 'whole', contract, EPISODES)
    delete_episodes(whole, [0, 2], tmp_path / 'thin')
    check(tmp_path / 'thin', 1, 3)
    found = split_dataset(whole, {'train': [3, 0], 'test': [2]}, tmp_path / 'parts')
    assert list(found) == ['train', 'test'] and found['train'].row_count == 8
    check(tmp_path / 'parts/train', 3, 0)
    check(tmp_path / 'parts/test', 2)
    append_datasets(tmp_path / 'thin', [tmp_path / 'parts/test'])
    check(tmp_path / 'thin', 1, 3, 2)


def test_a_contract_that_cannot_be_read_does_not_get_lost(tmp_path, contract, named):
    whole = named.write(tmp_path / 'whole', contract, EPISODES)
    (whole / 'meta/contract.yaml').unlink()
    (whole / 'meta/contract.yaml').mkdir()
    with pytest.raises(ContractError, match='meta/contract.yaml: Is a directory'):
        delete_episodes(whole, [0], tmp_path / 'thin')
    assert os.listdir(tmp_path) == ['whole']


def test_unchanged_files_are_linked_and_not_written_again(tmp_path, contract, named):
    first = named.write(tmp_path / 'first', contract, EPISODES[:2])
    second = named.write(tmp_path / 'second', contract, EPISODES[2:])
    merge_datasets([first, second], tmp_path / 'm')
    for name in named.files_of(first):
        is_same = os.path.samefile(first / name, tmp_path / 'm' / name)
        assert is_same == name.startswith(('data', 'videos')), name


def test_a_disk_without_hard_links_gets_copies(tmp_path, contract, monkeypatch, named):
    def refuse(*paths):
        raise OSError('no links here')
    monkeypatch.setattr(os, 'link', refuse)
    whole = named.write(tmp_path / 'whole', contract, EPISODES)
    merge_datasets([whole], tmp_path / 'copy')
    named.assert_same(tmp_path / 'copy', whole)
    assert not os.path.samefile(whole / 'data/chunk-000/file-000.parquet',
                                tmp_path / 'copy/data/chunk-000/file-000.parquet')


def test_deleted_episodes_of_a_shared_video_leave_it_as_it_is(tmp_path, shared_data):
    """Six episodes inside one AV1 file, written by LeRobot."""
    source = LeRobotReader(shared_data / SO101)
    found = delete_episodes(shared_data / SO101, [0, 2, 3], tmp_path / 'd')
    assert [e.length for e in found.episodes] == [386, 90, 162]
    key = 'observation.images.wrist'
    assert {e.videos[key][0].name for e in found.episodes} == {'file-000.mp4'}
    assert [e.videos[key][1] for e in found.episodes] == [
        source.episodes[n].videos[key][1] for n in (1, 4, 5)]
    assert shared_videos(source, [0, 2, 3]) == [source.episodes[0].videos[key][0]]
    kept = [k for n in (1, 4, 5) for k in range(source.episodes[n].first, source.episodes[n].end)]
    before, after = (reader.columns(['action', 'timestamp', 'frame_index'])
                     for reader in (source, found))
    for name in before:
        assert np.array_equal(before[name][kept], after[name])
    source.episodes = source.episodes[4:5]
    found.episodes = found.episodes[1:2]
    for mine, theirs in zip(found.frames(key), source.frames(key)):
        assert np.array_equal(mine, theirs)


def test_a_dataset_of_lerobot_splits_with_all_its_columns(tmp_path, shared_data, monkeypatch):
    """Push-T without its video cannot be; with one that shows every row it can."""
    copy = shutil.copytree(shared_data / PUSHT, tmp_path / 'copy', copy_function=shutil.copyfile)
    with pytest.raises(DatasetError, match='file-000.mp4 does not exist'):
        split_dataset(copy, {'train': range(90)}, tmp_path / 'parts')
    assert not (tmp_path / 'parts').exists() and not (tmp_path / 'parts.part').exists()
    video = LeRobotReader(copy).episodes[0].videos['observation.image'][0]
    video.parent.chmod(0o755) if video.parent.exists() else video.parent.mkdir(parents=True)
    video.write_bytes(b'no video')
    monkeypatch.setattr('diffusion_policy_ros.data.datasets.selection.frame_times',
                        lambda file: np.arange(30_000) / 10)
    found = split_dataset(copy, {'train': range(90), 'test': range(186, 206)}, tmp_path / 'parts')
    source, test = LeRobotReader(copy), found['test']
    keys = [key for key in source.features if key not in source.video_keys]
    first = source.episodes[186].first
    before, after = source.columns(keys), test.columns(keys)
    for key in keys:
        offset = {'index': first, 'episode_index': 186}.get(key, 0)
        assert before[key].dtype == after[key].dtype
        assert np.array_equal(before[key][first:] - offset if offset else before[key][first:],
                              after[key]), key
    statistics = found['train'].statistics()['action']
    action = found['train'].columns(['action'])['action'].astype(np.float64)
    assert np.allclose(statistics['mean'], action.mean(0), rtol=1e-6)
    assert np.allclose(statistics['q90'], np.quantile(action, 0.9, axis=0), atol=1)


episode_lists = st.lists(st.tuples(st.sampled_from(['push', 'pull', 'lift']), st.integers(1, 4)),
                         min_size=1, max_size=4)


@settings(max_examples=8, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_sequence_of_edits_is_the_same_done_on_lists(tmp_path_factory, contract, monkeypatch,
                                                         data, named):
    """Brute force: an episode is a task and a list of row numbers."""
    monkeypatch.setattr('diffusion_policy_ros.data.datasets.lerobot_files.BATCH_ROWS', 3)
    folder = tmp_path_factory.mktemp('edits')
    known, count = [], 0
    for n, shape in enumerate(data.draw(st.lists(episode_lists, min_size=2, max_size=2))):
        episodes = []
        for task, length in shape:
            episodes.append((task, list(range(count, count + length))))
            count += length
        known.append((named.write(folder / f's{n}', contract, episodes), episodes))
    for n in range(data.draw(st.integers(1, 4))):
        act = data.draw(st.sampled_from(['merge', 'split', 'delete', 'append']))
        place, episodes = data.draw(st.sampled_from(known))
        some = data.draw(st.lists(st.sampled_from(range(len(episodes))), unique=True))
        out = folder / f'o{n}'
        if act in ('merge', 'append'):
            other, more = data.draw(st.sampled_from(known))
            if act == 'append':
                shutil.copytree(place, out)
                append_datasets(out, [other])
            else:
                merge_datasets([place, other], out)
            known.append((out, episodes + more))
        elif act == 'delete' and len(some) < len(episodes):
            delete_episodes(place, some, out)
            known.append((out, [e for k, e in enumerate(episodes) if k not in some]))
        elif act == 'split' and some:
            cut = data.draw(st.integers(0, len(some) - 1))
            parts = {'a': some[:cut], 'b': some[cut:]}
            parts = {name: numbers for name, numbers in parts.items() if numbers}
            split_dataset(place, parts, out)
            known += [(out / name, [episodes[k] for k in numbers])
                      for name, numbers in parts.items()]
    for number, (place, episodes) in enumerate(known):
        assert named.episodes_of(place) == episodes
    named.assert_same(place, named.write(folder / 'brute', contract, episodes))


def test_statistics_after_edits_are_those_of_the_rows(tmp_path, contract, named):
    """Quantiles from all rows, within two bins of 4096."""
    parts = [named.write(tmp_path / str(n), contract, [('t', range(40 * n, 40 * n + 40))])
             for n in range(5)]
    merged = merge_datasets(parts, tmp_path / 'm')
    values = merged.columns(['action'])['action'].astype(np.float64)
    found = merged.statistics()['action']
    assert np.array_equal(found['max'], values.max(0)) and found['count'].tolist() == [200]
    assert np.allclose(found['std'], values.std(0), rtol=1e-12)
    for name, share in (('q01', 0.01), ('q50', 0.5), ('q99', 0.99)):
        exact = np.quantile(values, share, axis=0)
        assert (np.abs(found[name] - exact) <= 2 * np.ptp(values, axis=0) / 4096).all()
    stored = json.loads((tmp_path / 'm/meta/stats.json').read_text())
    assert stored['episode_index']['max'] == [4] and stored['index']['max'] == [199]


def test_statistics_of_numbers_too_large_for_int64_are_not_wrapped(tmp_path):
    values = np.random.default_rng(0).integers(0, 2**64 - 1, (60, 2), np.uint64)
    feature = {'dtype': 'uint64', 'shape': [2], 'names': None}
    with LeRobotWriter(tmp_path / 'd', features={'x': feature}, rate_hz=10) as writer:
        for k, value in enumerate(values):
            writer.add_frame({'x': value})
            if k % 20 == 19:
                writer.save_episode('t')
    edited = delete_episodes(tmp_path / 'd', [1], tmp_path / 'e')
    for dataset, kept in ((LeRobotReader(tmp_path / 'd'), values),
                          (edited, np.delete(values, range(20, 40), axis=0))):
        found, exact = dataset.statistics()['x'], kept.astype(np.float64)
        assert np.array_equal(dataset.columns(['x'])['x'], kept)
        for name, value in (('min', exact.min(0)), ('max', exact.max(0)), ('mean', exact.mean(0)),
                            ('std', exact.std(0)), ('q90', np.quantile(exact, 0.9, axis=0))):
            assert found[name] == pytest.approx(value, abs=2.0**64 / 2048), name


def test_an_episode_costs_the_same_however_many_there_are(tmp_path, contract, monkeypatch, named):
    """Its row and its tasks are looked up, not searched for."""
    class Sentences(list):
        looks = 0

        def look(self, name, *arguments):
            Sentences.looks += 1
            return getattr(super(), name)(*arguments)

        def __iter__(self):
            return self.look('__iter__')

        def __contains__(self, sentence):
            return self.look('__contains__', sentence)

        def index(self, sentence):
            return self.look('index', sentence)

    whole = named.write(tmp_path / 'whole', contract, EPISODES)
    assert [column.num_chunks for column in episode_table(whole).columns] == [
        1] * len(episode_table(whole).columns)
    monkeypatch.setattr('diffusion_policy_ros.data.datasets.selection.read_tasks',
                        lambda path: Sentences(read_tasks(path)))
    assert len(delete_episodes(whole, [0], tmp_path / 'thin').episodes) == 3
    assert Sentences.looks == 1


def test_a_task_that_is_listed_twice_becomes_one(tmp_path, contract, named):
    """The rows of an episode may name the second place."""
    whole = named.write(tmp_path / 'whole', contract, EPISODES[:2])
    write_parquet(whole / TASKS_PATH, task_table(['pull', 'pull']))
    table = whole / 'meta/episodes/chunk-000/file-000.parquet'
    rows = pq.ParquetFile(table).read()
    place = rows.schema.get_field_index('tasks')
    pq.write_table(rows.set_column(place, 'tasks', pa.array([['pull']])), table)
    found = delete_episodes(whole, [], tmp_path / 'copy')
    assert read_tasks(tmp_path / 'copy' / TASKS_PATH) == ['pull']
    assert not found.columns(['task_index'])['task_index'].any()


def test_it_is_told_how_far_a_long_edit_is(tmp_path, contract, monkeypatch, capsys, named):
    monkeypatch.setattr('diffusion_policy_ros.data.progress.LINE_EVERY_S', 0)
    merge_datasets([named.write(tmp_path / 'd', contract, EPISODES)], tmp_path / 'm')
    assert [line.split(' after')[0] for line in capsys.readouterr().err.splitlines()] == [
        f'writing episodes: {share} %' for share in (25, 50, 75, 100)]
    merge_datasets([tmp_path / 'd'], tmp_path / 'silent', progress=False)
    assert capsys.readouterr().err == ''

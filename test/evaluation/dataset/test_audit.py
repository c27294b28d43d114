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

"""Every finding of the audit of a dataset: a good one is broken in one thing, which is named."""

import json
from pathlib import Path
import shutil

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.datasets.formats import create_dataset
from diffusion_policy_ros.data.datasets.frames import copy_dataset
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.dataset.audit import audit_dataset, open_source
from hypothesis import given, HealthCheck, settings, strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

LENGTHS = (60, 50, 70)
START_NS = 1_700_000_000_000_000_000
CAMERA = 'observation.images.camera'
SHARED = Path(__file__).resolve().parents[4] / 'shared' / 'data' / 'lerobot'


def test_a_good_dataset_has_no_finding(good):
    audit = audit_dataset(good)
    assert not audit.findings
    assert not audit.has_errors
    assert sorted(audit.curves) == [0, 1, 2]
    assert len(audit.pictures.thumbnails[1, CAMERA]) == 3


@settings(max_examples=8, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1),
       lengths=st.lists(st.integers(2, 12), min_size=1, max_size=4))
def test_what_the_writer_writes_has_no_error(tmp_path_factory, seed, lengths, audits):
    recipe, rng = audits.Recipe(seed, lengths), np.random.default_rng(seed)
    for episode, length in enumerate(lengths):
        scale = 10.0 ** rng.integers(-3, 4)
        recipe.state[episode] = rng.normal(rng.normal(), scale, (length, 2))
        recipe.action[episode] = rng.normal(rng.normal(), scale, (length, 2))
        recipe.ages_ns[episode] = rng.integers(0, 150_000_001, (length, 3))
        recipe.pictures[episode] = rng.integers(0, 256, (length, 48, 64, 3), np.uint8)
    folder = recipe.write(tmp_path_factory.mktemp('random') / 'dataset')
    assert not audit_dataset(folder).has_errors


def test_what_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(DatasetError, match='is no dataset'):
        audit_dataset(tmp_path)


def test_metadata_that_contradicts_itself_is_an_error(copy, audits):
    audits.edit_json(copy / 'meta/info.json', lambda info: info.update(total_episodes=7))
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('ERROR', 'schema')
    assert 'lists 3 episodes, info.json counts 7' in finding.text


@pytest.mark.parametrize('key, value, check, words', [
    ('index', 999, 'indices', 'index does not count the rows of the dataset: episode 1 from row '
     '20 on'),
    ('frame_index', 3, 'indices', 'frame_index does not count from 0: episode 1 from row 20 on'),
    ('episode_index', 2, 'indices', 'episode_index is not the number of the episode: episode 1'),
    ('timestamp', 2.001, 'timestamps', 'is not frame_index / 10 within 0.0001 s: episode 1 from '
     'row 20'),
    ('timestamp', np.nan, 'timestamps', 'episode 1 from row 20'),
    ('tick_ns', START_NS + 10**11 + 2 * 10**9 + 5, 'timestamps', 'a gap in time was not split: '
     'episode 1 from row 20 on'),
    ('task_index', 4, 'tasks', 'is not in meta/tasks.parquet'),
])
def test_a_row_that_counts_itself_wrong(copy, key, value, check, words, audits):
    audits.edit_column(audits.data_file(copy, 1), key, audits.put(20, 0, value))
    finding = next(f for f in audit_dataset(copy).findings if f.check == check)
    assert finding.level == 'ERROR'
    assert words in finding.text
    # Only a row's own column is compared with stats.json where it describes the robot.
    assert {f.check for f in audit_dataset(copy).findings} == {check}


def test_totals_that_do_not_add_up(copy, audits):
    audits.edit_json(copy / 'meta/info.json', lambda info: info.update(total_frames=181))
    assert 'total_frames of meta/info.json is 181, meta/episodes adds up to 180' \
        in audits.only(copy).text


@pytest.mark.parametrize('entry, value, words', [
    ('total_tasks', 77, 'total_tasks of meta/info.json is 77, meta/tasks.parquet lists 1'),
    ('splits', {'train': '0:99'}, "says train '0:99', there are 3 episodes")])
def test_other_totals_that_are_not_those_of_the_tables(copy, audits, entry, value, words):
    audits.edit_json(copy / 'meta/info.json', lambda info: info.update({entry: value}))
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('ERROR', 'totals')
    assert words in finding.text


def test_episodes_that_nobody_counted(copy, audits):
    audits.edit_json(copy / 'meta/info.json', lambda info: info.update(
        total_episodes=2, total_frames=sum(LENGTHS[:2]), splits={'train': '0:2'}))
    shutil.rmtree(copy / 'videos')
    shutil.rmtree(copy / 'data')
    other = audits.Recipe(lengths=LENGTHS[:2]).write(copy.with_name('other'))
    for name in ('videos', 'data', 'meta/stats.json'):
        (other / name).rename(copy / name)
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('NOTE', 'totals')
    assert 'lists 1 episodes more than meta/info.json counts' in finding.text


def test_columns_that_no_check_looks_at_are_not_read(tmp_path):
    """Some are larger than the memory."""
    features = {'cloud': {'dtype': 'float32', 'shape': [100, 3], 'names': None},
                'action': {'dtype': 'float32', 'shape': [2], 'names': None}}
    with LeRobotWriter(tmp_path / 'd', features=features, rate_hz=10) as writer:
        for k in range(10):
            writer.add_frame({'cloud': np.zeros((100, 3)), 'action': np.full(2, k)})
        writer.save_episode('t')
    rows = next(open_source(tmp_path / 'd').rows())
    assert 'cloud' not in rows.columns and {'action', 'index'} <= set(rows.columns)


def test_a_data_file_that_lost_rows(copy, audits):
    path = audits.data_file(copy, 1)
    pq.write_table(pq.read_table(path).slice(0, 40), path)
    texts = [f.text for f in audit_dataset(copy).findings if f.check == 'data files']
    assert texts == [f'{path.relative_to(copy)} holds 40 rows, its episodes 1 to 1 have 50']


@pytest.mark.parametrize('episode', [1, 2])
def test_a_data_file_with_rows_of_nobody(copy, audits, episode):
    path = audits.data_file(copy, episode)
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table]), path)
    texts = [f.text for f in audit_dataset(copy).findings if f.check == 'data files']
    assert texts == [f'{path.relative_to(copy)} holds {2 * len(table)} rows, its episodes '
                     f'{episode} to {episode} have {len(table)}']


def test_a_data_file_that_is_damaged_or_lacks_a_column(copy, audits):
    audits.data_file(copy, 0).write_bytes(b'PAR1 no')
    path = audits.data_file(copy, 2)
    pq.write_table(pq.read_table(path).drop_columns(['action']), path)
    texts = [f.text for f in audit_dataset(copy).findings if f.check == 'data files']
    assert len(texts) == 2
    assert 'file-000.parquet cannot be read' in texts[0]
    assert 'file-002.parquet lacks the column action' in texts[1]


def test_a_column_of_another_shape(copy, audits):
    path = audits.data_file(copy, 0)
    table = pq.read_table(path)
    short = pa.array([[1.0]] * len(table), pa.list_(pa.float32()))
    pq.write_table(table.set_column(table.column_names.index('action'), 'action', short), path)
    finding = next(f for f in audit_dataset(copy).findings if f.check == 'data files')
    assert 'column action of episode 0 does not hold 2 numbers in each row' in finding.text


def test_values_that_are_not_finite(copy, audits):
    audits.edit_column(audits.data_file(copy, 2), 'observation.state', audits.put(8, 1, np.nan))
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('ERROR', 'not finite')
    assert 'observation.state wrist: 1 values are not finite: episode 2 row 8 is nan' \
        in finding.text


@pytest.mark.parametrize('name', ['min', 'max', 'mean', 'std'])
def test_statistics_that_are_not_those_of_the_rows(copy, name, audits):
    def change(stats):
        stats['observation.state'][name][1] += 0.05

    audits.edit_json(copy / 'meta/stats.json', change)
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('ERROR', 'statistics')
    assert f'{name} of wrist is ' in finding.text


@pytest.mark.parametrize('name, value, words', [
    ('count', [7], 'count is [7], there are 180 rows'),
    ('q99', [0.9, 40.0], 'q99 of wrist is 40, the episodes have ')])
def test_counts_and_quantiles_that_are_not_those_of_the_rows(copy, audits, name, value, words):
    audits.edit_json(copy / 'meta/stats.json',
                     lambda stats: stats['observation.state'].update({name: value}))
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('ERROR', 'statistics')
    assert words in finding.text


@pytest.mark.parametrize('name, level', [('std', 'WARNING'), ('mean', 'ERROR')])
def test_a_deviation_may_have_lost_digits_in_float32(copy, name, level, audits):
    def change(stats):
        stats['observation.state'][name][1] += 0.0026  # of values up to 1

    audits.edit_json(copy / 'meta/stats.json', change)
    assert audits.found(copy) == [(level, 'statistics')]


def test_statistics_that_are_missing(copy, audits):
    audits.edit_json(copy / 'meta/stats.json', lambda stats: stats.pop('action'))
    assert 'action of meta/stats.json: it is missing' in audits.only(copy).text
    (copy / 'meta/stats.json').unlink()
    assert audits.found(copy) == [('ERROR', 'statistics')]


def test_statistics_of_pictures_of_another_camera(copy, audits):
    def change(stats):
        stats[CAMERA]['mean'] = [[[0.9]], [[0.9]], [[0.9]]]

    audits.edit_json(copy / 'meta/stats.json', change)
    assert audits.found(copy) == [('WARNING', 'statistics')]


def test_a_constant_entry_and_a_constant_action(tmp_path, audits):
    recipe = audits.Recipe()
    for state in recipe.state:
        state[:, 1] = 0.5
    finding = audits.only(recipe.write(tmp_path / 'state'))
    assert (finding.level, finding.check) == ('WARNING', 'constant')
    assert 'observation.state never changes in: wrist (always 0.5)' in finding.text
    recipe = audits.Recipe()
    recipe.action = [np.ones_like(action) for action in recipe.action]
    assert ('ERROR', 'constant') in audits.found(recipe.write(tmp_path / 'action'))


def test_an_outlier_with_its_place_and_the_jump_there(tmp_path, audits):
    recipe = audits.Recipe()
    recipe.state[1][17, 0] = 40.0
    findings = audit_dataset(recipe.write(tmp_path / 'd')).findings
    assert [(f.level, f.check) for f in findings] == [('WARNING', 'outliers'),
                                                      ('WARNING', 'jumps')]
    assert 'observation.state elbow: 1 of 180 rows' in findings[0].text
    assert 'episode 1 row 17 (40)' in findings[0].text
    assert 'episode 1 row 17 (' in findings[1].text


def test_a_jump_within_the_usual_range(tmp_path, audits):
    recipe = audits.Recipe()
    for values in (*recipe.state, *recipe.action):
        values *= 0.05
        values += np.arange(len(values))[:, None] * 0.05
    recipe.action[2][35:, 1] -= 1.7
    finding = audits.only(recipe.write(tmp_path / 'd'))
    assert finding.check == 'jumps'
    assert 'action wrist: 1 steps' in finding.text
    assert 'episode 2 row 35' in finding.text


def test_a_gripper_may_jump_and_rest_at_its_ends(tmp_path, audits):
    recipe = audits.Recipe()
    for values in (*recipe.state, *recipe.action):
        values[:, 1] = np.where(np.arange(len(values)) < 30, 0.0, 0.04)
        values[:, 1] += (values is recipe.action[0]) * 0.0
    assert not audits.found(recipe.write(tmp_path / 'd'))


def test_values_that_rest_at_an_end_of_their_range(tmp_path, audits):
    recipe = audits.Recipe()
    recipe.action = [np.minimum(action, 0.7) for action in recipe.action]
    finding = audits.only(recipe.write(tmp_path / 'd'))
    assert (finding.level, finding.check) == ('NOTE', 'clipped')
    assert 'elbow is highest (0.7)' in finding.text


def test_equal_episodes(tmp_path, audits):
    recipe = audits.Recipe(lengths=(60, 60, 60))
    recipe.state[2], recipe.action[2] = recipe.state[0], recipe.action[0]
    finding = audits.only(recipe.write(tmp_path / 'my d'))
    assert (finding.level, finding.check) == ('WARNING', 'duplicates')
    assert '1 episodes repeat the numbers of another one: 0 = 2' in finding.text
    assert f"`dpr edit '{tmp_path}/my d' --delete 2 --out NAME`" in finding.remedy


def write_record(folder, *entries):
    """Write which bag each episode is of."""
    (folder / 'meta/conversion.json').write_text(json.dumps({'episode_list': [
        {'rows': rows, **entry} for rows, entry in zip(LENGTHS, entries)]}))


def test_episodes_of_one_bag_and_moment(copy, audits):
    write_record(copy, {'bag': 'a/b', 'start_ns': 5}, {'bag': 'a/b', 'start_ns': 6},
                 {'bag': 'other/b', 'start_ns': 5})
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('WARNING', 'duplicates')
    assert finding.text == ('1 episodes begin at the same time in a bag of the same name as '
                            'earlier ones: 2')
    assert f'`dpr edit {copy} --delete 2 --out NAME`' in finding.remedy


def test_a_record_of_other_episodes(copy, audits):
    write_record(copy, {})
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('WARNING', 'record')
    assert 'conversion.json does not list the episodes that are here' in finding.text


def test_actions_that_are_the_state(tmp_path, audits):
    recipe = audits.Recipe()
    recipe.action = recipe.state
    finding = audits.only(recipe.write(tmp_path / 'd'))
    assert (finding.level, finding.check) == ('WARNING', 'action is state')


def test_ages_beyond_the_limit_of_the_contract(tmp_path, audits):
    recipe = audits.Recipe()
    recipe.ages_ns[2][40, 1] = 150_000_001
    recipe.ages_ns[0][3, 2] = 150_000_001  # allowed there
    finding = audits.only(recipe.write(tmp_path / 'd'))
    assert (finding.level, finding.check) == ('ERROR', 'ages')
    assert 'joint_states: 1 rows are older than max_age_ms 150: episode 2 row 40 (150.0 ms)' \
        in finding.text


def test_samples_from_the_future(tmp_path, audits):
    recipe = audits.Recipe()
    recipe.ages_ns[1][4, 0] = -5_000_000
    finding = audits.only(recipe.write(tmp_path / 'd'))
    assert finding.level == 'ERROR'
    assert 'camera/image_raw: 1 samples are newer than their rows: episode 1 row 4' in finding.text


def test_a_stream_slower_than_the_rows(tmp_path, audits):
    recipe = audits.Recipe()
    for ages_ns in recipe.ages_ns:
        ages_ns[:, 0] = np.arange(len(ages_ns)) % 2 * 10**8  # a new picture every other row
    finding = audits.only(recipe.write(tmp_path / 'd'))
    assert (finding.level, finding.check) == ('WARNING', 'rates')
    assert 'camera/image_raw has no new sample in 51% of the rows: it brings 5.0 per second' \
        in finding.text


def test_a_stream_that_may_be_held_may_be_slow(tmp_path, audits):
    recipe = audits.Recipe()
    for ages_ns in recipe.ages_ns:
        ages_ns[:, 0] = 10**8 * np.arange(len(ages_ns))  # one picture for all rows
    folder = recipe.write(tmp_path / 'd')
    held = audits.CONTRACT.replace('width: 64}', 'width: 64}, on_stale: hold')
    (folder / 'meta/contract.yaml').write_text(held)
    assert not audits.found(folder)


def test_episodes_that_are_too_short_or_too_long(tmp_path, audits):
    finding = audits.only(audits.Recipe(lengths=(60, 50, 5, 70)).write(tmp_path / 'short'))
    assert (finding.level, finding.check) == ('WARNING', 'lengths')
    assert 'episode 2 (5 rows)' in finding.text
    finding = audits.only(audits.Recipe(lengths=(20, 24, 140, 22)).write(tmp_path / 'long'))
    assert 'typical 23 rows: episode 2 (140 rows)' in finding.text


@pytest.mark.parametrize('tasks, words', [
    (['Move.', '', 'Move.'], 'a task is an empty sentence'),
    (['Move it.', 'move  it', 'Move it.'], "'Move it.' and 'move  it' are two tasks that mean"),
])
def test_task_sentences(tmp_path, tasks, words, audits):
    recipe = audits.Recipe()
    recipe.tasks = tasks
    finding = audits.only(recipe.write(tmp_path / 'd'))
    assert (finding.level, finding.check) == ('WARNING', 'tasks')
    assert words in finding.text


def test_a_task_without_rows(copy, audits):
    path = copy / 'meta/tasks.parquet'
    table = pq.read_table(path)
    more = pa.table({'task_index': [1], 'task': ['Never done.']}).cast(table.schema)
    pq.write_table(pa.concat_tables([table, more]), path)
    audits.edit_json(copy / 'meta/info.json', lambda info: info.update(total_tasks=2))
    assert audits.only(copy).text == "1 of 2 tasks belong to no row, such as 'Never done.'"
    path.unlink()
    assert audits.found(copy) == [('ERROR', 'tasks')]


def test_the_contract_inside_and_the_one_that_is_asked_for(copy, audits):
    other = parse_contract(audits.CONTRACT.replace('[elbow, wrist]', '[wrist, elbow]'))
    findings = audit_dataset(copy, contract=other).findings
    assert {(f.level, f.check) for f in findings} == {('ERROR', 'contract')}
    assert 'observation.state names: recorded with' in findings[0].text
    assert not audits.found(copy, contract=parse_contract(audits.CONTRACT))
    (copy / 'meta/contract.yaml').unlink()
    assert audits.found(copy) == [('NOTE', 'contract')]
    assert not audits.found(copy, contract=parse_contract(audits.CONTRACT))
    assert audits.found(copy, contract=other) == [('ERROR', 'contract')] * 2
    (copy / 'meta/contract.yaml').write_text(audits.CONTRACT.replace('rate_hz: 10', 'rate_hz: 20'))
    assert audits.found(copy)[0] == ('ERROR', 'contract')


@pytest.mark.parametrize('kind, library', [('zarr', 'zarr'), ('hdf5', 'h5py')])
def test_other_formats_are_read_through_their_frames(tmp_path, kind, library, audits):
    pytest.importorskip(library)
    recipe = audits.Recipe()
    recipe.state[1][17, 0] = 40.0
    recipe.pictures[2][20:40] = [recipe.pictures[2][20]] * 20
    reader = LeRobotReader(recipe.write(tmp_path / 'd'))
    copy_dataset(reader, create_dataset(tmp_path / f'd.{kind}', kind, like=reader))
    audit = audit_dataset(tmp_path / f'd.{kind}')
    assert [(f.level, f.check) for f in audit.findings] == [
        ('WARNING', 'outliers'), ('WARNING', 'jumps'), ('WARNING', 'frozen')]
    assert 'episode 2 rows 20 to 39' in audit.findings[2].text
    assert len(audit.pictures.thumbnails[1, CAMERA]) == 3
    assert audit.source.episodes[1].tasks == ('Move the block.',)


@pytest.mark.skipif(not (SHARED.parent / 'pusht').is_dir(), reason='no demonstrations')
def test_a_format_that_does_not_say_its_rate_is_refused(tmp_path):
    pytest.importorskip('zarr')
    with pytest.raises(DatasetError, match='rows per second it has; give it with --rate'):
        audit_dataset(SHARED.parent / 'pusht' / 'pusht_cchi_v7_replay.zarr')


@pytest.mark.skipif(not SHARED.is_dir(), reason=f'no {SHARED}')
def test_real_datasets_of_others(audits):
    assert sorted(audits.found(SHARED / 'so101_v3' / 'lerobot_dataset_example')) == [
        ('ERROR', 'constant'),  # action
        ('NOTE', 'contract'),
        ('WARNING', 'constant'),  # state
        ('WARNING', 'statistics'), ('WARNING', 'statistics')]  # std in float32
    audit = audit_dataset(SHARED / 'pusht_v3_no_video' / 'pusht')
    assert sorted((f.level, f.check) for f in audit.findings) == [
        ('ERROR', 'videos'), ('NOTE', 'contract')]
    assert 'file-000.mp4 (it does not exist)' in audit.findings[0].text

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

"""What the audit of a dataset finds wrong with the episode table."""

import shutil

from diffusion_policy_ros.evaluation.dataset.audit import audit_dataset
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

CAMERA = 'observation.images.camera'
TABLE = 'meta/episodes/chunk-000/file-{:03d}.parquet'


def set_cell(folder, episode, name, value):
    """Change what the episode table says of an episode."""
    path = folder / TABLE.format(episode)
    table = pq.ParquetFile(path).read()
    place = table.schema.get_field_index(name)
    column = pa.array([value], table.schema.field(name).type)
    pq.write_table(table.set_column(place, table.schema.field(name), column), path)


@pytest.mark.parametrize('name', ['min', 'max', 'mean', 'std'])
def test_statistics_of_an_episode_that_are_not_those_of_its_rows(copy, audits, name):
    set_cell(copy, 1, f'stats/action/{name}', [0.5, 9e9])
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('ERROR', 'statistics')
    assert 'meta/episodes holds other statistics than the rows have, in 1 episodes: episode 1 ' \
        '(action ' in finding.text


def test_a_count_and_nanoseconds_that_are_not_those_of_the_rows(copy, audits):
    set_cell(copy, 0, 'stats/action/count', [59])
    set_cell(copy, 2, 'stats/age_ns/max', [1, 2, 10**9])
    text = audits.only(copy).text
    assert 'in 2 episodes: episode 0 (action count is [59], there are 60 rows), episode 2 ' \
        '(age_ns max of camera/image_raw is 1, the rows have ' in text


def test_of_many_wrong_statistics_of_an_episode_the_first_is_told(copy, audits):
    for name in ('min', 'max', 'mean'):  # of two entries each
        set_cell(copy, 1, f'stats/action/{name}', [0.5, 9e9])
    assert audits.only(copy).text.endswith('; and 5 more)')


def test_statistics_that_a_dataset_lacks_are_not_missed(copy, audits):
    for episode in range(3):
        path = copy / TABLE.format(episode)
        table = pq.ParquetFile(path).read()
        pq.write_table(table.select([name for name in table.column_names
                                     if not name.startswith('stats/action/')]), path)
    assert not audits.found(copy)


def test_a_length_that_is_not_that_of_the_rows(copy, audits):
    set_cell(copy, 1, 'length', 3)
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('ERROR', 'schema')
    assert 'meta/episodes row 1 has rows 60 to 110, its length is 3' in finding.text


def test_an_end_in_the_video_that_is_not_that_of_the_rows(copy, audits):
    set_cell(copy, 2, f'videos/{CAMERA}/to_timestamp', 7.1)
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('ERROR', 'videos')
    assert 'in 1 episodes: episode 2 (7.1 s, not 7 s)' in finding.text


def test_a_data_file_of_no_episode(copy, audits):
    path = audits.data_file(copy, 0)
    shutil.copy(path, path.with_name('file-777.parquet'))
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('ERROR', 'data files')
    assert '1 files belong to no episode: data/chunk-000/file-777.parquet' in finding.text


def test_tables_that_do_not_go_together(copy):
    path = copy / TABLE.format(1)
    table = pq.ParquetFile(path).read()
    place = table.schema.get_field_index('stats/action/max')
    pq.write_table(table.set_column(place, 'stats/action/max', pa.array(['much'])), path)
    assert any(f.check == 'schema' and 'meta/episodes do not hold the same columns' in f.text
               for f in audit_dataset(copy).findings)


def exchange(one, other):
    """Give two files each other's name."""
    between = one.with_name('between')
    one.rename(between)
    other.rename(one)
    between.rename(other)


def write_brightening(audits, folder, step):
    """Write two episodes of 60 rows, the second brighter by some levels."""
    recipe = audits.Recipe(lengths=(60, 60))
    recipe.pictures[1] = [picture + np.uint8(step) for picture in recipe.pictures[0]]
    return recipe.write(folder)


@pytest.mark.parametrize('step', [30, 6])
def test_videos_that_were_exchanged(tmp_path, audits, step):
    folder = write_brightening(audits, tmp_path / 'd', step)
    assert not audits.found(folder)
    exchange(audits.video(folder, 0), audits.video(folder, 1))
    finding = audits.only(folder)
    assert (finding.level, finding.check) == ('ERROR', 'pictures')
    assert f'{CAMERA}: 2 episodes show pictures whose mean is in meta/episodes of another one: ' \
        'episode 0 shows those of 1 ([' in finding.text


def test_a_dataset_whose_writer_counted_some_pictures_only(tmp_path, audits):
    """As LeRobot does: a mean of some is allowed to be further away."""
    folder = write_brightening(audits, tmp_path / 'd', 6)
    exchange(audits.video(folder, 0), audits.video(folder, 1))
    for episode in range(2):
        set_cell(folder, episode, f'stats/{CAMERA}/count', [20])
    assert not audits.found(folder)


def test_a_mean_that_fits_no_other_episode_either_is_a_note_with_both_values(copy, audits):
    """As of a writer that takes every fourth pixel of a fine pattern."""
    set_cell(copy, 1, f'stats/{CAMERA}/mean', [[[0.9]], [[0.8]], [[0.7]]])
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('NOTE', 'pictures')
    assert f'{CAMERA}: 1 episodes show other pictures than their mean in meta/episodes says: ' \
        'episode 1 ([0.9, 0.8, 0.7], its pictures have [0.' in finding.text

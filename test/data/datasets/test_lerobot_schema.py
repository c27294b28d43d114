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

"""A written dataset has LeRobot's own schema."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

EPISODES = [('push', range(5)), ('pull', range(5, 11)), ('push', range(11, 14))]


def schemas(folder, part):
    """Return the parquet columns of a dataset's first file of a part."""
    file = next(iter(sorted((folder / part).rglob('*.parquet'))))
    return pq.ParquetFile(file)


def flat(schema):
    """Return names and types, lists by their element type."""
    return {field.name: str(field.type).replace('item:', 'element:') for field in schema}


def test_schema_is_that_of_a_real_dataset(tmp_path, contract, named, shared_data):
    """Files, columns and types as in a dataset that LeRobot wrote."""
    real = shared_data / 'lerobot/so101_v3/lerobot_dataset_example'
    ours = named.write(tmp_path / 'd', contract, EPISODES[:2])
    theirs, info = (json.loads((f / 'meta/info.json').read_text()) for f in (real, ours))
    assert set(info) == set(theirs)
    for key in ('codebase_version', 'data_path', 'video_path', 'chunks_size'):
        assert info[key] == theirs[key]
    for key in ('timestamp', 'frame_index', 'episode_index', 'index', 'task_index'):
        assert info['features'][key] == theirs['features'][key]
    video = info['features']['observation.images.camera']
    assert set(video['info']) == set(theirs['features']['observation.images.wrist']['info'])
    mine, other = (flat(schemas(f, 'data').schema_arrow) for f in (ours, real))
    assert mine['observation.state'] == 'fixed_size_list<element: float>[2]'
    assert {k: v for k, v in mine.items() if k in theirs['features'] and '[' not in v} \
        == {k: v for k, v in other.items() if '[' not in v}
    mine, other = (flat(schemas(f, 'meta/episodes').schema_arrow) for f in (ours, real))
    renamed = {k.replace('images.wrist', 'images.camera'): v for k, v in other.items()}
    assert {k: mine.get(k) for k in renamed} == renamed
    assert set(json.loads((ours / 'meta/stats.json').read_text())['action']) \
        == set(json.loads((real / 'meta/stats.json').read_text())['action'])


def test_data_files_describe_their_columns_for_the_datasets_library(tmp_path, contract, named):
    """Fixed lists are `List` with a length; one row group per episode."""
    file = schemas(named.write(tmp_path / 'd', contract, EPISODES[:1]), 'data')
    assert file.num_row_groups == 1
    assert file.metadata.row_group(0).column(0).compression == 'SNAPPY'
    described = json.loads(file.schema_arrow.metadata[b'huggingface'])['info']['features']
    assert list(described) == file.schema_arrow.names
    assert described['action'] == {
        'feature': {'dtype': 'float32', '_type': 'Value'}, 'length': 2, '_type': 'List'}
    assert described['index'] == {'dtype': 'int64', '_type': 'Value'}


def test_tasks_are_a_pandas_index(tmp_path, contract, named):
    """As LeRobot reads them: sentence to number."""
    pandas = pytest.importorskip('pandas')
    folder = named.write(tmp_path / 'd', contract, EPISODES)
    tasks = pandas.read_parquet(folder / 'meta/tasks.parquet')
    assert tasks.index.name == 'task'
    assert tasks.loc['pull'].task_index == 1 and len(tasks) == 2


def test_all_files_of_a_kind_can_be_concatenated(tmp_path, contract, named):
    """All data files, and all episode files, are read by LeRobot as one table each."""
    folder = named.write(tmp_path / 'd', contract, EPISODES)
    for part, rows in (('data', 14), ('meta/episodes', 3)):
        tables = [pq.read_table(f) for f in sorted((folder / part).rglob('*.parquet'))]
        assert pa.concat_tables(tables).num_rows == rows

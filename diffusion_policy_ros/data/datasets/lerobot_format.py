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

"""Names, layouts and schemas of a LeRobotDataset v3.0, shared by its writer and its reader."""

import json

from diffusion_policy_ros.checks import is_count
from diffusion_policy_ros.data.files import replacing
from diffusion_policy_ros.data.recorded import recorded_topics
from diffusion_policy_ros.streams import ACTION_KEY
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CODEBASE_VERSION = 'v3.0'
FILES_PER_CHUNK = 1000
DATA_PATH = 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet'
VIDEO_PATH = 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4'
EPISODES_PATH = 'meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet'
INFO_PATH = 'meta/info.json'
STATS_PATH = 'meta/stats.json'
TASKS_PATH = 'meta/tasks.parquet'
CONTRACT_PATH = 'meta/contract.yaml'
# What `dpr convert` found out about the bags.
RECORD_PATH = 'meta/conversion.json'
# What an audit of the rows found, for a person.
REPORT_PATH = 'report.html'

# How cameras are stored: as frames of an mp4 file, or as compressed pictures inside the rows.
PICTURE_DTYPES = ('video', 'image')
PICTURE_NAMES = ['height', 'width', 'channels']
DEPTH_UNITS = {'16UC1': 'mm', '32FC1': 'm'}

# Our own columns: when a row truly happened, and how old each stream's sample was.
TICK_KEY = 'tick_ns'
AGE_KEY = 'age_ns'

INDEX_FEATURES = {
    'timestamp': {'dtype': 'float32', 'shape': [1], 'names': None},
    'frame_index': {'dtype': 'int64', 'shape': [1], 'names': None},
    'episode_index': {'dtype': 'int64', 'shape': [1], 'names': None},
    'index': {'dtype': 'int64', 'shape': [1], 'names': None},
    'task_index': {'dtype': 'int64', 'shape': [1], 'names': None},
}


def contract_features(contract, picture='video') -> dict:
    """
    Describe the columns of a dataset that a contract makes, in LeRobot's words.

    :param contract: The ``RobotContract``.
    :param picture: ``video`` or ``image``: how cameras are stored; depth is always ``image``.
    :return: ``{column: {dtype, shape, names}}`` in column order.
    """
    features = {}
    for key in contract.keys:
        stream = contract.streams_of(key)[0]
        if stream.is_image:
            features[key] = _camera(contract.shape_of(key), stream.image.encoding, picture)
        else:
            features[key] = _vector('float32', contract.names_of(key))
    features[ACTION_KEY] = _vector('float32', contract.action_names)
    features[TICK_KEY] = {'dtype': 'int64', 'shape': [1], 'names': None}
    features[AGE_KEY] = _vector('int64', recorded_topics(contract))
    return {**features, **INDEX_FEATURES}


def without_index(features) -> dict:
    """Return the features that a row is given, without those that number the rows."""
    return {key: feature for key, feature in features.items() if key not in INDEX_FEATURES}


def is_picture(feature) -> bool:
    """Tell whether a feature is a camera, in whatever way it is stored."""
    return feature['dtype'] in PICTURE_DTYPES


def is_feature(value) -> bool:
    """
    Tell whether a value describes a column: the kind of its numbers and the shape of a row.

    :param value: Anything that JSON can hold.
    """
    return isinstance(value, dict) and isinstance(value.get('dtype'), str) \
        and isinstance(value.get('shape'), list) \
        and all(is_count(size) for size in value['shape']) \
        and (not is_picture(value) or len(value['shape']) == 3)


def array_dtype(feature):
    """
    Return the numpy dtype of a feature's values.

    :param feature: As ``info.json`` describes it; depth pictures are uint16 mm or float32 m.
    """
    if not is_picture(feature):
        return np.dtype(object if feature['dtype'] == 'string' else feature['dtype'])
    unit = (feature.get('info') or {}).get('depth_unit')
    return np.dtype({'mm': 'uint16', 'm': 'float32'}.get(unit, 'uint8'))


def entry_names(key, feature) -> tuple:
    """
    Return a name for every entry of a column, however its writer named them.

    :param key: Name of the column.
    :param feature: Its description in ``info.json``.
    """
    names, count = feature.get('names'), int(np.prod(feature['shape'], dtype=int))
    if isinstance(names, dict):
        groups = list(names.values())
        names = groups[0] if len(groups) == 1 and isinstance(groups[0], list) else list(names)
    if isinstance(names, list) and len(names) == count and all(
            isinstance(name, str) for name in names):
        return tuple(names)
    return (key,) if count == 1 else tuple(str(number) for number in range(count))


def file_numbers(index) -> dict:
    """Return the chunk and file number of the index-th file of a kind."""
    return {'chunk_index': index // FILES_PER_CHUNK, 'file_index': index % FILES_PER_CHUNK}


def data_schema(features):
    """
    Return the arrow schema of the data files, with the column types that ``datasets`` expects.

    :param features: As ``info.json`` holds them; videos have no column.
    """
    columns = {key: _column(feature) for key, feature in features.items()
               if feature['dtype'] != 'video'}
    described = {key: words for key, (_, words) in columns.items()}
    metadata = {'huggingface': json.dumps({'info': {'features': described}})}
    return pa.schema([(key, kind) for key, (kind, _) in columns.items()], metadata=metadata)


def _column(feature):
    """Return the arrow type of a column and how the ``datasets`` library describes it."""
    name, shape = feature['dtype'], feature['shape']
    if name == 'image':
        return pa.struct([('bytes', pa.binary()), ('path', pa.string())]), {'_type': 'Image'}
    kind = pa.string() if name == 'string' else pa.from_numpy_dtype(np.dtype(name))
    value = {'dtype': name, '_type': 'Value'}
    if shape == [1]:
        return kind, value
    if len(shape) == 1:
        return pa.list_(kind, shape[0]), {'feature': value, 'length': shape[0], '_type': 'List'}
    for _ in shape:
        kind = pa.list_(kind)
    return kind, {'shape': shape, 'dtype': name, '_type': f'Array{len(shape)}D'}


def column_array(values, kind):
    """
    Build one column.

    :param values: Array ``(rows, *shape)``, or a list of texts or of compressed pictures.
    :param kind: Its arrow type, from ``data_schema``.
    """
    if isinstance(values, list):
        if pa.types.is_struct(kind):
            return pa.StructArray.from_arrays(
                [pa.array(values, pa.binary()), pa.nulls(len(values), pa.string())],
                fields=list(kind))
        return pa.array(values, kind)
    array = pa.array(np.ascontiguousarray(values).ravel())
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(array, kind.list_size).cast(kind)
    for size in values.shape[:0:-1] if pa.types.is_list(kind) else ():
        offsets = np.arange(0, len(array) + 1, size, dtype=np.int32)
        array = pa.ListArray.from_arrays(offsets, array)
    return array.cast(kind)


def task_table(tasks):
    """
    Return ``meta/tasks.parquet``: task sentences as a pandas index, and their numbers.

    :param tasks: List of sentences; the position is the number.
    """
    pandas = {
        'index_columns': ['task'],
        'column_indexes': [{'name': None, 'field_name': None, 'pandas_type': 'unicode',
                            'numpy_type': 'object', 'metadata': {'encoding': 'UTF-8'}}],
        'columns': [{'name': name, 'field_name': name, 'pandas_type': kind, 'numpy_type': numpy,
                     'metadata': None} for name, kind, numpy in (
                         ('task_index', 'int64', 'int64'), ('task', 'unicode', 'object'))],
        'creator': {'library': 'pyarrow', 'version': pa.__version__}, 'pandas_version': '2.0.0'}
    table = pa.table({'task_index': pa.array(range(len(tasks)), pa.int64()),
                      'task': pa.array(tasks, pa.string())})
    return table.replace_schema_metadata({'pandas': json.dumps(pandas)})


def write_parquet(path, table) -> None:
    """Write a table as one row group, compressed as LeRobot does, atomically."""
    with replacing(path) as temporary, parquet_writer(temporary, table.schema) as writer:
        writer.write_table(table, row_group_size=max(1, table.num_rows))


def parquet_writer(path, schema):
    """Return a ``ParquetWriter`` that compresses as LeRobot does."""
    return pq.ParquetWriter(path, schema, compression='snappy', use_dictionary=True,
                            write_statistics=False)


def _vector(dtype, names):
    """Describe a vector column with named entries."""
    return {'dtype': dtype, 'shape': [len(names)], 'names': list(names)}


def _camera(shape, encoding, picture):
    """Describe a camera stream."""
    feature = {'dtype': picture, 'shape': list(shape), 'names': PICTURE_NAMES}
    if encoding in DEPTH_UNITS:
        info = {'is_depth_map': True, 'depth_unit': DEPTH_UNITS[encoding]}
        return {**feature, 'dtype': 'image', 'info': info}
    return feature

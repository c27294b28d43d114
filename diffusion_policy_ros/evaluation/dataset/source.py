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

"""Read a dataset for its audit: episode by episode, and whatever its values are."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.episode_table import Episode
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.video import read_frames
from diffusion_policy_ros.errors import ContractError, DatasetError
from diffusion_policy_ros.evaluation.dataset.finding import ERROR, Finding
from diffusion_policy_ros.streams import STATE_KEY
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BATCH_ROWS = 16384
# A column with more numbers per row is a picture, or a cloud of points.
MOST_ENTRIES = 256
NUMERIC = ('float', 'int', 'uint', 'bool')
RESTORE = 'restore the file from a copy, or convert the bags again'
# What a row says about itself and not about the robot.
BOOKKEEPING = (*layout.INDEX_FEATURES, layout.TICK_KEY, layout.AGE_KEY)


@dataclass(frozen=True)
class StoredRows:
    """
    The rows of one episode as they are stored.

    :ivar episode: What the metadata says about it, an ``Episode``.
    :ivar columns: ``{key: array (rows, entries)}``, numbers of any kind, NaN included.
    """

    episode: Episode
    columns: dict

    @property
    def count(self) -> int:
        """Return the number of rows found."""
        return min((len(column) for column in self.columns.values()), default=0)


class LeRobotSource:
    """
    A LeRobotDataset v3.0 under audit.

    :ivar kind: What it is, in words.
    :ivar has_bookkeeping: Whether rows are numbered and dated in columns of their own.
    :ivar is_seekable: Whether single pictures can be read.
    :ivar reader: The ``LeRobotReader``.
    :ivar features: ``{column: {dtype, shape, names}}``.
    :ivar cameras: Columns that hold pictures.
    :ivar vectors: ``{key: entry names}`` of the columns that tell about the robot in numbers.
    :ivar state_key: The column of those that is taken for the robot's state, None without any.
    :ivar contract: ``RobotContract`` inside, None where there is none that can be used.
    :ivar findings: What was found out while opening and reading.
    """

    kind = 'LeRobotDataset v3.0'
    has_bookkeeping = True
    is_seekable = True

    def __init__(self, folder):
        """
        Read the metadata.

        :param folder: Folder of the dataset.
        :raises DatasetError: if the metadata is missing or contradicts itself.
        """
        self.folder = Path(folder)
        self.reader = LeRobotReader(folder)
        self.features = self.reader.features
        self.cameras = self.reader.picture_keys
        self.episodes = self.reader.episodes
        self.rate_hz = self.reader.rate_hz
        self.row_count = self.reader.row_count
        self.vectors = vector_entries(self.features)
        self.state_key = choose_state(self.vectors)
        self.findings = []
        self.contract = self._read_contract()

    def rows(self):
        """Yield the ``StoredRows`` of every episode whose data file can be read."""
        files = {}
        for episode in self.episodes:
            files.setdefault(episode.data_file, []).append(episode)
        for file, inside in files.items():
            try:
                yield from self._rows_of_file(file, inside)
            except (OSError, ValueError, pa.ArrowException) as error:
                self._report('data files', f'{self._named(file)} cannot be read: {error}')

    def pictures(self, episode, key):
        """
        Decode the pictures of an episode to look at.

        :param episode: ``Episode``.
        :param key: A camera's key.
        :return: Iterator of ``(height, width, channels)``, one per row; its type is the data's.
        :raises DatasetError: if a row has no picture, or one that cannot be decoded.
        """
        yield from self.reader.episode_frames(episode, key)

    def picture(self, episode, key, row):
        """
        Decode one picture.

        :param episode: ``Episode``.
        :param key: A camera's key.
        :param row: Row in the episode.
        :return: As of ``pictures``.
        :raises DatasetError: if the row has no picture, or one that cannot be decoded.
        """
        if self.features[key]['dtype'] == 'video':
            file, start_s = episode.videos[key]
            return next(read_frames(file, [start_s + row / self.rate_hz],
                                    channels=self.features[key]['shape'][2]))
        return next(islice(self.pictures(episode, key), row, None))

    def statistics(self):
        """
        Return what ``meta/stats.json`` holds.

        :raises DatasetError: if it is missing or damaged.
        """
        return self.reader.statistics()

    def _read_contract(self):
        """Return the contract inside; one that cannot be used is a finding."""
        try:
            return self.reader.contract
        except (ContractError, DatasetError) as error:
            self._report('contract', str(error))
            return None

    def _rows_of_file(self, file, episodes):
        """Cut a data file into its episodes."""
        stored = pq.ParquetFile(file)
        wanted = [key for key, feature in self.features.items()
                  if feature['dtype'].startswith(NUMERIC)
                  and np.prod(feature['shape']) <= MOST_ENTRIES]
        missing = [key for key in wanted if key not in stored.schema_arrow.names]
        if missing:
            self._report('data files', f'{self._named(file)} lacks the column '
                         f'{", ".join(missing)}, which info.json lists')
        wanted = [key for key in wanted if key not in missing]
        promised, found = sum(episode.length for episode in episodes), stored.metadata.num_rows
        may_have_more = self.reader.uncounted and episodes[-1] is self.episodes[-1]
        if found < promised or found > promised and not may_have_more:
            self._report('data files', f'{self._named(file)} holds {found} rows, its episodes '
                         f'{episodes[0].index} to {episodes[-1].index} have {promised}')
        batches = stored.iter_batches(batch_size=BATCH_ROWS, columns=wanted)
        rest = stored.schema_arrow.empty_table().select(wanted)
        for episode in episodes:
            while rest.num_rows < episode.length:
                batch = next(batches, None)
                if batch is None:
                    break
                rest = pa.concat_tables([rest, pa.Table.from_batches([batch]).select(wanted)])
            table, rest = rest.slice(0, episode.length), rest.slice(episode.length)
            columns = {key: self._column(table[key], key, episode) for key in wanted}
            yield StoredRows(episode, {k: v for k, v in columns.items() if v is not None})

    def _column(self, column, key, episode):
        """Turn a column into numbers ``(rows, entries)``; None where it holds no such."""
        array = pa.concat_arrays(column.chunks) if column.chunks else pa.array([], column.type)
        rows, width = len(array), int(np.prod(self.features[key]['shape']))
        while pa.types.is_nested(array.type) and hasattr(array, 'flatten'):
            array = array.flatten()
            if isinstance(array, list):  # a struct is no vector
                break
        values = None if isinstance(array, list) else array.to_numpy(zero_copy_only=False)
        if values is None or values.dtype.kind not in 'biuf' or values.size != rows * width:
            self._report('data files', f'column {key} of episode {episode.index} does not hold '
                         f'{width} numbers in each row, as info.json says')
            return None
        return values.reshape(rows, width)

    def _named(self, file):
        """Return the name of a file as seen from the dataset's folder."""
        return file.relative_to(self.folder)

    def _report(self, check, text):
        """Keep an ERROR, once."""
        finding = Finding(ERROR, check, text, RESTORE)
        if finding not in self.findings:
            self.findings.append(finding)


def vector_entries(features) -> dict:
    """
    Return ``{key: entry names}`` of the columns that tell about a robot in numbers.

    :param features: ``{column: {dtype, shape, names}}``.
    """
    return {key: layout.entry_names(key, feature) for key, feature in features.items()
            if key not in BOOKKEEPING and feature['dtype'].startswith('float')
            and np.prod(feature['shape']) <= MOST_ENTRIES}


def choose_state(vectors):
    """
    Return the column that is taken for the robot's state, None without any.

    :param vectors: ``{key: entry names}``.
    """
    likely = (STATE_KEY, 'state', *(key for key in vectors if key.startswith('observation')))
    return next((key for key in likely if key in vectors), None)


def is_depth(feature):
    """
    Tell whether pictures hold distances.

    :param feature: How the dataset describes it.
    """
    info = feature.get('info') or feature.get('video_info') or {}
    return bool(info.get('depth_unit') or info.get('is_depth_map')
                or info.get('video.is_depth_map'))

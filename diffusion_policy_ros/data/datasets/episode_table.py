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

"""Where the episodes of a LeRobotDataset v3.0 lie, as its episode table says."""

from dataclasses import dataclass
from pathlib import Path

from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.dataset_checks import check_episode, REMEDY
from diffusion_policy_ros.data.datasets.lerobot_files import episode_tables
from diffusion_policy_ros.errors import DatasetError


@dataclass(frozen=True)
class Episode:
    """
    Where one episode lies.

    :ivar index: Number of the episode.
    :ivar first: Its first row in the dataset.
    :ivar end: The row after its last.
    :ivar tasks: Task sentences.
    :ivar data_file: Parquet file with its rows.
    :ivar videos: ``{camera key: (mp4 file, time of the first frame in s)}``.
    """

    index: int
    first: int
    end: int
    tasks: tuple
    data_file: Path
    videos: dict

    @property
    def length(self) -> int:
        """Return the number of rows."""
        return self.end - self.first


def read_episodes(folder, info) -> tuple:
    """
    Read the episode table, as far as ``info.json`` counts it.

    :param folder: The dataset.
    :param info: Content of its ``meta/info.json``.
    :return: ``(tuple of Episode in order, number of episodes that are listed but not counted)``.
    :raises DatasetError: naming what is missing or contradicts itself.
    """
    cameras = [key for key, feature in info['features'].items() if feature['dtype'] == 'video']
    wanted = ['episode_index', 'tasks', 'length', 'dataset_from_index', 'dataset_to_index',
              'data/chunk_index', 'data/file_index']
    for key in cameras:
        wanted += [f'videos/{key}/{name}'
                   for name in ('chunk_index', 'file_index', 'from_timestamp')]
    listed = [row for table in episode_tables(folder, wanted) for row in table.to_pylist()]
    rows = listed[:info['total_episodes']]
    if not rows or len(rows) != info['total_episodes']:
        raise DatasetError(f'{folder}: meta/episodes lists {len(rows)} episodes, info.json counts '
                           f'{info["total_episodes"]}')
    for number, row in enumerate(rows):
        first = rows[number - 1]['dataset_to_index'] if number else 0
        check_episode(row, number, first, folder)
    return tuple(_episode(folder, info, row, cameras) for row in rows), len(listed) - len(rows)


def _episode(folder, info, row, cameras):
    """Build one entry of the episode table."""
    def place(template, prefix, **names):
        try:
            return folder / info[template].format(
                chunk_index=row[f'{prefix}/chunk_index'], file_index=row[f'{prefix}/file_index'],
                **names)
        except (LookupError, ValueError) as error:
            raise DatasetError(f'{folder / layout.INFO_PATH}: {template} is '
                               f'{info[template]!r}. {REMEDY}') from error

    return Episode(
        index=row['episode_index'], first=row['dataset_from_index'], end=row['dataset_to_index'],
        tasks=tuple(row['tasks']), data_file=place('data_path', 'data'),
        videos={key: (place('video_path', f'videos/{key}', video_key=key),
                      row[f'videos/{key}/from_timestamp']) for key in cameras})

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

"""What every open dataset offers to every writer: its features, and its episodes as rows."""

from typing import Iterator, Protocol, Tuple

from diffusion_policy_ros.checks import is_encodable, shown
from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.conversion_record import carried_record
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.data.files import write_json, writing
from diffusion_policy_ros.errors import DatasetError


class FrameSource(Protocol):
    """
    An open dataset, in whatever format.

    :ivar row_features: ``{key: {dtype, shape, names[, info]}}`` in LeRobot's words: ``dtype`` is
        a numpy name, or ``video`` or ``image`` for cameras; without the columns that only number
        the rows.
    :ivar rate_hz: Rows per second, Hz; None where the format does not say.
    :ivar contract: The ``RobotContract`` inside, or None.
    :ivar robot_type: Name of the robot, ``unknown`` where the format does not say.
    :ivar episode_ends: int64 ``(episodes,)``, exclusive end row of each episode.
    """

    def read_episodes(self, keys=None) -> Iterator[Tuple[str, Iterator[dict]]]:
        """
        Read everything in order, few rows at a time.

        :param keys: Keys of ``row_features`` that rows shall have; None takes all.
        :return: Iterator of ``(task, rows)``; rows is an iterator of ``{key: value}``, to be
            exhausted before the next episode is asked for. A value has the shape and dtype of its
            feature; one of shape (1,) may come as a number.
        :raises DatasetError: as soon as something is missing or damaged.
        """


def copy_dataset(source, writer, progress=None) -> None:
    """
    Write everything that a dataset holds, row by row, and finish.

    The record of its conversion (bag, task and success of each episode) goes from LeRobotDataset
    to LeRobotDataset; other formats have no place for it.

    :param source: A ``FrameSource``.
    :param writer: A ``LeRobotWriter``, ``ZarrWriter`` or ``Hdf5Writer`` made for its features.
    :param progress: Called after every row.
    :raises DatasetError: if the source is damaged, a task of it is no text, or the disk refuses to
        be written.
    """
    with writer:
        record = None
        if isinstance(source, LeRobotReader) and isinstance(writer, LeRobotWriter):
            record = carried_record([(source, episode) for episode in source.episodes])
        for task, rows in source.read_episodes():
            if not is_encodable(task):
                raise DatasetError(f'a task is {shown(task)}, which is no text in UTF-8; give one '
                                   'with --task')
            for row in rows:
                writer.add_frame(row)
                if progress is not None:
                    progress()
            writer.save_episode(task)
        if record is not None:
            with writing(writer.folder):
                write_json(writer.folder / layout.RECORD_PATH, record)

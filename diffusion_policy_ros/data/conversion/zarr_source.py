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

"""Turn a Diffusion Policy zarr replay buffer into bags, as if the recorder had written them."""

from dataclasses import dataclass, fields
from pathlib import Path
import shutil

from diffusion_policy_ros.checks import is_count, is_number, shown
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.bags.episode_files import episode_path
from diffusion_policy_ros.data.datasets.replay_buffer import ReplayBuffer
from diffusion_policy_ros.data.new_folder import (
    check_new, check_outside, put_in_place, unfinished_path)
from diffusion_policy_ros.errors import BagError, DatasetError
from diffusion_policy_ros.message_types import IMAGE
from diffusion_policy_ros.stream_messages import build_message, build_planar_pose
from diffusion_policy_ros.yaml_text import parse_yaml
import numpy as np
from rosbags.typesys import get_typestore, Stores
from tqdm import tqdm

# A stamp of zero means "not set" in ROS, so episodes begin at one second.
START_NS = 1_000_000_000


@dataclass(frozen=True)
class StreamMapping:
    """
    Which columns of which zarr array become the messages of one topic.

    :ivar topic: Topic of the contract.
    :ivar array: Name of an array in the buffer's ``data`` group.
    :ivar columns: Columns in the order of the stream's entries; empty takes all.
    :ivar scale: Factor from the array's unit to the contract's.
    :ivar yaw_column: Column of a planar pose's angle about z, rad (never scaled).
    """

    topic: str
    array: str
    columns: tuple = ()
    scale: float = 1.0
    yaw_column: int = None


@dataclass(frozen=True)
class ZarrMapping:
    """
    How a replay buffer becomes messages.

    :ivar task: What the demonstrations show, one sentence.
    :ivar streams: One ``StreamMapping`` per topic of the contract.
    """

    task: str
    streams: tuple


def load_mapping(path) -> ZarrMapping:
    """
    Read a mapping file.

    :param path: YAML with ``task`` and ``streams``, such as ``config/import/pusht_zarr.yaml``.
    :return: The mapping.
    :raises DatasetError: naming the file and the key that is wrong.
    """
    try:
        raw = parse_yaml(Path(path).read_text(encoding='utf-8'), str(path), DatasetError)
        known = {f.name for f in fields(StreamMapping)}
        for entry in raw['streams']:
            if set(entry) - known:
                raise DatasetError(f'unknown key {sorted(set(entry) - known)[0]!r}; known: '
                                   f'{", ".join(sorted(known))}')
        streams = tuple(StreamMapping(**{**entry, 'columns': tuple(entry.get('columns', ()))})
                        for entry in raw['streams'])
        for name, value in (('task', raw['task']),
                            *((name, getattr(entry, name)) for entry in streams
                              for name in ('topic', 'array'))):
            if not isinstance(value, str):
                raise DatasetError(f'{name} is {shown(value)} instead of a text')
        return ZarrMapping(task=raw['task'], streams=streams)
    except (OSError, KeyError, TypeError, DatasetError) as error:
        raise DatasetError(f'mapping {path}: {error}. It needs "task" and "streams", each stream '
                           '"topic" and "array"; see config/import/pusht_zarr.yaml') from error


class ZarrSource:
    """
    The episodes of a replay buffer, as messages of a contract.

    :ivar buffer: The ``ReplayBuffer``.
    """

    def __init__(self, path, mapping, contract):
        """
        Open the buffer and check that it fits the mapping and the contract.

        :param path: Folder (or ``.zarr.zip``) with ``data/<array>`` and ``meta/episode_ends``.
        :param mapping: The ``ZarrMapping``.
        :param contract: The ``RobotContract`` whose topics are written.
        :raises DatasetError: naming what is missing or does not fit.
        """
        self.contract = contract
        self.mapping = mapping
        self.buffer = ReplayBuffer(path)
        self._typestore = get_typestore(Stores.LATEST)
        self._streams = _match_streams(mapping, contract)
        for entry, stream in self._streams:
            wrong = _what_is_wrong(entry, stream, self._array(entry))
            if wrong:
                raise DatasetError(f'topic {entry.topic!r} of the mapping: {wrong}')

    def __len__(self):
        """Return the number of episodes."""
        return len(self.buffer)

    def messages(self, episode):
        """
        Yield the messages of one episode in time order.

        Row k of the episode is stamped, and arrives, at ``1 s + round(k * 1e9 / rate)``.

        :param episode: Number of the episode, from 0.
        :return: Iterator of ``(topic, type, serialized message, receive_ns)``.
        """
        rows = self.buffer.rows(episode)
        columns = [self._values(entry, stream, rows) for entry, stream in self._streams]
        for k in range(rows.stop - rows.start):
            stamp_ns = self.contract.tick_ns(START_NS, k)
            for (entry, stream), values in zip(self._streams, columns):
                build = build_message if entry.yaw_column is None else build_planar_pose
                message = build(stream, values[k], stamp_ns, self._typestore.types)
                data = self._typestore.serialize_cdr(message, stream.type)
                yield stream.topic, stream.type, data, stamp_ns

    def write_bags(self, folder) -> int:
        """
        Write all episodes, each into a bag of its own.

        :param folder: Folder to create for the bags; it is called ``<name>.part`` until all are
            written, and removed again where that fails.
        :return: Number of messages written.
        :raises BagError: if the folder exists, lies inside the buffer, or cannot be written.
        """
        check_new(folder, BagError)
        check_outside(folder, self.buffer.path, BagError)
        part = unfinished_path(folder)
        try:
            messages = sum(
                self.write_bag(episode, episode_path(part, episode))
                for episode in tqdm(range(len(self)), desc='writing bags', disable=None))
            put_in_place(part, folder)
        except OSError as error:
            raise BagError(f'cannot write {folder}: {error}') from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return messages

    def write_bag(self, episode, folder) -> int:
        """
        Write one episode as a bag in the recorder's format.

        :param episode: Number of the episode, from 0.
        :param folder: Folder of the bag, which must not exist.
        :return: Number of messages written.
        :raises BagError: if the folder exists or cannot be written; no half bag is left.
        """
        bag_fields = {'episode': str(episode), 'source': f'{self.buffer.path.name}#{episode}'}
        with EpisodeBag(folder, self.contract, task=self.mapping.task, fields=bag_fields,
                        typestore=self._typestore) as bag:
            for message in self.messages(episode):
                bag.write(*message)
            return bag.message_count

    def _array(self, entry):
        """Return the array of a mapping entry, naming the topic where there is none."""
        try:
            return self.buffer.array(entry.array)
        except DatasetError as error:
            raise DatasetError(f'topic {entry.topic!r}: {error}') from error

    def _values(self, entry, stream, rows):
        """Read one stream's rows of an episode, in the contract's unit."""
        raw = self.buffer.read(self._array(entry), rows)
        if stream.type == IMAGE:
            return _as_picture(raw, entry.array)
        columns = list(entry.columns) or list(range(raw.shape[1]))
        values = raw[:, columns].astype(np.float64) * entry.scale
        if entry.yaw_column is not None:
            values = np.column_stack([values, raw[:, entry.yaw_column]])
        return values


def _match_streams(mapping, contract):
    """Pair every stream of the contract with its mapping entry."""
    entries = {}
    for entry in mapping.streams:
        if entry.topic in entries:
            raise DatasetError(f'the mapping names topic {entry.topic!r} twice')
        entries[entry.topic] = entry
    streams = {stream.topic: stream for stream in contract.observations + contract.actions}
    for topic in streams:
        if topic not in entries:
            raise DatasetError(f'the mapping has no entry for topic {topic!r} of the contract; '
                               f'it has: {", ".join(entries)}')
    for topic in entries:
        if topic not in streams:
            raise DatasetError(f'the mapping names topic {topic!r}, the contract has: '
                               f'{", ".join(streams)}')
    return [(entry, streams[topic]) for topic, entry in entries.items()]


def _what_is_wrong(entry, stream, array):
    """Say why an array cannot become the messages of a topic, None where it can."""
    held = f'data/{entry.array} holds {array.dtype} of shape {list(array.shape)}'
    if array.dtype.kind not in 'biuf':
        return f'{held} instead of numbers'
    if stream.type == IMAGE:
        return None if array.ndim == 4 and array.shape[3] == 3 \
            else f'{held}; pictures are [rows, height, width, 3]'
    if array.ndim != 2:
        return f'{held}; vectors are [rows, columns]'
    if not is_number(entry.scale):
        return f'scale is {shown(entry.scale)} instead of a number'
    columns = [*entry.columns, *([] if entry.yaw_column is None else [entry.yaw_column])]
    for column in columns:
        if not is_count(column, least=0) or column >= array.shape[1]:
            return (f'column {shown(column)} is none of data/{entry.array}, which has columns 0 '
                    f'to {array.shape[1] - 1}')
    return None


def _as_picture(raw, name):
    """Turn stored pixels into uint8 without losing any."""
    picture = raw.astype(np.uint8)
    if not np.array_equal(picture, raw):
        raise DatasetError(f'data/{name} holds values that are not whole numbers from 0 to 255; '
                           'store images as uint8, or as float32 with such values')
    return picture

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

from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
import shutil

from diffusion_policy_ros import messages
from diffusion_policy_ros.checks import is_count, is_number, shown, told
from diffusion_policy_ros.contract import START_NS
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.bags.episode_files import episode_path
from diffusion_policy_ros.data.datasets.replay_buffer import ReplayBuffer
from diffusion_policy_ros.data.new_folder import check_new, check_outside, unfinished_path
from diffusion_policy_ros.data.progress import progress_bar
from diffusion_policy_ros.data.topic_messages import build_topic
from diffusion_policy_ros.errors import BagError, DatasetError
from diffusion_policy_ros.message_types import IMAGE_TYPES, POSE_STAMPED
from diffusion_policy_ros.on_disk import put_in_place
from diffusion_policy_ros.yaml_text import parse_yaml
import numpy as np
from rosbags.typesys import get_typestore, Stores


@dataclass(frozen=True)
class StreamMapping:
    """
    Which columns of which zarr array become what one entry of the contract reads.

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
    :ivar streams: One ``StreamMapping`` per entry of the contract; those of one topic in the
        order of its entries, observations first.
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
        text = Path(path).read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f'cannot read the mapping {path}: {told(error)}. Examples are in '
                           'config/import/ of the package') from error
    try:
        raw = parse_yaml(text, str(path), DatasetError)
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
    except (KeyError, TypeError, DatasetError) as error:
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
        topics = Counter(entry.topic for entry in mapping.streams)
        for entry, stream in self._streams:
            wrong = _what_is_wrong(entry, stream, self._array(entry))
            if entry.yaw_column is not None and topics[entry.topic] > 1:
                wrong = 'a topic that several entries of the contract read takes no yaw_column'
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
        topics = {}
        for entry, stream in self._streams:
            topics.setdefault(stream.topic, []).append(
                (entry, stream, self._values(entry, stream, rows)))
        for k in range(rows.stop - rows.start):
            stamp_ns = self.contract.tick_ns(START_NS, k)
            for topic, found in topics.items():
                kind = found[0][1].type
                message = self._message(found, k, stamp_ns)
                yield topic, kind, self._typestore.serialize_cdr(message, kind), stamp_ns

    def _message(self, found, k, stamp_ns):
        """Build one topic's message of row k of an episode."""
        types, (entry, _, values) = self._typestore.types, found[0]
        if entry.yaw_column is not None:
            return messages.planar_pose_stamped(types, *values[k], stamp_ns)
        return build_topic([(stream, values[k]) for _, stream, values in found], types, stamp_ns)

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
            count = 0
            with progress_bar('writing bags', len(self)) as bar:
                for episode in range(len(self)):
                    count += self.write_bag(episode, episode_path(part, episode))
                    bar.update()
            put_in_place(part, folder)
        except OSError as error:
            raise BagError(f'cannot write {folder}: {error}') from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return count

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
        if stream.type in IMAGE_TYPES:
            return _as_pictures(raw, entry.array, stream.image.encoding)
        columns = list(entry.columns) or list(range(raw.shape[1]))
        values = raw[:, columns].astype(np.float64) * entry.scale
        if entry.yaw_column is not None:
            values = np.column_stack([values, raw[:, entry.yaw_column]])
        return values


def _match_streams(mapping, contract):
    """Pair every entry of the contract with its mapping entry, in the mapping's order."""
    streams = {}
    for stream in (*contract.observations, *contract.actions):
        streams.setdefault(stream.topic, []).append(stream)
    counts = Counter(entry.topic for entry in mapping.streams)
    for topic in streams:
        if topic not in counts:
            raise DatasetError(f'the mapping has no entry for topic {topic!r} of the contract; '
                               f'it has: {", ".join(counts)}')
    for topic, count in counts.items():
        if topic not in streams:
            raise DatasetError(f'the mapping names topic {topic!r}, the contract has: '
                               f'{", ".join(streams)}')
        if count != len(streams[topic]):
            raise DatasetError(
                f'the mapping names topic {topic!r} {_times(count)}, the contract '
                f'{_times(len(streams[topic]))}; each entry of the contract needs its own, in '
                'the same order, observations before actions')
    return [(entry, streams[entry.topic].pop(0)) for entry in mapping.streams]


def _times(count):
    """Say how often."""
    return {1: 'once', 2: 'twice'}.get(count, f'{count} times')


def _what_is_wrong(entry, stream, array):
    """Say why an array cannot become what an entry of the contract reads, None where it can."""
    held = f'data/{entry.array} holds {array.dtype} of shape {list(array.shape)}'
    if array.dtype.kind not in 'biuf':
        return f'{held} instead of numbers'
    if stream.type in IMAGE_TYPES:
        channels = stream.image.channels
        return None if array.ndim == 4 and array.shape[3] == channels \
            else f'{held}; pictures are [rows, height, width, {channels}]'
    if array.ndim != 2:
        return f'{held}; vectors are [rows, columns]'
    if not is_number(entry.scale):
        return f'scale is {shown(entry.scale)} instead of a number'
    columns = [*entry.columns, *([] if entry.yaw_column is None else [entry.yaw_column])]
    for column in columns:
        if not is_count(column, least=0) or column >= array.shape[1]:
            return (f'column {shown(column)} is none of data/{entry.array}, which has columns 0 '
                    f'to {array.shape[1] - 1}')
    return _wrong_count(entry, stream, len(entry.columns) or array.shape[1])


def _wrong_count(entry, stream, count):
    """Say why that many columns are not what an entry of the contract reads."""
    if entry.yaw_column is None:
        return None if count == len(stream.names) else \
            f'got {count} columns, wanted {len(stream.names)}: {", ".join(stream.names)}'
    if stream.type != POSE_STAMPED or count != 2:
        return (f'cannot make {stream.type} of {count} columns and a yaw_column; a planar pose '
                f'is a {POSE_STAMPED} of x, y and yaw')
    return None


def _as_pictures(raw, name, encoding):
    """Give stored pixels the type of an encoding without losing any."""
    pictures = raw.astype(messages.PIXELS[encoding])
    if pictures.dtype.kind == 'u' and not np.array_equal(pictures, raw):
        raise DatasetError(f'data/{name} holds values that are not whole numbers from 0 to '
                           f'{np.iinfo(pictures.dtype).max}, as {encoding} pictures are; store '
                           f'them as {pictures.dtype}, or as float32 with such values')
    return pictures

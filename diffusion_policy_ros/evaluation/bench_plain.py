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

"""
What `dpr bench convert` is compared with: reading the bag alone, and the plain loop people write.

The loop makes one row per picture of the first camera from the newest message of every other
topic: no ticks, no ages, no gaps, nothing checked. With lerobot it fills a ``LeRobotDataset``;
without, it writes the same videos with PyAV and one table. Run as a program in a process of its
own: ``python -m diffusion_policy_ros.evaluation.bench_plain read|loop BAG OUT``.
"""

from importlib import import_module
from pathlib import Path
import sys

import av
from diffusion_policy_ros.data.datasets.video import CODECS, DEFAULT_CODEC, KEY_FRAME_INTERVAL
from diffusion_policy_ros.evaluation.bench_bag import (
    CAMERA_RATE_HZ, CAMERAS, HEIGHT, JOINTS, WIDTH)
from diffusion_policy_ros.real_time import scheduling_kept
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rosbags.rosbag2 import Reader
from rosbags.typesys import get_typestore, Stores

READ, PYAV, LEROBOT = 'rosbags alone', 'rosbags + PyAV', 'rosbags + lerobot'
CAMERA_TOPICS = {f'/{camera}/image_raw': f'observation.images.{camera}' for camera in CAMERAS}
VECTOR_TOPICS = {'/joint_states': 'observation.state', '/joint_commands': 'action'}
TASK = 'Measure the conversion.'


def read_alone(bag, out) -> str:
    """
    Read and deserialize every message.

    :param bag: The bag.
    :param out: Not used.
    :return: What this is called.
    """
    del out
    for _ in _messages(bag):
        pass
    return READ


def plain_loop(bag, out) -> str:
    """
    Convert the bag as people do.

    :param bag: The bag.
    :param out: Folder to create.
    :return: What the loop is called: with lerobot where it is installed.
    """
    library = _lerobot()
    sink = _LeRobot(out, library) if library else _PyAV(out)
    newest = {}
    for topic, message in _messages(bag):
        if topic in CAMERA_TOPICS:
            newest[CAMERA_TOPICS[topic]] = np.asarray(message.data).reshape(HEIGHT, WIDTH, 3)
        else:
            where = [message.name.index(name) for name in JOINTS]
            newest[VECTOR_TOPICS[topic]] = np.float32(message.position)[where]
        if topic == next(iter(CAMERA_TOPICS)) and len(newest) == 2 + len(CAMERAS):
            sink.add(newest)
    sink.close()
    return LEROBOT if library else PYAV


def _lerobot():
    """Return lerobot's module of datasets, None where it cannot be imported."""
    # Never required: what is there decides, and nothing else of the package touches it.
    try:
        return import_module('lerobot.datasets.lerobot_dataset')
    except ImportError:
        return None


def _messages(bag):
    """Yield (topic, message) in the order of arrival."""
    store = get_typestore(Stores.LATEST)
    with Reader(bag) as reader:
        for connection, _, data in reader.messages():
            yield connection.topic, store.deserialize_cdr(data, connection.msgtype)


class _PyAV:
    """One mp4 per camera, encoded as our default, and one parquet table."""

    def __init__(self, out):
        out.mkdir(parents=True)
        self._out, self._rows, self._videos = out, [], {}
        encoding = CODECS[DEFAULT_CODEC]
        for key in CAMERA_TOPICS.values():
            container = av.open(str(out / f'{key}.mp4'), 'w')
            stream = container.add_stream(encoding.encoder, rate=CAMERA_RATE_HZ)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, encoding.pixel_format
            stream.options = {'crf': str(encoding.default_crf), 'g': str(KEY_FRAME_INTERVAL)}
            with scheduling_kept():
                stream.codec_context.open()
            self._videos[key] = container, stream

    def add(self, row):
        """Append one row."""
        for key, (container, stream) in self._videos.items():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(row[key], format='rgb24')))
        self._rows.append({key: row[key].tolist() for key in VECTOR_TOPICS.values()})

    def close(self):
        """Finish the files."""
        for container, stream in self._videos.values():
            container.mux(stream.encode())
            container.close()
        pq.write_table(pa.Table.from_pylist(self._rows), self._out / 'rows.parquet')


class _LeRobot:
    """A dataset as lerobot writes it, with its defaults."""

    def __init__(self, out, library):
        picture = {'dtype': 'video', 'shape': (HEIGHT, WIDTH, 3),
                   'names': ['height', 'width', 'channels']}
        vector = {'dtype': 'float32', 'shape': (len(JOINTS),), 'names': list(JOINTS)}
        features = {**dict.fromkeys(CAMERA_TOPICS.values(), picture),
                    **dict.fromkeys(VECTOR_TOPICS.values(), vector)}
        self._dataset = library.LeRobotDataset.create(
            repo_id='bench/plain', root=out, fps=CAMERA_RATE_HZ, features=features)

    def add(self, row):
        """Append one row."""
        self._dataset.add_frame({**row, 'task': TASK})

    def close(self):
        """Save the episode."""
        self._dataset.save_episode()
        getattr(self._dataset, 'finalize', lambda: None)()


def main(words) -> None:
    """
    Do one of both and print what it is called.

    :param words: ``read`` or ``loop``, bag, output folder.
    """
    kind, bag, out = words
    print({'read': read_alone, 'loop': plain_loop}[kind](Path(bag), Path(out)))


if __name__ == '__main__':
    main(sys.argv[1:])

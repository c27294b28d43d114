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

"""Frames of a video from any time on, whatever its encoder did between its key frames."""

from itertools import chain

import av
from diffusion_policy_ros.errors import DatasetError
import numpy as np

# A frame this far from its row's time belongs to another row (the tolerance of LeRobot).
TIME_TOLERANCE_S = 1e-4
# What FFmpeg raises where it gets no thread or no memory.
SPENT = (BlockingIOError, MemoryError)
# How far before a wanted time a video is entered, s, until a frame at or before that time comes.
SEEK_BACK_S = (0.0, 0.2, 2.0, 20.0, np.inf)


def decode_from(path, start_s):
    """
    Decode a video from a key frame at or before a time on.

    :param path: The file.
    :param start_s: The time, s.
    :return: Iterator of (time in s, frame).
    :raises DatasetError: if it cannot be decoded.
    :raises MemoryError: if this machine has too little memory or too few threads for it.
    """
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = 'AUTO'
            for frame in _frames_from(container, stream, start_s):
                yield _shown_s(frame), frame
    except (av.FFmpegError, IndexError) as error:
        raise failure(path, 'decoded', error) from error


def failure(path, done, error):
    """
    Return what an error of FFmpeg means: that the machine lacks something, or the file is damaged.

    :param path: The video.
    :param done: What could not be done with it.
    :param error: What FFmpeg raised.
    :return: A ``MemoryError`` or a ``DatasetError`` to raise.
    """
    if isinstance(error, SPENT):
        return MemoryError(f'video {path} cannot be {done}: {error}. This machine has no memory '
                           'or no threads left; the video may be whole')
    return DatasetError(f'video {path} cannot be {done}: {error}')


def _frames_from(container, stream, start_s):
    """
    Return the frames from a key frame at or before a time on.

    The one that a seek finds may be shown later, as it goes by the order in which frames are
    decoded; or what it finds is no key frame, and the first pictures are spoiled.
    """
    if start_s <= 0:
        return container.decode(stream)
    for back_s in SEEK_BACK_S:
        container.seek(int(max(0.0, start_s - back_s) / stream.time_base), stream=stream)
        frames = container.decode(stream)
        first = next(frames, None)
        if first is not None and first.key_frame \
                and _shown_s(first) <= start_s + TIME_TOLERANCE_S:
            break
    return frames if first is None else chain([first], frames)


def _shown_s(frame):
    """Return when a frame is shown, s."""
    return float(frame.pts * frame.time_base)

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

"""Camera streams as mp4: one frame per dataset row, at exactly its time."""

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
import os
from pathlib import Path

import av
from diffusion_policy_ros.checks import check_choice
from diffusion_policy_ros.data.datasets.decoding import (
    decode_from, failure, SPENT, TIME_TOLERANCE_S)
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.real_time import scheduling_kept
import numpy as np

# Every second frame is a key frame, so that reading a random row decodes at most two.
KEY_FRAME_INTERVAL = 2


@dataclass(frozen=True)
class Encoding:
    """
    How a codec name of the command line is carried out.

    :ivar encoder: Encoder of FFmpeg.
    :ivar pixel_format: Stored pixel format.
    :ivar default_crf: Quality where none is asked for, lower is better, None where it has none.
    :ivar max_crf: The worst quality that there is.
    """

    encoder: str
    pixel_format: str
    default_crf: int = None
    max_crf: int = None


# Full colour resolution by default: halving it costs small pictures more than strong compression.
CODECS = {
    'h264': Encoding('libx264', 'yuv444p', 12, 51),
    'h264-lossless': Encoding('libx264rgb', 'rgb24'),
    'av1': Encoding('libsvtav1', 'yuv420p', 30, 63),
}
DEFAULT_CODEC = 'h264'
# No video: pictures are kept one by one inside the rows.
PICTURE_CODEC = 'png'


def check_quality(codec, crf) -> None:
    """
    Refuse a codec that is not known, or a quality that it does not have.

    :param codec: A key of ``CODECS``, or ``PICTURE_CODEC``.
    :param crf: Whole number, or None for the codec's default.
    :raises DatasetError: naming the value and what the codec takes.
    """
    check_choice('codec', codec, (*CODECS, PICTURE_CODEC), DatasetError)
    highest = None if codec == PICTURE_CODEC else CODECS[codec].max_crf
    if crf is None or highest is not None and 0 <= crf <= highest:
        return
    takes = f'0 (best) to {highest}' if highest else 'none, as it loses nothing'
    raise DatasetError(f'crf is {crf}; codec {codec} takes {takes}')


class VideoWriter:
    """
    Encode frames one by one into an mp4 file whose frame i is shown at ``i / rate_hz`` seconds.

    :ivar path: The file; complete only after ``close``.
    :ivar frame_count: Frames written so far.
    """

    def __init__(self, path, *, shape, rate_hz, codec=DEFAULT_CODEC, crf=None):
        """
        Open the file and the encoder.

        :param path: File to write.
        :param shape: ``(height, width, channels)`` of every frame, channels 1 or 3.
        :param rate_hz: Whole number of frames per second, Hz.
        :param codec: A key of ``CODECS``.
        :param crf: Quality from 0 (best) to 51 (63 for av1); None takes the codec's default.
        :raises DatasetError: if the codec is unknown, missing in this FFmpeg or refuses the crf.
        """
        check_quality(codec, crf)
        self.path = Path(path)
        self.frame_count = 0
        self._shape = tuple(shape)
        self._time_base = Fraction(1, rate_hz)
        self._container = av.open(str(path), 'w', format='mp4')  # no file yet
        try:
            self._stream = _open_encoder(self._container, shape, rate_hz, codec, crf)
        except (av.FFmpegError, ValueError) as error:
            self.discard()
            raise DatasetError(f'cannot encode {shape[1]}x{shape[0]} pictures with codec {codec!r}'
                               f', crf {crf}: {error}. Try --codec {DEFAULT_CODEC} without '
                               '--crf') from error

    def write(self, picture) -> None:
        """
        Append one frame.

        :param picture: uint8 ``(height, width, channels)``, RGB or grey.
        :raises DatasetError: if shape or dtype differ from what the file was opened for, or if
            the file cannot be written.
        """
        if picture.shape != self._shape or picture.dtype != np.uint8:
            raise DatasetError(f'{self.path.name}: frame {self.frame_count} is {picture.dtype} '
                               f'{picture.shape}, uint8 {self._shape} is needed')
        colour = np.broadcast_to(picture, (*self._shape[:2], 3))  # grey becomes three channels
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(colour), format='rgb24')
        frame.pts, frame.time_base = self.frame_count, self._time_base
        with self._writing():
            self._container.mux(self._stream.encode(frame))
        self.frame_count += 1

    def close(self) -> None:
        """
        Flush the encoder and finish the file.

        :raises DatasetError: if the file cannot be written.
        """
        with self._writing():
            self._container.mux(self._stream.encode())
            self._container.close()

    def discard(self) -> None:
        """Drop the frames and remove the file."""
        with suppress(av.FFmpegError, OSError):  # its end cannot be written, and need not be
            self._container.close()
        self.path.unlink(missing_ok=True)  # FFmpeg creates it with the first packet

    @contextmanager
    def _writing(self):
        """Name the file in what FFmpeg says about a full or broken disk."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise DatasetError(f'cannot write the video {self.path}: {error}. Make room on the '
                               'disk, or write to another one') from error


def read_frames(path, times_s, channels=3):
    """
    Decode the frames of a video that are shown at some times.

    :param path: The mp4 file.
    :param times_s: Increasing times, s; each must have its own frame within 1e-4 s.
    :param channels: 3 gives RGB, 1 grey.
    :return: Iterator of uint8 ``(height, width, channels)``, one per time, in order.
    :raises DatasetError: if the file cannot be decoded, or only with guesses where it is damaged,
        or a time has no frame.
    :raises MemoryError: if this machine has too little memory or too few threads for it.
    """
    if not Path(path).is_file():
        raise DatasetError(f'video {path} does not exist; the dataset is incomplete')
    wanted = iter(times_s)
    time_s = next(wanted, None)
    for shown_s, frame in decode_from(path, time_s or 0.0):
        if time_s is None:
            return
        if shown_s < time_s - TIME_TOLERANCE_S:
            continue
        if shown_s > time_s + TIME_TOLERANCE_S:
            break
        if frame.is_corrupt:
            raise DatasetError(f'video {path} is damaged at {shown_s:.4f} s; restore it from a '
                               'copy, or convert the bags again')
        try:
            picture = frame.to_ndarray(format='rgb24')
        except av.FFmpegError as error:
            raise failure(path, 'decoded', error) from error
        yield picture[:, :, :channels]
        time_s = next(wanted, None)
    if time_s is not None:
        raise DatasetError(f'video {path} has no frame at {time_s:.4f} s (tolerance '
                           f'{TIME_TOLERANCE_S:g} s); it is shorter than its table, or truncated')


def frame_times(path):
    """
    Return when the frames of a video are shown, in order, float64 s; none is decoded.

    :param path: The mp4 file; of one that is cut off, the frames that are left.
    :raises DatasetError: if it is missing, or no video.
    :raises MemoryError: if this machine has too little memory for it.
    """
    if not Path(path).is_file():
        raise DatasetError(f'video {path} does not exist; the dataset is incomplete')
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stamps = []
            try:
                for packet in container.demux(stream):
                    if packet.pts is not None and packet.size and not packet.is_corrupt:
                        stamps.append(packet.pts)
            except av.FFmpegError as error:  # what came before it is kept
                if isinstance(error, SPENT):
                    raise
            return np.sort(np.array(stamps, dtype=np.float64)) * float(stream.time_base)
    except (av.FFmpegError, IndexError, OSError) as error:
        raise failure(path, 'read', error) from error


def rows_without_frame(times, start_s, length, rate_hz):
    """
    Tell which rows of an episode have no frame at their time.

    :param times: As ``frame_times``.
    :param start_s: Time of the episode's first frame, s.
    :param length: Its number of rows.
    :param rate_hz: Rows per second, Hz.
    :return: bool ``(length,)``.
    """
    wanted = start_s + np.arange(length) / rate_hz
    after = np.searchsorted(times, wanted)
    near = np.full(length, np.inf)
    for index in (after - 1, after):
        is_there = (index >= 0) & (index < len(times))
        apart = np.abs(times[index[is_there]] - wanted[is_there])
        near[is_there] = np.minimum(near[is_there], apart)
    return near > TIME_TOLERANCE_S + 1e-9  # times in the metadata are sums of floats


def describe_video(path) -> dict:
    """
    Return the ``info`` entry that a LeRobot dataset keeps about a video.

    :param path: A finished mp4 file.
    :raises MemoryError: if this machine has too little memory for it.
    """
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            return {
                'video.height': stream.height, 'video.width': stream.width,
                'video.codec': stream.codec_context.codec.canonical_name,
                'video.pix_fmt': stream.pix_fmt, 'video.is_depth_map': False,
                'video.fps': int(stream.average_rate or 0), 'video.channels': 3,
                'has_audio': False}
    except SPENT as error:
        raise failure(path, 'read', error) from error


def _open_encoder(container, shape, rate_hz, codec, crf):
    """Add the one video stream and open its encoder, so that bad options fail at once."""
    os.environ.setdefault('SVT_LOG', '1')  # libsvtav1 would print its settings on stderr
    encoding = CODECS[codec]
    lossless = encoding.default_crf is None
    quality = {'qp': '0'} if lossless else {
        'crf': str(encoding.default_crf if crf is None else crf)}
    stream = container.add_stream(encoding.encoder, rate=rate_hz)
    stream.height, stream.width = shape[:2]
    stream.pix_fmt = encoding.pixel_format
    stream.time_base = Fraction(1, rate_hz)
    stream.options = {**quality, 'g': str(KEY_FRAME_INTERVAL)}
    with scheduling_kept():
        stream.codec_context.open()
    return stream

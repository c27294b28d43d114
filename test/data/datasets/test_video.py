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

"""Every frame comes back at its own time, as close to the original as its codec promises."""

import os
import sys

import av
from diffusion_policy_ros import choices
from diffusion_policy_ros.data.datasets.video import (
    check_quality, CODECS, describe_video, Encoding, frame_times, PICTURE_CODEC, read_frames,
    rows_without_frame, VideoWriter)
from diffusion_policy_ros.errors import DatasetError
import numpy as np
import pytest

# Mean absolute error per pixel that a smooth moving picture may have, of 255.
LIMITS = {'h264': 2.0, 'h264-lossless': 0.0, 'av1': 6.0}


def pictures(count, height=48, width=64, channels=3):
    """Make a smooth pattern that moves."""
    rows, columns = np.mgrid[:height, :width]
    channel = [128 + 100 * np.sin((rows * a + columns * b) / 16 + c)
               for a, b, c in ((1, 2, 0), (2, 1, 1), (1, -1, 2))][:channels]
    return [np.roll(np.stack(channel, -1).astype(np.uint8), k, axis=1) for k in range(count)]


def write(path, frames, rate_hz=10, **options):
    """Encode frames."""
    video = VideoWriter(path, shape=frames[0].shape, rate_hz=rate_hz, **options)
    for frame in frames:
        video.write(frame)
    video.close()
    return path


@pytest.mark.parametrize('codec', CODECS)
@pytest.mark.parametrize('rate_hz', [10, 30])
def test_frames_come_back_in_their_quality(tmp_path, codec, rate_hz):
    """All of them, in order."""
    frames = pictures(23)
    path = write(tmp_path / 'v.mp4', frames, rate_hz, codec=codec)
    found = list(read_frames(path, np.arange(23) / rate_hz))
    assert len(found) == 23
    errors = [np.abs(a.astype(int) - b).mean() for a, b in zip(found, frames)]
    assert max(errors) <= LIMITS[codec]


@pytest.mark.parametrize('codec', CODECS)
@pytest.mark.parametrize('rate_hz', [7, 10, 30])
def test_frame_i_is_shown_at_i_over_the_rate(tmp_path, codec, rate_hz):
    """As a plain decoder sees it, within 1e-4 s."""
    path = write(tmp_path / 'v.mp4', pictures(31), rate_hz, codec=codec)
    with av.open(str(path)) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    assert np.abs(np.array(times) - np.arange(31) / rate_hz).max() < 1e-4


@pytest.mark.parametrize('codec', CODECS)
def test_grey_pictures_stay_grey(tmp_path, codec):
    """One channel in, one channel out."""
    frames = pictures(5, channels=1)
    path = write(tmp_path / 'v.mp4', frames, codec=codec)
    found = list(read_frames(path, np.arange(5) / 10, channels=1))
    assert found[0].shape == (48, 64, 1)
    assert np.abs(np.array(found).astype(int) - np.array(frames)).mean() <= LIMITS[codec]


def test_any_stretch_of_frames_can_be_read(tmp_path):
    """As an episode inside a video of many."""
    frames = pictures(40)
    path = write(tmp_path / 'v.mp4', frames, codec='h264-lossless')
    for first, end in ((0, 3), (7, 8), (13, 40), (39, 40)):
        found = list(read_frames(path, np.arange(first, end) / 10))
        assert np.array_equal(found, frames[first:end])


def test_smaller_crf_is_closer(tmp_path):
    """And larger."""
    frames = pictures(12)
    sizes, errors = [], []
    for crf in (5, 25, 45):
        path = write(tmp_path / f'{crf}.mp4', frames, crf=crf)
        found = list(read_frames(path, np.arange(12) / 10))
        sizes.append(path.stat().st_size)
        errors.append(np.abs(np.array(found).astype(int) - np.array(frames)).mean())
    assert sizes == sorted(sizes, reverse=True) and errors == sorted(errors)


def test_description_has_what_lerobot_keeps(tmp_path):
    """Height, width, codec and the rest."""
    path = write(tmp_path / 'v.mp4', pictures(3), 15)
    assert describe_video(path) == {
        'video.height': 48, 'video.width': 64, 'video.codec': 'h264', 'video.pix_fmt': 'yuv444p',
        'video.is_depth_map': False, 'video.fps': 15, 'video.channels': 3, 'has_audio': False}


@pytest.mark.parametrize('times', [[0.0, 0.1, 0.15], [0.25], [0.4, 0.5], [9.0]])
def test_a_time_without_a_frame_is_refused(tmp_path, times):
    """Between two frames, or behind the last."""
    path = write(tmp_path / 'v.mp4', pictures(5))
    with pytest.raises(DatasetError, match='has no frame at'):
        list(read_frames(path, times))


@pytest.mark.parametrize('keep', [0, 10, 200, -900])
def test_a_truncated_file_is_refused(tmp_path, keep):
    """Wherever it was cut."""
    path = write(tmp_path / 'v.mp4', pictures(20))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DatasetError, match='v.mp4'):
        list(read_frames(path, np.arange(20) / 10))


def test_a_full_disk_is_named_with_the_file_and_nothing_is_left(tmp_path, full_disk):
    """Whether it fills up while frames are written or when the file is finished."""
    noise = np.random.default_rng(0).integers(0, 256, (400, 48, 64, 3), np.uint8)
    for frames in (noise, noise[:2]):
        video = VideoWriter(tmp_path / 'v.mp4', shape=(48, 64, 3), rate_hz=10)
        with full_disk(5000):
            with pytest.raises(DatasetError, match='cannot write the video .*v.mp4.*Make room'):
                for frame in frames:
                    video.write(frame)
                video.close()
            video.discard()
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('codec, crf, said', [
    ('h264', 52, 'h264 takes 0 .best. to 51'), ('h264', -1, 'to 51'),
    ('av1', 64, 'av1 takes 0 .best. to 63'), ('h264-lossless', 0, 'takes none')])
def test_a_quality_that_the_codec_does_not_have_is_refused(tmp_path, codec, crf, said):
    """The encoder would quietly take another."""
    with pytest.raises(DatasetError, match=f'crf is {crf}; codec .*{said}'):
        VideoWriter(tmp_path / 'v.mp4', shape=(48, 64, 3), rate_hz=10, codec=codec, crf=crf)


def test_png_is_a_way_to_store_pictures_and_no_video(tmp_path):
    check_quality('png', None)
    with pytest.raises(DatasetError, match='crf is 3; codec png takes none'):
        check_quality('png', 3)
    assert 'png' not in CODECS


@pytest.mark.parametrize('codec', CODECS)
def test_encoders_are_silent(tmp_path, codec, capfd):
    """What they print themselves would tear progress bars and fill logs."""
    write(tmp_path / 'v.mp4', pictures(3), codec=codec)
    assert capfd.readouterr() == ('', '')


@pytest.mark.skipif(sys.platform != 'linux', reason='there is no /proc')
@pytest.mark.parametrize('codec', CODECS)
def test_encoders_leave_the_priority_of_the_process_as_it_was(tmp_path, codec):
    """A robot may be controlled on the same computer."""
    before = set(os.listdir('/proc/self/task'))
    video = VideoWriter(tmp_path / 'v.mp4', shape=(48, 64, 3), rate_hz=10, codec=codec)
    for frame in pictures(3):
        video.write(frame)
    started = set(os.listdir('/proc/self/task')) - before
    assert {os.sched_getscheduler(int(thread)) for thread in {*started, '0'}} \
        == {os.SCHED_OTHER}
    video.close()


def test_an_encoder_that_this_ffmpeg_lacks_is_named(tmp_path, monkeypatch):
    """With one that every FFmpeg has."""
    monkeypatch.setitem(CODECS, 'av1', Encoding('libnothing', 'yuv420p', 30, 63))
    with pytest.raises(DatasetError, match='8x9 pictures with codec .av1., crf 9.*--codec h264'):
        VideoWriter(tmp_path / 'b.mp4', shape=(9, 8, 3), rate_hz=10, codec='av1', crf=9)
    assert not list(tmp_path.iterdir())


def test_wrong_input_is_refused(tmp_path):
    """Codec, size, missing file: one sentence each."""
    with pytest.raises(DatasetError, match="codec is 'vp9'; choose one of: h264"):
        VideoWriter(tmp_path / 'a.mp4', shape=(8, 8, 3), rate_hz=10, codec='vp9')
    video = VideoWriter(tmp_path / 'c.mp4', shape=(48, 64, 3), rate_hz=10)
    with pytest.raises(DatasetError, match=r'frame 0 is uint8 \(24, 64, 3\)'):
        video.write(pictures(1, height=24)[0])
    video.discard()
    assert not list(tmp_path.iterdir())
    with pytest.raises(DatasetError, match='does not exist'):
        list(read_frames(tmp_path / 'd.mp4', [0.0]))


def test_the_command_line_offers_every_codec():
    assert choices.CODECS == (*CODECS, PICTURE_CODEC)


def test_rows_without_a_frame_are_found_without_decoding(tmp_path):
    """Of a whole video, one that is cut off at its end, and one that is none."""
    path = write(tmp_path / 'v.mp4', pictures(20))
    times = frame_times(path)
    assert np.abs(times - np.arange(20) / 10).max() < 1e-4
    assert not rows_without_frame(times, 0.5, 15, 10).any()
    assert np.flatnonzero(rows_without_frame(times, 0.5, 17, 10)).tolist() == [15, 16]
    assert rows_without_frame(times, 0.05, 3, 10).all()
    for data, said in ((b'no video', 'cannot be read'), (b'', 'cannot be read')):
        path.write_bytes(data)
        with pytest.raises(DatasetError, match=f'v.mp4 {said}'):
            frame_times(path)
    with pytest.raises(DatasetError, match='x.mp4 does not exist'):
        frame_times(tmp_path / 'x.mp4')


def test_of_a_video_that_is_cut_off_the_whole_frames_are_counted(tmp_path):
    """Its index must be at the beginning; where it is at the end, nothing is left."""
    late = write(tmp_path / 'late.mp4', pictures(20))
    early = tmp_path / 'early.mp4'
    with av.open(str(late)) as source, av.open(
            str(early), 'w', format='mp4', options={'movflags': 'faststart'}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    with av.open(str(early)) as container:
        ends = [packet.pos + packet.size for packet in container.demux(video=0) if packet.size]
    data = early.read_bytes()
    for end, wanted in ((ends[19], 20), (ends[19] - 1, 19), (ends[7] + 1, 8), (ends[7], 8)):
        early.write_bytes(data[:end])
        assert np.abs(frame_times(early) - np.arange(wanted) / 10).max() < 1e-4
    data = late.read_bytes()
    late.write_bytes(data[:data.index(b'moov') + 100])
    with pytest.raises(DatasetError, match='late.mp4 cannot be read'):
        frame_times(late)


def test_the_frames_before_an_error_are_counted(tmp_path, monkeypatch):
    path = write(tmp_path / 'v.mp4', pictures(20))
    opened = av.open

    class Breaking:
        error = av.error.InvalidDataError(1, 'broken')

        def __init__(self, path):
            self.container = opened(path)
            self.streams = self.container.streams

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.container.close()

        def demux(self, stream):
            packets = self.container.demux(stream)
            yield from (next(packets) for _ in range(8))
            raise self.error

    monkeypatch.setattr(av, 'open', Breaking)
    assert len(frame_times(path)) == 8
    Breaking.error = av.error.MemoryError(12, 'no memory')
    with pytest.raises(MemoryError, match='cannot be read: .*no memory'):
        frame_times(path)


@pytest.mark.parametrize('error', [
    av.error.BlockingIOError(11, 'Resource temporarily unavailable'),
    av.error.MemoryError(12, 'Cannot allocate memory')])
def test_a_machine_without_a_thread_for_the_colours_is_one_sentence(tmp_path, monkeypatch, error):
    """And not a damaged video."""
    class Frame:
        is_corrupt = False

        def to_ndarray(self, **_):
            raise error

    (tmp_path / 'v.mp4').touch()
    monkeypatch.setattr('diffusion_policy_ros.data.datasets.video.decode_from',
                        lambda *_: iter([(0.0, Frame())]))
    said = f'v.mp4 cannot be decoded: .*{error.strerror}.* no memory or no threads left; the video'
    with pytest.raises(MemoryError, match=said):
        next(read_frames(tmp_path / 'v.mp4', [0.0]))


def test_a_machine_without_a_thread_for_the_decoder_is_told_so_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise av.error.BlockingIOError(11, 'Resource temporarily unavailable')
    path = write(tmp_path / 'v.mp4', pictures(3))
    monkeypatch.setattr(av, 'open', refuse)
    for act in (frame_times, lambda path: next(read_frames(path, [0.0]))):
        with pytest.raises(MemoryError, match='the video may be whole'):
            act(path)

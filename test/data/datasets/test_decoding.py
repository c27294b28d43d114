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

"""A video is entered at any time, whatever the order in which its encoder wrote the frames."""

from fractions import Fraction
from itertools import count
from types import SimpleNamespace

import av
from diffusion_policy_ros.data.datasets.decoding import decode_from
from diffusion_policy_ros.data.datasets.video import read_frames
import numpy as np
import pytest

RATE_HZ, FRAMES = 10, 40
ENCODINGS = {'hevc': ('libx265', {'g': '2', 'x265-params': 'log-level=none'}),
             'mpeg4 with B frames': ('mpeg4', {'g': '6', 'bf': '2'}),
             'intra refresh': ('libx264', {'x264-params': 'intra-refresh=1:keyint=8'})}


def write(path, encoder, options):
    """Encode moving noise."""
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:48, :64]
    with av.open(str(path), 'w', format='mp4') as container:
        stream = container.add_stream(encoder, rate=RATE_HZ, options=options)
        stream.height, stream.width, stream.pix_fmt = 48, 64, 'yuv420p'
        for k in range(FRAMES):
            moving = np.stack([2 * x + 3 * k, 2 * y + k, x + y + 5 * k], -1) % 256
            picture = moving // 2 + rng.integers(0, 60, (48, 64, 3))
            frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format='rgb24')
            frame.pts, frame.time_base = k, Fraction(1, RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize('name', ENCODINGS)
def test_every_frame_can_be_the_first_of_an_episode(tmp_path, name):
    """Where a seek goes by the order of decoding, the key frame it finds can be shown later."""
    path = write(tmp_path / 'v.mp4', *ENCODINGS[name])
    whole = list(read_frames(path, np.arange(FRAMES) / RATE_HZ))
    for first in range(FRAMES):
        found = next(read_frames(path, [first / RATE_HZ]))
        assert np.array_equal(found, whole[first]), first


def entered(monkeypatch, key_frames, at, start_s):
    """Return the frame numbers at which a stand-in for a video was entered, from 0.1 s steps."""
    places = []

    class Video:
        streams = SimpleNamespace(video=[SimpleNamespace(time_base=Fraction(1, RATE_HZ))])

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def seek(self, wanted, stream):
            places.append(at(wanted))

        def decode(self, stream):
            return (SimpleNamespace(pts=k, time_base=Fraction(1, RATE_HZ),
                                    key_frame=k in key_frames) for k in count(places[-1]))

    monkeypatch.setattr(av, 'open', lambda path: Video())
    shown_s, _ = next(decode_from('v.mp4', start_s))
    assert shown_s == places[-1] / RATE_HZ
    return places


def test_usually_one_seek_is_enough(monkeypatch):
    assert entered(monkeypatch, range(0, 99, 2), lambda k: k - k % 2, 1.5) == [14]


def test_a_start_without_a_key_frame_or_after_the_time_is_left_for_an_earlier_one(monkeypatch):
    """The pictures after it would be spoiled, and no error tells."""
    assert entered(monkeypatch, (0, 10), lambda k: max(k - 3, 0), 1.5) == [12, 10]
    assert entered(monkeypatch, (0, 17), lambda k: 17 if k > 0 else 0, 1.5) == [17, 17, 0]
    places = entered(monkeypatch, (0,), lambda k: k, 64.0)
    assert places[0] == 640 and places[-1] == 0 and len(places) == 5

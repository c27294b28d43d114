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

"""The video of a demo: the robot as it was, what cameras saw, and what the policy planned."""

from fractions import Fraction

import av
import cv2
from diffusion_policy_ros.evaluation.live_simulations import LIVE
from diffusion_policy_ros.evaluation.live_views import view_of
import numpy as np

VIDEO_RATE_HZ = 10
SIDE_PX = 256
CAMERA_PX = 224
MARGIN_PX = (SIDE_PX - CAMERA_PX) // 2
TEXT_COLOUR = (30, 30, 30)
QUALITY = {'crf': '23', 'preset': 'ultrafast'}


def write_video(path, records, title, progress=lambda count: None):
    """
    Write the episodes one after another as mp4 (h264), 10 pictures per second.

    :param path: File to write.
    :param records: Sequence of ``EpisodeRecord`` of one simulation, at least one picture in all.
    :param title: Text in every picture.
    :param progress: Called with the number of newly written pictures.
    """
    view = view_of(records[0].sim)
    height, width = view.size
    with av.open(str(path), 'w', format='mp4') as container:
        # Half colour resolution: the kind of h264 that every player and browser shows.
        stream = container.add_stream('libx264', rate=VIDEO_RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = width + SIDE_PX, height, 'yuv420p'
        stream.options = QUALITY
        count = 0
        for record in records:
            for index in range(len(record.frame_ns)):
                frame = av.VideoFrame.from_ndarray(_frame(view, record, index, title), 'rgb24')
                frame.pts, frame.time_base = count, Fraction(1, VIDEO_RATE_HZ)
                container.mux(stream.encode(frame))
                count += 1
                progress(1)
        container.mux(stream.encode())


def _frame(view, record, index, title):
    """Put pictures, what the policy sees and figures side by side."""
    shown, lines = view.pictures(record, index), _lines(record, index, title)
    side = np.full((view.size[0], SIDE_PX, 3), 245, dtype=np.uint8)
    if view.has_inset:
        camera = cv2.resize(record.pictures[index, 0], (CAMERA_PX, CAMERA_PX),
                            interpolation=cv2.INTER_NEAREST)
        side[-CAMERA_PX - MARGIN_PX:-MARGIN_PX, MARGIN_PX:MARGIN_PX + CAMERA_PX] = camera
        lines += ('', 'what the policy sees:')
    for line, text in enumerate(lines):
        cv2.putText(side, text, (MARGIN_PX, 34 + 28 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.55,
                    TEXT_COLOUR, 1, cv2.LINE_AA)
    return np.hstack((*shown, side))


def _lines(record, index, title):
    """Return what is written beside the pictures."""
    now_ns = record.frame_ns[index]
    known = np.searchsorted(record.score_ns, now_ns, side='right')
    now, most = record.score[known - 1] if known else (0.0, 0.0)
    plans = np.searchsorted(record.plan_ns, now_ns, side='right')
    sent = np.searchsorted(record.received_ns, now_ns, side='right')
    return (title, f'episode {record.number + 1}, seed {record.seed}',
            f'time {(now_ns - record.start_ns) / 1e9:.1f} s',
            f'{LIVE[record.sim].score} {now:.2f}', f'maximum {most:.2f}',
            f'{sent} commands', f'{plans} plans')

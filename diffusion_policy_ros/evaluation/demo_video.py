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

"""The video of a demo: the table as it was, what the camera saw, and what the policy planned."""

from fractions import Fraction

import av
import cv2
from diffusion_policy_ros.sim.pusht import PIXELS_PER_METRE, PushT
from diffusion_policy_ros.sim.pusht_picture import TABLE_PX
import numpy as np

VIDEO_RATE_HZ = 10
SIDE_PX = 256
CAMERA_PX = 224
MARGIN_PX = (SIDE_PX - CAMERA_PX) // 2
PLAN_COLOUR = (230, 60, 20)
TEXT_COLOUR = (30, 30, 30)
QUALITY = {'crf': '23', 'preset': 'ultrafast'}


def table_picture(sim, record, index):
    """
    Draw the table with the plan that was being followed.

    :param sim: A ``PushT`` to draw with; its state is replaced.
    :param record: ``EpisodeRecord``.
    :param index: Number of the kept picture.
    :return: uint8 ``(512, 512, 3)``, RGB.
    """
    sim.reset(state=record.poses[index])
    picture = sim.picture(TABLE_PX)
    rows = _rows_to_come(record, record.frame_ns[index])
    points = np.round(rows * PIXELS_PER_METRE).astype(np.int32)
    cv2.polylines(picture, [points.reshape(-1, 1, 2)], False, PLAN_COLOUR, 2, cv2.LINE_AA)
    for x, y in points.tolist():
        cv2.circle(picture, (x, y), 4, PLAN_COLOUR, cv2.FILLED, cv2.LINE_AA)
    return picture


def write_video(path, records, title, progress=lambda count: None):
    """
    Write the episodes one after another as mp4 (h264), 10 pictures per second.

    :param path: File to write.
    :param records: Sequence of ``EpisodeRecord``.
    :param title: Text in every picture.
    :param progress: Called with the number of newly written pictures.
    """
    sim = PushT()
    with av.open(str(path), 'w', format='mp4') as container:
        # Half colour resolution: the kind of h264 that every player and browser shows.
        stream = container.add_stream('libx264', rate=VIDEO_RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = TABLE_PX + SIDE_PX, TABLE_PX, 'yuv420p'
        stream.options = QUALITY
        count = 0
        for record in records:
            for index in range(len(record.frame_ns)):
                frame = av.VideoFrame.from_ndarray(_frame(sim, record, index, title), 'rgb24')
                frame.pts, frame.time_base = count, Fraction(1, VIDEO_RATE_HZ)
                container.mux(stream.encode(frame))
                count += 1
                progress(1)
        container.mux(stream.encode())


def _rows_to_come(record, now_ns):
    """Return the rows of the newest plan from the one that is due on, float64 ``(n, 2)``, m."""
    known = np.searchsorted(record.plan_ns, now_ns, side='right')
    if not known:
        return np.empty((0, 2))
    due_ns = record.plan_due_ns[known - 1]
    first = max(np.searchsorted(due_ns, now_ns, side='right') - 1, 0)
    return record.plans[known - 1][first:]


def _frame(sim, record, index, title):
    """Put table, camera and figures side by side."""
    side = np.full((TABLE_PX, SIDE_PX, 3), 245, dtype=np.uint8)
    camera = cv2.resize(record.pictures[index], (CAMERA_PX, CAMERA_PX),
                        interpolation=cv2.INTER_NEAREST)
    side[-CAMERA_PX - MARGIN_PX:-MARGIN_PX, MARGIN_PX:MARGIN_PX + CAMERA_PX] = camera
    for line, text in enumerate(_lines(record, index, title)):
        cv2.putText(side, text, (MARGIN_PX, 34 + 28 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.55,
                    TEXT_COLOUR, 1, cv2.LINE_AA)
    return np.hstack((table_picture(sim, record, index), side))  # (512, 768, 3)


def _lines(record, index, title):
    """Return what is written beside the table."""
    now_ns = record.frame_ns[index]
    known = np.searchsorted(record.coverage_ns, now_ns, side='right')
    now, most = record.coverage[known - 1] if known else (0.0, 0.0)
    plans = np.searchsorted(record.plan_ns, now_ns, side='right')
    sent = np.searchsorted(record.received_ns, now_ns, side='right')
    return (title, f'episode {record.number + 1}, seed {record.seed}',
            f'time {(now_ns - record.start_ns) / 1e9:.1f} s', f'coverage {now:.2f}',
            f'maximum {most:.2f}', f'{sent} commands', f'{plans} plans', '',
            'what the policy sees:')

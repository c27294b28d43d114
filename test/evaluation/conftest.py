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

"""Recorded episodes that nobody has played."""

from diffusion_policy_ros.evaluation.demo_record import EpisodeRecord
import numpy as np
import pytest

START_NS = 1_700_000_000_000_000_000


def make_record(number=0, seconds=3, top=0.5, **changes):
    """Make an episode of some seconds in which the coverage rises to ``top``."""
    ticks = START_NS + np.arange(seconds * 10 + 1) * 100_000_000
    rising = np.linspace(0.0, top, len(ticks))
    poses = np.column_stack([rising * 0.4 + 0.05, rising * 0.3 + 0.1, np.full_like(rising, 0.25),
                             np.full_like(rising, 0.3), rising])
    rows = np.arange(15)
    values = {
        'number': number, 'seed': 7 + number, 'end_ns': int(ticks[-1]),
        'received_ns': ticks, 'sent_ns': ticks - 300_000,
        'coverage_ns': ticks, 'coverage': np.column_stack([rising, rising]),
        'latency_ns': ticks[::8], 'latency_ms': np.linspace(80, 120, len(ticks[::8])),
        'plan_ns': ticks[::8], 'plan_due_ns': ticks[::8, None] + rows * 100_000_000,
        'plans': np.broadcast_to(np.column_stack([rows, rows]) * 0.03,
                                 (len(ticks[::8]), 15, 2)).copy(),
        'frame_ns': ticks, 'poses': poses,
        'pictures': np.full((len(ticks), 96, 96, 3), 200, dtype=np.uint8),
        'notes': np.array([], dtype=str)}
    return EpisodeRecord(**{**values, **changes})


@pytest.fixture
def record():
    """Return what makes records."""
    return make_record

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

"""The overlay topic: only for those who look, and true also when something is wrong."""

import numpy as np
import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.contract import load_contract  # noqa: E402,I100
from diffusion_policy_ros.message_types import COMPRESSED_IMAGE  # noqa: E402
from diffusion_policy_ros.nodes import plan_overlay  # noqa: E402
from diffusion_policy_ros.nodes.plan_overlay import PlanOverlay  # noqa: E402
from diffusion_policy_ros.observation.images import decode_compressed_image  # noqa: E402
from diffusion_policy_ros.policy.action_chunk import TimedChunk  # noqa: E402
from diffusion_policy_ros.share import share_path  # noqa: E402
from diffusion_policy_ros.streams import ImageSpec, ObservationStream  # noqa: E402

START_NS = 5 * 10**9
CHUNK = TimedChunk(np.array([[0.1, 0.2], [0.2, 0.25]]), START_NS, 10.0)
WINDOW = {'observation.images.camera': np.stack([np.zeros((96, 96, 3), np.uint8),
                                                 np.full((96, 96, 3), (200, 30, 30), np.uint8)]),
          'observation.state': np.zeros((2, 2))}


class Wire:
    """A node and its publisher that keep what they are given."""

    def __init__(self):
        self.sent, self.viewers = [], 1

    def create_lifecycle_publisher(self, message_type, topic, profile):
        self.topic = topic
        return self

    def get_subscription_count(self):
        return self.viewers

    def publish(self, message):
        self.sent.append(message)


@pytest.fixture
def wire():
    """Return what an overlay is published on."""
    return Wire()


@pytest.fixture
def overlay(wire):
    """Return an overlay for Push-T."""
    return PlanOverlay(wire, load_contract(share_path('config', 'robots', 'pusht.yaml')))


@pytest.fixture
def asked(monkeypatch):
    """Return the list of what was asked to be drawn."""
    asked, draw = [], plan_overlay.draw_overlay

    def note(lines, pictures, curves, due_row):
        asked.append((lines, pictures, curves, due_row))
        return draw(lines, pictures, curves, due_row)
    monkeypatch.setattr(plan_overlay, 'draw_overlay', note)
    return asked


def show(overlay, late_ms=150, chunk=CHUNK, reason='', latency_ms=84.2):
    overlay.show(START_NS + late_ms * 10**6, ages_ns={'camera/image_raw': 31 * 10**6},
                 chunk=chunk, latency_ms=latency_ms, reason=reason)


def test_without_a_viewer_nothing_is_drawn_or_kept(wire, overlay, asked):
    wire.viewers = 0
    overlay.saw(WINDOW, START_NS)
    show(overlay)
    assert not wire.sent and not asked and not overlay.is_wanted
    wire.viewers = 1
    show(overlay)
    assert overlay.is_wanted and asked[0][1] == {}  # nothing was kept


def test_the_newest_picture_comes_as_a_jpeg_that_our_own_decoder_reads(wire, overlay):
    overlay.saw(WINDOW, START_NS)
    show(overlay)
    message, = wire.sent
    assert (wire.topic, message.format) == ('~/overlay/compressed', 'jpeg')
    assert message.header.stamp.sec == 5 and message.header.stamp.nanosec == 150 * 10**6
    stream = ObservationStream('observation.images.seen', 'overlay', COMPRESSED_IMAGE, 100,
                               image=ImageSpec(400, 400, resize='stretch'))
    pixels = decode_compressed_image(message, stream)
    assert (np.abs(pixels.astype(int) - (200, 30, 30)) < 8).all(axis=-1).mean() > 0.3


def test_plan_latency_and_ages_are_told(overlay, asked):
    overlay.saw(WINDOW, START_NS)
    show(overlay)
    lines, pictures, curves, due_row = asked[0]
    assert lines == [('commanding', False),
                     ('plan of 2 rows, from what was seen 150 ms ago; it took 84 ms', False),
                     ('camera/image_raw 31 ms old', False)]
    assert list(pictures) == ['camera, 0.1 s ago'] and due_row == 1
    assert list(curves) == ['finger_x 0.2', 'finger_y 0.25']
    np.testing.assert_array_equal(curves['finger_x 0.2'], [0.1, 0.2])


def test_a_fault_is_told_beside_what_was_seen_last(overlay, asked):
    overlay.saw(WINDOW, START_NS)
    show(overlay, late_ms=3000, chunk=None, reason='the camera is silent')
    lines, pictures, curves, due_row = asked[0]
    assert lines[:2] == [('not commanding: the camera is silent', True), ('no plan', False)]
    assert list(pictures) == ['camera, 3.0 s ago'] and not curves and due_row is None


def test_a_plan_that_is_over_is_shown_without_a_due_row(overlay, asked):
    show(overlay, late_ms=250, latency_ms=None)
    lines, _, curves, due_row = asked[0]
    assert lines[1] == ('plan of 2 rows, from what was seen 250 ms ago', False)
    assert due_row is None and list(curves) == ['finger_x 0.1', 'finger_y 0.2']

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

"""The picture for people: camera pixels, depth, curves, text."""

import cv2
from diffusion_policy_ros.observation import overlay
from diffusion_policy_ros.observation.overlay import draw_overlay, encode_jpeg, visible
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

RNG = np.random.default_rng(0)
COLOURED = RNG.integers(0, 256, (96, 96, 3), dtype=np.uint8)


def is_in(part, picture):
    """Tell whether a picture holds a part somewhere, bit for bit."""
    height, width = part.shape[:2]
    corners = np.argwhere((picture == part[0, 0]).all(axis=-1))
    return any(np.array_equal(picture[y:y + height, x:x + width], part) for y, x in corners)


def test_cameras_stand_side_by_side_as_the_policy_sees_them():
    other = COLOURED[::-1]
    picture = draw_overlay([], {'wrist': COLOURED, 'scene': other}, {})
    both = np.concatenate([COLOURED, other], axis=1).repeat(3, axis=0).repeat(3, axis=1)
    assert is_in(both, picture)


def test_grey_and_depth_become_visible():
    grey = RNG.integers(0, 256, (4, 5, 1), dtype=np.uint8)
    np.testing.assert_array_equal(visible(grey), grey.repeat(3, axis=2))
    millimetres = np.array([[[0], [1000], [2000]]], dtype=np.uint16)
    np.testing.assert_array_equal(visible(millimetres)[0, :, 0], [0, 128, 255])
    metres = np.array([[[np.nan], [np.inf], [0.5], [-1.0]]], dtype=np.float32)
    np.testing.assert_array_equal(visible(metres)[0, :, 0], [0, 0, 255, 0])
    assert not visible(np.zeros((2, 2, 1), np.uint16)).any()


def test_a_curve_rises_to_its_largest_row_and_the_due_row_is_marked():
    values = np.array([0.0, 1.0, 4.0, 2.0, 1.0])
    picture = draw_overlay([], {}, {'': values})
    rows, columns = np.nonzero(picture[..., 0] > 150)  # lines are smoothed, so not all of it
    width, _ = overlay.CURVE_PX
    assert columns[rows == rows.min()].mean() == pytest.approx(width / 2, abs=2)
    assert columns[rows == rows.max()].mean() == pytest.approx(overlay.MARGIN_PX, abs=2)
    assert overlay.LINE_PX < rows.min() < rows.max() < picture.shape[0]
    marked = draw_overlay([], {}, {'': values}, due_row=4)
    _, columns = np.nonzero((marked == overlay.DUE).all(axis=-1))
    assert columns.mean() == pytest.approx(width - overlay.MARGIN_PX, abs=0.5)


def test_what_stays_the_same_is_a_level_line():
    picture = draw_overlay([], {}, {'': np.full(15, 0.3)})
    rows, columns = np.nonzero(picture[..., 0] > 150)
    assert np.ptp(columns) > overlay.CURVE_PX[0] / 2 and np.ptp(rows) <= 1


def test_faults_are_red_and_long_ones_are_broken_instead_of_cut():
    calm = draw_overlay([('commanding', False)], {}, {})
    loud = draw_overlay([('the camera is too old ' * 12, True)], {}, {})

    def is_red(picture):
        return (picture[..., 0].astype(int) - picture[..., 2] > 80).any()
    assert is_red(loud) and not is_red(calm)
    assert loud.shape[0] >= calm.shape[0] + 3 * overlay.LINE_PX
    assert loud.shape[1] == calm.shape[1] == overlay.LEAST_WIDTH_PX
    right = loud[:, -overlay.MARGIN_PX:]
    assert (right == overlay.BACKGROUND).all()  # no letter ran over the edge


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 2000), st.integers(1, 2000)), max_size=3),
       st.integers(0, 20), st.integers(1, 20), st.text(max_size=300))
def test_any_cameras_and_entries_make_a_picture_of_bearable_size(shapes, entries, rows, text):
    picture = draw_overlay(
        [(text, True)], {f'{i}{text}': np.zeros((*s, 3), np.uint8) for i, s in enumerate(shapes)},
        {f'{i}{text}': RNG.normal(size=rows) for i in range(entries)}, due_row=rows - 1)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    assert overlay.LEAST_WIDTH_PX <= picture.shape[1] <= 3 * overlay.PANEL_PX[0]


def test_the_jpeg_keeps_red_red():
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 200
    decoded = cv2.imdecode(np.frombuffer(encode_jpeg(red), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_allclose(decoded[..., ::-1].astype(int), red, atol=4)

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

"""One picture for people: what the policy sees, how it fares, and what it plans."""

import textwrap

import cv2
import numpy as np

# Width and height: what a camera's picture is fitted into, and a curve with its caption.
PANEL_PX, CURVE_PX = (576, 288), (192, 56)
LEAST_WIDTH_PX = 3 * CURVE_PX[0]
LINE_PX, MARGIN_PX = 20, 8
# Of the font below, and how wide a letter of ordinary text is on average, with some to spare.
FONT, FONT_SCALE, LETTER_PX = cv2.FONT_HERSHEY_SIMPLEX, 0.45, 9
BACKGROUND, TEXT, FAULT = (24, 24, 28), (225, 225, 225), (255, 110, 90)
CURVE, DUE = (255, 140, 40), (255, 230, 60)
JPEG_QUALITY = 85


def draw_overlay(lines, pictures, curves, due_row=None):
    """
    Draw text, pictures side by side and below them a small curve per planned entry.

    :param lines: ``(text, is_fault)`` of each paragraph; long ones are broken.
    :param pictures: Caption to picture ``(H, W, C)`` of a contract's camera: uint8 of three or
        one channels, or depth, uint16 or float32, of one. Pixels stay visible as such.
    :param curves: Caption to the rows of one entry, float64 ``(rows,)``, each on a scale of its
        own, from its least to its largest value.
    :param due_row: Row to mark, None for none.
    :return: uint8 ``(height, width, 3)``, RGB.
    """
    panels = [_panel(caption, picture) for caption, picture in pictures.items()]
    bands = [_side_by_side(panels)] if panels else []
    width = max([LEAST_WIDTH_PX, *(band.shape[1] for band in bands)])
    cells = [_curve(caption, values, due_row) for caption, values in curves.items()]
    per_band = width // CURVE_PX[0]
    bands += [_side_by_side(cells[first:first + per_band])
              for first in range(0, len(cells), per_band)]
    return np.concatenate([_fitted(band, width) for band in [_text(lines, width), *bands]])


def encode_jpeg(picture) -> bytes:
    """
    Compress a picture.

    :param picture: uint8 ``(H, W, 3)``, RGB.
    """
    _, data = cv2.imencode('.jpg', picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()


def visible(picture):
    """
    Return any picture of a contract in colours.

    :param picture: ``(H, W, C)``: uint8 of three or one channels, or depth, uint16 or float32,
        of one.
    :return: uint8 ``(H, W, 3)``; depth is grey, from black at 0 and where there is none to white
        at its largest value.
    """
    if picture.dtype != np.uint8:
        depth = np.where(np.isfinite(picture), picture, 0).astype(np.float64).clip(min=0)
        picture = np.round(depth * (255 / max(depth.max(), 1e-9))).astype(np.uint8)
    return np.broadcast_to(picture, (*picture.shape[:2], 3))


def _panel(caption, picture):
    """Draw a camera's picture under its caption."""
    height, width = picture.shape[:2]
    scale = min(PANEL_PX[0] / width, PANEL_PX[1] / height)
    size = [max(round(scale * width), 1), max(round(scale * height), 1)]
    panel = _canvas(LINE_PX + PANEL_PX[1], size[0])
    panel[LINE_PX:LINE_PX + size[1]] = cv2.resize(
        np.ascontiguousarray(visible(picture)), size, interpolation=cv2.INTER_NEAREST)
    _write(panel, caption, LINE_PX - 6, TEXT)
    return panel


def _curve(caption, values, due_row):
    """Draw the rows of one entry, from the first at the left to the last at the right."""
    width, height = CURVE_PX
    cell = _canvas(height, width)
    low, high = values.min(), values.max()
    share = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    x = np.linspace(MARGIN_PX, width - MARGIN_PX, len(values))
    y = height - 6 - share * (height - LINE_PX - 12)
    points = np.round(np.stack([x, y], axis=1)).astype(np.int32)
    cv2.polylines(cell, [points[:, None]], False, CURVE, 1, cv2.LINE_AA)
    if due_row is not None:
        cv2.circle(cell, points[due_row].tolist(), 3, DUE, cv2.FILLED, cv2.LINE_AA)
    _write(cell, caption, LINE_PX - 6, TEXT)
    return cell


def _text(lines, width):
    """Write paragraphs, broken where they would not fit."""
    broken = [(part, is_fault) for line, is_fault in lines
              for part in textwrap.wrap(line, (width - 2 * MARGIN_PX) // LETTER_PX)]
    band = _canvas(LINE_PX * len(broken) + MARGIN_PX, width)
    for number, (part, is_fault) in enumerate(broken):
        _write(band, part, (number + 1) * LINE_PX - 4, FAULT if is_fault else TEXT)
    return band


def _write(canvas, text, baseline, colour):
    """Write one line; the font knows ASCII only."""
    cv2.putText(canvas, text.encode('ascii', 'replace').decode(), (MARGIN_PX, baseline), FONT,
                FONT_SCALE, colour, 1, cv2.LINE_AA)


def _side_by_side(parts):
    """Join parts of one height."""
    return np.concatenate(parts, axis=1)


def _fitted(band, width):
    """Fill a band up to the full width."""
    return np.concatenate([band, _canvas(len(band), width - band.shape[1])], axis=1)


def _canvas(height, width):
    """Return an empty picture."""
    return np.full((height, width, 3), BACKGROUND, np.uint8)

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

"""Images against pixels made by hand, in every encoding, and every way to be malformed."""

from array import array
from io import BytesIO
from types import SimpleNamespace

import cv2
from diffusion_policy_ros.errors import DecodeError
from diffusion_policy_ros.message_types import COMPRESSED_IMAGE, IMAGE
from diffusion_policy_ros.observation.decode import decode
from diffusion_policy_ros.observation.pixels import MEMORY_LAYOUT
from diffusion_policy_ros.streams import IMAGE_ENCODINGS, ImageSpec, ObservationStream
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

RNG = np.random.default_rng(5)
COLOURS = RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8)  # (H, W, RGB)
DEPTH_MM = np.array([[0, 1, 1000], [2500, 65535, 12]], dtype=np.uint16)
BYTES = np.frombuffer(bytes(range(256)) * 4, np.uint8)


def stream(height, width, encoding='rgb8', resize='exact', kind=IMAGE):
    return ObservationStream(
        key='observation.images.camera', topic='camera/image_raw', type=kind, max_age_ms=100.0,
        image=ImageSpec(height, width, encoding, resize))


def image(pixels, encoding, padding=0, big=False):
    """Lay pixels (H, W) or (H, W, C) out in memory row by row, with garbage after each row."""
    height, width = pixels.shape[:2]
    stored = pixels.astype(pixels.dtype.newbyteorder('>' if big else '<'))
    rows = [row.tobytes() + b'\xee' * padding for row in stored]
    return SimpleNamespace(
        height=height, width=width, encoding=encoding, is_bigendian=int(big),
        step=len(rows[0]), data=array('B', b''.join(rows)))


def compressed(pixels, extension, description=None):
    """Compress pixels as OpenCV orders them (B, G, R)."""
    done, data = cv2.imencode(extension, pixels)
    assert done
    return SimpleNamespace(format=description or extension[1:], data=array('B', data.tobytes()))


def in_memory(encoding):
    """Write COLOURS the way an encoding orders them."""
    opaque = np.full((4, 6, 1), 255, np.uint8)
    red_last = COLOURS[..., ::-1]
    return {'rgb8': COLOURS, 'bgr8': red_last,
            'rgba8': np.concatenate([COLOURS, opaque], axis=2),
            'bgra8': np.concatenate([red_last, opaque], axis=2)}[encoding]


@pytest.mark.parametrize('padding', [0, 1, 5])
@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'rgba8', 'bgra8'])
def test_colour_orders_give_red_green_blue(encoding, padding):
    got = decode(image(in_memory(encoding), encoding, padding), stream(4, 6))
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, COLOURS)


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'rgba8', 'bgra8'])
def test_grey_is_the_weighted_sum_of_bt601(encoding):
    got = decode(image(in_memory(encoding), encoding), stream(4, 6, 'mono8'))
    wanted = COLOURS @ np.array([0.299, 0.587, 0.114])
    assert got.shape == (4, 6, 1)
    np.testing.assert_allclose(got[..., 0], wanted, atol=1)


def test_grey_pixels_repeat_in_three_channels():
    grey = COLOURS[..., 0]
    got = decode(image(grey, 'mono8', padding=3), stream(4, 6))
    np.testing.assert_array_equal(got, np.stack([grey] * 3, axis=2))
    np.testing.assert_array_equal(
        decode(image(grey, 'mono8', padding=3), stream(4, 6, 'mono8'))[..., 0], grey)


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_bayer_patterns_are_named_by_their_first_row(pattern):
    colour = {'r': 200, 'g': 90, 'b': 10}
    cell = np.array([colour[c] for c in pattern], np.uint8).reshape(2, 2)
    got = decode(image(np.tile(cell, (3, 4)), f'bayer_{pattern}8'), stream(6, 8))
    np.testing.assert_array_equal(got, np.broadcast_to([200, 90, 10], (6, 8, 3)))


@pytest.mark.parametrize('encoding,order', [
    ('yuv422', 'uyvy'), ('uyvy', 'uyvy'), ('yuv422_yuy2', 'yuyv'), ('yuyv', 'yuyv')])
def test_yuv_pairs_share_their_colour_by_bt601(encoding, order):
    u, v, luma = 110, 150, [60, 180]
    left = iter(luma)
    pair = [next(left) if c == 'y' else {'u': u, 'v': v}[c] for c in order]
    packed = np.tile(np.array(pair, np.uint8), (2, 3)).reshape(2, 6, 2)
    got = decode(image(packed, encoding), stream(2, 6)).astype(float)
    for column in range(6):
        y = 1.164 * (luma[column % 2] - 16)
        wanted = [y + 1.596 * (v - 128), y - 0.813 * (v - 128) - 0.391 * (u - 128),
                  y + 2.018 * (u - 128)]
        np.testing.assert_allclose(got[:, column], [wanted] * 2, atol=1.5)


@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('padding', [0, 1, 4])
@pytest.mark.parametrize('encoding', ['16UC1', 'mono16'])
def test_16_bit_depth_survives_padding_and_both_byte_orders(encoding, padding, big):
    got = decode(image(DEPTH_MM, encoding, padding, big), stream(2, 3, '16UC1'))
    assert got.dtype == np.dtype('=u2')
    np.testing.assert_array_equal(got[..., 0], DEPTH_MM)


@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('padding', [0, 3])
def test_float_depth_survives_padding_and_both_byte_orders(padding, big):
    metres = np.array([[0.5, 1.25], [3.0, 9.75]], np.float32)
    got = decode(image(metres, '32FC1', padding, big), stream(2, 2, '32FC1'))
    assert got.dtype == np.dtype('=f4')
    np.testing.assert_array_equal(got[..., 0], metres)


def test_depth_changes_between_millimetres_and_metres():
    metres = decode(image(DEPTH_MM, '16UC1'), stream(2, 3, '32FC1'))[..., 0]
    np.testing.assert_allclose(metres, DEPTH_MM / 1000, rtol=1e-6)
    back = decode(image(metres, '32FC1'), stream(2, 3, '16UC1'))[..., 0]
    np.testing.assert_array_equal(back, DEPTH_MM)


def test_depth_without_measurement_is_zero():
    metres = np.array([[np.nan, np.inf], [-np.inf, 2.0]], np.float32)
    for encoding, two in (('32FC1', 2.0), ('16UC1', 2000)):
        got = decode(image(metres, '32FC1'), stream(2, 2, encoding))[..., 0]
        np.testing.assert_array_equal(got, [[0, 0], [0, two]])


def test_unchanged_pixels_are_not_copied():
    message = image(COLOURS, 'rgb8')
    assert np.shares_memory(decode(message, stream(4, 6)), np.frombuffer(message.data, np.uint8))


@pytest.mark.parametrize('form', [bytes, bytearray, memoryview,
                                  lambda data: np.frombuffer(data, np.uint8)])
def test_data_may_come_in_any_buffer(form):
    message = image(COLOURS, 'rgb8')
    message.data = form(message.data.tobytes())
    np.testing.assert_array_equal(decode(message, stream(4, 6)), COLOURS)


def test_shrinking_averages_areas():
    large = RNG.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    got = decode(image(large, 'rgb8', padding=2), stream(3, 4, resize='stretch'))
    wanted = large.reshape(3, 4, 4, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(got, wanted, atol=0.51)


def test_growing_interpolates_linearly():
    ramp = np.array([[0, 100]], np.uint8)
    got = decode(image(ramp, 'mono8'), stream(1, 4, 'mono8', 'stretch'))
    np.testing.assert_allclose(got[0, :, 0], [0, 25, 75, 100], atol=1)


def test_crop_keeps_the_centre_and_the_aspect_ratio():
    wide = np.repeat(np.arange(12, dtype=np.uint8)[None] * 10, 4, axis=0)  # (4, 12)
    got = decode(image(wide, 'mono8'), stream(2, 2, 'mono8', 'crop'))
    np.testing.assert_array_equal(got[..., 0], [[45, 65], [45, 65]])


def test_pad_keeps_everything_between_black_borders():
    wide = np.full((2, 8), 77, np.uint8)
    got = decode(image(wide, 'mono8'), stream(4, 4, 'mono8', 'pad'))[..., 0]
    wanted = np.zeros((4, 4), np.uint8)
    wanted[1:2] = 77  # 8 x 2 becomes 4 x 1
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize('rule', ['stretch', 'crop', 'pad'])
def test_resized_depth_invents_no_distance(rule):
    depth = RNG.choice(np.array([500, 4000], np.uint16), (7, 11))
    got = decode(image(depth, '16UC1'), stream(4, 5, '16UC1', rule))
    assert set(np.unique(got)) <= {0, 500, 4000}


@given(height=st.integers(1, 40), width=st.integers(1, 40), to_height=st.integers(1, 40),
       to_width=st.integers(1, 40), rule=st.sampled_from(['stretch', 'crop', 'pad']))
@settings(max_examples=60, deadline=None)
def test_every_rule_gives_the_size_of_the_contract(height, width, to_height, to_width, rule):
    flat = np.full((height, width, 3), 50, np.uint8)
    got = decode(image(flat, 'rgb8'), stream(to_height, to_width, resize=rule))
    assert got.shape == (to_height, to_width, 3)
    assert set(np.unique(got)) <= ({0, 50} if rule == 'pad' else {50})


def test_another_size_is_refused_where_exact():
    with pytest.raises(DecodeError, match=r'camera/image_raw: the image is 6 x 4 .* wants 8 x 5'):
        decode(image(COLOURS, 'rgb8'), stream(5, 8))


def test_unknown_encoding_is_refused_with_the_known_ones():
    with pytest.raises(DecodeError, match="unknown encoding '8UC7'; known: rgb8, bgr8"):
        decode(image(COLOURS, '8UC7'), stream(4, 6))


@pytest.mark.parametrize('source,target', [
    ('rgb8', '16UC1'), ('16UC1', 'rgb8'), ('32FC1', 'mono8'), ('mono16', 'mono8')])
def test_colours_and_depth_do_not_become_each_other(source, target):
    kind, entries = MEMORY_LAYOUT[source]
    pixels = np.zeros((4, 6, entries), kind)
    with pytest.raises(DecodeError, match=f'{source} cannot become the {target} of the contract'):
        decode(image(pixels, source), stream(4, 6, target))


@pytest.mark.parametrize('change', [-1, 1, -72])
def test_data_of_another_length_is_refused(change):
    message = image(COLOURS, 'rgb8')
    data = message.data.tobytes()
    message.data = data + b'\0' if change > 0 else data[:change]
    with pytest.raises(DecodeError, match=rf'holds {72 + change} bytes, 4 rows of 18 need 72'):
        decode(message, stream(4, 6))


@pytest.mark.parametrize('fields, reason', [
    ({'step': 17}, 'claims'), ({'step': 0}, 'claims'), ({'width': 0}, 'is empty: 0 x 4'),
    ({'height': 0}, 'is empty: 6 x 0')])
def test_impossible_geometry_is_refused(fields, reason):
    message = image(COLOURS, 'rgb8')
    vars(message).update(fields)
    with pytest.raises(DecodeError, match=reason):
        decode(message, stream(4, 6))


def test_odd_width_of_pixel_pairs_is_refused():
    with pytest.raises(DecodeError, match='cannot convert uyvy pixels'):
        decode(image(np.zeros((2, 3, 2), np.uint8), 'uyvy'), stream(2, 3))


@given(height=st.integers(0, 5), width=st.integers(0, 5), step=st.integers(0, 24),
       length=st.integers(0, 120), big=st.booleans(), target=st.sampled_from(IMAGE_ENCODINGS),
       encoding=st.sampled_from(sorted(MEMORY_LAYOUT) + ['', 'h264']),
       rule=st.sampled_from(['exact', 'stretch', 'crop', 'pad']))
@settings(max_examples=400, deadline=None)
def test_any_image_gives_the_promised_array_or_one_error(
        height, width, step, length, big, target, encoding, rule):
    message = SimpleNamespace(height=height, width=width, step=step, encoding=encoding,
                              is_bigendian=big, data=BYTES[:length])
    wanted = stream(3, 4, target, rule)
    try:
        got = decode(message, wanted)
    except DecodeError:
        return
    assert got.shape == wanted.shape
    assert got.dtype == {'16UC1': np.uint16, '32FC1': np.float32}.get(target, np.uint8)


def test_png_is_exact():
    message = compressed(COLOURS[..., ::-1], '.png')
    got = decode(message, stream(4, 6, kind=COMPRESSED_IMAGE))
    np.testing.assert_array_equal(got, COLOURS)


def test_png_agrees_with_another_decoder():
    pillow = pytest.importorskip('PIL.Image')
    stored = BytesIO()
    pillow.fromarray(COLOURS).save(stored, 'PNG')
    message = SimpleNamespace(format='png', data=stored.getvalue())
    got = decode(message, stream(4, 6, kind=COMPRESSED_IMAGE))
    np.testing.assert_array_equal(got, COLOURS)


@pytest.mark.parametrize('description', ['jpeg', 'jpg', 'rgb8; jpeg compressed bgr8',
                                         'bgr8; jpeg compressed bgr8', ''])
def test_jpeg_keeps_red_red(description):
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 2] = 220
    message = compressed(red, '.jpg', description)
    got = decode(message, stream(16, 16, kind=COMPRESSED_IMAGE))
    np.testing.assert_allclose(got[8, 8], [220, 0, 0], atol=3)


def test_format_that_says_rgb_was_compressed_is_believed():
    red_first = np.zeros((16, 16, 3), np.uint8)
    red_first[..., 0] = 220
    message = compressed(red_first, '.jpg', 'rgb8; jpeg compressed rgb8')
    got = decode(message, stream(16, 16, kind=COMPRESSED_IMAGE))
    np.testing.assert_allclose(got[8, 8], [220, 0, 0], atol=3)


def test_grey_jpeg_becomes_colours():
    message = compressed(np.full((8, 8), 90, np.uint8), '.jpg', 'mono8; jpeg compressed mono8')
    got = decode(message, stream(8, 8, kind=COMPRESSED_IMAGE))
    np.testing.assert_allclose(got, 90, atol=1)


def test_png_with_transparency_drops_it():
    pixels = np.concatenate([COLOURS[..., ::-1], np.full((4, 6, 1), 9, np.uint8)], axis=2)
    got = decode(compressed(pixels, '.png'), stream(4, 6, kind=COMPRESSED_IMAGE))
    np.testing.assert_array_equal(got, COLOURS)


def test_16_bit_png_is_depth():
    message = compressed(DEPTH_MM, '.png', '16UC1; png compressed ')
    got = decode(message, stream(2, 3, '16UC1', kind=COMPRESSED_IMAGE))
    np.testing.assert_array_equal(got[..., 0], DEPTH_MM)
    with pytest.raises(DecodeError, match='16UC1 cannot become the rgb8'):
        decode(message, stream(2, 3, kind=COMPRESSED_IMAGE))


def test_16_bit_colours_are_refused():
    message = compressed(np.zeros((2, 2, 3), np.uint16), '.png')
    with pytest.raises(DecodeError, match='3 channels of uint16'):
        decode(message, stream(2, 2, kind=COMPRESSED_IMAGE))


@pytest.mark.parametrize('extension', ['.jpg', '.png'])
def test_every_truncation_of_a_compressed_image_is_refused(extension):
    whole = compressed(RNG.integers(0, 256, (16, 16, 3), dtype=np.uint8), extension)
    data = whole.data.tobytes()
    decode(whole, stream(16, 16, kind=COMPRESSED_IMAGE))
    for length in range(len(data)):
        cut = SimpleNamespace(format=whole.format, data=data[:length])
        with pytest.raises(DecodeError, match='ends early|neither JPEG nor PNG'):
            decode(cut, stream(16, 16, kind=COMPRESSED_IMAGE))


@pytest.mark.parametrize('extension', ['.jpg', '.png'])
def test_bytes_after_a_compressed_image_do_no_harm(extension):
    message = compressed(np.full((16, 16, 3), 60, np.uint8), extension)
    message.data = message.data.tobytes() + bytes(40)
    got = decode(message, stream(16, 16, kind=COMPRESSED_IMAGE))
    np.testing.assert_allclose(got, 60, atol=1)


def test_damaged_compressed_image_is_refused():
    message = SimpleNamespace(format='jpeg', data=b'\xff\xd8\xff\xda' + bytes(50) + b'\xff\xd9')
    with pytest.raises(DecodeError, match="is damaged: format 'jpeg', 56 bytes"):
        decode(message, stream(4, 6, kind=COMPRESSED_IMAGE))


@pytest.mark.parametrize('description', ['h264', '16UC1; compressedDepth png'])
def test_other_compressions_are_refused(description):
    message = SimpleNamespace(format=description, data=bytes(12) + b'\x89PNG\r\n\x1a\n')
    with pytest.raises(DecodeError, match=f'format {description!r} holds neither JPEG nor PNG'):
        decode(message, stream(4, 6, kind=COMPRESSED_IMAGE))


@pytest.mark.parametrize('encoding', ['bgr8', 'rgba8', 'bgra8', 'mono8', 'bayer_rggb8'])
def test_conversion_agrees_with_cv_bridge(encoding):
    cv_bridge = pytest.importorskip('cv_bridge')
    messages = pytest.importorskip('sensor_msgs.msg')
    _, entries = MEMORY_LAYOUT[encoding]
    pixels = RNG.integers(0, 256, (8, 6, entries), dtype=np.uint8)
    message = messages.Image(
        height=8, width=6, step=6 * entries, encoding=encoding, data=array('B', pixels.tobytes()))
    wanted = cv_bridge.CvBridge().imgmsg_to_cv2(message, 'rgb8')
    np.testing.assert_array_equal(decode(message, stream(8, 6)), wanted)

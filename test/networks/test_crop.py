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
"""Tests of resizing, cropping and shifting, against brute force in NumPy and OpenCV."""

import cv2
from diffusion_policy_ros.networks.crop import center_crop, random_crop, random_shift, resized
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
import torch


def pixel_grid(batch=6, rows=2, height=9, width=12):
    """Return images whose two channels are the pixel's place."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    picture = torch.stack([y, x], dim=-1).to(torch.uint8)
    return picture.expand(batch, rows, height, width, 2)


def test_center_crop_cuts_the_middle_without_copying():
    images = torch.randint(0, 255, (1, 2, 96, 96, 3), dtype=torch.uint8)
    crop = center_crop(images, (84, 80))
    assert torch.equal(crop, images[:, :, 6:90, 8:88])
    assert crop.untyped_storage().data_ptr() == images.untyped_storage().data_ptr()
    assert center_crop(images, None) is images


def test_random_crop_moves_all_rows_of_a_sample_together():
    crop = random_crop(pixel_grid(), (5, 4), generator=torch.Generator().manual_seed(0))
    assert crop.shape == (6, 2, 5, 4, 2)
    assert torch.equal(crop[:, 0], crop[:, 1])
    corners = crop[:, 0, 0, 0].tolist()
    assert len({tuple(corner) for corner in corners}) > 1
    for sample, (top, left) in zip(crop, corners):
        assert torch.equal(sample, pixel_grid(1)[0, :, top:top + 5, left:left + 4])


def test_random_crop_reaches_every_place_and_is_seeded():
    images = pixel_grid(batch=600)
    crop = random_crop(images, (8, 11), generator=torch.Generator().manual_seed(0))
    corners = {tuple(corner) for corner in crop[:, 0, 0, 0].tolist()}
    assert corners == {(0, 0), (0, 1), (1, 0), (1, 1)}
    again = random_crop(images, (8, 11), generator=torch.Generator().manual_seed(0))
    assert torch.equal(crop, again)


def seeded(seed=0):
    """Return a generator."""
    return torch.Generator().manual_seed(seed)


def some_images(dtype, batch, rows, height, width, channels, seed):
    """Return random images."""
    values = np.random.default_rng(seed).integers(0, 256, (batch, rows, height, width, channels))
    return torch.from_numpy(values.astype(dtype))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(['uint8', 'float32']), st.integers(1, 5), st.integers(1, 3),
       st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]), st.integers(0, 99),
       st.data())
def test_random_crop_is_a_slice_at_the_places_that_the_generator_draws(
        dtype, batch, rows, height, width, channels, seed, data):
    size = data.draw(st.tuples(st.integers(1, height), st.integers(1, width)))
    images = some_images(dtype, batch, rows, height, width, channels, seed)
    crop = random_crop(images, size, generator=seeded(seed))
    generator = seeded(seed)
    tops = torch.randint(height - size[0] + 1, (batch,), generator=generator)
    lefts = torch.randint(width - size[1] + 1, (batch,), generator=generator)
    expected = np.stack([images.numpy()[b, :, top:top + size[0], left:left + size[1]]
                         for b, (top, left) in enumerate(zip(tops.tolist(), lefts.tolist()))])
    assert crop.numpy().dtype == dtype and np.array_equal(crop.numpy(), expected)
    assert crop.is_contiguous()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(['uint8', 'float32']), st.integers(1, 5), st.integers(1, 3),
       st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]), st.integers(1, 12),
       st.integers(0, 99))
def test_random_shift_moves_a_sample_and_repeats_its_border(
        dtype, batch, rows, height, width, channels, shift_px, seed):
    images = some_images(dtype, batch, rows, height, width, channels, seed)
    shifted = random_shift(images, shift_px, generator=seeded(seed)).numpy()
    generator = seeded(seed)
    downs, rights = (torch.randint(2 * shift_px + 1, (batch,), generator=generator).numpy()
                     - shift_px for _ in range(2))
    expected = np.empty_like(images.numpy())
    for b, y, x in np.ndindex(batch, height, width):
        from_y, from_x = np.clip([y + downs[b], x + rights[b]], 0, [height - 1, width - 1])
        expected[b, :, y, x] = images.numpy()[b, :, from_y, from_x]
    assert shifted.dtype == dtype and np.array_equal(shifted, expected)


def test_shifts_reach_every_place_in_both_directions():
    images = pixel_grid(batch=400)
    centres = random_shift(images, 1, generator=seeded())[:, 0, 4, 5].tolist()
    assert {tuple(centre) for centre in centres} == {(y, x) for y in (3, 4, 5) for x in (4, 5, 6)}


def test_shrinking_by_a_whole_factor_weighs_a_triangle_of_twice_that_width():
    images = torch.rand(2, 1, 12, 16, 3, generator=seeded())
    weights = np.array([1, 3, 5, 7, 7, 5, 3, 1]) / 32  # of a shrinking by 4, inside
    small = resized(images, (3, 4))
    assert small.shape == (2, 1, 3, 4, 3)
    inside = np.einsum('brhwc,h,w->brc', images[:, :, 2:10, 2:10].numpy(), weights, weights)
    torch.testing.assert_close(small[:, :, 1, 1].double(), torch.from_numpy(inside), atol=1e-6,
                               rtol=0)


@pytest.mark.parametrize('size', [(24, 40), (31, 23)])
def test_enlarging_is_that_of_opencv(size):
    images = torch.rand(1, 2, 12, 16, 3, generator=seeded())
    large = resized(images, size)
    for row in range(2):
        expected = cv2.resize(images[0, row].numpy(), size[::-1], interpolation=cv2.INTER_LINEAR)
        torch.testing.assert_close(large[0, row], torch.from_numpy(expected), atol=2e-6, rtol=0)


def test_resized_images_keep_their_channels_last():
    assert resized(torch.rand(2, 2, 9, 12, 3), (5, 6)).is_contiguous()

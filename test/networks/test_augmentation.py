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
"""Tests of the changes of colour, against the formulas of torchvision's documentation."""

import colorsys

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.networks.augmentation import (
    adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation, Augmentation)
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
import torch

GREY = np.array([0.2989, 0.587, 0.114])
ALL = Augmentation(shift_px=2, brightness=0.3, contrast=0.4, saturation=0.5, hue=0.1)
images_and_change = given(
    st.integers(0, 999), st.sampled_from([1.0, 2.0]), st.floats(-1, 1, allow_subnormal=False))


def seeded(seed=0):
    """Return a generator."""
    return torch.Generator().manual_seed(seed)


def pictures(seed=0, size=(3, 2, 5, 6), scale=1.0, channels=3):
    """Return pictures; a scale of 2 gives many saturated pixels and greys."""
    values = scale * torch.rand(*size, channels, generator=seeded(seed)) - (scale - 1) / 2
    return values.clamp_(0, 1)


def blend(image, other, factor):
    """Return torchvision's blend of two images."""
    return np.clip(factor * image + (1 - factor) * other, 0, 1)


def hue_of_colorsys(image, change):
    """Move the hue of each pixel in turn."""
    moved = np.empty_like(image)
    for place in np.ndindex(image.shape[:-1]):
        hue, saturation, value = colorsys.rgb_to_hsv(*image[place])
        moved[place] = colorsys.hsv_to_rgb((hue + change) % 1, saturation, value)
    return moved


def assert_equal(found, expected):
    """Compare with a result in float64."""
    torch.testing.assert_close(found.double(), torch.from_numpy(expected), atol=2e-6, rtol=0)


@settings(max_examples=30, deadline=None)
@images_and_change
def test_colours_change_by_the_formulas_of_torchvision(seed, scale, change):
    images, drawn = pictures(seed, scale=scale), torch.tensor([change]).view(1, 1, 1, 1, 1)
    images = images[None]
    image, factor = images.double().numpy(), 1 + change
    grey = (image @ GREY)[..., None]
    assert_equal(adjust_brightness(images, drawn), np.clip(image * factor, 0, 1))
    assert_equal(adjust_contrast(images, drawn),
                 blend(image, grey.mean(axis=(-3, -2), keepdims=True), factor))
    assert_equal(adjust_saturation(images, drawn), blend(image, grey, factor))
    small = images[..., :2, :3, :]
    assert_equal(adjust_hue(small, drawn / 2), hue_of_colorsys(small.double().numpy(), change / 2))


@pytest.mark.parametrize('colour, moved', [
    ((1, 0, 0), (0, 1, 0)), ((0, 1, 0), (0, 0, 1)), ((0, 0, 1), (1, 0, 0)),
    ((1, 1, 0), (0, 1, 1)), ((0, 0, 0), (0, 0, 0)), ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ((1, 1, 1), (1, 1, 1))])
def test_a_third_of_the_circle_turns_red_to_green_and_leaves_greys(colour, moved):
    image = torch.tensor(colour, dtype=torch.float32).view(1, 1, 1, 1, 3)
    found = adjust_hue(image, torch.full((1, 1, 1, 1, 1), 1 / 3))
    torch.testing.assert_close(found.flatten(), torch.tensor(moved, dtype=torch.float32),
                               atol=1e-6, rtol=0)


def test_rows_of_a_sample_change_alike_and_samples_differ():
    images = pictures(size=(1, 1, 5, 6)).expand(8, 3, 5, 6, 3)
    changed = ALL.jitter(images, generator=seeded())
    assert changed.shape == images.shape
    assert torch.equal(changed[:, 0], changed[:, 1]) and torch.equal(changed[:, 0], changed[:, 2])
    assert len({tuple(sample.flatten().tolist()) for sample in changed}) == 8
    assert torch.equal(changed, ALL.jitter(images, generator=seeded()))
    assert not torch.equal(changed, ALL.jitter(images, generator=seeded(1)))


def test_factors_are_even_over_the_range_that_was_asked_for():
    images = torch.full((4000, 1, 1, 1, 3), 0.5)
    factors = 2 * Augmentation(brightness=0.3).jitter(images, generator=seeded())[:, 0, 0, 0, 0]
    assert 0.7 <= factors.min() < 0.701 and 1.299 < factors.max() <= 1.3
    assert abs(factors.mean() - 1) < 0.01 and abs(factors.std() - 0.3 / 3 ** 0.5) < 0.005


def test_several_changes_follow_each_other_in_the_order_of_the_fields():
    images = pictures(size=(4, 2, 5, 6))
    drawn = (2 * torch.rand(4, 4, generator=seeded()) - 1) * torch.tensor(
        [[0.3], [0.4], [0.5], [0.1]])
    expected = images
    for change, values in zip((adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue),
                              drawn):
        expected = change(expected, values.view(-1, 1, 1, 1, 1))
    torch.testing.assert_close(ALL.jitter(images, generator=seeded()), expected)


def test_grey_pictures_change_in_brightness_and_contrast_alone():
    images = pictures(channels=1)
    assert torch.equal(Augmentation(saturation=1.0, hue=0.5).jitter(images), images)
    drawn = torch.tensor([0.5]).view(1, 1, 1, 1)
    assert_equal(adjust_contrast(images, drawn), blend(
        images.double().numpy(), images.double().mean(dim=(-3, -2), keepdim=True).numpy(), 1.5))


def test_nothing_changes_unless_asked_for():
    images = pictures(size=(3, 2, 5, 6))
    generator = seeded()
    assert Augmentation().jitter(images, generator=generator) is images
    assert Augmentation().shift(images, generator=generator) is images
    assert torch.equal(torch.rand(1, generator=generator), torch.rand(1, generator=seeded()))


def test_the_given_images_stay_as_they_are():
    images = pictures(size=(3, 2, 5, 6))
    kept = images.clone()
    ALL.jitter(ALL.shift(images))
    assert torch.equal(images, kept)


@pytest.mark.parametrize('field, value, wanted', [
    ('shift_px', -1, 'a whole number from 0 to 1000'), ('shift_px', 1.5, 'a whole number'),
    ('shift_px', True, 'a whole number'), ('brightness', 1.5, 'a number from 0 to 1'),
    ('contrast', -0.1, 'a number from 0 to 1'), ('saturation', 'much', 'a number from 0 to 1'),
    ('hue', 0.6, 'a number from 0 to 0.5'), ('hue', float('nan'), 'a number from 0 to 0.5')])
def test_a_setting_that_cannot_work_is_refused(field, value, wanted):
    with pytest.raises(ConfigError, match=rf'augmentation\.{field} is .*; it must be {wanted}'):
        Augmentation(**{field: value})
